"""The audit sink: every redemption, accepted or refused, as a line of the log.

A sink gets every entry of the journal, at least once; ``entry_id`` tells a repeat. What a line may hold
is a list of the kernel's: ids and types, no amounts and nothing that a client wrote.
"""

from fintech_kernel.domain.execution import REFUSED
from fintech_kernel.domain.journal import Entry
from loguru import logger

from fintech_loyalty.domain.events import PointsRedeemed
from fintech_loyalty.domain.service import REDEEM


async def write_trail(entry: Entry) -> None:
    """Log a redemption; other entries are other people's business."""
    is_refused = entry.type == REFUSED and entry.data["kind"] == REDEEM
    if entry.type == PointsRedeemed.type or is_refused:
        logger.info(
            "points refused" if is_refused else "points redeemed",
            entry_id=entry.entry_id,
            merchant_id=entry.merchant_id,
            subject=entry.actor["subject"],
        )
