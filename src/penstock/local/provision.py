"""Bucket, queues and table as template.yaml defines them, made through whatever answers as AWS."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.adapters.aws.clients import Clients
from penstock.domain.errors import Misconfigured
from penstock.local.template import Template, read_template, resolve

ACCOUNT = "000000000000"


@dataclass(frozen=True, slots=True)
class Provisioned:
    """The stack's outputs; each is the value of the setting of that name."""

    bucket: str
    table: str
    queues: Mapping[str, str]
    dead_letters: Mapping[str, str]
    arrivals: str

    def environment(self) -> dict[str, str]:
        """The same as environment variables that `Settings` reads."""
        return {
            "PENSTOCK_BUCKET": self.bucket,
            "PENSTOCK_TABLE": self.table,
            "PENSTOCK_QUEUES": json.dumps(dict(self.queues)),
            "PENSTOCK_DEAD_LETTERS": json.dumps(dict(self.dead_letters)),
            "PENSTOCK_ARRIVALS": self.arrivals,
        }


def provision(clients: Clients, template: Path, stack: str, parameters: Mapping[str, str] | None = None) -> Provisioned:
    """Make what is not there yet, and set again what may have been lost. Run again, it changes nothing.

    Args:
        stack: the stack's name; it begins each physical name.
        parameters: of the template; the others have their defaults.

    Raises:
        Misconfigured: the template says something that the local stack cannot do.
    """
    read = read_template(template)
    made = _Stack(clients, read, stack, parameters or {})
    for name, resource in read.resources.items():
        if resource["Type"] in _MAKERS:
            made.make(name)
    outputs = {name: made.resolve(value) for name, value in read.outputs.items() if name in _OUTPUTS}
    return Provisioned(
        bucket=outputs["Bucket"],
        table=outputs["Table"],
        queues=json.loads(outputs["Queues"]),
        dead_letters=json.loads(outputs["DeadLetters"]),
        arrivals=outputs["Arrivals"],
    )


_OUTPUTS = {"Bucket", "Table", "Queues", "DeadLetters", "Arrivals"}


@dataclass(frozen=True, slots=True)
class _Made:
    """What Ref and GetAtt give for a resource."""

    ref: str
    attributes: Mapping[str, str]


class _Stack:
    """The resources in the order in which they need each other: referring to one makes it first."""

    def __init__(self, clients: Clients, template: Template, name: str, parameters: Mapping[str, str]) -> None:
        unknown = parameters.keys() - template.parameters.keys()
        if unknown:
            raise Misconfigured(why=f"The template has no parameter {', '.join(sorted(unknown))}.")
        self.clients = clients
        self._template = template
        self._values = {
            **template.parameters,
            **parameters,
            "AWS::StackName": name,
            "AWS::AccountId": ACCOUNT,
            "AWS::Region": clients.s3.meta.region_name,
            "AWS::Partition": "aws",
        }
        self._made: dict[str, _Made | None] = {}

    def make(self, name: str) -> _Made:
        if name in self._made:
            made = self._made[name]
            if made is None:
                raise Misconfigured(why=f"{name} needs itself.")
            return made
        resource = self._template.resources.get(name, {})
        maker = _MAKERS.get(resource.get("Type", ""))
        if maker is None:
            raise Misconfigured(why=f"{name} is needed by the local stack, which cannot make it.")
        self._made[name] = None
        needed = resource.get("DependsOn", [])
        for each in [needed] if isinstance(needed, str) else needed:
            self.make(each)
        kept = {each: value for each, value in resource["Properties"].items() if each not in _NOT_ON_A_LAPTOP}
        made = maker(self.clients, self.resolve(kept))
        self._made[name] = made
        return made

    def resolve(self, written: Any) -> Any:
        return resolve(written, self._values, self._refer)

    def _refer(self, name: str, attribute: str | None) -> str:
        made = self.make(name)
        if attribute is None:
            return made.ref
        if attribute not in made.attributes:
            raise Misconfigured(why=f"The local stack does not know {name}.{attribute}.")
        return made.attributes[attribute]


# What guards a bucket in an account that others use, whom it lets in, and what tidies it over the months.
_NOT_ON_A_LAPTOP = {
    "BucketEncryption",
    "CorsConfiguration",
    "LifecycleConfiguration",
    "OwnershipControls",
    "PublicAccessBlockConfiguration",
}

# Each maker takes out of the properties what it does; what is left over is something that would be silently different
# here, and so is refused.


def _queue(clients: Clients, properties: dict[str, Any]) -> _Made:
    name = properties.pop("QueueName")
    attributes: Any = {each: _attribute(value) for each, value in properties.items()}
    # Made without attributes, so that a queue which is there with others is no error.
    url = clients.sqs.create_queue(QueueName=name)["QueueUrl"]
    clients.sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    arn = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return _Made(url, {"Arn": arn, "QueueName": name, "QueueUrl": url})


