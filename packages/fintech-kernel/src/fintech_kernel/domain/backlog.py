"""What waits, as gauges: operations that run, entries to dispatch and to seal, deliveries.

One request to the database reads all of it, at most ``ROWS_MAX`` rows of each kind: of a longer backlog
the numbers say "at least so many", and the ages are of those that wait longest all the same.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from fintech_dbclient import Database, Result, Row

from fintech_kernel.clock import Clock
from fintech_kernel.domain.gauges import counted, oldest, seconds_since
from fintech_kernel.hooks import Gauge, GaugeSet, Sample
from fintech_kernel.infrastructure import gauge_queries

ROWS_MAX: Final = 1_000
"""Rows of one reading; 20 kB each time."""

RUNNING: Final = Gauge(
    name="fintech_operations_running", summary="Operations that are not finished.", labels=("kind",)
)
RUNNING_OLDEST: Final = Gauge(
    name="fintech_operations_oldest_seconds",
    summary="Age of the oldest operation that is not finished.",
    labels=("kind",),
)
UNDISPATCHED: Final = Gauge(
    name="fintech_events_undispatched",
    summary="Journal entries that did not become deliveries yet.",
)
UNDISPATCHED_OLDEST: Final = Gauge(
    name="fintech_events_undispatched_oldest_seconds", summary="Age of the oldest of them."
)
PENDING: Final = Gauge(
    name="fintech_deliveries_pending",
    summary="Deliveries that are not made yet, failed ones among them.",
    labels=("handler",),
)
PENDING_OVERDUE: Final = Gauge(
    name="fintech_deliveries_overdue_seconds",
    summary="How long the next attempt at the longest waiting delivery is overdue.",
    labels=("handler",),
)
DEAD: Final = Gauge(
    name="fintech_deliveries_dead",
    summary="Deliveries that failed too often and are not tried any more.",
    labels=("handler",),
)
UNSEALED: Final = Gauge(
    name="fintech_audit_unsealed", summary="Journal entries without a position in the audit log."
)
UNSEALED_OLDEST: Final = Gauge(
    name="fintech_audit_unsealed_oldest_seconds", summary="Age of the oldest of them."
)


def backlog_gauges(database: Database, clock: Clock) -> GaugeSet:
    """Return the kernel's gauges."""

    async def read() -> Sequence[Sample]:
        results = await database.run(
            [
                gauge_queries.running_operations(ROWS_MAX),
                gauge_queries.undispatched(ROWS_MAX),
                gauge_queries.pending_deliveries(ROWS_MAX),
                gauge_queries.dead_letters(ROWS_MAX),
                gauge_queries.unsealed(ROWS_MAX),
            ]
        )
        return [*_samples(results, clock.now_milliseconds())]

    return GaugeSet(
        name="kernel",
        gauges=(
            *(RUNNING, RUNNING_OLDEST, UNDISPATCHED, UNDISPATCHED_OLDEST),
            *(PENDING, PENDING_OVERDUE, DEAD, UNSEALED, UNSEALED_OLDEST),
        ),
        read=read,
    )


def _samples(results: Sequence[Result], now: int) -> Iterable[Sample]:
    running, undispatched, pending, dead, unsealed = (one.unwrap().rows for one in results)
    yield from counted(RUNNING, _words(running, "kind"))
    yield from oldest(RUNNING_OLDEST, _times(running, "kind", "created_at"), now=now)
    yield from counted(PENDING, _words(pending, "handler"))
    yield from oldest(PENDING_OVERDUE, _times(pending, "handler", "next_run_at"), now=now)
    yield from counted(DEAD, _words(dead, "handler"))
    for gauge, gauge_oldest, rows in (
        (UNDISPATCHED, UNDISPATCHED_OLDEST, undispatched),
        (UNSEALED, UNSEALED_OLDEST, unsealed),
    ):
        began = int(str(rows[0]["occurred_at"])) if rows else now
        yield Sample(gauge=gauge.name, value=len(rows))
        yield Sample(gauge=gauge_oldest.name, value=seconds_since(began, now=now))


def _words(rows: Sequence[Row], column: str) -> Iterable[str]:
    return (str(row[column]) for row in rows)


def _times(rows: Sequence[Row], word: str, time: str) -> Iterable[tuple[str, int]]:
    return ((str(row[word]), int(str(row[time]))) for row in rows)
