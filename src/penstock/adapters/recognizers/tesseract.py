"""Text recognition by Tesseract, where it is installed."""

from __future__ import annotations

import shutil
import subprocess

from penstock.domain.errors import Misconfigured, Refused, Transient
from penstock.ports import Picture

_SECONDS = 120
_MESSAGE_CHARS = 300


class TesseractRecognizer:
    """A Recognizer. A process per picture, with an empty environment; it gets pixels, never a file of somebody's."""

    def __init__(self, languages: str = "eng", program: str | None = None) -> None:
        """
        Args:
            languages: as Tesseract has them, such as `eng+deu`.

        Raises:
            Misconfigured: it is not installed.
        """
        found = program or shutil.which("tesseract")
        if found is None:
            why = "PENSTOCK_RECOGNIZER is tesseract, which is not installed: install it (tesseract-ocr), or set none."
            raise Misconfigured(why=why)
        self._command = [found, "stdin", "stdout", "-l", languages]

    def recognize(self, picture: Picture) -> str:
        image = b"P5 %d %d 255\n" % (picture.width, picture.height) + picture.pixels
        try:
            done = subprocess.run(  # noqa: S603 - nothing of it is an outsider's
                self._command,
                input=image,
                capture_output=True,
                env={"OMP_THREAD_LIMIT": "1"},
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Refused(service="Tesseract", why=f"it took longer than {_SECONDS} seconds") from error
        except OSError as error:
            raise Transient(why=f"Tesseract could not be started ({error.strerror})") from error
        if done.returncode:
            said = " ".join(done.stderr.decode(errors="replace").split())[-_MESSAGE_CHARS:]
            raise Refused(service="Tesseract", why=said or f"exit code {done.returncode}")
        return done.stdout.decode(errors="replace")
