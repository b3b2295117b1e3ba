"""What must hold of the kernel after every schedule, whatever went wrong in it.

Named as in the project's testing plan: I1, I2, I7 and I12 are about money and belong to the workloads of
the plugins that move it; I10 is watched as statements pass (``World.watch``). Nothing here uses the code
that is judged to judge it: rows are read as they stand.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Final

from fintech_kernel.canonical import canonical_json
from fintech_kernel.simulation.outside import RECORDER
from fintech_kernel.simulation.runtime import CANARY
from fintech_kernel.simulation.workload import Invariant
from fintech_kernel.simulation.world import World

REFUSED: Final = "operation.refused"
GENESIS: Final = "0" * 64

HASHES_KEPT: Final = 10_000
"""Hashes of entries that are kept: those with which many schedules begin."""


def streams_are_dense_and_chained(world: World) -> Iterator[str]:
    """I3: positions 1, 2, 3, ...; every entry carries its hash and its predecessor's."""
    stream, position, previous = "", 0, GENESIS
    for row in world.entries():
        if row["stream_id"] != stream:
            stream, position, previous = row["stream_id"], 0, GENESIS
        position += 1
        if row["seq"] != position or row["entry_id"] != f"{stream}:{position}":
            yield f"{row['entry_id']} stands at position {position}"
        if row["previous_hash"] != previous:
            yield f"{row['entry_id']} does not chain"
        if row["hash"] != _hash(row):
            yield f"{row['entry_id']} does not match its hash"
        previous = row["hash"]


def _hash(row: Mapping[str, Any]) -> str:
    return _hash_of(
        row["entry_id"],
        row["step_key"],
        row["type"],
        row["data"],
        row["actor"],
        row["request_id"],
        row["occurred_at"],
        row["previous_hash"],
    )


@lru_cache(HASHES_KEPT)
def _hash_of(  # noqa: PLR0917 - what is hashed, in its order
    entry_id: str,
    step_key: str,
    type_: str,
    data: str,
    actor: str,
    request_id: str,
    occurred_at: int,
    previous_hash: str,
) -> str:
    content = [
        entry_id,
        step_key,
        type_,
        json.loads(data),
        json.loads(actor),
        request_id,
        occurred_at,
        previous_hash,
    ]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def steps_happen_once(world: World) -> Iterator[str]:
    """I4: one row per (operation, step); what stands is what the stored outcome says."""
    operations = {row["operation_id"]: row for row in world.model.rows("operations")}
    steps: set[str] = set()
    written: dict[str, list[str]] = {}
    for row in world.entries():
        if row["step_key"] in steps:
            yield f"step {row['step_key']} happened twice"
        steps.add(row["step_key"])
        operation_id = row["step_key"].partition(":")[0]
        if operation_id not in operations:
            yield f"{row['entry_id']} belongs to no operation"
        written.setdefault(operation_id, []).append(row["type"])
    for operation_id, row in operations.items():
        types = written.get(operation_id, [])
        refusals = types.count(REFUSED)
        if row["state"] == "refused" and types != [REFUSED]:
            yield f"{row['kind']} {operation_id} is refused and wrote {types}"
        if row["state"] == "succeeded" and refusals:
            yield f"{row['kind']} {operation_id} succeeded and a refusal stands"
        if row["state"] == "succeeded" and not types and row["kind"] not in WRITES_ELSEWHERE:
            yield f"{row['kind']} {operation_id} succeeded and wrote nothing"


WRITES_ELSEWHERE: Final = frozenset(
    {"payments.resolve", "payments.abandon", "settlements.resolve", "settlements.fail"}
)
"""Kinds that write in the name of the operation whose outcome they conclude."""


