"""The API key of the embedding provider, read from the parameter store of AWS Systems Manager."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.adapters.aws.failures import translated
from penstock.domain.errors import Misconfigured, Permanent

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


class StoredKey:
    """A key that is read once in the life of a process, at first use. It is kept in memory alone, never in the
    environment, which a child process could inherit."""

    def __init__(self, client: Callable[[], SSMClient], name: str) -> None:
        self._client = client
        self._name = name
        self._lock = threading.Lock()
        self._key: str | None = None

    def __call__(self) -> str:
        """
        Raises:
            Misconfigured: the parameter does not exist, this role may not read it, or it is empty.
            Transient: Systems Manager did not answer.
        """
        with self._lock:
            if self._key is None:
                self._key = self._read()
            return self._key

    def _read(self) -> str:
        try:
            with translated("Systems Manager"):
                answer = self._client().get_parameter(Name=self._name, WithDecryption=True)
        except Permanent as error:
            raise self._unreadable(str(error)) from error
        key = answer["Parameter"]["Value"].strip()
        if not key:
            raise self._unreadable("it contains only white space")
        return key

    def _unreadable(self, why: str) -> Misconfigured:
        return Misconfigured(
            why=f"The provider's key cannot be read from the parameter {self._name!r} (PENSTOCK_PROVIDER_KEY): {why}. "
            "It must be a SecureString of this account and region that this role may read (ssm:GetParameter)."
        )
