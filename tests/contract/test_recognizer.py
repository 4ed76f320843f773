"""The promises of every Recognizer."""

from __future__ import annotations

import io
import shutil

import boto3
import pytest
from botocore.stub import ANY, Stubber
from PIL import Image, ImageDraw, ImageFont

from penstock.adapters.recognizers.tesseract import TesseractRecognizer
from penstock.adapters.recognizers.textract import TextractRecognizer, png
from penstock.domain.errors import Misconfigured, Transient
from penstock.ports import Picture, Recognizer

TEXT = "The weir was opened"


def picture(text: str) -> Picture:
    image = Image.new("L", (900, 160), 255)
    ImageDraw.Draw(image).text((40, 40), text, fill=0, font=ImageFont.load_default(60))
    return Picture(*image.size, image.tobytes())


def textract(*lines: str) -> tuple[TextractRecognizer, Stubber]:
    client = boto3.client("textract", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    stubber = Stubber(client)
    blocks = [{"BlockType": "PAGE"}, *({"BlockType": "LINE", "Text": line} for line in lines)]
    blocks += [{"BlockType": "WORD", "Text": word} for line in lines for word in line.split()]
    stubber.add_response("detect_document_text", {"Blocks": blocks}, {"Document": {"Bytes": ANY}})
    stubber.activate()
    return TextractRecognizer(client), stubber


@pytest.fixture(params=["tesseract", "textract"])
def recognizer(request: pytest.FixtureRequest) -> Recognizer:
    if request.param == "textract":
        return textract(TEXT)[0]
    if shutil.which("tesseract") is None:
        pytest.skip("Tesseract is not installed")
    return TesseractRecognizer()


def test_the_text_of_a_picture_comes_out_in_lines(recognizer: Recognizer) -> None:
    assert recognizer.recognize(picture(TEXT)).split("\n")[0].strip() == TEXT


def test_what_textract_gets_is_the_picture() -> None:
    shown = picture(TEXT)
    image = Image.open(io.BytesIO(png(shown)))
    assert (image.size, image.mode, image.tobytes()) == ((shown.width, shown.height), "L", shown.pixels)


def test_a_throttled_textract_is_asked_again_later() -> None:
    found, stubber = textract()
    stubber._queue.clear()
    stubber.add_client_error("detect_document_text", "ThrottlingException", http_status_code=400)
    with pytest.raises(Transient):
        found.recognize(picture(TEXT))


def test_a_tesseract_that_is_not_there_is_said_when_it_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Misconfigured, match="not installed"):
        TesseractRecognizer()
