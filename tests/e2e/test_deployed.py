"""What only a deployment has: functions with roles, queues with consumers, and their failures.

Runs with --deployed, after the tests of the doors, whose calls count for the roles too. The last test deletes the
stack.
"""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from penstock.adapters.celery.wire_format import decode
from penstock.documents.archive_members import member_id
from penstock.domain.errors import Transient
from penstock.domain.ids import DocumentId, derived_id
from penstock.domain.receipt import Failure
from penstock.domain.status import Status
from penstock.domain.task import Lane, Message, Stage
from penstock.operations.dead_letters import POISON, Letter, letters, redrive
from penstock.pipeline.embed import embed
from penstock.pipeline.run import STAGES
from penstock.ports import SearchIndex
from penstock.records.claim import Claim
from penstock.records.shard_lease import take_embed
from tests.e2e.deployment import PLAN, PYTHON, STATE, Deployment, aws
from tests.e2e.stack import ROOT, until
from tests.support.iam_rights import Right
from tests.support.lambda_events import sample
from tests.support.pdf_files import long_pdf, pdf
from tests.support.resolved_template import listed, statements
from tests.support.sample_files import zip_of
from tools.lambda_lab.deploy import TENANT, delete_stack, instead_of

FUNCTIONS = PLAN.of("AWS::Serverless::Function")
RESOURCES = PLAN.resources
EXTRACTS = [f"extract-{lane}" for lane in Lane]
PUT_OFF = "SQS.ChangeMessageVisibility"
EMBEDS = [f"embed-{lane}" for lane in Lane]


def fresh() -> str:
    return uuid.uuid4().hex[:12]


def message(body: str, stage: Stage) -> Message:
    return Message.of(stage, decode(body).arguments)


def seen(stack: Deployment, function: str, action: str, resource: str) -> None:
    """Wait until the function was seen to use this right."""
    right, recorder = Right(action, resource), stack.recorders[function]
    until(lambda: right in recorder.needed or None, seconds=60, what=f"{function} calls {action} on {resource}")


def taken(stack: Deployment, body: str, stage: Stage) -> Claim:
    """Claim the message as another worker would, for longer than any test takes."""
    limits = replace(stack.services.limits, lease=timedelta(hours=1))
    return STAGES[stage].take(replace(stack.services, limits=limits), message(body, stage))


@contextmanager
def handed_back(stack: Deployment, function: str, claims: Sequence[Claim]) -> Iterator[None]:
    """Wait until the function has deferred as many messages as these claims keep from it."""
    calls = stack.recorders[function].calls
    before = calls[PUT_OFF]
    yield
    enough = lambda: calls[PUT_OFF] - before >= len(claims) or None  # noqa: E731
    until(enough, seconds=60, what=f"{function} puts off {len(claims)} messages")


def ended(stack: Deployment, claims: Iterable[Claim]) -> None:
    """Let that worker fail, so that its documents fall due."""
    for claim in claims:
        claim.release_failed(stack.services, Failure("transient", "It could not."), timedelta(0))
    fall_due(stack, *{claim.document.id for claim in claims})


def fall_due(stack: Deployment, *documents: str) -> None:
    """Let time pass for these documents, and run the scheduled sweep."""
    for document in documents:
        stack.change(document, lambda found: replace(found, sweep_at=stack.services.clock()))
    stack.invoke("sweep", sample("sweep"))


def letter(stack: Deployment, document: str, *, kept: bool = False) -> Letter:
    """The dead letter of this document, once it is filed."""

    def filed() -> Letter | None:
        found = letters(stack.services, kept=kept, tenant=TENANT)
        return next((each for each in found if each.message["document"] == document), None)

    return until(filed, seconds=60, what=f"a letter of {document} is filed")


def cancel(stack: Deployment, document: str) -> None:
    answer = stack.client.post(f"/v1/documents/{document}/cancel")
    assert answer.status_code == 202, answer.text


def gaps() -> bytes:
    """A text in which every second page is empty: more pages than a record lists. It has two shards. What is new each
    time stands too far from the end of a sentence to influence where chunks are cut."""
    text = f"On the left side of the weir the gauge {fresh()} was read by the keeper of the lock. " * 2
    return pdf(f"{number} {text}" if number % 2 else "" for number in range(300))


