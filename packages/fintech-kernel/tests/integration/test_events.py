"""Events on a real database: at least once, in order, and nobody in anybody's way."""

import asyncio
import random
import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from fintech_dbclient import HttpDatabase, NotApplied, OutcomeUnknown, Statement
from fintech_kernel.domain.events import Events
from fintech_kernel.domain.execution import OperationState
from fintech_kernel.domain.jobs import run_once
from fintech_kernel.domain.journal import Entry
from fintech_kernel.hooks import AuditSink, EventHandler
from fintech_kernel.identifiers import RandomIdentifiers
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.testing.faults import Fault, FaultyDatabase, ProcessKilled

pytestmark = pytest.mark.anyio


def events_of(
    database: Any,
    clock: FrozenClock,
    handlers: Sequence[EventHandler],
    sinks: Sequence[AuditSink] = (),
) -> Events:
    events = Events(
        database=database,
        clock=clock,
        identifiers=RandomIdentifiers(clock),
        jitter=random.Random(1),
    )
    events.subscribe(handlers, sinks)
    return events


async def run_jobs(events: Events) -> None:
    for job in events.jobs():
        await job.run()


class Recorder:
    """Remembers what it was given."""

    def __init__(self) -> None:
        self.seen: list[Entry] = []

    async def handle(self, entry: Entry) -> None:
        self.seen.append(entry)

    def of(self, purse: str) -> list[str]:
        return [entry.entry_id for entry in self.seen if entry.object_id == purse]


def unique(name: str) -> str:
    return f"{name}.{uuid.uuid4().hex[:8]}"


async def test_every_matching_entry_reaches_its_handlers_in_order_and_sinks_get_all(
    world: Any, database: HttpDatabase, purse: str
) -> None:
    spent, everything = Recorder(), Recorder()
    events = events_of(
        database,
        world.clock,
        [EventHandler(name=unique("spent"), event="purse.spent", handle=spent.handle)],
        [AuditSink(name=unique("all"), write=everything.handle)],
    )
    await events.announce()
    await world.spend(purse, 10)
    await world.spend(purse, 20)
    await run_jobs(events)
    await run_jobs(events)

    stream = f"mer_test/{purse}"
    assert spent.of(purse) == [f"{stream}:1", f"{stream}:3"]
    assert everything.of(purse) == [f"{stream}:{seq}" for seq in (1, 2, 3, 4)]


async def test_a_failing_and_a_hanging_handler_delay_nobody_else(
    world: Any, database: HttpDatabase, purse: str
) -> None:
    async def fail(_entry: Entry) -> None:
        raise ValueError("broken handler")

    async def hang(_entry: Entry) -> None:
        await asyncio.sleep(3_600)

    good = Recorder()
    events = events_of(
        database,
        world.clock,
        [
            EventHandler(name=unique("a-fails"), event="purse.*", handle=fail),
            EventHandler(
                name=unique("b-hangs"), event="purse.*", handle=hang, timeout_seconds=0.05
            ),
            EventHandler(name=unique("c-good"), event="purse.*", handle=good.handle),
        ],
    )
    await events.announce()
    answer = await world.spend(purse, 10)
    await run_jobs(events)
    assert answer.result == {"spent_in_all": 10}
    assert len(good.of(purse)) == 2


async def test_a_failing_a_hanging_and_a_raising_sink_change_neither_result_nor_latency(
    world: Any, database: HttpDatabase, purse: str
) -> None:
    async def fail(_entry: Entry) -> None:
        raise ValueError("broken sink")

    async def hang(_entry: Entry) -> None:
        await asyncio.sleep(3_600)

    async def cancel(_entry: Entry) -> None:
        raise asyncio.CancelledError

    def raise_at_once(_entry: Entry) -> Any:
        raise RuntimeError("not even a coroutine")

    good = Recorder()
    quiet = events_of(database, world.clock, [])
    loud = events_of(
        database,
        world.clock,
        [],
        [
            AuditSink(name=unique("a-fails"), write=fail),
            AuditSink(name=unique("b-hangs"), write=hang, timeout_seconds=0.05),
            AuditSink(name=unique("c-cancels"), write=cancel),
            AuditSink(name=unique("d-raises"), write=raise_at_once),
            AuditSink(name=unique("e-good"), write=good.handle),
        ],
    )
    await loud.announce()

    async def seconds_of_a_payment(events: Events) -> float:
        """Spend while the events of earlier spendings are being delivered."""
        jobs = [asyncio.create_task(run_once(job)) for job in events.jobs()]
        durations: list[float] = []
        for _ in range(5):
            began = asyncio.get_running_loop().time()
            answer = await world.spend(purse, 1)
            durations.append(asyncio.get_running_loop().time() - began)
            assert answer.state is OperationState.SUCCEEDED
        await asyncio.gather(*jobs)
        return sorted(durations)[2]

    without, with_sinks = await seconds_of_a_payment(quiet), await seconds_of_a_payment(loud)
    assert with_sinks < without + 0.25, "a payment waited for a sink"
    for job in loud.jobs():
        await run_once(job)
    failed = await database.execute(
        Statement(
            name="test.deliveries.errors",
            sql="SELECT DISTINCT error FROM deliveries WHERE stream_id = ? ORDER BY error",
            params=(f"mer_test/{purse}",),
        )
    )
    assert [row["error"] for row in failed.rows] == [
        "",
        "CancelledError",
        "RuntimeError",
        "ValueError",
        "timeout",
    ]
    assert len(good.of(purse)) == len((await world.stream(purse)).entries) == 20


