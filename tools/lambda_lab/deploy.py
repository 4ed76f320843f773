"""Deploy the whole template to an emulator, as `sam deploy` would deploy it to an account."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx

from penstock.documents.api_keys import create_key
from penstock.domain.errors import Misconfigured
from penstock.domain.ids import TenantId
from penstock.local.emulator import emulator
from penstock.local.port import free_port
from penstock.local.template import load_template
from penstock.settings import Settings
from penstock.wiring import services
from tools.lambda_lab.package import CODE, Package, package

TENANT = TenantId("local")
STACK = "penstock"
_ARTIFACTS = "penstock-artifacts"
WITHOUT_KEY = {"layers/openai/": "layers/wordllama"}
"""The folders that replace others for a local deployment: its embedder needs no provider."""
_ENFORCED = {"AUTH": "true"}
"""Settings of the emulator: a function may do only what its role allows."""
_STACK_SECONDS = 120.0
_READY_SECONDS = 60.0
_FINAL = ("_COMPLETE", "_FAILED")
_FUNCTION = "AWS::Serverless::Function"

Environment = Callable[[str, str], Mapping[str, str]]
"""Environment variables of a function in addition to those of the template. The arguments are the function's logical
name and the emulator's URL."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployed stack that answers requests."""

    endpoint: str
    """The emulator's address, for AWS_ENDPOINT_URL."""
    outputs: Mapping[str, str]
    url: str
    """The address of the API on the emulator."""
    key: str
    seconds: float
    """The time that CloudFormation took, in seconds."""

    @property
    def bucket(self) -> str:
        return self.outputs["Bucket"]


@contextmanager
def deployed(
    template: Path,
    state: Path,
    emulator_python: Path,
    *,
    port: int | None = None,
    parameters: Mapping[str, str] | None = None,
    environment: Environment = lambda *_: {},
) -> Iterator[Deployed]:
    """Deploy the template to an emulator that is stopped at the end of the context.

    The environment variables of this process are set so that they point to the emulator.

    Args:
        state: a folder for the packages, the log and the index. The packages are kept for the next run, the index is
        not. emulator_python: the Python of the environment that has ministack and SAM's translator. parameters:
        parameters of the template. environment: environment variables of each function in addition to those of the
        template.

    Raises:
        Misconfigured: something could not be built, deployed or reached; the message says why.
    """
    made = package(template, state / "package", python=emulator_python, instead=WITHOUT_KEY)
    log = state / "emulator.log"
    with emulator(emulator_python, port or free_port(), log, settings=_ENFORCED) as running:
        os.environ.update(
            AWS_ENDPOINT_URL=running.url,
            AWS_REGION="us-east-1",
            AWS_ACCESS_KEY_ID="test",
            AWS_SECRET_ACCESS_KEY="test",  # noqa: S106 - the key that the emulator accepts
        )
        began = time.monotonic()
        index = (state / "index").absolute()
        shutil.rmtree(index, ignore_errors=True)
        values = {"Index": "sqlite", "IndexPath": str(index), "Embedder": "wordllama", **(parameters or {})}
        outputs = create_stack(template, made, values, lambda function: environment(function, running.url))
        took = time.monotonic() - began
        there = Deployed(running.url, outputs, _url(running.url, outputs), _first_key(outputs), took)
        _await_ready(there)
        yield there


def instead_of(uri: str) -> Path:
    """The folder that a layer is built from in a local deployment, where the template names `uri`."""
    return Path(WITHOUT_KEY.get(uri, uri))


