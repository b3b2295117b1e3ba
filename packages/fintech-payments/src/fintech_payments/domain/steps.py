"""A decided step of a payment: what was asked of the processor, under which key."""

from dataclasses import dataclass

from fintech_kernel.clock import MILLISECONDS_PER_SECOND
from fintech_kernel.contracts.processors import Processor, ProcessorAnswer, ProcessorCapabilities
from fintech_kernel.domain.execution import Appended
from fintech_kernel.domain.journal import Stream
from fintech_kernel.money import Money

from fintech_payments.domain import events
from fintech_payments.domain.events import CaptureMode, Effect
from fintech_payments.domain.history import CODEC, fold_payment
from fintech_payments.domain.model import OpenOutcome, Payment


def may_send(capabilities: ProcessorCapabilities, *, since: int, now: int) -> bool:
    """Whether a call may (still) be sent under its key; times are UTC milliseconds.

    A call that leaves now may arrive ``in_flight_limit`` later, and the processor must still know the
    key then; the first call cannot have been sent before ``since``.
    """
    sure_seconds = capabilities.key_retention_seconds - capabilities.in_flight_limit_seconds
    return now < since + sure_seconds * MILLISECONDS_PER_SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A decided step of a payment: what was asked of the processor, and under which key."""

    payment: Payment
    effect: Effect
    key: str
    amount: Money
    refund_id: str = ""

    @classmethod
    def of(cls, decided: Appended, effect: Effect, operation_id: str) -> "Step":
        """Return the step that a decision row stands for."""
        event = CODEC.event(decided.entries[0])
        payment = fold_payment(decided.as_written)
        amount = payment.amount
        refund_id = ""
        if isinstance(event, events.CaptureRequested | events.RefundRequested):
            amount = event.amount
        if isinstance(event, events.RefundRequested):
            refund_id = event.refund_id
        return cls(
            payment=payment,
            effect=effect,
            key=f"{operation_id}:{effect}",
            amount=amount,
            refund_id=refund_id,
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
            case Effect.REFUND:
                return await processor.refund(
                    key=self.key,
                    payment_id=payment_id,
                    refund_id=self.refund_id,
                    amount=self.amount,
                )
