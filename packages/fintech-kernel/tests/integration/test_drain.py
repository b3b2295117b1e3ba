"""A server that stops: what is under way ends or is handed back, and another process goes on at once."""

import asyncio
import uuid
from typing import Any

import pytest
from fintech_dbclient import HttpDatabase
from fintech_kernel.domain.execution import OperationState
from fintech_kernel.domain.operations import RECOVERY_ATTEMPTS_ALARM
from fintech_kernel.errors import OutcomeUnknown
from fintech_kernel.observability.metrics import Metrics
from fintech_kernel.testing.faults import Fault, FaultyDatabase

pytestmark = pytest.mark.anyio


async def test_an_operation_that_does_not_end_in_time_is_handed_back_and_finished_elsewhere(
    world: Any, database: HttpDatabase, purse: str
) -> None:
    asleep = asyncio.Event()

    async def hang() -> None:
        asleep.set()
        await asyncio.Event().wait()

    stopping = world.beside(database)
    stopping.before_outside = hang
    call = world.call(purse, 30)
    request = asyncio.create_task(stopping.operations.run(call))
    await asleep.wait()

    began = asyncio.get_running_loop().time()
    await stopping.operations.drain(0.05)
    assert asyncio.get_running_loop().time() - began < 2
    with pytest.raises(asyncio.CancelledError):
        await request

    held = await world.operations.find(call.operation_id)
    assert held.lease_until <= world.clock.now_milliseconds()
    assert held.next_run_at <= world.clock.now_milliseconds()
    assert await world.operations.recover() >= 1
    answer = await world.operations.run(call)
    assert (answer.state, answer.replayed) == (OperationState.SUCCEEDED, True)
    assert await world.spent_rows(purse) == [30]


async def test_an_operation_that_ends_in_time_is_waited_for(world: Any, purse: str) -> None:
    asleep, awake = asyncio.Event(), asyncio.Event()

    async def sleep() -> None:
        asleep.set()
        await awake.wait()

    world.before_outside = sleep
    request = asyncio.create_task(world.spend(purse, 30))
    await asleep.wait()
    draining = asyncio.create_task(world.operations.drain(5))
    awake.set()
    await draining
    assert (await request).state is OperationState.SUCCEEDED


async def test_from_some_attempt_on_every_failure_is_an_alarm_and_nothing_is_dropped(
    world: Any, database: HttpDatabase, purse: str
) -> None:
    broken = True

    async def fail() -> None:
        if broken:
            raise ValueError("the outside is down")

    metrics = Metrics()
    world.operations._metrics = metrics
    world.before_outside = fail
    call = world.call(purse, 30)
    with pytest.raises(OutcomeUnknown):
        await world.operations.run(call)
    for _ in range(RECOVERY_ATTEMPTS_ALARM + 1):
        world.clock.advance(seconds=3_600)
        await world.operations.recover()
    counted = metrics.text().decode()
    assert 'fintech_operations_alarmed_total{kind="purse.spend"} 3.0' in counted
    assert 'reason="ValueError"} 12.0' in counted
    broken = False
    world.clock.advance(seconds=3_600)
    await world.operations.recover()
    assert (await world.operations.run(call)).result == {"spent_in_all": 30}


async def test_kinds_that_are_not_installed_are_reported_once_and_counted(
    world: Any, database: HttpDatabase, purse: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    struck = world.beside(FaultyDatabase(database, at=1, fault=Fault.LOST_BEFORE))
    with pytest.raises(OutcomeUnknown):
        await struck.spend(purse, 1, key=uuid.uuid4().hex)
    bystander = world.beside(database)
    bystander.operations._handlers.clear()
    metrics = Metrics()
    bystander.operations._metrics = metrics
    said: list[str] = []
    monkeypatch.setattr(
        "fintech_kernel.domain.operations.logger.error", lambda text, **_: said.append(text)
    )
    world.clock.advance(seconds=3_600)
    for _ in range(3):
        await bystander.operations.recover()
    assert said == ["operations wait for a plugin that is not installed here"]
    assert 'fintech_operations_not_installed{kind="purse.spend"} 1.0' in metrics.text().decode()
    await world.operations.recover()
    await bystander.operations.recover()
    assert "fintech_operations_not_installed{" not in metrics.text().decode()
