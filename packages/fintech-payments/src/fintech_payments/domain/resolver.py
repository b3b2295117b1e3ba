"""The resolver: asks processors what became of calls that were not answered in time."""

import asyncio
from collections.abc import Mapping
from typing import Final

from fintech_dbclient import Database, Row
from fintech_kernel.clock import Clock
from fintech_kernel.contracts.processors import Outcome, Processor, ProcessorAnswer
from fintech_kernel.domain.actors import job_actor
from fintech_kernel.domain.journal import Journal, Stream
from fintech_kernel.errors import TryAgainLater
from loguru import logger

from fintech_payments.domain import schedule
from fintech_payments.domain.history import fold_payment
from fintech_payments.domain.model import OpenOutcome
from fintech_payments.domain.resolution import Resolution
from fintech_payments.domain.steps import Step, may_send
from fintech_payments.infrastructure import queries

RESOLVE_BATCH: Final = 100
RESOLVE_CONCURRENCY: Final = 4
PAYMENT_SECONDS: Final = 20
"""How long one payment may take of a turn: its processor may hang."""


class Resolver:
    """Learns definite answers and has ``payments.resolve`` write them."""

    def __init__(
        self,
        *,
        resolution: Resolution,
        journal: Journal,
        database: Database,
        clock: Clock,
        processors: Mapping[str, Processor],
    ) -> None:
        self._resolution = resolution
        self._journal = journal
        self._database = database
        self._clock = clock
        self._processors = processors

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
        stream = await self._journal.stream(merchant_id, payment_id)
        payment = fold_payment(stream)
        await self._database.execute(
            queries.put_off_question(
                merchant_id=merchant_id,
                payment_id=payment_id,
                next_ask_at=schedule.next_ask_at(payment, after=self._clock.now_milliseconds()),
            )
        )
        for outcome in payment.open_outcomes:
            answer = await self._learn(stream, outcome)
            if answer is None:
                continue
            try:
                await self._resolution.write(
                    payment,
                    outcome,
                    answer,
                    key=f"resolve:{outcome.key}",
                    actor=job_actor("payments.resolve"),
                )
            except TryAgainLater:
                continue  # recorded, or asked again at the next turn

    async def _learn(self, stream: Stream, outcome: OpenOutcome) -> ProcessorAnswer | None:
        """Return a definite answer, or None while there is none.

        Where the processor knows nothing of the key our call may not have reached it: the same call is
        sent again, but only while the processor remembers keys.
        """
        payment = fold_payment(stream)
        processor = self._processors.get(payment.processor)
        if processor is None:
            return None
        answer = await processor.query(key=outcome.key)
        if answer is None:
            now = self._clock.now_milliseconds()
            if may_send(processor.capabilities, since=outcome.opened_at, now=now):
                answer = await Step.reopened(stream, outcome).call(processor)
        if answer is None or answer.outcome in {Outcome.PENDING, Outcome.UNKNOWN}:
            return None
        return answer
