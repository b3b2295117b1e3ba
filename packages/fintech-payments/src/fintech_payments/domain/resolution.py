"""A definite answer to a step, and what is done about it: by whoever learned it, wherever."""

from fintech_kernel.canonical import Json
from fintech_kernel.clock import Clock
from fintech_kernel.contracts.processors import Outcome, ProcessorAnswer
from fintech_kernel.domain.actors import Actor, job_actor
from fintech_kernel.domain.codec import to_json
from fintech_kernel.domain.journal import Journal, Stream
from fintech_kernel.domain.operations import OperationCall, Operations
from fintech_kernel.observability.metrics import Metrics
from loguru import logger

from fintech_payments.domain.commands import AbandonOutcome, ResolvePayment, ReverseStep
from fintech_payments.domain.events import Effect
from fintech_payments.domain.history import fold_payment
from fintech_payments.domain.kinds import ABANDON, RESOLVE, REVERSE
from fintech_payments.domain.model import OpenOutcome, Payment
from fintech_payments.domain.steps import standing_answer


class Resolution:
    """Has ``payments.resolve`` write answers, and ``payments.reverse`` undo what contradicts them."""

    def __init__(
        self, *, operations: Operations, journal: Journal, clock: Clock, metrics: Metrics
    ) -> None:
        self._operations = operations
        self._journal = journal
        self._clock = clock
        self._metrics = metrics

    async def learned(
        self, stream: Stream, step: str, answer: ProcessorAnswer, *, under: str, actor: Actor
    ) -> None:
        """Write a definite answer to a step (its key) where it is open; compare it with what stands.

        Whoever else learned it too writes the same step, once. ``under``: the key of the operation.

        Raises:
            TryAgainLater: it is recorded and will be finished, or another executor is at it.
            DatabaseError: the database did not do it.
        """
        payment = fold_payment(stream)
        outcome = next((one for one in payment.open_outcomes if one.key == step), None)
        if outcome is not None:
            await self._write(payment, outcome, answer, under=under, actor=actor)
            stream = await self._journal.existing(payment.merchant_id, payment.payment_id)
        standing = standing_answer(stream, step)
        if standing is Outcome.DECLINED and answer.outcome is Outcome.APPROVED:
            await self._reverse(payment, step, answer)
        if standing is Outcome.APPROVED and answer.outcome is Outcome.DECLINED:
            self._alarm(payment, step)

    async def abandon(self, payment: Payment, outcome: OpenOutcome) -> None:
        """Give up a call that cannot reach the processor any more.

        Raises:
            TryAgainLater, DatabaseError: as ``learned``.
        """
        command = AbandonOutcome(
            payment_id=payment.payment_id,
            merchant_id=payment.merchant_id,
            operation_id=outcome.operation_id,
            effect=outcome.effect,
            refund_id=outcome.refund_id,
            requested_at=self._clock.now_milliseconds(),
        )
        actor = job_actor("payments.resolve")
        await self._run(
            ABANDON, payment, to_json(command), key=f"abandon:{outcome.key}", actor=actor
        )

    def undecided(self, payment: Payment, step: str) -> None:
        """Alarm: a processor has called an outcome pending for days, and only it can end that."""
        self._metrics.alarms.labels("payment.undecided").inc()
        logger.error(
            "a processor has not decided for days",
            payment_id=payment.payment_id,
            processor=payment.processor,
            step=step,
            alarm=True,
        )

    async def _write(
        self,
        payment: Payment,
        outcome: OpenOutcome,
        answer: ProcessorAnswer,
        *,
        under: str,
        actor: Actor,
    ) -> None:
        command = ResolvePayment(
            payment_id=payment.payment_id,
            merchant_id=payment.merchant_id,
            operation_id=outcome.operation_id,
            effect=outcome.effect,
            refund_id=outcome.refund_id,
            answer=answer,
            requested_at=self._clock.now_milliseconds(),
        )
        await self._run(RESOLVE, payment, to_json(command), key=under, actor=actor)

    async def _reverse(self, payment: Payment, step: str, answer: ProcessorAnswer) -> None:
        operation_id, _, effect = step.partition(":")
        command = ReverseStep(
            payment_id=payment.payment_id,
            merchant_id=payment.merchant_id,
            operation_id=operation_id,
            effect=Effect(effect),
            amount=answer.amount,
            requested_at=self._clock.now_milliseconds(),
        )
        actor = job_actor("payments.resolve")
        await self._run(REVERSE, payment, to_json(command), key=f"reverse:{step}", actor=actor)

    async def _run(
        self, kind: str, payment: Payment, command: dict[str, Json], *, key: str, actor: Actor
    ) -> None:
        await self._operations.run(
            OperationCall(
                kind=kind, merchant_id=payment.merchant_id, actor=actor, key=key, command=command
            )
        )

    def _alarm(self, payment: Payment, step: str) -> None:
        """A processor takes an approval back: nothing of ours can undo that."""
        self._metrics.alarms.labels("payment.approval_withdrawn").inc()
        logger.error(
            "a processor declines what it approved before",
            payment_id=payment.payment_id,
            processor=payment.processor,
            step=step,
            alarm=True,
        )
