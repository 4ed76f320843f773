"""template.yaml: what it promises for the data, and that the local stack understands it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from penstock.domain.errors import Misconfigured
from penstock.domain.task import QUEUES, Lane, Stage, queue_name
from penstock.local.template import read_template, resolve
from penstock.settings import Settings
from tests.support.resolved_template import Template

FORTNIGHT = 14 * 24 * 3600


HOLDS_DATA = ("AWS::DynamoDB::", "AWS::S3::", "AWS::SQS::")
PLAN = Template()
RESOURCES = {name: each for name, each in PLAN.resources.items() if each["Type"].startswith(HOLDS_DATA)}
OUTPUTS = PLAN.outputs


def _of_type(kind: str) -> dict[str, dict[str, Any]]:
    return {name: each["Properties"] for name, each in RESOURCES.items() if each["Type"] == kind}


QUEUE_RESOURCES = _of_type("AWS::SQS::Queue")


def test_each_stage_and_lane_has_its_queue_and_nothing_else_has_one() -> None:
    letters = {f"stack-{stage}-dead" for stage in Stage} | {"stack-arrivals-dead"}
    names = {each["QueueName"] for each in QUEUE_RESOURCES.values()}
    assert names == {f"stack-{name}" for name in QUEUES} | letters | {"stack-arrivals"}


@pytest.mark.invariant("I4")
@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("lane", Lane)
def test_what_a_stage_gives_up_goes_to_its_dead_letter_queue(stage: Stage, lane: Lane) -> None:
    """I4: the queue's own maxReceiveCount is a backstop."""
    url = json.loads(OUTPUTS["Queues"])[queue_name(stage, lane)]
    redrive = QUEUE_RESOURCES[url]["RedrivePolicy"]
    assert redrive == {
        "deadLetterTargetArn": f"{json.loads(OUTPUTS['DeadLetters'])[stage]}.Arn",
        "maxReceiveCount": 100,
    }
    assert QUEUE_RESOURCES[url]["QueueName"] == f"stack-{queue_name(stage, lane)}"


def test_arrivals_that_cannot_be_taken_in_are_kept() -> None:
    """S3 reports an event once: what is lost here is lost."""
    redrive = QUEUE_RESOURCES["Arrivals"]["RedrivePolicy"]
    assert redrive == {"deadLetterTargetArn": "ArrivalsDead.Arn", "maxReceiveCount": 100}


@pytest.mark.parametrize("name", QUEUE_RESOURCES)
def test_a_queue_keeps_its_messages_for_a_fortnight_and_encrypts_them(name: str) -> None:
    queue = QUEUE_RESOURCES[name]
    assert (queue["MessageRetentionPeriod"], queue["SqsManagedSseEnabled"]) == (FORTNIGHT, True)


@pytest.mark.parametrize("name", QUEUE_RESOURCES)
def test_a_queue_has_one_policy_and_it_refuses_plain_http(name: str) -> None:
    """A queue can have one policy: a second one would replace the first."""
    policies = [each for each in _of_type("AWS::SQS::QueuePolicy").values() if name in each["Queues"]]
    assert len(policies) == 1
    assert _refuses_plain_http(policies[0], "sqs:*")


def test_the_bucket_refuses_plain_http() -> None:
    (policy,) = _of_type("AWS::S3::BucketPolicy").values()
    assert _refuses_plain_http(policy, "s3:*")
    statement = policy["PolicyDocument"]["Statement"][0]
    assert statement["Resource"] == ["Bucket.Arn", "Bucket.Arn/*"]


