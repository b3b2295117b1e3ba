"""Jobs: what every process runs again and again, and stops cleanly."""

import asyncio
import random
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final, TypeAlias

from fintech_dbclient.deadlines import new_deadline
from loguru import logger

from fintech_kernel.hooks import Job

DRAIN_SECONDS: Final = 3.0
"""How long a run under way may take to end when the server stops, before it is cancelled.

Whatever a job does can be cut off anywhere and is taken up by the next process.
"""


class JobOutcome(StrEnum):
    """How a run of a job ended."""

    DONE = "done"
    FAILED = "failed"
    TIMEOUT = "timeout"


OnRun: TypeAlias = Callable[[str, JobOutcome], None]
"""Told of every run of a job when it ended, by the job's name."""


class JobRunner:
    """Runs each job in a task of its own: one that fails or hangs delays no other."""

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        jitter: random.Random | None = None,
        on_run: OnRun = lambda _name, _outcome: None,
    ) -> None:
        self._jobs = tuple(jobs)
        self._on_run = on_run
        self._jitter = jitter or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._wakers = {job.name: asyncio.Event() for job in jobs}
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start all jobs in the running event loop."""
        self._tasks = [
            asyncio.create_task(self._loop(job), name=f"job:{job.name}") for job in self._jobs
        ]

    def wake(self, name: str) -> None:
        """Run a job now instead of at its next turn."""
        waker = self._wakers.get(name)
        if waker is not None:
            waker.set()

    async def stop(self) -> None:
        """Let runs under way end, then stop."""
        self._stopping = True
        for waker in self._wakers.values():
            waker.set()
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=DRAIN_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _loop(self, job: Job) -> None:
        waker = self._wakers[job.name]
        while not self._stopping:
            waker.clear()
            self._on_run(job.name, await run_once(job))
            await asyncio.sleep(job.rest_seconds)
            pause = job.every_seconds * self._jitter.uniform(0.9, 1.1)
            try:
                async with asyncio.timeout(pause):
                    await waker.wait()
            except TimeoutError:
                continue


async def run_once(job: Job) -> JobOutcome:
    """Run a job once within its time; what goes wrong is logged and left to the next turn."""
    try:
        with new_deadline(job.timeout_seconds):
            async with asyncio.timeout(job.timeout_seconds):
                await job.run()
    except TimeoutError:
        logger.warning("job ran out of time", job=job.name, timeout_seconds=job.timeout_seconds)
        return JobOutcome.TIMEOUT
    except Exception as error:  # noqa: BLE001 - a job's fault is its own; the loop goes on
        logger.opt(exception=error).error("job failed", job=job.name)
        return JobOutcome.FAILED
    return JobOutcome.DONE
