"""template.yaml: functions, roles, consumers and alarms, with the stages on Lambda and on ECS."""

from __future__ import annotations

import importlib
import json
import re
from typing import Any

import pytest

from penstock.adapters.opensearch.login import Login
from penstock.domain.task import QUEUES, Stage
from penstock.lambdas.stages import MARGIN
from penstock.settings import Settings
from penstock.wiring import index_login
from tests.support.paths import ROOT
from tests.support.resolved_template import WRITTEN, Template, listed, statements

AGE = "ApproximateAgeOfOldestMessage"
NAMELESS = {"ecr:GetAuthorizationToken"}
"""Actions for which AWS has no resource name."""


ECS = {"WorkerImage": "image", "WorkerVpc": "vpc-1", "WorkerSubnets": "subnet-1"}
LAMBDA = Template(ProviderKey="/penstock/key")
STACKS = {
    "lambda": LAMBDA,
    "ecs": Template(Workers="ecs", ProviderKey="/penstock/key", **ECS),
    "plain": Template(Index="sqlite", Embedder="wordllama"),
}


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> Template:
    return STACKS[request.param]


def _consumers(stack: Template) -> dict[str, dict[str, Any]]:
    """The event source mapping of each queue that has one."""
    mappings = stack.of("AWS::Lambda::EventSourceMapping").values()
    found = {each["EventSourceArn"].removesuffix(".Arn"): each for each in mappings}
    assert len(found) == len(mappings), "two functions would share a queue's messages"
    return found


def _container(stack: Template) -> dict[str, Any]:
    """The container definition of the worker on ECS."""
    (task,) = stack.of("AWS::ECS::TaskDefinition").values()
    (container,) = task["ContainerDefinitions"]
    return dict(container)


def _worker_environment(stack: Template) -> dict[str, str]:
    """The environment of a worker on ECS."""
    return {each["Name"]: each["Value"] for each in _container(stack)["Environment"]}


def _queues(stack: Template) -> dict[str, str]:
    """The stage queues by logical name."""
    return {name: queue for queue, name in json.loads(stack.environment()["PENSTOCK_QUEUES"]).items()}


# Consumers


def test_every_queue_has_one_consumer() -> None:
    assert _consumers(LAMBDA).keys() == LAMBDA.of("AWS::SQS::Queue").keys()


def test_on_ecs_the_stages_are_the_workers_alone() -> None:
    stack = STACKS["ecs"]
    assert _consumers(stack).keys() == stack.of("AWS::SQS::Queue").keys() - _queues(stack).keys()
    variables = _worker_environment(stack)
    assert {name: variables[name] for name in stack.environment() if name in variables} == {
        name: value for name, value in stack.environment().items() if name in variables
    }
    assert stack.environment().keys() <= variables.keys(), "a worker has all variables of a function"


def test_a_stage_is_consumed_by_the_function_of_its_name() -> None:
    assert {queue: _consumers(LAMBDA)[name]["FunctionName"] for name, queue in _queues(LAMBDA).items()} == {
        queue: f"{queue.partition('-')[0].capitalize()}Function" for queue in QUEUES
    }


def test_a_consumer_names_the_messages_that_failed(stack: Template) -> None:
    """Otherwise one failure would bring its whole batch back."""
    assert all(each["FunctionResponseTypes"] == ["ReportBatchItemFailures"] for each in _consumers(stack).values())


def test_a_full_lane_leaves_the_others_their_capacity() -> None:
    limits = {
        queue: _consumers(LAMBDA)[name].get("ScalingConfig", {}).get("MaximumConcurrency")
        for name, queue in _queues(LAMBDA).items()
    }
    lanes = {"express": "20", "standard": "10", "bulk": "5", "delete": "10"}
    assert limits == {queue: lanes[queue.rpartition("-")[2]] for queue in QUEUES}


def test_extract_takes_one_message_at_a_time() -> None:
    """A file that kills its reader takes no other file along."""
    sizes = {_consumers(LAMBDA)[name]["BatchSize"] for name, queue in _queues(LAMBDA).items() if "extract" in queue}
    assert sizes == {1}


