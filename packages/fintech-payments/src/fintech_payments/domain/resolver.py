"""The resolver: asks processors what became of calls that were not answered in time."""

import asyncio
from typing import Final

from fintech_dbclient import Database, Row
from fintech_kernel.clock import Clock
from fintech_kernel.domain.journal import Journal
from loguru import logger

from fintech_payments.domain import schedule
from fintech_payments.domain.history import fold_payment
from fintech_payments.domain.inquiry import Inquiry
from fintech_payments.infrastructure import queries

RESOLVE_BATCH: Final = 100
RESOLVE_CONCURRENCY: Final = 4
PAYMENT_SECONDS: Final = 20
"""How long one payment may take of a turn: its processor may hang."""


class Resolver:
    """Asks again and again, ever more rarely (``schedule``), until it is known."""

    def __init__(
        self, *, inquiry: Inquiry, journal: Journal, database: Database, clock: Clock
    ) -> None:
        self._inquiry = inquiry
        self._journal = journal
        self._database = database
        self._clock = clock

    async def run(self) -> None:
        """Ask processors what became of calls that were not answered in time (a job).

        The next question is noted before this one is asked: a processor that hangs for some payments
        does not keep the others from being asked.
        """
        gate = asyncio.Semaphore(RESOLVE_CONCURRENCY)

        async def resolve(row: Row) -> None:
            async with gate:
                await self._try_payment(str(row["merchant_id"]), str(row["payment_id"]))

        while True:
            page = await self._database.execute(
                queries.payments_to_ask_about(
                    now=self._clock.now_milliseconds(), limit=RESOLVE_BATCH
                )
            )
            async with asyncio.TaskGroup() as group:
                for row in page.rows:
                    group.create_task(resolve(row))
            if len(page.rows) < RESOLVE_BATCH:
                return

    async def _try_payment(self, merchant_id: str, payment_id: str) -> None:
        """Resolve one payment; what is wrong with it, or with its processor, holds up no other."""
        try:
            async with asyncio.timeout(PAYMENT_SECONDS):
                await self._resolve_payment(merchant_id, payment_id)
        except Exception as error:  # noqa: BLE001 - logged, and asked again at the next turn
            logger.error("outcome not resolved", payment_id=payment_id, reason=type(error).__name__)

    async def _resolve_payment(self, merchant_id: str, payment_id: str) -> None:
        stream = await self._journal.existing(merchant_id, payment_id)
        now = self._clock.now_milliseconds()
        await self._database.execute(
            queries.put_off_question(
                merchant_id=merchant_id,
                payment_id=payment_id,
                next_ask_at=schedule.next_ask_at(fold_payment(stream), after=now),
            )
        )
        await self._inquiry.ask(stream)