def create_stack(
    template: Path, made: Package, parameters: Mapping[str, str], environment: Callable[[str], Mapping[str, str]]
) -> Mapping[str, str]:
    """Deploy the stack and return its outputs.

    Raises:
        Misconfigured: a resource could not be created; the message says which, and why.
    """
    s3, formation = _client("s3"), _client("cloudformation")
    s3.create_bucket(Bucket=_ARTIFACTS)
    packaged = _with_archives(template, made, s3)
    _allow_plain_http(packaged)
    _write_out_numbers(packaged, parameters)
    _add_environment(packaged, environment)
    body = json.dumps(packaged).encode()
    s3.put_object(Bucket=_ARTIFACTS, Key="template.json", Body=body)
    formation.create_stack(
        StackName=STACK,
        TemplateURL=f"{formation.meta.endpoint_url}/{_ARTIFACTS}/template.json",  # too large for a request
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        Capabilities=["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    stack = _ended(formation, STACK)
    if stack["StackStatus"] != "CREATE_COMPLETE":
        raise Misconfigured(why=f"The stack is {stack['StackStatus']}: {_failures(formation, STACK)}")
    return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}


def delete_stack() -> None:
    """Delete the stack. Resources that hold data are kept, as in an account.

    Raises:
        Misconfigured: a resource could not be deleted.
    """
    formation = _client("cloudformation")
    stack = formation.describe_stacks(StackName=STACK)["Stacks"][0]["StackId"]
    formation.delete_stack(StackName=STACK)
    ended = _ended(formation, stack)
    if ended["StackStatus"] != "DELETE_COMPLETE":
        raise Misconfigured(why=f"The stack is {ended['StackStatus']}: {_failures(formation, stack)}")


def _client(service: str) -> Any:
    session = boto3.Session(region_name=os.environ["AWS_REGION"])
    return session.client(service)  # type: ignore[call-overload]  # the stubs know only literal names


def _with_archives(template: Path, made: Package, s3: Any) -> dict[str, Any]:
    """Upload the archives. Returns the template with each folder replaced by its archive's address, as `sam package`
    does."""
    places = {}
    for uri, archive in made.archives.items():
        key = f"{archive.digest}.zip"
        s3.upload_file(str(archive.path), _ARTIFACTS, key)
        places[uri] = f"s3://{_ARTIFACTS}/{key}"
    packaged = load_template(template)
    packaged["Globals"]["Function"]["CodeUri"] = places[CODE]
    for resource in packaged["Resources"].values():
        if "ContentUri" in resource["Properties"]:
            resource["Properties"]["ContentUri"] = places[resource["Properties"]["ContentUri"]]
    return packaged


def _allow_plain_http(packaged: dict[str, Any]) -> None:
    """Remove the policies that require TLS: the emulator enforces them, but does not speak TLS."""
    resources = packaged["Resources"]
    for name, resource in list(resources.items()):
        if resource["Type"] in {"AWS::SQS::QueuePolicy", "AWS::S3::BucketPolicy"}:
            document = resource["Properties"]["PolicyDocument"]
            document["Statement"] = [each for each in document["Statement"] if each["Sid"] != "TlsOnly"]
            if not document["Statement"]:
                del resources[name]


def _write_out_numbers(packaged: dict[str, Any], parameters: Mapping[str, str]) -> None:
    """Replace references to numeric parameters by numbers: the emulator passes text where CloudFormation converts
    it."""
    for resource in packaged["Resources"].values():
        scaling = resource["Properties"].get("ScalingConfig", {})
        if resource["Type"] == "AWS::Lambda::EventSourceMapping" and scaling:
            name = scaling["MaximumConcurrency"]["Ref"]
            scaling["MaximumConcurrency"] = int(parameters.get(name, packaged["Parameters"][name]["Default"]))


def _add_environment(packaged: dict[str, Any], environment: Callable[[str], Mapping[str, str]]) -> None:
    for name, resource in packaged["Resources"].items():
        if resource["Type"] == _FUNCTION:
            written = resource["Properties"].setdefault("Environment", {"Variables": {}})
            written["Variables"] |= environment(name)


def _ended(formation: Any, stack: str) -> Any:
    deadline = time.monotonic() + _STACK_SECONDS
    while True:
        found = formation.describe_stacks(StackName=stack)["Stacks"][0]
        if found["StackStatus"].endswith(_FINAL):
            return found
        if time.monotonic() > deadline:
            raise Misconfigured(why=f"After {_STACK_SECONDS:g} seconds the stack is {found['StackStatus']}.")
        time.sleep(0.1)


def _failures(formation: Any, stack: str) -> str:
    events = formation.describe_stack_events(StackName=stack)["StackEvents"]
    return "; ".join(
        f"{each['LogicalResourceId']}: {each.get('ResourceStatusReason', 'no reason given')}"
        for each in reversed(events)
        if each["ResourceStatus"].endswith("FAILED")
    )


def _url(endpoint: str, outputs: Mapping[str, str]) -> str:
    """The address of the API as a path of the emulator, because names under localhost do not resolve everywhere."""
    api = outputs["ApiUrl"].removeprefix("https://").partition(".")[0]
    return f"{endpoint}/_aws/execute-api/{api}/$default"


def _first_key(outputs: Mapping[str, str]) -> str:
    settings = Settings.from_environment(
        bucket=outputs["Bucket"],
        table=outputs["Table"],
        queues=json.loads(outputs["Queues"]),
        dead_letters=json.loads(outputs["DeadLetters"]),
    )
    return create_key(services(settings), TENANT, "made by make deploy-local")


def _await_ready(there: Deployed) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    with httpx.Client(base_url=there.url, timeout=60, trust_env=False) as client:
        while not (answer := client.get("/healthz")).is_success:
            if time.monotonic() > deadline:
                raise Misconfigured(why=f"The API does not answer: {answer.status_code} {answer.text[:1000]}")
            time.sleep(0.2)


def main() -> None:
    """Deploy, print the addresses, and keep the stack until Ctrl-C."""
    root = Path.cwd()
    port = os.environ.get("PENSTOCK_EMULATOR_PORT")
    try:
        with deployed(
            root / "template.yaml",
            root / ".penstock/deploy",
            root / ".venv-emulator-deploy/bin/python",
            port=int(port) if port else None,
        ) as there:
            sys.stdout.write(
                f"Deployed to the emulator in {there.seconds:.1f} s.\n"
                f"  API          {there.url}\n"
                f"  key          {there.key}\n"
                f"  drop folder  s3://{there.bucket}/drop/{TENANT}/\n"
                f"  AWS          AWS_ENDPOINT_URL={there.endpoint}\n"
                "Ctrl-C ends it and deletes everything.\n"
            )
            sys.stdout.flush()
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            signal.pause()
    except KeyboardInterrupt:
        pass
    except Misconfigured as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