def test_a_message_stays_hidden_for_six_runs_of_its_function(stack: Template) -> None:
    """Lambda's documentation requires this of a queue that it polls."""
    functions, queues = stack.of("AWS::Serverless::Function"), stack.of("AWS::SQS::Queue")
    for queue, mapping in _consumers(stack).items():
        visible = int(queues[queue]["VisibilityTimeout"])
        assert visible >= 6 * functions[mapping["FunctionName"]]["Timeout"], queue
        assert visible <= 43_200


# Functions


def test_each_handler_is_there() -> None:
    for name, function in LAMBDA.of("AWS::Serverless::Function").items():
        module, _, attribute = function["Handler"].rpartition(".")
        assert callable(getattr(importlib.import_module(module), attribute)), name


def test_only_the_api_starts_from_a_snapshot(stack: Template) -> None:
    snapped = {name for name, each in stack.of("AWS::Serverless::Function").items() if "SnapStart" in each}
    assert snapped == {"ApiFunction"}


def test_the_environment_is_what_the_settings_read(monkeypatch: pytest.MonkeyPatch, stack: Template) -> None:
    for name, value in stack.environment().items():
        monkeypatch.setenv(name, str(value))
    read = Settings.from_environment()
    assert (read.bucket, read.table, read.arrivals) == ("Bucket", "Table", "Arrivals")
    assert read.queues.keys() == set(QUEUES)
    assert read.dead_letters.keys() == set(Stage)
    assert read.openai_dimensions == 1536
    assert (read.provider_requests_per_minute, read.provider_tokens_per_minute) == (None, None)


def test_a_key_is_never_written_into_an_environment(stack: Template) -> None:
    assert not any("API_KEY" in name for name in stack.environment())


def test_the_api_stands_before_the_first_function() -> None:
    """`sam local start-api` sees it only there."""
    kinds = [each["Type"] for each in WRITTEN["Resources"].values()]
    assert kinds.index("AWS::ApiGatewayV2::Route") < kinds.index("AWS::Serverless::Function")


def test_each_layer_is_made_from_a_lock() -> None:
    for layer in LAMBDA.of("AWS::Serverless::LayerVersion").values():
        lock = ROOT / layer["ContentUri"] / "requirements.txt"
        pins = [line for line in lock.read_text().splitlines() if re.match(r"[a-z]", line)]
        assert pins
        assert all("==" in line for line in pins)


def test_layers_that_stand_together_agree() -> None:
    """In a function, the last layer that has a package would win."""
    versions: dict[str, set[str]] = {}
    for layer in LAMBDA.of("AWS::Serverless::LayerVersion").values():
        for line in (ROOT / layer["ContentUri"] / "requirements.txt").read_text().splitlines():
            if found := re.match(r"([a-z0-9-]+)==([^ ]+)( ;.*?)? \\$", line):
                versions.setdefault(found[1] + (found[3] or ""), set()).add(found[2])
    assert {name for name, each in versions.items() if len(each) > 1} == set()


# Roles


def test_each_function_has_a_role_of_its_own(stack: Template) -> None:
    roles = {name: each["Role"] for name, each in stack.of("AWS::Serverless::Function").items()}
    assert roles == {name: f"{name.removesuffix('Function')}Role.Arn" for name in roles}
    assert {each.removesuffix(".Arn") for each in roles.values()} <= stack.of("AWS::IAM::Role").keys()


def test_a_role_names_what_it_may_do_and_on_what(stack: Template) -> None:
    for name, statement in statements(stack):
        actions = listed(statement["Action"])
        assert not any("*" in action for action in actions), name
        if not set(actions) <= NAMELESS:
            assert "*" not in listed(statement["Resource"]), (name, actions)


def test_no_role_brings_along_what_aws_thinks_fit(stack: Template) -> None:
    assert not any("ManagedPolicyArns" in each for each in stack.of("AWS::IAM::Role").values())
    assert not any("Policies" in each for each in stack.of("AWS::Serverless::Function").values())


