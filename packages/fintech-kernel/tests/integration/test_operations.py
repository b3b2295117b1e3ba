"""Operations on a real database: whatever goes wrong, each happens once and ends."""

import asyncio
import uuid
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from fintech_dbclient import HttpDatabase, NotApplied
from fintech_kernel.domain.execution import OperationState
from fintech_kernel.errors import (
    IdempotencyKeyReused,
    OperationRunning,
    OtherVersion,
    OutcomeUnknown,
)
from fintech_kernel.testing.faults import Fault, FaultyDatabase, ProcessKilled

pytestmark = pytest.mark.anyio

CALLS_MAX = 6
"""More calls than a spending makes: the enumeration ends where a call is never reached."""


async def test_an_operation_happens_once_and_its_answer_is_repeated(world: Any, purse: str) -> None:
    first = await world.spend(purse, 40, key="same" + purse)
    second = await world.spend(purse, 40, key="same" + purse)
    assert (first.state, first.result, first.replayed) == (
        OperationState.SUCCEEDED,
        {"spent_in_all": 40},
        False,
    )
    assert second == replace(first, replayed=True)
    assert await world.spent_rows(purse) == [40]


async def test_a_refusal_is_recorded_and_stays_one_when_there_would_be_room_again(
    world: Any, purse: str
) -> None:
    await world.spend(purse, 90)
    key = uuid.uuid4().hex
    first = await world.spend(purse, 20, key=key)
    second = await world.spend(purse, 20, key=key)
    assert first.state is OperationState.REFUSED
    assert first.result == {"code": "purse_empty", "facts": {"left": 10}}
    assert second == replace(first, replayed=True)
    entries = (await world.stream(purse)).entries
    assert [entry.type for entry in entries] == [
        "purse.spent",
        "purse.paid",
        "operation.refused",
    ]


async def test_a_key_of_another_request_or_kind_is_refused(world: Any, purse: str) -> None:
    call = world.call(purse, 1)
    await world.operations.run(call)

    class Other:
        value = "k1:other"

        def matches(self, stored: str) -> bool:
            return stored == self.value

    with pytest.raises(IdempotencyKeyReused):
        await world.operations.run(replace(call, fingerprint=Other()))


