"""Provisioning: create the bucket, the queues and the table that template.yaml defines, on an emulator of AWS."""

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
    """The outputs of the stack. Each is the value of the setting with the same name."""

    bucket: str
    table: str
    queues: Mapping[str, str]
    dead_letters: Mapping[str, str]
    arrivals: str

    def environment(self) -> dict[str, str]:
        """The outputs as the environment variables that `Settings` reads."""
        return {
            "PENSTOCK_BUCKET": self.bucket,
            "PENSTOCK_TABLE": self.table,
            "PENSTOCK_QUEUES": json.dumps(dict(self.queues)),
            "PENSTOCK_DEAD_LETTERS": json.dumps(dict(self.dead_letters)),
            "PENSTOCK_ARRIVALS": self.arrivals,
        }


def provision(clients: Clients, template: Path, stack: str, parameters: Mapping[str, str] | None = None) -> Provisioned:
    """Create what does not exist yet, and restore attributes that may have been lost. A second run changes nothing.

    Args:
        stack: the name of the stack, with which each physical name begins.
        parameters: parameters of the template. The others have their defaults.

    Raises:
        Misconfigured: the template uses something that the local stack cannot do.
    """
    definition = read_template(template)
    resources = _Resources(clients, definition, stack, parameters or {})
    for name, resource in definition.resources.items():
        if resource["Type"] in _CREATORS:
            resources.create(name)
    outputs = {name: resources.resolve(value) for name, value in definition.outputs.items() if name in _OUTPUTS}
    return Provisioned(
        bucket=outputs["Bucket"],
        table=outputs["Table"],
        queues=json.loads(outputs["Queues"]),
        dead_letters=json.loads(outputs["DeadLetters"]),
        arrivals=outputs["Arrivals"],
    )


_OUTPUTS = {"Bucket", "Table", "Queues", "DeadLetters", "Arrivals"}


@dataclass(frozen=True, slots=True)
class _Created:
    """A resource that exists: what Ref and GetAtt return for it."""

    ref: str
    attributes: Mapping[str, str]


class _Resources:
    """The resources, created in the order of their dependencies: resolving a reference creates its resource first."""

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
        self._created: dict[str, _Created | None] = {}

    def create(self, name: str) -> _Created:
        if name in self._created:
            created = self._created[name]
            if created is None:
                raise Misconfigured(why=f"{name} depends on itself.")
            return created
        resource = self._template.resources.get(name, {})
        creator = _CREATORS.get(resource.get("Type", ""))
        if creator is None:
            raise Misconfigured(why=f"The local stack needs {name}, but cannot create it.")
        self._created[name] = None
        dependencies = resource.get("DependsOn", [])
        for each in [dependencies] if isinstance(dependencies, str) else dependencies:
            self.create(each)
        properties = {each: value for each, value in resource["Properties"].items() if each not in _NOT_ON_A_LAPTOP}
        created = creator(self.clients, self.resolve(properties))
        self._created[name] = created
        return created

    def resolve(self, node: Any) -> Any:
        return resolve(node, self._values, self._reference)

    def _reference(self, name: str, attribute: str | None) -> str:
        created = self.create(name)
        if attribute is None:
            return created.ref
        if attribute not in created.attributes:
            raise Misconfigured(why=f"The local stack does not know {name}.{attribute}.")
        return created.attributes[attribute]


# Properties that matter only in an AWS account: they protect a bucket, say who may use it, and clean it over time.
_NOT_ON_A_LAPTOP = {
    "BucketEncryption",
    "CorsConfiguration",
    "LifecycleConfiguration",
    "OwnershipControls",
    "PublicAccessBlockConfiguration",
}

# Each creator pops the properties that it applies. A property that is left over would be silently ignored here, so it
# is refused.


def _queue(clients: Clients, properties: dict[str, Any]) -> _Created:
    name = properties.pop("QueueName")
    attributes: Any = {each: _attribute(value) for each, value in properties.items()}
    # Created without attributes: a queue that exists with other attributes would be an error.
    url = clients.sqs.create_queue(QueueName=name)["QueueUrl"]
    clients.sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    arn = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return _Created(url, {"Arn": arn, "QueueName": name, "QueueUrl": url})