def _may(stack: Template, action: str) -> dict[str, set[str]]:
    """The roles that may do it, and the resources."""
    found: dict[str, set[str]] = {}
    for name, statement in statements(stack):
        if action in listed(statement["Action"]):
            found.setdefault(name, set()).update(listed(statement["Resource"]))
    return found


def test_only_what_consumes_a_queue_may_receive_from_it() -> None:
    functions = LAMBDA.of("AWS::Serverless::Function")
    consumed: dict[str, set[str]] = {}
    for queue, mapping in _consumers(LAMBDA).items():
        role = functions[mapping["FunctionName"]]["Role"].removesuffix(".Arn")
        consumed.setdefault(role, set()).add(f"{queue}.Arn")
    assert _may(LAMBDA, "sqs:ReceiveMessage") == consumed
    assert _may(LAMBDA, "sqs:DeleteMessage") == consumed


@pytest.mark.invariant("I4")
def test_dead_letters_may_be_asked_for_again_and_dead_arrivals_taken_in(stack: Template) -> None:
    """I4: a removal and what only waited are sent again. Receiving a dead arrival needs the same rights as the first
    time."""
    assert _may(stack, "sqs:SendMessage")["DeadLettersRole"] >= {f"{name}.Arn" for name in _queues(stack)}
    for action in ("s3:ListBucket", "s3:GetObjectVersion", "s3:PutObject", "s3:DeleteObjectVersion"):
        assert _may(stack, action)["DeadLettersRole"] >= _may(stack, action)["ArrivalsRole"], action


def test_only_what_opens_files_may_read_originals_beside_the_doors() -> None:
    readers = {name for name, where in _may(LAMBDA, "s3:GetObjectVersion").items() if "Bucket.Arn/drop/*" in where}
    assert readers == {"ApiRole", "ExtractRole"}


def test_the_provider_key_is_for_those_who_embed(stack: Template) -> None:
    keys = stack.of("AWS::IAM::Policy").get("KeyPolicy")
    if stack is STACKS["plain"]:
        assert keys is None
        return
    workers = {"WorkerRole"} if stack is STACKS["ecs"] else {"ExtractRole", "EmbedRole"}
    assert keys is not None
    assert set(keys["Roles"]) == {"ApiRole"} | workers
    assert keys["PolicyDocument"]["Statement"][0]["Resource"].endswith(":parameter/penstock/key")


def test_a_worker_may_what_the_functions_of_the_stages_may() -> None:
    """The rights of the functions are compared with their calls in the end-to-end tests. ECS writes the worker's
    log."""

    def rights(plan: Template, *roles: str) -> set[tuple[str, str]]:
        return {
            (action, resource)
            for name, statement in statements(plan)
            if name in roles
            for action in listed(statement["Action"])
            for resource in listed(statement["Resource"])
            if not action.startswith("logs:")
        }

    assert rights(STACKS["ecs"], "WorkerRole") == rights(LAMBDA, "ExtractRole", "EmbedRole", "DeleteRole")


# The API


def test_the_api_is_throttled_and_writes_down_each_request(stack: Template) -> None:
    (stage,) = stack.of("AWS::ApiGatewayV2::Stage").values()
    assert stage["DefaultRouteSettings"] == {"ThrottlingRateLimit": "50", "ThrottlingBurstLimit": "100"}
    assert stage["AccessLogSettings"]["DestinationArn"] == "AccessLog.Arn"
    logged = json.loads(stage["AccessLogSettings"]["Format"])
    assert {"request", "time", "ip", "method", "path", "status", "milliseconds"} <= logged.keys()


def test_the_api_is_handed_bodies_as_they_came(stack: Template) -> None:
    (integration,) = stack.of("AWS::ApiGatewayV2::Integration").values()
    assert (integration["IntegrationType"], integration["PayloadFormatVersion"]) == ("AWS_PROXY", "2.0")


def test_the_api_says_itself_what_lambda_would_not_take(stack: Template) -> None:
    """The limit is an event of 6 MB (AWS Lambda, "Lambda quotas"), in Base64."""
    api = stack.of("AWS::Serverless::Function")["ApiFunction"]
    assert int(api["Environment"]["Variables"]["PENSTOCK_MAX_DIRECT_BYTES"]) * 4 / 3 < 6_291_456


