"""Alarms: what happened to a payment that people must look at."""

from typing import Final

from fintech_kernel.domain.journal import Entry
from fintech_kernel.observability.metrics import Metrics
from loguru import logger

from fintech_payments.domain import events

ALARMING: Final = (
    events.PaymentConflicted.type,
    events.ReversalRequested.type,
    events.ReversalFailed.type,
)
"""Events that raise an alarm: delivered from the journal, so none is lost with a process."""


class Alarms:
    """Logs and counts what is alarming."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def raise_alarm(self, entry: Entry) -> None:
        """Handle an alarming entry."""
        self._metrics.alarms.labels(entry.type).inc()
        logger.error(
            "a payment needs people",
            event=entry.type,
            payment_id=entry.object_id,
            merchant_id=entry.merchant_id,
            entry_id=entry.entry_id,
            alarm=True,
        )