def _attribute(value: object) -> str:
    """The text of an attribute. SQS takes text only; JSON writes documents, numbers and truth values as SQS expects."""
    return value if isinstance(value, str) else json.dumps(value)


def _queue_policy(clients: Clients, properties: dict[str, Any]) -> _Created:
    policy = _policy(clients, properties.pop("PolicyDocument"))
    for url in properties.pop("Queues"):
        clients.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    _check_all_applied(properties)
    return _Created("", {})


def _bucket(clients: Clients, properties: dict[str, Any]) -> _Created:
    s3 = clients.s3
    name = properties.pop("BucketName")
    if name not in {each["Name"] for each in s3.list_buckets()["Buckets"]}:
        region = s3.meta.region_name
        if region == "us-east-1":  # S3 refuses this region as a location constraint
            s3.create_bucket(Bucket=name)
        else:
            s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})  # type: ignore[typeddict-item]
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=properties.pop("VersioningConfiguration"))
    _notify(clients, name, properties.pop("NotificationConfiguration"))
    _check_all_applied(properties)
    return _Created(name, {"Arn": f"arn:aws:s3:::{name}"})


def _notify(clients: Clients, bucket: str, notification: Mapping[str, Any]) -> None:
    wanted = [
        {
            "QueueArn": each["Queue"],
            "Events": [each["Event"]],
            "Filter": {"Key": {"FilterRules": each["Filter"]["S3Key"]["Rules"]}},
        }
        for each in notification["QueueConfigurations"]
    ]
    existing = clients.s3.get_bucket_notification_configuration(Bucket=bucket).get("QueueConfigurations", [])
    # Set only if it differs: each time, S3 sends a test event to the queue.
    if [{name: each.get(name) for name in ("QueueArn", "Events", "Filter")} for each in existing] != wanted:
        configuration: Any = {"QueueConfigurations": wanted}
        clients.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)


def _bucket_policy(clients: Clients, properties: dict[str, Any]) -> _Created:
    bucket, policy = properties.pop("Bucket"), _policy(clients, properties.pop("PolicyDocument"))
    if policy:
        clients.s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    _check_all_applied(properties)
    return _Created("", {})


_WITHOUT_TLS = {"Bool": {"aws:SecureTransport": "false"}}


def _policy(clients: Clients, document: Mapping[str, Any]) -> str:
    """A policy as JSON, empty if it has no statement. An emulator on plain HTTP does not get the statement that refuses
    requests without TLS: some emulators obey it."""
    plain = clients.s3.meta.endpoint_url.startswith("http:")
    statements = [each for each in document["Statement"] if not (plain and each.get("Condition") == _WITHOUT_TLS)]
    return json.dumps({**document, "Statement": statements}) if statements else ""


def _table(clients: Clients, properties: dict[str, Any]) -> _Created:
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
    if now.get("TimeToLiveStatus") not in {"ENABLED", "ENABLING"}:  # enabling it twice is an error
        dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=expiry)
    arn = dynamodb.describe_table(TableName=name)["Table"]["TableArn"]
    return _Created(name, {"Arn": arn})


def _check_same(wanted: Mapping[str, Any], existing: Mapping[str, Any]) -> None:
    """Refuse a table from an older version with other keys or indexes. No later call could change them."""

    def shape(table: Mapping[str, Any]) -> object:
        indexes = {each["IndexName"]: each["KeySchema"] for each in table.get("GlobalSecondaryIndexes", [])}
        return table["KeySchema"], indexes

    if shape(wanted) != shape(existing):
        raise Misconfigured(
            why=f"Table {wanted['TableName']} has other keys or indexes than template.yaml defines: another version "
            "created it. Save what you need from it, then run make clean-state."
        )


def _check_all_applied(properties: Mapping[str, Any]) -> None:
    if properties:
        raise Misconfigured(why=f"The local stack does not know the property {', '.join(sorted(properties))}.")


_CREATORS: Mapping[str, Callable[[Clients, dict[str, Any]], _Created]] = {
    "AWS::DynamoDB::Table": _table,
    "AWS::S3::Bucket": _bucket,
    "AWS::S3::BucketPolicy": _bucket_policy,
    "AWS::SQS::Queue": _queue,
    "AWS::SQS::QueuePolicy": _queue_policy,
}
"""The creator for each type of resource. Other types are skipped: on a laptop, other programs take the place of
functions and of what invokes them."""