def replaced(stack: Deployment) -> str:
    """A document with two editions. Readers see the second one; the receipt of the first is still in the bucket."""
    document = f"replaced-{fresh()}"
    for name, content in (("gaps.pdf", gaps()), ("short.md", b"A weir.")):
        stack.upload(name, content, document_id=document)
        assert stack.final(document)["status"] != "failed"
    assert "receipts" in left_of(stack, document)
    return document


def left_of(stack: Deployment, document: str) -> set[str]:
    """The places that still hold something of the document's attempts."""
    return {area for area in ("work", "receipts") if stack.versions(f"{area}/{TENANT}/{document}/")}


def test_all_that_the_api_depends_on_answers(stack: Deployment) -> None:
    answer = stack.client.get("/readyz")
    assert answer.is_success, answer.text


@pytest.mark.invariant("I6", "I7")
def test_in_each_lane_a_lost_message_is_sent_again_and_one_that_another_works_on_is_kept(stack: Deployment) -> None:
    """I6, I7."""
    claims: list[Claim] = []
    with handed_back(stack, "EmbedFunction", claims), stack.paused(*EMBEDS):
        extracts: list[Claim] = []
        with handed_back(stack, "ExtractFunction", extracts), stack.paused(*EXTRACTS):
            documents = {
                lane: stack.upload("lane.pdf", long_pdf(28), document_id=fresh(), lane=lane)["document_id"]
                for lane in Lane
            }
            for lane in Lane:
                stack.take(f"extract-{lane}", 1)  # the message is lost
            fall_due(stack, *documents.values())
            for lane in Lane:
                extracts += (taken(stack, body, Stage.EXTRACT) for body in stack.look(f"extract-{lane}", 1))
        ended(stack, extracts)
        for lane, document in documents.items():
            stack.reaches(document, Status.EMBEDDING)
            stack.take(f"embed-{lane}", 2)
        fall_due(stack, *documents.values())
        for lane in Lane:
            claims += (taken(stack, body, Stage.EMBED) for body in stack.look(f"embed-{lane}", 2))
    ended(stack, claims)
    for document in documents.values():
        assert stack.final(document)["status"] == "indexed"


class Silent:
    """An index that does not answer when a document is to be published."""

    def __init__(self, index: SearchIndex) -> None:
        self._index = index

    def __getattr__(self, name: str) -> object:
        return getattr(self._index, name)

    def refresh(self, tenant: str) -> None:
        raise Transient(why="the index is silent")


def unpublished(stack: Deployment, document: str, content: bytes) -> Message:
    """A document whose shards are all done, by a worker that was lost before it published. Returns its last message
    too."""
    with stack.paused("embed-standard"):
        stack.upload("gaps.pdf", content, document_id=document)
        stack.reaches(document, Status.EMBEDDING)
        for body in stack.take("embed-standard", 2):
            last = message(body, Stage.EMBED)
            lost = replace(stack.services, index=Silent(stack.services.index))
            with suppress(Transient):
                embed(lost, take_embed(lost, last))
    record = stack.record(document)
    build = stack.services.documents.read_build(TENANT, record.id, record.build_id)
    assert record.status is Status.EMBEDDING
    assert build is not None
    assert build.complete
    return last


@pytest.mark.invariant("I6")
def test_whoever_comes_by_publishes_what_a_lost_worker_finished(stack: Deployment) -> None:
    """I6. A receipt with long lists is stored whole, whoever publishes."""
    content, services = gaps(), stack.services
    swept, extracted, embedded = (f"{way}-{fresh()}" for way in ("swept", "extracted", "embedded"))
    for document in (swept, extracted, embedded):
        last = unpublished(stack, document, content)
    fall_due(stack, swept)
    services.queue.send(last, Lane.STANDARD)
    again = Message(Stage.EXTRACT, TENANT, extracted, stack.record(extracted).generation)
    services.queue.send(again, Lane.STANDARD)
    for document in (swept, extracted, embedded):
        found = stack.final(document)
        assert found["receipt"]["pages"] == 300
        assert len(found["receipt"]["pages_without_text"].split(",")) == 150


def test_a_receipt_is_kept_whole_for_a_document_of_one_shard_too(stack: Deployment) -> None:
    content = pdf("A weir." if number % 100 == 1 else "" for number in range(1, 301))
    several = pdf("A weir." if number % 2 else "" for number in range(300))
    for each in (content, several):
        document = stack.upload("sparse.pdf", each, document_id=fresh())["document_id"]
        found = stack.final(document)
        assert found["receipt"]["pages"] == 300
    assert len(found["receipt"]["pages_without_text"].split(",")) == 150


