"""Who this process is to the search server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are to the server. Neither name nor signature: a server that asks nobody."""

    user: str = ""
    password: str = ""
    signed: bool = False
    """By SigV4 with the AWS credentials of this process: for a managed domain."""
