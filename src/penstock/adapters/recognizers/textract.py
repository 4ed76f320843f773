"""Text recognition by Amazon Textract, which has a price for each page."""

from __future__ import annotations

import struct
import zlib
from typing import Any

from penstock.adapters.aws.failures import translated
from penstock.ports import Picture


class TextractRecognizer:
    """A Recognizer. `client` is boto3's client of `textract`."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def recognize(self, picture: Picture) -> str:
        with translated("Textract"):
            answer = self._client.detect_document_text(Document={"Bytes": png(picture)})
        return "\n".join(each["Text"] for each in answer["Blocks"] if each["BlockType"] == "LINE")


def png(picture: Picture) -> bytes:
    """The picture as a PNG file, in grey with 8 bits for each pixel (PNG specification, 11.2)."""
    width, pixels = picture.width, picture.pixels
    lines = b"".join(b"\0" + pixels[start : start + width] for start in range(0, len(pixels), width))
    header = struct.pack(">IIBBBBB", width, picture.height, 8, 0, 0, 0, 0)
    blocks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_block(kind, content) for kind, content in blocks)


def _block(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
