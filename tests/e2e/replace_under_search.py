"""Search without a pause while a document of three shards is replaced again and again, and deleted now and then. Every
answer must be wholly of one edition. None may be older than the one before, none may be of an edition whose deletion
was confirmed before the search, and none may be empty while the document exists (I8).

    python -m tests.e2e.replace_under_search [--searches 2000] [--replacements 20] [--index opensearch]

The program also fails unless the check at read time had work to do: hits must have been dropped in at least as many
answers as there were replacements.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.stack import RunningStack, running_stack

DOCUMENT = "replaced-again-and-again"
SHARDS = 3
SETTINGS = {"PENSTOCK_CHUNK_CHARS": "400", "PENSTOCK_OVERLAP_CHARS": "40", "PENSTOCK_SHARD_CHUNKS": "5"}


DELETED_EVERY = 4
"""The number of editions between deletions."""


@dataclass
class Shown:
    """What readers may find at the moment."""

    gone: int = -1
    """Editions up to this one were deleted."""
    perhaps_none: bool = False
    """Whether an answer may be empty: from before a deletion until the next edition is published."""


@dataclass
class Seen:
    """Statistics of the answers."""

    answers: int = 0
    hits: int = 0
    empty: int = 0
    with_dropped: int = 0
    rounds: Counter[int] = field(default_factory=Counter)
    editions: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def edition(number: int) -> bytes:
    """A text of three shards in which every chunk names its edition."""
    paragraphs = (
        f"In edition{number} the gauge at station {station} of edition{number} read {station * 7 + number} metres of "
        f"water. Edition{number} says that the gate of station {station} was opened by hand, and edition{number} says "
        f"who closed it. The keeper of station {station} signed the log of edition{number}."
        for station in range(14)
    )
    return "\n\n".join(paragraphs).encode()


def search_while_replacing(stack: RunningStack, searches: int, replacements: int) -> Seen:
    """Spread the replacements evenly over the searches. Each waits until the one before is published."""
    stack.upload("log.txt", edition(0), document_id=DOCUMENT)
    assert stack.final(DOCUMENT)["status"] == "indexed"
    seen, shown, go = Seen(), Shown(), threading.Semaphore(0)
    failure: list[BaseException] = []

    def replace_all() -> None:
        try:
            for number in range(1, replacements + 1):
                go.acquire()
                if number % DELETED_EVERY == 0:
                    delete(stack, shown, number - 1)
                stack.upload("log.txt", edition(number), document_id=DOCUMENT)
                assert stack.final(DOCUMENT)["status"] == "indexed"
                shown.perhaps_none = False
        except BaseException as error:  # noqa: BLE001 - shown below
            failure.append(error)

    replacer = threading.Thread(target=replace_all)
    replacer.start()
    newest = 0
    while seen.answers < searches or (replacer.is_alive() and not failure):
        if seen.answers % max(1, searches // replacements) == 0:
            go.release()
        newest = _look(stack, seen, shown, newest)
    replacer.join()
    if failure:
        raise failure[0]
    _look(stack, seen, shown, replacements)
    return seen


def delete(stack: RunningStack, shown: Shown, number: int) -> None:
    """Delete the document with this edition, and wait until nothing of it is left."""
    shown.perhaps_none = True
    answer = stack.client.delete(f"/v1/documents/{DOCUMENT}")
    assert answer.status_code == 202, answer.text
    shown.gone = number
    assert stack.task(answer.json()["task_id"])["state"] == "SUCCESS"


def _look(stack: RunningStack, seen: Seen, shown: Shown, newest: int) -> int:
    gone, perhaps_none = shown.gone, shown.perhaps_none
    answer = stack.search("gauge water gate station keeper", k=10, document=DOCUMENT)
    editions = {int(number) for hit in answer["hits"] for number in re.findall(r"[Ee]dition(\d+)", _plain(hit))}
    seen.answers += 1
    seen.hits += len(answer["hits"])
    seen.rounds[answer["rounds"]] += 1
    seen.with_dropped += answer["dropped"] > 0
    if not answer["hits"] and (perhaps_none or shown.perhaps_none):
        seen.empty += 1
        return newest
    if len(editions) != 1 or len({hit["generation"] for hit in answer["hits"]}) != 1:
        seen.faults.append(f"answer {seen.answers} is of editions {sorted(editions)}: {answer}")
        return newest
    (found,) = editions
    seen.editions[found] += 1
    if found <= gone:
        seen.faults.append(f"answer {seen.answers} is of edition {found}, which was deleted")
    if found < newest:
        seen.faults.append(f"answer {seen.answers} is of edition {found}, after one of edition {newest}")
    if len(answer["hits"]) < 10:
        seen.faults.append(f"answer {seen.answers} has {len(answer['hits'])} hits of at least 10")
    return max(found, newest)


def _plain(hit: dict[str, str]) -> str:
    return re.sub(r"</?mark>", "", hit["snippet"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=2000)
    parser.add_argument("--replacements", type=int, default=20)
    parser.add_argument("--index", default="sqlite", help="sqlite, or opensearch (see OPENSEARCH_URL)")
    asked = parser.parse_args()
    settings = {**SETTINGS, "PENSTOCK_INDEX": asked.index, "PENSTOCK_INDEX_URL": os.environ.get("OPENSEARCH_URL", "")}
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder) / "state", **settings) as stack:
        seen = search_while_replacing(stack, asked.searches, asked.replacements)
    print(f"{seen.answers} answers, {seen.hits} hits, {asked.replacements} replacements")
    print(f"answers while the document was deleted: {seen.empty}")
    print(f"answers by edition: {dict(sorted(seen.editions.items()))}")
    print(f"answers by rounds of search: {dict(sorted(seen.rounds.items()))}")
    print(f"answers from which the read-time check dropped hits: {seen.with_dropped}")
    for fault in seen.faults[:10]:
        print(f"FAULT {fault}")
    enough = seen.with_dropped >= asked.replacements
    if not enough:
        print(f"FAULT the read-time check dropped hits in {seen.with_dropped} answers: too few to prove anything")
    return 0 if enough and not seen.faults else 1


if __name__ == "__main__":
    sys.exit(main())
