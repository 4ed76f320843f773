"""How this process identifies itself to the search server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Login:
    """Either a user and a password, or signed requests. Without both, requests are anonymous."""

    user: str = ""
    password: str = ""
    signed: bool = False
    """Whether requests are signed by SigV4 with the AWS credentials of this process, as a managed domain needs it."""
