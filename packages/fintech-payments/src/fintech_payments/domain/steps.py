"""A decided step of a payment: what was asked of the processor, under which key."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fintech_kernel.clock import MILLISECONDS_PER_SECOND
from fintech_kernel.contracts.processors import (
    Outcome,
    Processor,
    ProcessorAnswer,
    ProcessorCapabilities,
)
from fintech_kernel.domain.execution import Appended
from fintech_kernel.domain.journal import Entry, Stream
from fintech_kernel.money import Money

from fintech_payments.domain import events
from fintech_payments.domain.events import CaptureMode, Effect
from fintech_payments.domain.history import CODEC, fold_payment
from fintech_payments.domain.model import OpenOutcome, Payment

CLOCKS_APART_SECONDS: Final = 900
"""How far the clocks of processes may be apart where a call is given up."""

_APPROVALS: Final = frozenset(
    {
        events.PaymentAuthorized.type,
        events.PaymentCaptured.type,
        events.PaymentCanceled.type,
        events.RefundSucceeded.type,
        events.ReversalSucceeded.type,
    }
)
_DECLINES: Final = frozenset(
    {
        events.PaymentFailed.type,
        events.CaptureFailed.type,
        events.CancelFailed.type,
        events.RefundFailed.type,
        events.ReversalFailed.type,
    }
)


def may_send(capabilities: ProcessorCapabilities, *, since: int, now: int) -> bool:
    """Whether a call may (still) be sent under its key; times are UTC milliseconds.

    A call that leaves now may arrive ``in_flight_limit`` later, and the processor must still know the
    key then; the first call cannot have been sent before ``since``.
    """
    sure_seconds = capabilities.key_retention_seconds - capabilities.in_flight_limit_seconds
    return now < since + sure_seconds * MILLISECONDS_PER_SECOND


def may_abandon(capabilities: ProcessorCapabilities, *, opened_at: int, now: int) -> bool:
    """Whether a call that the processor knows nothing of cannot reach it any more.

    ``opened_at``: when the outcome was written as open, behind the step's decision. No call left later
    than ``may_send`` lets it, ``in_flight_limit`` before the retention is over.
    """
    seconds = capabilities.key_retention_seconds + CLOCKS_APART_SECONDS
    return now >= opened_at + seconds * MILLISECONDS_PER_SECOND


def is_definite(answer: ProcessorAnswer) -> bool:
    """Whether an answer is final."""
    return answer.outcome in {Outcome.APPROVED, Outcome.DECLINED}


def standing_answer(stream: Stream, key: str) -> Outcome | None:
    """Return the final answer to a step that stands in the journal; None where none that says so does."""
    return answer_of(stream.step(f"{key}:final") or stream.step(key))


def answer_of(entries: Sequence[Entry]) -> Outcome | None:
    """Return the final answer that a step's rows record; an expiry ends either way and records none."""
    types = {entry.type for entry in entries}
    if types & _APPROVALS:
        return Outcome.APPROVED
    return Outcome.DECLINED if types & _DECLINES else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A decided step of a payment: what was asked of the processor, and under which key.

    ``reverses``: which effect a reversal undoes.
    """

    payment: Payment
    effect: Effect
    key: str
    amount: Money
    refund_id: str = ""
    reverses: Effect | None = None

    @classmethod
    def of(cls, decided: Appended, effect: Effect, operation_id: str) -> "Step":
        """Return the step that a decision row stands for."""
        event = CODEC.event(decided.entries[0])
        payment = fold_payment(decided.as_written)
        amount = payment.amount
        refund_id = ""
        reverses = None
        if isinstance(
            event, events.CaptureRequested | events.RefundRequested | events.ReversalRequested
        ):
            amount = event.amount
        if isinstance(event, events.ReversalRequested):
            reverses = event.effect
        if isinstance(event, events.RefundRequested):
            refund_id = event.refund_id
        return cls(
            payment=payment,
            effect=effect,
            key=f"{operation_id}:{effect}",
            amount=amount,
            refund_id=refund_id,
            reverses=reverses,
        )

    @classmethod
    def reopened(cls, stream: Stream, outcome: OpenOutcome) -> "Step":
        """Return the step of an open outcome."""
        decision = stream.step(f"{outcome.operation_id}:decide")
        if decision:
            appended = Appended(entries=decision, stream=stream)
            return cls.of(appended, outcome.effect, outcome.operation_id)
        payment = fold_payment(stream)
        return cls(payment=payment, effect=outcome.effect, key=outcome.key, amount=payment.amount)

    async def call(self, processor: Processor) -> ProcessorAnswer:
        """Send the step's call; sending it again has no further effect."""
        payment_id = self.payment.payment_id
        match self.effect:
            case Effect.AUTHORIZE:
                return await processor.authorize(
                    key=self.key,
                    payment_id=payment_id,
                    amount=self.amount,
                    payment_method=self.payment.token,
                    capture=self.payment.capture is CaptureMode.AUTOMATIC,
                )
            case Effect.CAPTURE:
                return await processor.capture(
                    key=self.key, payment_id=payment_id, amount=self.amount
                )
            case Effect.CANCEL | Effect.EXPIRE:
                return await processor.cancel(key=self.key, payment_id=payment_id)
            case Effect.REVERSE if self._only_authorized:
                return await processor.cancel(key=self.key, payment_id=payment_id)
            case Effect.REVERSE:
                return await processor.refund(
                    key=self.key, payment_id=payment_id, refund_id=self.key, amount=self.amount
                )
            case Effect.REFUND:
                return await processor.refund(
                    key=self.key,
                    payment_id=payment_id,
                    refund_id=self.refund_id,
                    amount=self.amount,
                )

    @property
    def _only_authorized(self) -> bool:
        """Whether what is to be undone reserved money and took none."""
        is_manual = self.payment.capture is CaptureMode.MANUAL
        return is_manual and self.reverses is Effect.AUTHORIZE