def test_a_lost_deletion_is_asked_for_again_and_takes_all_generations_along(stack: Deployment) -> None:
    """One generation is published and has a receipt of its own; another is in work."""
    document = f"going-{fresh()}"
    claims: list[Claim] = []
    with handed_back(stack, "DeleteFunction", claims), stack.paused("delete"):
        stack.upload("gaps.pdf", gaps(), document_id=document)
        stack.final(document)
        with stack.paused("embed-standard"):
            stack.upload("new.pdf", long_pdf(28), document_id=document)
            stack.reaches(document, Status.EMBEDDING)
            assert stack.client.delete(f"/v1/documents/{document}").status_code == 202
            stack.take("embed-standard", 2)
        stack.take("delete", 1)  # the message is lost
        fall_due(stack, document)
        claims += (taken(stack, body, Stage.DELETE) for body in stack.look("delete", 1))
    ended(stack, claims)
    stack.reaches(document, Status.DELETED)
    for area in ("files", "work", "receipts"):
        assert stack.versions(f"{area}/{TENANT}/{document}") == []
    past = stack.services.clock() - timedelta(days=1)
    stack.change(document, lambda found: replace(found, expires_at=past, sweep_at=past))
    stack.invoke("sweep", sample("sweep"))
    assert stack.services.documents.read(TENANT, DocumentId(document)) is None


@pytest.mark.invariant("I4")
def test_what_its_queue_gave_up_fails_its_document_or_is_asked_for_again(stack: Deployment) -> None:
    """I4."""
    with stack.paused("extract-standard"):
        unread = stack.upload("unread.md", f"Never read. {fresh()}".encode(), document_id=fresh())["document_id"]
        stack.send("extract-dead", *stack.take("extract-standard", 1))
    with stack.paused("embed-standard"):
        unknown = stack.upload("unembedded.pdf", long_pdf(28), document_id=fresh())["document_id"]
        stack.reaches(unknown, Status.EMBEDDING)
        stack.send("embed-dead", stack.take("embed-standard", 2)[0])
        for document in (unread, unknown):
            assert (stack.final(document)["error"]["code"]) == "given_up"
    with stack.paused("delete"):
        assert stack.client.delete(f"/v1/documents/{unread}").status_code == 202
        stack.send("delete-dead", *stack.take("delete", 1))
        until(lambda: stack.waiting("delete", "Delayed") == 1 or None, seconds=30, what="it is asked for again")
    assert (letter(stack, unread).fate, letter(stack, unread, kept=True).fate) == ("failed", "asked_again")
    redrive(stack.services, letter(stack, unknown))
    assert stack.final(unknown)["status"] == "indexed"


@pytest.mark.invariant("I4")
def test_a_dead_letter_of_what_only_waited_for_the_provider_is_asked_for_again(stack: Deployment) -> None:
    """I4: waiting is never judged dead, in any lane."""
    with stack.paused(*EMBEDS):
        for lane in Lane:
            document = stack.upload("waits.pdf", long_pdf(28), document_id=fresh(), lane=lane)["document_id"]
            stack.reaches(document, Status.EMBEDDING)
            body, _ = stack.take(f"embed-{lane}", 2)
            taken(stack, body, Stage.EMBED).defer(stack.services, timedelta(0))
            stack.send("embed-dead", body)
        for lane in Lane:
            asked = partial(stack.waiting, f"embed-{lane}", "Delayed")
            until(lambda asked=asked: asked() == 1 or None, seconds=30, what=f"it is asked for again in {lane}")


def test_a_message_that_nobody_can_read_is_buried_and_then_filed(stack: Deployment) -> None:
    text = f"this is no task {fresh()}"
    for stage in Stage:
        stack.send("delete" if stage is Stage.DELETE else f"{stage}-standard", text)
    stack.send("arrivals-dead", text)
    for stage in Stage:
        seen(stack, f"{stage.capitalize()}Function", "sqs:SendMessage", f"{stage.capitalize()}Dead.Arn")
    gave_up = {*Stage, "arrivals"}

    def filed() -> bool | None:
        found = [each for each in letters(stack.services) if each.body == text]
        assert all(each.fate == POISON for each in found)
        return {each.queue for each in found} == gave_up or None

    until(filed, seconds=60, what="each is filed")
    dead = [f"{queue}-dead" for queue in gave_up]
    empty = lambda: not any(stack.waiting(each) + stack.waiting(each, "NotVisible") for each in dead) or None  # noqa: E731
    until(empty, seconds=30, what="the dead-letter queues are empty")
    for queue in gave_up:
        assert stack.versions(f"letters/_/open/{queue}/")


