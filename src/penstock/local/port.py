"""Ports of this machine: which are free, and what to say of one that is not."""

from __future__ import annotations

import socket
from contextlib import suppress
from random import SystemRandom

from penstock.domain.errors import Misconfigured

HOST = "127.0.0.1"


_QUIET = range(15_000, 32_000)
"""Below those that a system gives to whoever asks for any (ip_local_port_range in ip(7)): until a server listens on the
port that it was told, clients come and go on those."""


def free_port() -> int:
    """One that nobody listens on now."""
    while True:
        port = SystemRandom().choice(_QUIET)
        with suppress(OSError), socket.socket() as probe:
            probe.bind((HOST, port))
            return port


def check_free(port: int, *, user: str, setting: str) -> None:
    """
    Args:
        user: who wants it, for people.
        setting: the environment variable that chooses it.

    Raises:
        Misconfigured: it cannot be listened on.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise Misconfigured(
                why=f"Port {port} on {HOST} cannot be used for {user} ({error.strerror}). End what uses it, or set "
                f"{setting} to a free port."
            ) from error
