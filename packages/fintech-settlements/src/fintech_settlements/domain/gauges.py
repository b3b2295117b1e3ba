"""What waits, as gauges: settlements between their creation and their end."""

from collections.abc import Sequence
from typing import Final

from fintech_dbclient import Database
from fintech_kernel.clock import Clock
from fintech_kernel.domain.gauges import counted, oldest
from fintech_kernel.hooks import Gauge, GaugeSet, Sample

from fintech_settlements.domain.model import SettlementStatus
from fintech_settlements.infrastructure import queries

WAITING: Final = (
    SettlementStatus.OPEN.value,
    SettlementStatus.APPROVED.value,
    SettlementStatus.PAYING.value,
)
"""Statuses in which a settlement waits for people or for the rail."""

ROWS_MAX: Final = 1_000
"""Settlements of one status that are counted; of more the gauge says "at least so many"."""

COUNT: Final = Gauge(
    name="fintech_settlements_waiting",
    summary="Settlements that are not ended, by status.",
    labels=("status",),
)
OLDEST: Final = Gauge(
    name="fintech_settlements_oldest_seconds",
    summary="Age since its creation of the oldest settlement in a status.",
    labels=("status",),
)


def settlement_gauges(database: Database, clock: Clock) -> GaugeSet:
    """Return the gauges of settlements."""

    async def read() -> Sequence[Sample]:
        results = await database.run(
            [queries.oldest_in_status(status, limit=ROWS_MAX) for status in WAITING]
        )
        rows = [
            (str(row["status"]), int(str(row["created_at"])))
            for result in results
            for row in result.unwrap().rows
        ]
        now = clock.now_milliseconds()
        return [
            *counted(COUNT, (status for status, _ in rows), known=WAITING),
            *oldest(OLDEST, rows, now=now, known=WAITING),
        ]

    return GaugeSet(name="settlements", gauges=(COUNT, OLDEST), read=read)