def _attribute(value: object) -> str:
    """SQS takes text only: documents as JSON, which also writes numbers and truth values as SQS does."""
    return value if isinstance(value, str) else json.dumps(value)


def _queue_policy(clients: Clients, properties: dict[str, Any]) -> _Made:
    policy = _policy(clients, properties.pop("PolicyDocument"))
    for url in properties.pop("Queues"):
        clients.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    _nothing_left(properties)
    return _Made("", {})


def _bucket(clients: Clients, properties: dict[str, Any]) -> _Made:
    s3 = clients.s3
    name = properties.pop("BucketName")
    if name not in {each["Name"] for each in s3.list_buckets()["Buckets"]}:
        region = s3.meta.region_name
        if region == "us-east-1":  # which S3 refuses to be told
            s3.create_bucket(Bucket=name)
        else:
            s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})  # type: ignore[typeddict-item]
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=properties.pop("VersioningConfiguration"))
    _notify(clients, name, properties.pop("NotificationConfiguration"))
    _nothing_left(properties)
    return _Made(name, {"Arn": f"arn:aws:s3:::{name}"})


def _notify(clients: Clients, bucket: str, notification: Mapping[str, Any]) -> None:
    wanted = [
        {
            "QueueArn": each["Queue"],
            "Events": [each["Event"]],
            "Filter": {"Key": {"FilterRules": each["Filter"]["S3Key"]["Rules"]}},
        }
        for each in notification["QueueConfigurations"]
    ]
    there = clients.s3.get_bucket_notification_configuration(Bucket=bucket).get("QueueConfigurations", [])
    # Set only where it differs: S3 sends the queue a test event with each.
    if [{name: each.get(name) for name in ("QueueArn", "Events", "Filter")} for each in there] != wanted:
        configuration: Any = {"QueueConfigurations": wanted}
        clients.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)


def _bucket_policy(clients: Clients, properties: dict[str, Any]) -> _Made:
    bucket, policy = properties.pop("Bucket"), _policy(clients, properties.pop("PolicyDocument"))
    if policy:
        clients.s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    _nothing_left(properties)
    return _Made("", {})


_WITHOUT_TLS = {"Bool": {"aws:SecureTransport": "false"}}


def _policy(clients: Clients, document: Mapping[str, Any]) -> str:
    """As JSON; empty where nothing is left to say. An emulator on plain HTTP is not told to refuse it: some obey."""
    plain = clients.s3.meta.endpoint_url.startswith("http:")
    statements = [each for each in document["Statement"] if not (plain and each.get("Condition") == _WITHOUT_TLS)]
    return json.dumps({**document, "Statement": statements}) if statements else ""


def _table(clients: Clients, properties: dict[str, Any]) -> _Made:
    dynamodb = clients.dynamodb
    name = properties["TableName"]
    expiry = properties.pop("TimeToLiveSpecification")
    properties.pop("PointInTimeRecoverySpecification")  # a laptop has no backups to recover from
    try:
        dynamodb.create_table(**properties)
    except dynamodb.exceptions.ResourceInUseException:
        _check_same(properties, dynamodb.describe_table(TableName=name)["Table"])
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    now = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if now.get("TimeToLiveStatus") not in {"ENABLED", "ENABLING"}:  # to enable it twice is an error
        dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=expiry)
    arn = dynamodb.describe_table(TableName=name)["Table"]["TableArn"]
    return _Made(name, {"Arn": arn})


def _check_same(wanted: Mapping[str, Any], there: Mapping[str, Any]) -> None:
    """An older state may hold a table of other keys and indexes, which no later call could change."""

    def shape(table: Mapping[str, Any]) -> object:
        indexes = {each["IndexName"]: each["KeySchema"] for each in table.get("GlobalSecondaryIndexes", [])}
        return table["KeySchema"], indexes

    if shape(wanted) != shape(there):
        raise Misconfigured(
            why=f"Table {wanted['TableName']} is there with other keys or indexes than template.yaml defines: it was "
            "made by another version. Keep what you need of it, then run make clean-state."
        )


def _nothing_left(properties: Mapping[str, Any]) -> None:
    if properties:
        raise Misconfigured(why=f"The local stack does not know the property {', '.join(sorted(properties))}.")


_MAKERS: Mapping[str, Callable[[Clients, dict[str, Any]], _Made]] = {
    "AWS::DynamoDB::Table": _table,
    "AWS::S3::Bucket": _bucket,
    "AWS::S3::BucketPolicy": _bucket_policy,
    "AWS::SQS::Queue": _queue,
    "AWS::SQS::QueuePolicy": _queue_policy,
}
"""Other types are not made: functions and what stands before them have stand-ins of their own on a laptop."""
