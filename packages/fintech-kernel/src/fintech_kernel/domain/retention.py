"""Retention: after some days an operation forgets what was asked and answered, never that it happened.

A blanked row keeps its key, so a repeat after years is told that its answer is no longer kept and moves
nothing. Rows are found by their finish and blanked by the nonce that only finished operations have: a
running one cannot be hit, however late a statement arrives.
"""

from typing import Final

from fintech_dbclient import Database
from loguru import logger

from fintech_kernel.clock import MILLISECONDS_PER_DAY, Clock
from fintech_kernel.infrastructure import queries, retention_queries

RETENTION_BATCH: Final = 200
RETENTION_EVERY_SECONDS: Final = 3_600
RETENTION_TIMEOUT_SECONDS: Final = 300


class Retention:
    """Blanks what is older than ``days``."""

    def __init__(self, *, database: Database, clock: Clock, days: int) -> None:
        self._database = database
        self._clock = clock
        self._days = days

    async def run(self) -> int:
        """Blank all that is due and return how many operations that were."""
        until = self._clock.now_milliseconds() - self._days * MILLISECONDS_PER_DAY
        blanked = 0
        while True:
            found = await self._database.execute(
                retention_queries.expired_operations(until=until, limit=RETENTION_BATCH)
            )
            if not found.rows:
                break
            nonces = [queries.done_nonce(str(row["operation_id"])) for row in found.rows]
            await self._database.execute(retention_queries.blank_operations(nonces))
            blanked += len(nonces)
        if blanked:
            logger.info("operations blanked", count=blanked)
        return blanked