def answers_are_identical(world: World) -> Iterator[str]:
    """I5: all final answers ever given for one key are one, and it is the one that is stored."""
    stored = {row["operation_id"]: row for row in world.model.rows("operations")}
    for key, told in world.told.items():
        for answer in told.answers:
            first = told.answers[0]
            same = (answer.operation_id, answer.state, answer.result) == (
                first.operation_id,
                first.state,
                first.result,
            )
            if not same:
                yield f"{key} ({told.request.label}) was answered in two ways"
            row = stored.get(answer.operation_id)
            if row is not None and row["result"] is not None:
                standing = (row["state"], json.loads(row["result"]))
                if standing != (answer.state.value, json.loads(canonical_json(answer.result))):
                    yield f"{key} ({told.request.label}) was told what is not stored"


def acknowledged_is_kept(world: World) -> Iterator[str]:
    """I6: an acknowledged success is there, and a refusal that was told stays one."""
    stored = {row["operation_id"]: row for row in world.model.rows("operations")}
    for key, told in world.told.items():
        for answer in told.answers:
            row = stored.get(answer.operation_id)
            if row is None:
                yield f"{key} ({told.request.label}) was acknowledged and is gone"
            elif row["state"] != answer.state.value:
                yield f"{key} ({told.request.label}): told {answer.state}, is {row['state']}"
        if set(told.refusals) - {"not_found"}:
            yield f"{key} ({told.request.label}) got {told.refusals}"


def events_reach_every_handler(world: World) -> Iterator[str]:
    """I8: every entry reached every handler that wants it, first deliveries in order of the stream."""
    handlers = tuple((row["handler"], row["event"]) for row in world.model.rows("handlers"))
    done = {row["delivery_id"] for row in world.model.rows("deliveries") if row["state"] == "done"}
    seen = {stream: list(dict.fromkeys(ids)) for stream, ids in world.delivered.items()}
    expected: dict[str, list[str]] = {}
    for row in world.entries():
        expected.setdefault(row["stream_id"], []).append(row["entry_id"])
        for handler in _who_wants(row["type"], handlers):
            if f"{handler}>{row['entry_id']}" not in done:
                yield f"{row['entry_id']} ({row['type']}) was not delivered to {handler}"
    if any(handler == RECORDER for handler, _ in handlers):
        for stream, entry_ids in expected.items():
            if seen.get(stream, []) != entry_ids:
                yield f"{RECORDER} first saw {stream} as {seen.get(stream)}"


@lru_cache(HASHES_KEPT)
def _who_wants(type_: str, handlers: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """Return the handlers of an event's type."""
    return tuple(handler for handler, event in handlers if fnmatchcase(type_, event))


def everything_ends(world: World) -> Iterator[str]:
    """I9: no operation is left running, no event undelivered, once faults are over."""
    for row in world.model.rows("operations", "WHERE state = 'running'"):
        yield f"{row['kind']} {row['operation_id']} still runs after {row['attempts']} attempts"
    for row in world.model.rows("deliveries", "WHERE state <> 'done'"):
        yield f"delivery {row['delivery_id']} is {row['state']} ({row['error']})"
    for row in world.model.rows("journal", "WHERE dispatched = 0"):
        yield f"{row['entry_id']} is not dispatched"
    for key, told in world.told.items():
        if not told.answers and not told.refusals:
            yield f"{key} ({told.request.label}) was never answered"


def secrets_stay_secret(world: World) -> Iterator[str]:
    """I11: no secret of the deployment stands in a row or in an answer."""
    for table in ("operations", "journal", "deliveries"):
        if CANARY in world.model.text(table):
            yield f"a secret stands in {table}"
    for told in world.told.values():
        if any(CANARY in str(answer.result) for answer in told.answers):
            yield f"a secret was told: {told.request.label}"


KERNEL: Final[Mapping[str, Invariant]] = {
    "I3": streams_are_dense_and_chained,
    "I4": steps_happen_once,
    "I5": answers_are_identical,
    "I6": acknowledged_is_kept,
    "I8": events_reach_every_handler,
    "I9": everything_ends,
    "I11": secrets_stay_secret,
}
"""The kernel's invariants by name."""
