"""The database port of simulated processes: over the model, retrying as ``HttpDatabase`` does.

A thin port instead of the real client over a fake transport, because it is several times quicker and a
schedule is mostly database calls. It keeps the client's promises and habits: attempts of three seconds
within the caller's deadline, full jitter between them, whole sequences sent again, and the same errors.
Connections, coalescing and the circuit breaker are not modelled; they never apply a statement.
"""

import asyncio
from collections.abc import Generator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from fintech_dbclient import Health, NotApplied, NotExecuted, OutcomeUnknown, Result, Statement
from fintech_dbclient.deadlines import seconds_left
from fintech_dbclient.retries import Backoff

from fintech_kernel.simulation.faults import Fault, Port
from fintech_kernel.simulation.infrastructure.model_database import ModelDatabase
from fintech_kernel.simulation.network import Lost, Refused

if TYPE_CHECKING:
    from fintech_kernel.simulation.world import World

TIMEOUT_SECONDS: Final = 5.0
REQUEST_TIMEOUT_SECONDS: Final = 3.0

OF_WRITES: Final = (
    Fault.LOST_AFTER,
    Fault.TWICE,
    Fault.LATE,
    Fault.TORN,
    Fault.STALE,
    Fault.KILLED_AFTER,
    Fault.DOWN_AFTER,
)
"""Faults that are about what was applied.

Where a call only reads, nobody can tell them from their like: lost after from lost before, killed after
from killed before, late from lost, twice from once.
"""

TEXTS_KEPT: Final = 2_000
"""Sequences of statements of which it is kept what they can suffer."""


class SimulatedDatabase:
    """Implements ``Database`` for every process of whatever world is on."""

    def __init__(self) -> None:
        self.world: World | None = None

    async def execute(self, statement: Statement) -> Result:
        """Run one statement; see ``Database.execute``."""
        results = await self.run((statement,))
        return results[0].unwrap()

    async def run(self, sequence: Sequence[Statement]) -> list[Result]:
        """Run statements in order up to the first that fails; see ``Database.run``."""
        if not sequence:
            return []
        world = self._world()
        world.watch(sequence)
        label = " ".join(statement.name for statement in sequence)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds_left(TIMEOUT_SECONDS)
        backoff = Backoff(random=world.jitter)
        without = () if world.network.is_calm else _impossible(tuple(one.sql for one in sequence))
        was_sent = False
        attempt = 0
        if loop.time() >= deadline:
            raise NotApplied(f"{label}: the deadline had passed before the call")
        while True:
            attempt += 1
            try:
                return await world.network.call(
                    Port.DATABASE,
                    label,
                    lambda fault: _apply(world, sequence, fault),
                    timeout_seconds=min(REQUEST_TIMEOUT_SECONDS, deadline - loop.time()),
                    without=without,
                )
            except Lost:
                was_sent = True
            except Refused:
                pass
            delay = backoff.delay_seconds(attempt)
            if attempt >= backoff.attempts_max or loop.time() + delay >= deadline:
                text = f"{label}: gave up after {attempt} attempt(s)"
                raise OutcomeUnknown(text) if was_sent else NotApplied(text)
            await asyncio.sleep(delay)

    async def health(self) -> Health:
        """Say that all is well."""
        return Health(engine="model", contract="1", capabilities=frozenset({"batch"}), batch_max=64)

    async def close(self) -> None:
        """Close nothing: the model belongs to the schedule."""

    def _world(self) -> "World":
        if self.world is None:
            raise NotApplied("no schedule is on")
        return self.world


@lru_cache(TEXTS_KEPT)
def _impossible(texts: tuple[str, ...]) -> tuple[Fault, ...]:
    """Return the faults that a sequence cannot suffer: one statement is not torn, most read nothing."""
    if all(ModelDatabase.is_select(text) for text in texts):
        return OF_WRITES
    torn = () if len(texts) > 1 else (Fault.TORN,)
    stale = any(ModelDatabase.is_insert_select(text) for text in texts)
    return torn if stale else (*torn, Fault.STALE)


def _apply(
    world: "World", sequence: Sequence[Statement], fault: Fault | None
) -> Generator[bool, None, list[Result]]:
    """Apply a sequence, one statement per step; yield whether others must come in between."""
    results: list[Result] = []
    for statement in sequence:
        if results and results[-1].error is not None:
            break
        if fault is Fault.STALE and world.model.is_insert_select(statement.sql):
            rows = world.model.select_part(statement)
            yield True
            results.append(world.model.insert_part(statement, rows))
        else:
            results.append(world.model.execute(statement))
        yield False
    results += [Result(error=NotExecuted(one.name)) for one in sequence[len(results) :]]
    return results
