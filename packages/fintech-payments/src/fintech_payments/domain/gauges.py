"""What waits, as gauges: payments whose processor has not said what became of a call."""

import json
from collections.abc import Sequence
from typing import Final

from fintech_dbclient import Database, Row
from fintech_kernel.clock import Clock
from fintech_kernel.domain.gauges import counted, oldest
from fintech_kernel.hooks import Gauge, GaugeSet, Sample

from fintech_payments.domain.model import PaymentStatus
from fintech_payments.infrastructure import queries

ROWS_MAX: Final = 500
"""Payments that are counted, the oldest; of more the gauge says "at least so many". 500 kB each time."""

COUNT: Final = Gauge(
    name="fintech_payments_outcomes_open",
    summary="Payments with a call to their processor whose outcome is not known.",
    labels=("processor",),
)
PENDING_OLDEST: Final = Gauge(
    name="fintech_payments_pending_oldest_seconds",
    summary="Age of the oldest payment whose authorization is not answered.",
    labels=("processor",),
)


def payment_gauges(database: Database, clock: Clock) -> GaugeSet:
    """Return the gauges of payments."""

    async def read() -> Sequence[Sample]:
        found = await database.execute(queries.payments_with_open_outcomes(ROWS_MAX))
        pending = [row for row in found.rows if row["status"] == PaymentStatus.PENDING]
        return [
            *counted(COUNT, (_processor(row) for row in found.rows)),
            *oldest(
                PENDING_OLDEST,
                ((_processor(row), int(str(row["created_at"]))) for row in pending),
                now=clock.now_milliseconds(),
            ),
        ]

    return GaugeSet(name="payments", gauges=(COUNT, PENDING_OLDEST), read=read)


def _processor(row: Row) -> str:
    return str(json.loads(str(row["data"]))["processor"])