# What all have in common


def test_everything_runs_on_arm64(stack: Template) -> None:
    assert stack.globals["Architectures"] == ["arm64"]
    assert not any("Architectures" in each for each in stack.of("AWS::Serverless::Function").values())
    for layer in stack.of("AWS::Serverless::LayerVersion").values():
        assert layer["CompatibleArchitectures"] == ["arm64"]
    for task in stack.of("AWS::ECS::TaskDefinition").values():
        assert task["RuntimePlatform"]["CpuArchitecture"] == "ARM64"


def test_logs_are_not_kept_for_ever(stack: Template) -> None:
    groups = stack.of("AWS::Logs::LogGroup")
    assert {name: each["RetentionInDays"] for name, each in groups.items()} == {"AccessLog": "30", "Log": "30"}
    assert stack.globals["LoggingConfig"] == {"LogGroup": "Log"}


def test_whoever_waits_for_leases_waits_as_long_as_one_may_be() -> None:
    """On Lambda a lease lasts for the whole run and a margin; on ECS it is renewed."""
    functions = LAMBDA.of("AWS::Serverless::Function")
    longest = max(functions[f"{stage.capitalize()}Function"]["Timeout"] for stage in Stage)
    assert int(LAMBDA.environment()["PENSTOCK_LEASE_SECONDS"]) == longest + MARGIN.total_seconds()
    assert STACKS["ecs"].environment()["PENSTOCK_LEASE_SECONDS"] == "120"


# Alarms


def _watched(stack: Template, metric: str) -> set[str]:
    return {
        dimension["Value"]
        for alarm in stack.of("AWS::CloudWatch::Alarm").values()
        if alarm.get("MetricName") == metric
        for dimension in alarm["Dimensions"]
    }


def test_whoever_waits_too_long_is_heard(stack: Template) -> None:
    waiting = {name for name in stack.of("AWS::SQS::Queue") if not name.endswith("Dead")}
    assert _watched(stack, AGE) == {f"{name}.QueueName" for name in waiting}


def test_whatever_is_given_up_is_heard(stack: Template) -> None:
    """The alarm counts received messages: the handler empties the dead-letter queues, and SQS counts as sent only
    messages that were sent, not those that it moved itself."""
    dead = {name for name in stack.of("AWS::SQS::Queue") if name.endswith("Dead")}
    assert _watched(stack, "NumberOfMessagesReceived") == {f"{name}.QueueName" for name in dead}


def test_a_function_that_fails_or_may_not_run_is_heard(stack: Template) -> None:
    functions = set(stack.of("AWS::Serverless::Function"))
    assert _watched(stack, "Errors") == functions
    assert _watched(stack, "Throttles") == functions


def test_alarms_tell_the_topic_they_are_given() -> None:
    quiet, loud = LAMBDA, Template(AlarmTopic="arn:aws:sns:eu-west-1:111122223333:night")
    assert not any("AlarmActions" in each for each in quiet.of("AWS::CloudWatch::Alarm").values())
    actions = [each["AlarmActions"] for each in loud.of("AWS::CloudWatch::Alarm").values()]
    assert actions == [["arn:aws:sns:eu-west-1:111122223333:night"]] * len(actions)


# ECS


def test_workers_are_steered_by_every_stage_queue_within_what_an_alarm_takes() -> None:
    """CloudWatch allows at most ten metrics in one alarm."""
    stack = STACKS["ecs"]
    policies = stack.of("AWS::ApplicationAutoScaling::ScalingPolicy").values()
    lists = [
        each["TargetTrackingScalingPolicyConfiguration"]["CustomizedMetricSpecification"]["Metrics"]
        for each in policies
        if each["PolicyType"] == "TargetTrackingScaling"
    ]
    lists.append(stack.of("AWS::CloudWatch::Alarm")["WorkerWanted"]["Metrics"])
    assert len(lists) == 3
    for metrics in lists:
        watched = {each["Id"]: each["MetricStat"]["Metric"] for each in metrics if "MetricStat" in each}
        assert len(watched) <= 10
        queues = {
            id_: each["Dimensions"][0]["Value"] for id_, each in watched.items() if each["Namespace"] == "AWS/SQS"
        }
        assert sorted(queues.values()) == sorted(f"{name}.QueueName" for name in _queues(stack))
        (steering,) = (each["Expression"] for each in metrics if each.get("ReturnData", True))
        total = " + ".join(f"FILL({id_}, 0)" for id_ in queues)
        assert total in steering, "SQS tells nothing of a queue that nobody has used for hours"


