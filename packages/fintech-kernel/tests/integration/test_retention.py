"""Retention on a real database: finished operations forget their words, running ones never do."""

from contextlib import suppress
from typing import Any

import pytest
from fintech_dbclient import HttpDatabase, NotApplied, OutcomeUnknown
from fintech_kernel.domain.retention import Retention
from fintech_kernel.errors import IdempotencyKeyExpired
from fintech_kernel.infrastructure import queries, retention_queries
from fintech_kernel.testing.faults import Fault, FaultyDatabase, ProcessKilled

pytestmark = pytest.mark.anyio

DAYS = 30


def retention_of(world: Any, database: Any) -> Retention:
    return Retention(database=database, clock=world.clock, days=DAYS)


async def test_a_repeat_after_thirty_days_names_the_operation_and_spends_nothing(
    world: Any, database: HttpDatabase, purse: str
) -> None:
    first = await world.spend(purse, 40, key="key-" + purse)
    world.clock.advance(days=DAYS)
    await retention_of(world, database).run()
    with pytest.raises(IdempotencyKeyExpired) as expired:
        await world.spend(purse, 40, key="key-" + purse)
    assert expired.value.operation_id == first.operation_id
    assert await world.spent_rows(purse) == [40]


async def test_a_running_operation_is_never_blanked_however_old_it_is(
    world: Any, database: HttpDatabase, purse: str
) -> None:
    call = world.call(purse, 10)
    struck = world.beside(FaultyDatabase(database, at=1, fault=Fault.KILLED_BEFORE))
    with pytest.raises(ProcessKilled):
        await struck.operations.run(call)
    world.clock.advance(days=DAYS * 10)
    await retention_of(world, database).run()
    await database.execute(
        retention_queries.blank_operations([queries.done_nonce(call.operation_id)])
    )
    await world.operations.recover()
    answer = await world.operations.run(call)
    assert (answer.replayed, answer.result) == (True, {"spent_in_all": 10})


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("at", range(3))
async def test_retention_struck_at_any_call_is_done_by_the_next_run(
    world: Any, database: HttpDatabase, purse: str, fault: Fault, at: int
) -> None:
    answer = await world.spend(purse, 5)
    world.clock.advance(days=DAYS)
    with suppress(OutcomeUnknown, NotApplied, ProcessKilled):
        await retention_of(world, FaultyDatabase(database, at=at, fault=fault)).run()
    await retention_of(world, database).run()
    record = await world.operations.find(answer.operation_id)
    assert (record.result, dict(record.command), record.state) == (None, {}, answer.state)
