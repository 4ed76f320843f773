"""The services themselves, for an operator's commands, which do not go through the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.cli.local_run import load_environment

if TYPE_CHECKING:
    from penstock.services import Services


def operator_services() -> Services:
    """The services that PENSTOCK_TABLE and the other settings name, with the operator's own AWS credentials; if these
    are not set, the services of the local run.

    Raises:
        Misconfigured: a setting is missing.
    """
    load_environment()
    from penstock.settings import Settings  # noqa: PLC0415 - msgspec and boto3: not for --help
    from penstock.wiring import services  # noqa: PLC0415

    return services(Settings.from_environment())
