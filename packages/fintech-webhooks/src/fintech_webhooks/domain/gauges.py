"""What waits, as gauges: deliveries that are not made yet."""

from collections.abc import Sequence
from typing import Final

from fintech_dbclient import Database
from fintech_kernel.clock import Clock
from fintech_kernel.domain.gauges import seconds_since
from fintech_kernel.hooks import Gauge, GaugeSet, Sample

from fintech_webhooks.infrastructure import delivery_queries

ROWS_MAX: Final = 1_000
"""Deliveries that are counted; of more the gauge says "at least so many"."""

PENDING: Final = Gauge(
    name="fintech_webhooks_pending",
    summary="Webhook deliveries that are not made yet, at most a thousand.",
)
OVERDUE: Final = Gauge(
    name="fintech_webhooks_overdue_seconds",
    summary="How long the next attempt at the longest waiting webhook delivery is overdue.",
)


def delivery_gauges(database: Database, clock: Clock) -> GaugeSet:
    """Return the gauges of deliveries."""

    async def read() -> Sequence[Sample]:
        found = await database.execute(delivery_queries.longest_waiting(limit=ROWS_MAX))
        times = [int(str(row["next_run_at"])) for row in found.rows]
        now = clock.now_milliseconds()
        overdue = seconds_since(min(times, default=now), now=now)
        return [
            Sample(gauge=PENDING.name, value=len(times)),
            Sample(gauge=OVERDUE.name, value=overdue),
        ]

    return GaugeSet(name="webhooks", gauges=(PENDING, OVERDUE), read=read)