@pytest.mark.parametrize(
    ("function", "call", "status"),
    [("ExtractFunction", "S3.PutObject", Status.EXTRACTING), ("EmbedFunction", "S3.GetObject", Status.EMBEDDING)],
)
def test_a_document_in_work_is_cancelled_and_retried(
    stack: Deployment, function: str, call: str, status: Status
) -> None:
    """The function that works on the document notices the cancel, and cleans up."""
    document = replaced(stack)
    with stack.recorders[function].held(call, "work/") as reached:
        entered = stack.upload("long.pdf", long_pdf(28), document_id=document)
        assert reached.wait(60)
        stack.reaches(document, status)
        cancel(stack, document)
    assert stack.final(document)["status"] == "cancelled"
    task = stack.task(entered["task_id"])
    assert (task["state"], task["reason"]) == ("REVOKED", "cancelled")
    assert left_of(stack, document) == set()
    answer = stack.client.post(f"/v1/documents/{document}/retry")
    assert answer.status_code == 202, answer.text
    assert stack.final(document)["status"] == "indexed"


def test_a_document_that_nobody_works_on_is_cancelled_at_once_and_cleaned_up_when_it_falls_due(
    stack: Deployment,
) -> None:
    """If a lost worker had the document, that is when its lease is over."""
    with stack.paused("extract-standard"):
        waiting = stack.upload("waiting.md", f"Never read. {fresh()}".encode(), document_id=fresh())["document_id"]
        cancel(stack, waiting)
        assert stack.document(waiting)["status"] == "cancelled"
    idle, lost = replaced(stack), replaced(stack)
    with stack.paused("embed-standard"):
        for document in (idle, lost):
            stack.upload("cut.pdf", long_pdf(28), document_id=document)
            stack.reaches(document, Status.EMBEDDING)
        claims = [taken(stack, body, Stage.EMBED) for body in stack.take("embed-standard", 4) if lost in body]
        for document in (idle, lost):
            cancel(stack, document)
        assert [stack.document(each)["status"] for each in (idle, lost)] == ["cancelled", "embedding"]
        assert left_of(stack, idle) == {"work", "receipts"}
        fall_due(stack, idle)
        ended(stack, claims)
    for document in (idle, lost):
        assert stack.final(document)["status"] == "cancelled"
        assert left_of(stack, document) == set()


def test_what_is_not_in_the_bucket_any_more_comes_to_an_end(stack: Deployment) -> None:
    s3, key = stack.s3(), f"drop/{TENANT}/gone/{fresh()}.md"
    with stack.paused("extract-standard"):
        version = s3.put_object(Bucket=stack.bucket, Key=key, Body=b"Soon gone.")["VersionId"]
        dropped = derived_id(TENANT, key)
        stack.reaches(dropped, Status.QUEUED)
        s3.delete_object(Bucket=stack.bucket, Key=key, VersionId=version)
    stack.reaches(dropped, Status.DELETED)
    with stack.paused("embed-standard"):
        unread = stack.upload("cut.pdf", long_pdf(28), document_id=fresh())["document_id"]
        stack.reaches(unread, Status.EMBEDDING)
        stack.services.objects.remove_all(TENANT, f"work/{TENANT}/{unread}/")
    assert stack.final(unread)["error"]["code"] == "original_missing"


