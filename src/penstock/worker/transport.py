"""The transport that Celery loads by name: kombu's SQS transport with the worker's own channel."""

from __future__ import annotations

from kombu.transport import SQS

from penstock.worker import channel


class Transport(SQS.Transport):
    """kombu's SQS transport, whose channels survive any answer of SQS and any message."""

    Channel = channel.Channel
