"""The simulator's event loop: what goes wrong unseen is seen, whenever memory is collected."""

import asyncio
import random

from fintech_kernel.simulation.loop import SimulatedLoop


async def fail() -> None:
    raise LookupError("nobody waits for me")


async def leave_a_failure_in_a_cycle() -> None:
    task = asyncio.ensure_future(fail())
    cycle: list[object] = [task]
    cycle.append(cycle)
    await asyncio.sleep(1)


async def look_at_a_failure() -> None:
    await asyncio.gather(fail(), return_exceptions=True)


def failures_of(script) -> list[str]:
    loop = SimulatedLoop(random.Random(1), on_task=lambda _task: None)
    loop.run_until_complete(script())
    loop.close()
    return loop.failures


def test_an_exception_that_nobody_waited_for_is_noted_when_the_loop_closes():
    assert failures_of(leave_a_failure_in_a_cycle) == ["LookupError('nobody waits for me')"]


def test_an_exception_that_somebody_looked_at_is_not_noted():
    assert failures_of(look_at_a_failure) == []