async def test_a_later_entry_of_a_stream_waits_for_the_earlier_one(
    world: Any, database: HttpDatabase, purse: str
) -> None:
    seen: list[str] = []
    broken = True

    async def handle(entry: Entry) -> None:
        if entry.object_id == purse:
            if broken:
                raise ValueError("not yet")
            seen.append(entry.entry_id)

    events = events_of(
        database,
        world.clock,
        [EventHandler(name=unique("ordered"), event="purse.*", handle=handle)],
    )
    await events.announce()
    await world.spend(purse, 10)
    await run_jobs(events)
    assert seen == []

    broken = False
    world.clock.advance(seconds=3_600)
    await run_jobs(events)
    assert seen == [f"mer_test/{purse}:1", f"mer_test/{purse}:2"]


async def test_after_its_attempts_a_delivery_is_dead_lettered_and_the_next_one_goes_on(
    world: Any, database: HttpDatabase, purse: str
) -> None:
    tried: list[int] = []

    async def handle(entry: Entry) -> None:
        if entry.object_id == purse:
            tried.append(entry.seq)
            if entry.seq == 1:
                raise ValueError("never")

    name = unique("dead")
    events = events_of(
        database,
        world.clock,
        [EventHandler(name=name, event="purse.*", handle=handle, attempts_max=3)],
    )
    await events.announce()
    await world.spend(purse, 10)
    for _ in range(4):
        await run_jobs(events)
        world.clock.advance(seconds=7_200)
    assert tried == [1, 1, 1, 2]
    dead = await database.execute(
        Statement(
            name="test.deliveries.dead",
            sql="SELECT entry_id, error FROM deliveries WHERE handler = ? AND state = 'dead'",
            params=(name,),
        )
    )
    assert [dict(row) for row in dead.rows] == [
        {"entry_id": f"mer_test/{purse}:1", "error": "ValueError"}
    ]


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("at", range(7))
async def test_a_dispatcher_that_dies_at_any_call_loses_no_delivery(
    world: Any, database: HttpDatabase, purse: str, fault: Fault, at: int
) -> None:
    recorder = Recorder()
    handler = EventHandler(name=unique("faulty"), event="purse.*", handle=recorder.handle)
    struck = events_of(FaultyDatabase(database, at=at, fault=fault), world.clock, [handler])
    healthy = events_of(database, world.clock, [handler])
    await healthy.announce()
    await world.spend(purse, 10)
    with suppress(OutcomeUnknown, NotApplied, ProcessKilled, BaseExceptionGroup):
        await run_jobs(struck)
    for _ in range(3):
        world.clock.advance(seconds=3_600)
        await run_jobs(healthy)
    assert sorted(set(recorder.of(purse))) == [f"mer_test/{purse}:1", f"mer_test/{purse}:2"]


async def test_two_dispatchers_at_once_deliver_everything(
    world: Any, database: HttpDatabase, purse: str
) -> None:
    recorder = Recorder()
    handler = EventHandler(name=unique("raced"), event="purse.*", handle=recorder.handle)
    both = [events_of(database, world.clock, [handler]) for _ in range(2)]
    await both[0].announce()
    for _ in range(3):
        await world.spend(purse, 5)
    await asyncio.gather(*(run_jobs(one) for one in both))
    world.clock.advance(seconds=3_600)
    await run_jobs(both[0])
    assert sorted(set(recorder.of(purse))) == [f"mer_test/{purse}:{seq}" for seq in range(1, 7)]


async def test_a_handler_that_is_announced_twice_or_changed_stands_once(
    world: Any, database: HttpDatabase
) -> None:
    name = unique("announced")
    nothing = Recorder()
    for event in ("purse.*", "purse.*", "purse.spent"):
        handler = EventHandler(name=name, event=event, handle=nothing.handle)
        await events_of(database, world.clock, [handler]).announce()
    known = await database.execute(
        Statement(
            name="test.handlers",
            sql="SELECT event FROM handlers WHERE handler = ?",
            params=(name,),
        )
    )
    assert [row["event"] for row in known.rows] == ["purse.spent"]


async def test_what_stands_is_not_delivered_and_counts_as_delivered(
    world: Any, database: HttpDatabase, purse: str
) -> None:
    asked: list[int] = []

    async def stands(entries: Sequence[Entry]) -> list[str]:
        asked.append(len(entries))
        return [entry.entry_id for entry in entries if entry.type != "purse.spent"]

    recorder, name = Recorder(), unique("stands")
    handler = EventHandler(name=name, event="purse.*", handle=recorder.handle, stands=stands)
    events = events_of(database, world.clock, [handler])
    await events.announce()
    await world.spend(purse, 10)
    await world.spend(purse, 20)
    await run_jobs(events)
    await run_jobs(events)

    stream = f"mer_test/{purse}"
    assert len(asked) == 1
    assert recorder.of(purse) == [f"{stream}:1", f"{stream}:3"]
    deliveries = [one for one in await events.deliveries("mer_test", purse) if one.handler == name]
    assert [one.state for one in deliveries] == ["done"] * 4


async def test_a_handler_that_cannot_say_what_stands_gets_everything(
    world: Any, database: HttpDatabase, purse: str
) -> None:
    async def stands(_entries: Sequence[Entry]) -> list[str]:
        raise ValueError("broken question")

    recorder = Recorder()
    handler = EventHandler(
        name=unique("broken"), event="purse.*", handle=recorder.handle, stands=stands
    )
    events = events_of(database, world.clock, [handler])
    await events.announce()
    await world.spend(purse, 10)
    await run_jobs(events)
    await run_jobs(events)

    assert recorder.of(purse) == [f"mer_test/{purse}:1", f"mer_test/{purse}:2"]