async def test_concurrent_repeats_of_one_key_get_one_answer(world: Any, purse: str) -> None:
    key = uuid.uuid4().hex
    worlds = [world.beside(world.database) for _ in range(4)]
    answers = await asyncio.gather(*(one.spend(purse, 60, key=key) for one in worlds * 4))
    assert len({tuple(answer.result.items()) for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1
    assert await world.spent_rows(purse) == [60]


async def test_concurrent_operations_never_spend_more_than_there_is(world: Any, purse: str) -> None:
    answers = await asyncio.gather(*(world.spend(purse, 30) for _ in range(16)))
    succeeded = [answer for answer in answers if answer.state is OperationState.SUCCEEDED]
    assert len(succeeded) == 3
    assert await world.spent_rows(purse) == [30, 30, 30]
    await world.stream(purse)


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("at", range(CALLS_MAX))
async def test_one_fault_at_any_call_changes_nothing_in_the_end(
    world: Any, database: HttpDatabase, purse: str, fault: Fault, at: int
) -> None:
    port = FaultyDatabase(database, at=at, fault=fault)
    struck = world.beside(port)
    key = uuid.uuid4().hex
    first = None
    with suppress(OutcomeUnknown, NotApplied, ProcessKilled):
        first = await struck.spend(purse, 70, key=key)

    world.clock.advance(seconds=3_600)
    await world.operations.recover()
    answer = await world.spend(purse, 70, key=key)
    refused = await world.spend(purse, 70)

    assert answer.result == {"spent_in_all": 70}
    assert first is None or first.result == answer.result
    assert refused.state is OperationState.REFUSED
    assert await world.spent_rows(purse) == [70]
    assert len((await world.stream(purse)).step(f"{answer.operation_id}:pay")) == 1


async def test_a_zombie_that_wakes_after_a_take_over_adopts_what_was_decided(
    world: Any, database: HttpDatabase, purse: str
) -> None:
    asleep, awake = asyncio.Event(), asyncio.Event()

    async def sleep() -> None:
        asleep.set()
        await awake.wait()

    zombie = world.beside(database)
    zombie.before_outside = sleep
    key = uuid.uuid4().hex
    late = asyncio.create_task(zombie.spend(purse, 50, key=key))
    await asleep.wait()

    world.clock.advance(seconds=60)
    taken_over = await world.spend(purse, 50, key=key)
    awake.set()

    assert (await late).result == taken_over.result
    assert await world.spent_rows(purse) == [50]
    assert list(world.outside) == [f"{taken_over.operation_id}:pay"]


async def test_a_repeat_waits_for_a_living_executor_and_is_told_to_come_back(
    world: Any, database: HttpDatabase, purse: str
) -> None:
    asleep, awake = asyncio.Event(), asyncio.Event()

    async def sleep() -> None:
        asleep.set()
        await awake.wait()

    slow = world.beside(database)
    slow.before_outside = sleep
    key = uuid.uuid4().hex
    running = asyncio.create_task(slow.spend(purse, 50, key=key))
    await asleep.wait()

    with pytest.raises(OperationRunning):
        await world.spend(purse, 50, key=key)
    awake.set()
    assert (await running).state is OperationState.SUCCEEDED


async def test_a_client_that_disconnects_does_not_stop_its_operation(
    world: Any, purse: str
) -> None:
    asleep, awake = asyncio.Event(), asyncio.Event()

    async def sleep() -> None:
        asleep.set()
        await awake.wait()

    world.before_outside = sleep
    request = asyncio.create_task(world.spend(purse, 50))
    await asleep.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    awake.set()
    await world.operations.drain()
    assert await world.spent_rows(purse) == [50]


async def test_recovery_leaves_kinds_alone_that_are_not_installed(
    world: Any, database: HttpDatabase, purse: str
) -> None:
    port = FaultyDatabase(database, at=1, fault=Fault.KILLED_BEFORE)
    call = world.call(purse, 10)
    with pytest.raises(ProcessKilled):
        await world.beside(port).operations.run(call)
    bystander = world.beside(database)
    bystander.operations._handlers.clear()
    world.clock.advance(seconds=3_600)

    assert await bystander.operations.recover() == 0
    left = await world.operations.find(call.operation_id)
    assert (left.state, left.attempts) == (OperationState.RUNNING, 1)


def upgraded(world: Any, versions: int) -> Any:
    """A server beside ours whose handlers are that many versions ahead."""
    server = world.beside(world.database)
    handlers = server.operations._handlers
    for kind, handler in handlers.items():
        handlers[kind] = replace(handler, version=handler.version + versions)
    return server


@pytest.mark.parametrize(("versions", "recovered"), [(1, True), (2, False), (-1, False)])
async def test_recovery_runs_what_the_version_before_began_and_leaves_others_alone(
    world: Any, database: HttpDatabase, purse: str, versions: int, recovered: bool
) -> None:
    port = FaultyDatabase(database, at=1, fault=Fault.KILLED_BEFORE)
    call = world.call(purse, 10)
    with pytest.raises(ProcessKilled):
        await world.beside(port).operations.run(call)
    world.clock.advance(seconds=3_600)

    await upgraded(world, versions).operations.recover()
    left = await world.operations.find(call.operation_id)
    assert left.is_finished is recovered
    assert left.attempts == (2 if recovered else 1)


async def test_a_repeat_is_answered_by_a_server_that_knows_the_version_only(
    world: Any, purse: str
) -> None:
    call = world.call(purse, 10)
    first = await world.operations.run(call)
    assert (await upgraded(world, 1).operations.run(call)).result == first.result
    for versions in (2, -1):
        with pytest.raises(OtherVersion):
            await upgraded(world, versions).operations.run(call)
    assert await world.spent_rows(purse) == [10]


async def test_clocks_minutes_apart_are_harmless(world: Any, purse: str) -> None:
    early, late = world.beside(world.database), world.beside(world.database)
    late.clock = type(world.clock)(world.clock.now_milliseconds() + 600_000)
    late.operations._clock = late.clock
    key = uuid.uuid4().hex
    answers = await asyncio.gather(
        *(one.spend(purse, 80, key=key) for one in (early, late, early, late)),
        return_exceptions=True,
    )
    final = await world.spend(purse, 80, key=key)
    assert all(isinstance(one, OperationRunning) or one.result == final.result for one in answers)
    assert await world.spent_rows(purse) == [80]


async def test_a_full_stream_takes_no_new_operation_and_those_that_began_still_end(
    world: Any, database: HttpDatabase, purse: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asleep, awake = asyncio.Event(), asyncio.Event()

    async def sleep() -> None:
        asleep.set()
        await awake.wait()

    slow = world.beside(database)
    slow.before_outside = sleep
    running = asyncio.create_task(slow.spend(purse, 10))
    await asleep.wait()
    monkeypatch.setattr("fintech_kernel.domain.journal.STREAM_ENTRIES_MAX", 1)
    key = uuid.uuid4().hex
    refused = await world.spend(purse, 10, key=key)
    awake.set()

    assert (await running).state is OperationState.SUCCEEDED
    assert (refused.state, refused.result["code"]) == (OperationState.REFUSED, "too_many_changes")
    assert (await world.spend(purse, 10, key=key)).result == refused.result
    assert await world.spent_rows(purse) == [10]
