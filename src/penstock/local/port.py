"""Ports of this machine: finding a free one, and checking that a chosen one is free."""

from __future__ import annotations

import socket
from contextlib import suppress
from random import SystemRandom

from penstock.domain.errors import Misconfigured

HOST = "127.0.0.1"


_CANDIDATES = range(15_000, 32_000)
"""The ports to choose from. They are below the ephemeral ones, which the system gives to any client that connects
(ip_local_port_range in ip(7)): such a client could take a port between its choice and the start of the server."""


def free_port() -> int:
    """A port on which nothing listens now."""
    while True:
        port = SystemRandom().choice(_CANDIDATES)
        with suppress(OSError), socket.socket() as probe:
            probe.bind((HOST, port))
            return port


def check_free(port: int, *, user: str, setting: str) -> None:
    """Check that a server can listen on this port.

    Args:
        user: what needs the port, as the error message names it.
        setting: the environment variable that chooses the port.

    Raises:
        Misconfigured: no server can listen on it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise Misconfigured(
                why=f"Port {port} on {HOST} cannot be used for {user} ({error.strerror}). Stop the program that uses "
                f"it, or set {setting} to a free port."
            ) from error
