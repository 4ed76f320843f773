"""Operator: the services themselves, for the commands that act on them and not through the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.cli.local_run import load_environment

if TYPE_CHECKING:
    from penstock.services import Services


def operators_services() -> Services:
    """By PENSTOCK_TABLE and the like with the operator's own AWS credentials, or of the local run.

    Raises:
        Misconfigured: a setting is missing.
    """
    load_environment()
    from penstock.settings import Settings  # noqa: PLC0415 - pydantic, and boto3: not for --help
    from penstock.wiring import services  # noqa: PLC0415

    return services(Settings.from_environment())
