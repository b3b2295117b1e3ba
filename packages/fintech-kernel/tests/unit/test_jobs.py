"""Jobs: one that fails or hangs delays no other, and stopping lets runs end."""

import asyncio

import pytest
from fintech_kernel.domain.jobs import JobOutcome, JobRunner
from fintech_kernel.hooks import Job

pytestmark = pytest.mark.anyio


async def test_a_failing_and_a_hanging_job_do_not_keep_others_from_running() -> None:
    ran = asyncio.Event()

    async def fail() -> None:
        raise ValueError("broken job")

    async def hang() -> None:
        await asyncio.sleep(3_600)

    async def good() -> None:
        ran.set()

    runner = JobRunner(
        [
            Job(name="fails", run=fail, every_seconds=0.01),
            Job(name="hangs", run=hang, every_seconds=0.01, timeout_seconds=0.05),
            Job(name="good", run=good, every_seconds=0.01),
        ]
    )
    runner.start()
    await asyncio.wait_for(ran.wait(), 2)
    ran.clear()
    await asyncio.wait_for(ran.wait(), 2)
    await runner.stop()


async def test_every_run_is_told_with_how_it_ended() -> None:
    told: dict[str, JobOutcome] = {}
    all_told = asyncio.Event()

    async def fail() -> None:
        raise ValueError("broken job")

    async def hang() -> None:
        await asyncio.Event().wait()

    async def good() -> None:
        """Do nothing, well."""

    def on_run(name: str, outcome: JobOutcome) -> None:
        told[name] = outcome
        if len(told) == 3:
            all_told.set()

    runner = JobRunner(
        [
            Job(name="fails", run=fail, every_seconds=3_600),
            Job(name="hangs", run=hang, every_seconds=3_600, timeout_seconds=0.01),
            Job(name="good", run=good, every_seconds=3_600),
        ],
        on_run=on_run,
    )
    runner.start()
    await all_told.wait()
    await runner.stop()
    assert told == {
        "fails": JobOutcome.FAILED,
        "hangs": JobOutcome.TIMEOUT,
        "good": JobOutcome.DONE,
    }


async def test_a_job_can_be_woken_before_its_turn() -> None:
    runs: asyncio.Queue[int] = asyncio.Queue()

    async def run() -> None:
        runs.put_nowait(1)

    runner = JobRunner([Job(name="slow", run=run, every_seconds=3_600)])
    runner.start()
    await asyncio.wait_for(runs.get(), 2)
    await asyncio.sleep(0)
    runner.wake("slow")
    await asyncio.wait_for(runs.get(), 2)
    await runner.stop()


async def test_stopping_lets_a_run_under_way_end() -> None:
    began, finished = asyncio.Event(), asyncio.Event()

    async def run() -> None:
        began.set()
        await asyncio.sleep(0.05)
        finished.set()

    runner = JobRunner([Job(name="works", run=run, every_seconds=1)])
    runner.start()
    await began.wait()
    await runner.stop()
    assert finished.is_set()
