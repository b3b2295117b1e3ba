"""Alarms: what happened to a payout that people must look at."""

from fintech_kernel.domain.journal import Entry
from fintech_kernel.observability.metrics import Metrics
from loguru import logger


class Alarms:
    """Logs and counts what is alarming: delivered from the journal, so none is lost with a process."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def raise_alarm(self, entry: Entry) -> None:
        """Handle an alarming entry."""
        self._metrics.alarms.labels(entry.type).inc()
        logger.error(
            "a payout needs people",
            event=entry.type,
            settlement_id=entry.object_id,
            merchant_id=entry.merchant_id,
            entry_id=entry.entry_id,
            alarm=True,
        )
