"""Text recognition by Tesseract, a program that has to be installed."""

from __future__ import annotations

import shutil
import subprocess

from penstock.domain.errors import Misconfigured, Refused, Transient
from penstock.ports import Picture

_SECONDS = 120
"""The time after which the recognition of one picture is ended."""
_MESSAGE_CHARS = 300


class TesseractRecognizer:
    """A Recognizer. It starts one process for each picture, with an empty environment, and gives it pixels, never a
    file that somebody sent."""

    def __init__(self, languages: str = "eng", program: str | None = None) -> None:
        """
        Args:
            languages: the languages as Tesseract names them, such as `eng+deu`.
            program: the path of the program. It is looked for in PATH by default.

        Raises:
            Misconfigured: Tesseract is not installed.
        """
        found = program or shutil.which("tesseract")
        if found is None:
            why = "PENSTOCK_RECOGNIZER is tesseract, which is not installed: install it (tesseract-ocr), or set none."
            raise Misconfigured(why=why)
        self._command = [found, "stdin", "stdout", "-l", languages]

    def recognize(self, picture: Picture) -> str:
        image = b"P5 %d %d 255\n" % (picture.width, picture.height) + picture.pixels
        try:
            done = subprocess.run(  # noqa: S603 - no argument comes from outside
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
            message = " ".join(done.stderr.decode(errors="replace").split())[-_MESSAGE_CHARS:]
            raise Refused(service="Tesseract", why=message or f"exit code {done.returncode}")
        return done.stdout.decode(errors="replace")
