"""Questions to processors: what became of calls that were not answered in time."""

import asyncio
from collections.abc import Mapping
from typing import Final

from fintech_dbclient import DatabaseError
from fintech_kernel.clock import MILLISECONDS_PER_DAY, Clock
from fintech_kernel.contracts.processors import Outcome, Processor, ProcessorAnswer
from fintech_kernel.domain.actors import job_actor
from fintech_kernel.domain.journal import Stream
from fintech_kernel.errors import TryAgainLater
from loguru import logger

from fintech_payments.domain import events
from fintech_payments.domain.history import fold_payment
from fintech_payments.domain.model import OpenOutcome, Payment
from fintech_payments.domain.resolution import Resolution
from fintech_payments.domain.steps import Step, is_definite, may_abandon, may_send

BEFORE_OPERATION_SECONDS: Final = 2
"""How long the next operation on a payment waits for the processor before it is refused as pending."""

PENDING_DAYS_ALARM: Final = 7
"""From this age on, every question about an outcome that stays open is an alarm."""


class Inquiry:
    """Asks processors about open and abandoned outcomes, and has what they say written."""

    def __init__(
        self, *, resolution: Resolution, clock: Clock, processors: Mapping[str, Processor]
    ) -> None:
        self._resolution = resolution
        self._clock = clock
        self._processors = processors

    async def before_operation(self, stream: Stream) -> None:
        """Ask once, within a small deadline, so that the next operation is not refused needlessly.

        Whatever goes wrong is no failure of that operation: the outcome stays open, and it is told so.
        """
        if not any(entry.type == events.OutcomeOpened.type for entry in stream.entries):
            return
        if not fold_payment(stream).open_outcomes:
            return
        try:
            async with asyncio.timeout(BEFORE_OPERATION_SECONDS):
                await self.ask(stream)
        except Exception as error:  # noqa: BLE001 - a processor may raise anything against its contract
            logger.warning("outcome not learned", reason=type(error).__name__)

    async def ask(self, stream: Stream) -> None:
        """Ask about each outcome of a payment that is open or was abandoned."""
        payment = fold_payment(stream)
        for outcome in (*payment.open_outcomes, *payment.abandoned_outcomes):
            try:
                await self._ask_about(stream, payment, outcome)
            except (TryAgainLater, DatabaseError) as error:
                logger.warning(
                    "outcome not written yet",
                    payment_id=payment.payment_id,
                    step=outcome.key,
                    reason=type(error).__name__,
                )

    async def _ask_about(self, stream: Stream, payment: Payment, outcome: OpenOutcome) -> None:
        answer = await self._learn(stream, outcome)
        if answer is None:
            if self._may_abandon(stream, payment, outcome):
                await self._resolution.abandon(payment, outcome)
        elif is_definite(answer):
            await self._resolution.learned(
                stream,
                outcome.key,
                answer,
                under=f"resolve:{outcome.key}",
                actor=job_actor("payments.resolve"),
            )
        elif self._age_days(outcome) >= PENDING_DAYS_ALARM:
            self._resolution.undecided(payment, outcome.key)

    async def _learn(self, stream: Stream, outcome: OpenOutcome) -> ProcessorAnswer | None:
        """Return what the processor says; None where it knows nothing and no call may be sent any more.

        Where the processor knows nothing of the key our call may not have reached it: the same call is
        sent again, but only while the processor remembers keys.
        """
        payment = fold_payment(stream)
        processor = self._processors.get(payment.processor)
        if processor is None:
            return ProcessorAnswer(outcome=Outcome.UNKNOWN)
        answer = await processor.query(key=outcome.key)
        if answer is None and outcome in payment.open_outcomes:
            now = self._clock.now_milliseconds()
            if may_send(processor.capabilities, since=outcome.opened_at, now=now):
                answer = await Step.reopened(stream, outcome).call(processor)
        return answer

    def _may_abandon(self, stream: Stream, payment: Payment, outcome: OpenOutcome) -> bool:
        opened = stream.step(outcome.key)
        if outcome not in payment.open_outcomes or not opened:
            return False
        return may_abandon(
            self._processors[payment.processor].capabilities,
            opened_at=opened[-1].occurred_at,
            now=self._clock.now_milliseconds(),
        )

    def _age_days(self, outcome: OpenOutcome) -> int:
        return (self._clock.now_milliseconds() - outcome.opened_at) // MILLISECONDS_PER_DAY
