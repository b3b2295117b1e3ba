"""Gauges that are read from tables: who reads them, and how rows become samples.

A job reads every set each few seconds, so that a scrape costs the database nothing and two scrapers no
more than one. Sets are read at once: their statements share a request. One that fails or hangs leaves its
gauges as they were and the others alone.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from fintech_dbclient.deadlines import new_deadline
from loguru import logger

from fintech_kernel.clock import MILLISECONDS_PER_SECOND, Clock
from fintech_kernel.errors import StartupFault
from fintech_kernel.hooks import Gauge, GaugeSet, Job, Sample
from fintech_kernel.observability.metrics import Metrics

JOB_NAME: Final = "metrics.read"


class Gauges:
    """Reads sets of gauges and shows what they hold."""

    def __init__(self, *, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self._sets: list[GaugeSet] = []

    def use(self, sets: Sequence[GaugeSet]) -> None:
        """Take the sets of this process; called once, by the host.

        Raises:
            StartupFault: names of gauges that occur twice.
        """
        taken = [name for one in sets for name in self._metrics.add_gauges(one)]
        if taken:
            raise StartupFault([f"two metrics are named {name!r}" for name in taken])
        self._sets += sets

    @property
    def sets(self) -> tuple[GaugeSet, ...]:
        """The sets of this process."""
        return tuple(self._sets)

    def job(self, *, every_seconds: float) -> Job:
        """Return the job that reads."""
        longest = max((one.timeout_seconds for one in self._sets), default=0)
        return Job(
            name=JOB_NAME,
            run=self.read,
            every_seconds=every_seconds,
            timeout_seconds=longest + 1,
        )

    async def read(self) -> None:
        """Read all sets once."""
        async with asyncio.TaskGroup() as group:
            for one in self._sets:
                group.create_task(self._read(one))

    async def _read(self, gauges: GaugeSet) -> None:
        try:
            with new_deadline(gauges.timeout_seconds):
                async with asyncio.timeout(gauges.timeout_seconds):
                    samples = await gauges.read()
            at_seconds = self._clock.now_milliseconds() / MILLISECONDS_PER_SECOND
            self._metrics.show_gauges(gauges, samples, at_seconds=at_seconds)
        except Exception as error:  # noqa: BLE001 - a set's fault is its own; its age tells of it
            logger.warning("gauges not read", name=gauges.name, reason=type(error).__name__)


def counted(gauge: Gauge, words: Iterable[str], *, known: Sequence[str] = ()) -> list[Sample]:
    """Return how often each word occurs; 0 for those of ``known`` that do not."""
    counts = {**dict.fromkeys(known, 0), **Counter(words)}
    return [Sample(gauge=gauge.name, value=count, labels=(word,)) for word, count in counts.items()]


def oldest(
    gauge: Gauge, times: Iterable[tuple[str, int]], *, now: int, known: Sequence[str] = ()
) -> list[Sample]:
    """Return for each word how long ago its earliest time was; 0 for those of ``known`` without one."""
    earliest = dict.fromkeys(known, now)
    for word, time in times:
        earliest[word] = min(time, earliest.get(word, now))
    return [
        Sample(gauge=gauge.name, value=seconds_since(time, now=now), labels=(word,))
        for word, time in earliest.items()
    ]


def seconds_since(time: int, *, now: int) -> float:
    """Return the seconds from a time until now, both UTC milliseconds; 0 where clocks disagree."""
    return max(0, now - time) / MILLISECONDS_PER_SECOND
