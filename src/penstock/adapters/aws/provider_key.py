"""The embedding provider's API key, in Systems Manager's parameter store."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.adapters.aws.failures import translated
from penstock.domain.errors import Misconfigured, Permanent

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


class StoredKey:
    """Read when it is first asked for, and kept: once in a process's life, and in its memory alone, never in an
    environment, which a child could be given."""

    def __init__(self, client: Callable[[], SSMClient], name: str) -> None:
        self._client = client
        self._name = name
        self._reading = threading.Lock()
        self._read: str | None = None

    def __call__(self) -> str:
        """
        Raises:
            Misconfigured: there is no such parameter, this role may not read it, or it holds nothing.
            Transient: the store did not answer.
        """
        with self._reading:
            if self._read is None:
                self._read = self._stored()
            return self._read

    def _stored(self) -> str:
        try:
            with translated("Systems Manager"):
                answer = self._client().get_parameter(Name=self._name, WithDecryption=True)
        except Permanent as error:
            raise self._unusable(str(error)) from error
        key = answer["Parameter"]["Value"].strip()
        if not key:
            raise self._unusable("it holds nothing but white space")
        return key

    def _unusable(self, why: str) -> Misconfigured:
        return Misconfigured(
            why=f"The provider's key cannot be read from the parameter {self._name!r} (PENSTOCK_PROVIDER_KEY): {why}. "
            "It shall be a SecureString of this account and region that this role may read (ssm:GetParameter)."
        )
