"""How a command ends early, and what its exit code means for a script."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes."""

    DONE = 0
    FAILED = 1
    """A document failed, was refused or does not exist; nothing was found; or the time to wait was over."""
    USAGE = 2
    UNREACHABLE = 3
    """The API, or a service that an operator's command needs, does not answer or is not configured."""
    KEY_REFUSED = 4
    BUG = 70


EXIT_CODES = (
    "Exit codes: 0 done · 1 a document failed, was refused or does not exist, nothing was found, or the time to wait "
    "was over · 2 wrong usage · 3 the API or a service cannot be reached · 4 no valid key · 70 a bug in Penstock"
)


class CommandError(Exception):
    """Ends the command with a message for people and an exit code for scripts."""

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.code = code