def test_a_worker_ends_before_it_is_killed_and_writes_what_cloudwatch_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The grace period covers the longest receive request. Otherwise its answer would take messages that nobody works
    on."""
    for name, value in _worker_environment(STACKS["ecs"]).items():
        monkeypatch.setenv(name, value)
    read = Settings.from_environment()
    assert read.wait_seconds <= read.stop_seconds < _container(STACKS["ecs"])["StopTimeout"]
    assert read.log_json


def test_no_worker_runs_while_there_is_no_work() -> None:
    (target,) = STACKS["ecs"].of("AWS::ApplicationAutoScaling::ScalableTarget").values()
    (service,) = STACKS["ecs"].of("AWS::ECS::Service").values()
    assert (target["MinCapacity"], service["DesiredCount"]) == (0, 0)


# The index


def test_a_domain_is_made_only_where_none_is_given() -> None:
    domain = "AWS::OpenSearchService::Domain"
    given = Template(SearchEndpoint="https://there", SearchDomainArn="arn:aws:es:eu-west-1:111122223333:domain/there")
    assert LAMBDA.of(domain).keys() == {"Domain"}
    assert not given.of(domain)
    assert not STACKS["plain"].of(domain)
    assert given.environment()["PENSTOCK_INDEX_URL"] == "https://there"
    assert LAMBDA.environment()["PENSTOCK_INDEX_URL"] == "https://Domain.DomainEndpoint"
    assert _may(given, "es:ESHttpPost") == {"IndexPolicy": {f"{given.values['SearchDomainArn']}/*"}}


@pytest.mark.parametrize("there", [{}, {"SearchEndpoint": "https://there", "SearchDomainArn": "arn:there"}])
def test_functions_and_workers_sign_what_they_ask_of_the_domain(
    monkeypatch: pytest.MonkeyPatch, there: dict[str, str]
) -> None:
    """They sign by their roles: there is no password."""
    on_ecs = Template(Workers="ecs", **ECS, **there)
    for environment in (Template(**there).environment(), _worker_environment(on_ecs)):
        for name, value in environment.items():
            monkeypatch.setenv(name, str(value))
        read = Settings.from_environment()
        assert (read.index, read.index_url) == (
            "opensearch",
            there.get("SearchEndpoint", "https://Domain.DomainEndpoint"),
        )
        assert index_login(read) == Login(signed=True)


def test_the_index_is_for_those_who_have_its_client() -> None:
    """Functions that only receive documents or file dead letters do not need it."""
    with_client = {
        function["Role"].removesuffix(".Arn")
        for function in LAMBDA.of("AWS::Serverless::Function").values()
        if "IndexLayer" in function["Layers"]
    }
    assert with_client == {"ApiRole", "ExtractRole", "EmbedRole", "DeleteRole", "SweepRole"}
    assert set(LAMBDA.of("AWS::IAM::Policy")["IndexPolicy"]["Roles"]) == with_client
    on_ecs = STACKS["ecs"].of("AWS::IAM::Policy")["IndexPolicy"]["Roles"]
    assert set(on_ecs) == {"ApiRole", "SweepRole", "WorkerRole"}


def test_a_domain_is_encrypted_and_outlives_the_stack() -> None:
    domain = LAMBDA.resources["Domain"]
    assert (domain["DeletionPolicy"], domain["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert domain["Properties"]["EncryptionAtRestOptions"] == {"Enabled": True}
    assert domain["Properties"]["NodeToNodeEncryptionOptions"] == {"Enabled": True}
    assert domain["Properties"]["DomainEndpointOptions"]["EnforceHTTPS"] is True