@pytest.mark.parametrize("queue", ["arrivals", "arrivals-dead"])
def test_arrivals_are_taken_in_whichever_queue_tells_of_them(stack: Deployment, queue: str) -> None:
    """S3 reports an arrival only once, so dead letters of the arrivals queue are received too, in any order and
    lane."""
    s3, folder = stack.s3(), f"drop/{TENANT}/{fresh()}"

    def put(name: str) -> DocumentId:
        s3.put_object(Bucket=stack.bucket, Key=f"{folder}/{name}", Body=f"{name} {fresh()}".encode())
        return derived_id(TENANT, f"{folder}/{name}")

    removed = put("removed.md")
    stack.reaches(removed, Status.INDEXED)
    with stack.paused("arrivals"):
        content = f"An upload {fresh()}.".encode()
        uploads = {lane: stack.announce(content + lane.encode(), lane=lane) for lane in Lane}
        for lane, announced in uploads.items():
            stack.post(announced, content + lane.encode())
        vanished = stack.announce(content)
        stack.post(vanished, content)
        stack.services.objects.remove_all(TENANT, vanished["fields"]["key"].rpartition("/")[0] + "/")
        strange = f"uploads/{TENANT}/unknown/file"
        s3.put_object(Bucket=stack.bucket, Key=strange, Body=b"nobody knows")
        new = put("new.md")
        s3.delete_object(Bucket=stack.bucket, Key=f"{folder}/removed.md")
        put("brief.md")
        s3.delete_object(Bucket=stack.bucket, Key=f"{folder}/brief.md")
        events = stack.take("arrivals", 9)
    late = [each for each in events if "brief.md" in each and "ObjectCreated" in each]
    stack.send(queue, *(each for each in events if each not in late))
    for announced in uploads.values():
        assert stack.task(announced["task_id"])["state"] == "SUCCESS"
    stack.reaches(new, Status.INDEXED)
    stack.reaches(removed, Status.DELETED)
    brief = derived_id(TENANT, f"{folder}/brief.md")
    stack.reaches(brief, Status.DELETED)
    stack.send(queue, *late)
    until(lambda: not stack.versions(f"{folder}/brief.md") or None, seconds=30, what="what came late is removed")
    until(lambda: not stack.versions("uploads/") or None, seconds=30, what="nothing is left under uploads/")
    assert stack.linked(vanished["status_url"]).json()["state"] == "PENDING"


@pytest.mark.parametrize("queue", ["arrivals", "arrivals-dead"])
def test_a_file_that_arrives_while_its_document_is_deleted_leaves_nothing_behind(stack: Deployment, queue: str) -> None:
    """The message of the arrival stays in its queue until the removal is done."""
    document = stack.upload("raced.md", f"A race {fresh()}.".encode(), document_id=fresh())["document_id"]
    stack.final(document)
    with stack.paused("arrivals"):
        content = f"Another {fresh()}.".encode()
        stack.post(stack.announce(content, document_id=document), content)
        events = stack.take("arrivals", 1)
    recorder = stack.recorders["ArrivalsFunction" if queue == "arrivals" else "DeadLettersFunction"]
    with stack.paused("delete"):
        with recorder.held("S3.CopyObject", "files/") as reached:
            stack.send(queue, *events)
            assert reached.wait(30)
            assert stack.client.delete(f"/v1/documents/{document}").status_code == 202
        gone = lambda: not stack.versions(f"files/{TENANT}/{document}") or None  # noqa: E731
        until(gone, seconds=30, what="the copy is removed, and what is older")


def test_a_file_that_is_sent_while_its_document_is_deleted_is_refused_and_leaves_nothing_behind(
    stack: Deployment,
) -> None:
    document = stack.upload("raced.md", f"A race {fresh()}.".encode(), document_id=fresh())["document_id"]
    stack.final(document)
    files = {"files": ("raced.md", f"Another {fresh()}.".encode())}
    with stack.paused("delete"), ThreadPoolExecutor() as pool:
        with stack.recorders["ApiFunction"].held("S3.PutObject", "files/") as reached:
            sent = pool.submit(stack.client.post, "/v1/documents", files=files, data={"document_id": document})
            assert reached.wait(30)
            assert stack.client.delete(f"/v1/documents/{document}").status_code == 202
        answer = sent.result(60)
        assert (answer.status_code, answer.json()["code"]) == (409, "being_deleted")
        assert stack.versions(f"files/{TENANT}/{document}") == []


def test_the_files_of_an_archive_are_taken_in_every_lane(stack: Deployment) -> None:
    boxes = {lane: f"box-{fresh()}" for lane in Lane}
    for lane, box in boxes.items():
        stack.upload("box.zip", zip_of({"a.txt": f"A lock {fresh()}."}), document_id=box, lane=lane.value)
    for box in boxes.values():
        assert stack.final(box)["receipt"]["members"] == 1
        stack.reaches(member_id(TENANT, DocumentId(box), ("a.txt",)), Status.INDEXED)


