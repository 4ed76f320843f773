"""SQS messages in the form in which Lambda hands them to a function, made where no event source mapping does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef


def record_of(url: str, message: MessageTypeDef) -> dict[str, Any]:
    """The record of a message that was received from the queue at `url` with its system and message attributes."""
    attributes = message.get("MessageAttributes", {})
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {name: {"stringValue": each.get("StringValue")} for name, each in attributes.items()},
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:local:000000000000:{url.rpartition('/')[2]}",
    }
