"""A message of SQS, as Lambda hands it to a function: where no event source mapping does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef


def record_of(url: str, message: MessageTypeDef) -> dict[str, Any]:
    """Of a message that was received from the queue at `url`, with its system and own attributes."""
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