def test_a_file_of_an_archive_that_comes_while_it_is_deleted_leaves_nothing_behind(stack: Deployment) -> None:
    box = fresh()
    member = member_id(TENANT, DocumentId(box), ("a.txt",))
    stack.upload("box.zip", zip_of({"a.txt": f"A lock {fresh()}."}), document_id=box)
    stack.final(box)
    stack.reaches(member, Status.INDEXED)
    with stack.paused("delete"):
        with stack.recorders["ExtractFunction"].held("S3.PutObject", "files/") as reached:
            stack.upload("box.zip", zip_of({"a.txt": f"Another {fresh()}."}), document_id=box)
            assert reached.wait(30)
            assert stack.client.delete(f"/v1/documents/{member}").status_code == 202
        gone = lambda: not stack.versions(f"files/{TENANT}/{member}") or None  # noqa: E731
        until(gone, seconds=30, what="what was put is removed, and what is older")
    assert stack.client.delete(f"/v1/documents/{box}").status_code == 202
    stack.reaches(box, Status.DELETED)


_IMPORT = "import sys, importlib; handler, *sys.path[:0] = sys.argv[1:]; importlib.import_module(handler)"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_needs_only_its_package_and_its_layers(stack: Deployment, name: str) -> None:
    """The emulator's own libraries are importable in the functions that it runs, and would hide a missing one. Here an
    interpreter without them imports the handler."""
    function = FUNCTIONS[name]
    uris = [RESOURCES[layer]["Properties"]["ContentUri"] for layer in function["Layers"]]
    layers = [STATE / "package" / instead_of(uri).name / "content/python" for uri in uris]
    assert all(layer.is_dir() for layer in layers)
    done = subprocess.run(
        [PYTHON, "-I", "-S", "-c", _IMPORT, function["Handler"].rpartition(".")[0], ROOT / "src", *layers],
        env={"AWS_REGION": "us-east-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def granted(function: str) -> set[Right]:
    """The rights that the role of a function grants."""
    role = FUNCTIONS[function]["Role"].removesuffix(".Arn")
    return {
        Right(action, resource)
        for name, statement in statements(PLAN)
        if name == role
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    }


def in_its_name(function: str) -> set[Right]:
    """The rights that AWS itself uses in the name of a function: Lambda writes its log and receives from its queues.

    The provider's key and the OpenSearch domain have policies of their own, which this deployment does not use.
    """
    logs = {Right(action, "Log.Arn") for action in ("logs:CreateLogStream", "logs:PutLogEvents")}
    consumed = {
        each["EventSourceArn"]
        for each in PLAN.of("AWS::Lambda::EventSourceMapping").values()
        if each["FunctionName"] == function
    }
    poller = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
    return logs | {Right(action, queue) for action in poller for queue in consumed}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_role_says_what_its_function_was_seen_to_do_and_no_more(stack: Deployment, function: str) -> None:
    recorder = stack.recorders[function]
    assert not recorder.unknown, "look these up, and add them to tests/rights.py"
    needed, given = recorder.needed | in_its_name(function), granted(function)
    missing, extra = sorted(needed - given), sorted(given - needed)
    assert (missing, extra) == ([], []), f"{function} lacks {missing} and may without need {extra}"


def test_what_holds_data_stays_and_all_else_goes(stack: Deployment) -> None:
    """This is the last test: it deletes the stack."""
    documents = stack.documents()
    assert documents > 0
    delete_stack()
    kept = {
        "functions": aws("lambda").list_functions()["Functions"],
        "mappings": aws("lambda").list_event_source_mappings()["EventSourceMappings"],
        "roles": aws("iam").list_roles()["Roles"],
        "APIs": aws("apigatewayv2").get_apis()["Items"],
        "alarms": aws("cloudwatch").describe_alarms()["MetricAlarms"],
        "schedules": aws("events").list_rules()["Rules"],
    }
    assert {name: each for name, each in kept.items() if each} == {}
    assert stack.documents() == documents
    assert stack.versions(f"drop/{TENANT}/")
    assert len(aws("sqs").list_queues(QueueNamePrefix="penstock-")["QueueUrls"]) == len(PLAN.of("AWS::SQS::Queue"))
    recorders = stack.recorders.values()
    calls, rights = (sum(each.calls.total() for each in recorders), sum(len(each.needed) for each in recorders))
    stack.removed = (
        f"{documents} documents by HTTPS and S3 through {len(recorders)} functions; roles are the {rights} rights "
        f"that {calls} recorded calls needed; stack removed, {sum(map(len, kept.values()))} of it left, data kept"
    )
