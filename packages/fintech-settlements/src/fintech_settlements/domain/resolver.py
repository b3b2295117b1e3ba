"""The resolver: asks rails what became of payouts that were not answered in time."""

import asyncio
from typing import Final

from fintech_dbclient import Database, Row
from fintech_kernel.clock import Clock
from fintech_kernel.domain.journal import Journal
from loguru import logger

from fintech_settlements.domain import questions
from fintech_settlements.domain.history import fold_settlement
from fintech_settlements.domain.inquiry import Inquiry
from fintech_settlements.infrastructure import queries

RESOLVE_BATCH: Final = 100
RESOLVE_CONCURRENCY: Final = 4
SETTLEMENT_SECONDS: Final = 20
"""How long one settlement may take of a turn: its rail may hang."""


class Resolver:
    """Asks again and again, ever more rarely (``questions``), until it is known."""

    def __init__(
        self, *, inquiry: Inquiry, journal: Journal, database: Database, clock: Clock
    ) -> None:
        self._inquiry = inquiry
        self._journal = journal
        self._database = database
        self._clock = clock

    async def run(self) -> None:
        """Ask rails what became of payouts that were not answered in time (a job).

        The next question is noted before this one is asked: a rail that hangs for some payouts does not
        keep the others from being asked.
        """
        gate = asyncio.Semaphore(RESOLVE_CONCURRENCY)

        async def resolve(row: Row) -> None:
            async with gate:
                await self._try_settlement(str(row["merchant_id"]), str(row["settlement_id"]))

        while True:
            page = await self._database.execute(
                queries.settlements_to_ask_about(
                    now=self._clock.now_milliseconds(), limit=RESOLVE_BATCH
                )
            )
            async with asyncio.TaskGroup() as group:
                for row in page.rows:
                    group.create_task(resolve(row))
            if len(page.rows) < RESOLVE_BATCH:
                return

    async def _try_settlement(self, merchant_id: str, settlement_id: str) -> None:
        """Resolve one payout; what is wrong with it, or with its rail, holds up no other."""
        try:
            async with asyncio.timeout(SETTLEMENT_SECONDS):
                await self._resolve(merchant_id, settlement_id)
        except Exception as error:  # noqa: BLE001 - logged, and asked again at the next turn
            logger.error(
                "payout not resolved", settlement_id=settlement_id, reason=type(error).__name__
            )

    async def _resolve(self, merchant_id: str, settlement_id: str) -> None:
        stream = await self._journal.existing(merchant_id, settlement_id)
        now = self._clock.now_milliseconds()
        await self._database.execute(
            queries.put_off_question(
                merchant_id=merchant_id,
                settlement_id=settlement_id,
                next_ask_at=questions.next_ask_at(fold_settlement(stream), after=now),
            )
        )
        await self._inquiry.ask(stream)