def _refuses_plain_http(policy: Mapping[str, Any], action: str) -> bool:
    return any(
        (each["Effect"], each["Principal"], each["Action"]) == ("Deny", "*", action)
        and each["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        for each in policy["PolicyDocument"]["Statement"]
    )


@pytest.mark.parametrize(
    "name", [name for name, each in RESOURCES.items() if each["Type"].endswith(("::Bucket", "::Table", "::Queue"))]
)
def test_what_holds_data_outlives_the_stack(name: str) -> None:
    assert (RESOURCES[name]["DeletionPolicy"], RESOURCES[name]["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_the_bucket_is_versioned_private_and_encrypted() -> None:
    (bucket,) = _of_type("AWS::S3::Bucket").values()
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]


def test_only_work_files_letters_and_what_nobody_waits_for_expire() -> None:
    """Shards and uploads are kept for as long as a message may name them; dead letters for much longer."""
    (bucket,) = _of_type("AWS::S3::Bucket").values()
    rules = [each for each in bucket["LifecycleConfiguration"]["Rules"] if any("Expiration" in name for name in each)]
    assert {each["Prefix"]: each["ExpirationInDays"] for each in rules} == {
        "work/": 30,
        "uploads/": 15,
        "letters/": 180,
    }
    assert all(each["ExpirationInDays"] * 24 * 3600 > FORTNIGHT for each in rules)
    assert all(each["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1} for each in rules)


def test_a_browser_may_send_files_only_from_the_pages_that_are_named() -> None:
    def rules(plan: Template) -> list[dict[str, Any]] | None:
        cors = plan.of("AWS::S3::Bucket")["Bucket"].get("CorsConfiguration")
        return cors and cors["CorsRules"]

    assert rules(PLAN) is None
    (rule,) = rules(Template(AllowedOrigins="https://app.example.com")) or []
    assert (rule["AllowedMethods"], rule["AllowedOrigins"]) == (["POST"], "https://app.example.com")


def test_s3_tells_of_arrivals_and_removals_in_the_two_doors_and_nowhere_else() -> None:
    (bucket,) = _of_type("AWS::S3::Bucket").values()
    rules = {
        (rule["Value"], each["Event"], each["Queue"])
        for each in bucket["NotificationConfiguration"]["QueueConfigurations"]
        for rule in each["Filter"]["S3Key"]["Rules"]
        if rule["Name"] == "prefix"
    }
    assert rules == {
        (prefix, event, "Arrivals.Arn")
        for prefix in ("drop/", "uploads/")
        for event in ("s3:ObjectCreated:*", "s3:ObjectRemoved:DeleteMarkerCreated")
    }


def test_only_this_bucket_of_this_account_may_send_arrivals() -> None:
    (bucket,) = _of_type("AWS::S3::Bucket").values()
    policy = RESOURCES["ArrivalsPolicy"]["Properties"]["PolicyDocument"]
    (allowed,) = [each for each in policy["Statement"] if each["Effect"] == "Allow"]
    assert (allowed["Principal"], allowed["Action"]) == ({"Service": "s3.amazonaws.com"}, "sqs:SendMessage")
    assert allowed["Condition"] == {
        "ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::{bucket['BucketName']}"},
        "StringEquals": {"aws:SourceAccount": "111122223333"},
    }
    assert RESOURCES["Bucket"]["DependsOn"] == "ArrivalsPolicy"


def test_the_table_can_be_recovered_and_its_indexes_hold_keys_alone() -> None:
    (table,) = _of_type("AWS::DynamoDB::Table").values()
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    indexes = {each["IndexName"]: each["Projection"]["ProjectionType"] for each in table["GlobalSecondaryIndexes"]}
    assert indexes == {"list": "KEYS_ONLY", "due": "KEYS_ONLY"}


def test_two_stacks_can_live_in_one_account() -> None:
    """Every physical name begins with the stack's name."""
    given = [
        value
        for each in RESOURCES.values()
        for name, value in each["Properties"].items()
        if name in {"BucketName", "QueueName", "TableName"}
    ]
    assert len(given) == 2 + len(QUEUE_RESOURCES)
    assert all(name.startswith("stack-") for name in given)


def test_the_outputs_are_what_the_settings_ask_for() -> None:
    assert json.loads(OUTPUTS["Queues"]).keys() == set(QUEUES)
    assert json.loads(OUTPUTS["DeadLetters"]).keys() == set(Stage)
    read = Settings(
        bucket=OUTPUTS["Bucket"],
        table=OUTPUTS["Table"],
        queues=json.loads(OUTPUTS["Queues"]),
        dead_letters=json.loads(OUTPUTS["DeadLetters"]),
        arrivals=OUTPUTS["Arrivals"],
    )
    assert (read.bucket, read.table, read.arrivals) == ("Bucket", "Table", "Arrivals")


# How a template is read


def _resolved(written: object) -> Any:
    return resolve(written, {"Stage": "live", "AWS::Region": "eu-west-1"}, lambda *name: "/".join(filter(None, name)))


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("!Ref Stage", "live"),
        ("!Ref Queue", "Queue"),
        ("!GetAtt Queue.Arn", "Queue/Arn"),
        ("!GetAtt [Queue, Arn]", "Queue/Arn"),
        ("{Fn::GetAtt: [Queue, Arn]}", "Queue/Arn"),
        ('!Sub "a ${Stage} ${AWS::Region} ${Queue.Arn} ${Queue}"', "a live eu-west-1 Queue/Arn Queue"),
        ('!Join ["-", [a, !Ref Stage, !GetAtt Queue.Arn]]', "a-live-Queue/Arn"),
        ("[1, true, {a: !Ref Stage}]", [1, True, {"a": "live"}]),
    ],
)
def test_a_function_is_worked_out(tmp_path: Path, written: str, value: object) -> None:
    assert _resolved(_read(tmp_path, written)) == value


@pytest.mark.parametrize(
    "written", ["!Select [0, [a]]", "!ImportValue x", "{Fn::If: [a, b, c]}", "!Sub ['${a}', {a: b}]"]
)
def test_a_function_that_is_not_known_is_named(tmp_path: Path, written: str) -> None:
    with pytest.raises(Misconfigured, match=r"Fn::\w+"):
        _resolved(_read(tmp_path, written))


def _read(folder: Path, written: str) -> object:
    path = folder / "template.yaml"
    path.write_text(f"Resources:\n  One:\n    Type: T\n    Properties: {written}\n")
    return read_template(path).resources["One"]["Properties"]


@pytest.mark.parametrize("written", ["", "Resources: [", "a: b", "- a"])
def test_a_file_that_is_no_template_is_refused(tmp_path: Path, written: str) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(written)
    with pytest.raises(Misconfigured, match=str(path)):
        read_template(path)
    with pytest.raises(Misconfigured, match="nowhere"):
        read_template(tmp_path / "nowhere")
