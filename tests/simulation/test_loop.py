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


def order_of_cancellation() -> list[int]:
    """Cancel a group of tasks and return the order in which they noticed."""
    loop = SimulatedLoop(random.Random(1), on_task=lambda _task: None)
    noticed: list[int] = []

    async def wait(number: int) -> None:
        try:
            await asyncio.sleep(1)
        finally:
            noticed.append(number)

    async def group() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(40):
                group.create_task(wait(number))

    async def script() -> None:
        running = asyncio.ensure_future(group())
        await asyncio.sleep(0.5)
        running.cancel()
        await asyncio.wait([running])

    loop.run_until_complete(script())
    loop.close()
    return noticed


def test_a_group_of_tasks_is_canceled_in_the_same_order_wherever_they_lie_in_memory():
    kept: list[list[object]] = []
    orders: set[tuple[int, ...]] = set()
    for turn in range(20):
        kept.append([object() for _ in range(turn * 37)])
        orders.add(tuple(order_of_cancellation()))
    assert len(orders) == 1
