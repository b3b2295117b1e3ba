"""The model against a small one of numbers: what is accepted, what it comes to, at every step."""

from dataclasses import dataclass

from fintech_kernel.contracts.processors import Outcome, ProcessorAnswer, ProcessorCapabilities
from fintech_kernel.errors import Refusal
from fintech_kernel.money import Money
from fintech_payments.domain import decisions
from fintech_payments.domain.commands import CapturePayment, ExpirePayment, RefundPayment
from fintech_payments.domain.events import (
    CaptureMode,
    Effect,
    OutcomeAbandoned,
    OutcomeClosed,
    PaymentCreated,
    PaymentEvent,
)
from fintech_payments.domain.model import Payment, evolve, fold
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

CAPABILITIES = ProcessorCapabilities(
    partial_capture=True,
    multiple_capture=True,
    partial_refund=True,
    asynchronous=True,
    key_retention_seconds=86_400,
    in_flight_limit_seconds=60,
)
amounts = st.integers(1, 12)
"""Small against what is authorized, so that there is room for several captures and refunds."""

seldom = st.integers(1, 4).map(lambda number: number == 1)
"""Drawn for what ends a payment, so that most of them live for a while."""

mostly_approved = st.sampled_from([Outcome.APPROVED] * 4 + [Outcome.DECLINED, Outcome.UNKNOWN])
answers = st.sampled_from([Outcome.APPROVED, Outcome.DECLINED, Outcome.UNKNOWN])


def kes(amount: int) -> Money:
    return Money(amount=amount, currency="KES")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call to the processor that has no answer yet."""

    number: int
    effect: Effect
    amount: int

    @property
    def operation_id(self) -> str:
        return f"op_{self.number}"

    @property
    def refund_id(self) -> str:
        return f"ref_{self.number}" if self.effect is Effect.REFUND else ""


class PaymentsAgainstNumbers(RuleBasedStateMachine):
    """Numbers alone: reserved, taken, given back; and whether the authorization is closed."""

    @initialize(
        amount=st.integers(10, 30),
        capture=st.sampled_from(list(CaptureMode)),
        outcome=mostly_approved,
    )
    def create(self, amount: int, capture: CaptureMode, outcome: Outcome) -> None:
        self.payment: Payment = fold(
            [
                PaymentCreated(
                    payment_id="pay_1",
                    merchant_id="mer_1",
                    amount=kes(amount),
                    capture=capture,
                    method="card",
                    token="sandbox_approve",
                    processor="sandbox",
                    reference="",
                    metadata={},
                    pricing=None,
                    settlement_delay_days=0,
                    requested_at=1,
                    expires_at=2,
                )
            ]
        )
        self.number = 0
        self.authorized = self.captured = self.refunded = 0
        self.end = ""
        self.calls: list[Call] = []
        self.open: list[Call] = []
        self.sent(Effect.AUTHORIZE, amount)
        self.answer(0, outcome)

    # --- the small model

    def sent(self, effect: Effect, amount: int) -> None:
        self.number += 1
        self.calls.append(Call(number=self.number, effect=effect, amount=amount))

    def under_way(self, *effects: Effect) -> int:
        return sum(one.amount for one in (*self.calls, *self.open) if one.effect in effects)

    @property
    def left(self) -> int:
        """What may still be captured, or must be released."""
        is_closing = self.end or self.under_way(Effect.CANCEL, Effect.EXPIRE)
        taken = self.captured + self.under_way(Effect.CAPTURE)
        return 0 if is_closing else self.authorized - taken

    @property
    def status(self) -> str:
        if self.end and not self.captured:
            return self.end
        if self.captured:
            return "refunded" if self.refunded == self.captured else "captured"
        return "authorized" if self.authorized else "pending"

    def approved(self, call: Call) -> None:
        match call.effect:
            case Effect.AUTHORIZE:
                self.authorized = call.amount
                if self.payment.capture is CaptureMode.AUTOMATIC:
                    self.captured = call.amount
            case Effect.CAPTURE:
                self.captured += call.amount
            case Effect.CANCEL:
                self.end = "canceled"
            case Effect.EXPIRE:
                self.end = "expired"
            case Effect.REFUND:
                self.refunded += call.amount
            case Effect.REVERSE:
                raise AssertionError("not driven here")

    def declined(self, call: Call) -> None:
        if call.effect is Effect.AUTHORIZE:
            self.end = "failed"
        if call.effect is Effect.EXPIRE:
            self.end = "expired"

    # --- what may happen

    def decided(self, events: tuple[PaymentEvent, ...]) -> None:
        for event in events:
            self.payment = evolve(self.payment, event)

    def tried(self, *, is_allowed: bool, effect: Effect, amount: int) -> None:
        refund = RefundPayment(
            payment_id="pay_1",
            merchant_id="mer_1",
            refund_id=f"ref_{self.number + 1}",
            amount=kes(amount),
            reason="",
            requested_at=1,
        )
        capture = CapturePayment(
            payment_id="pay_1", merchant_id="mer_1", amount=kes(amount), requested_at=1
        )
        expiry = ExpirePayment(
            payment_id="pay_1", merchant_id="mer_1", expires_at=2, requested_at=2
        )
        try:
            match effect:
                case Effect.CAPTURE:
                    events = decisions.decide_capture(self.payment, capture, CAPABILITIES)
                case Effect.REFUND:
                    events = decisions.decide_refund(self.payment, refund, CAPABILITIES)
                case Effect.EXPIRE:
                    events = decisions.decide_expiry(self.payment, expiry)
                case _:
                    events = decisions.decide_cancel(self.payment)
        except Refusal:
            assert not is_allowed, f"{effect} of {amount} was refused"
            return
        assert is_allowed, f"{effect} of {amount} was accepted"
        self.decided(events)
        self.sent(effect, amount)

    @rule(amount=amounts)
    def capture(self, amount: int) -> None:
        is_allowed = not self.open and amount <= self.left
        self.tried(is_allowed=is_allowed, effect=Effect.CAPTURE, amount=amount)

    @rule()
    def capture_all_that_is_left(self) -> None:
        if self.left:
            self.tried(is_allowed=not self.open, effect=Effect.CAPTURE, amount=self.left)

    @rule(is_meant=seldom)
    def cancel(self, *, is_meant: bool) -> None:
        if not is_meant:
            return
        is_untouched = self.left > 0 and self.left == self.authorized
        is_allowed = is_untouched and not self.open
        self.tried(is_allowed=is_allowed, effect=Effect.CANCEL, amount=self.authorized)

    @rule(is_over=seldom)
    def expire(self, *, is_over: bool) -> None:
        if is_over and not decisions.is_busy(self.payment):
            self.tried(is_allowed=self.left > 0, effect=Effect.EXPIRE, amount=self.authorized)

    @rule(amount=amounts)
    def refund(self, amount: int) -> None:
        gone = self.refunded + self.under_way(Effect.REFUND)
        is_allowed = not self.open and amount <= self.captured - gone
        self.tried(is_allowed=is_allowed, effect=Effect.REFUND, amount=amount)

    @precondition(lambda self: self.calls)
    @rule(which=st.integers(0, 50), outcome=answers)
    def is_answered(self, which: int, outcome: Outcome) -> None:
        self.answer(which, outcome)

    def answer(self, which: int, outcome: Outcome) -> None:
        call = self.calls.pop(which % len(self.calls))
        self.decided(self.answered(call, outcome))
        if outcome is Outcome.UNKNOWN:
            self.open.append(call)
        else:
            self.concluded(call, outcome)

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 50), is_approved=st.booleans(), is_abandoned=st.booleans())
    def learn(self, which: int, *, is_approved: bool, is_abandoned: bool) -> None:
        call = self.open.pop(which % len(self.open))
        closed: PaymentEvent = OutcomeClosed(operation_id=call.operation_id)
        if is_abandoned:
            closed = OutcomeAbandoned(operation_id=call.operation_id, abandoned_at=3)
        is_taken = is_approved and not is_abandoned
        outcome = Outcome.APPROVED if is_taken else Outcome.DECLINED
        self.decided((closed, *self.answered(call, outcome)))
        self.concluded(call, outcome)

    def answered(self, call: Call, outcome: Outcome) -> tuple[PaymentEvent, ...]:
        return decisions.decide_answer(
            self.payment,
            call.effect,
            ProcessorAnswer(outcome=outcome, decline_code="no"),
            operation_id=call.operation_id,
            amount=kes(call.amount),
            now=1,
            refund_id=call.refund_id,
        )

    def concluded(self, call: Call, outcome: Outcome) -> None:
        if outcome is Outcome.APPROVED:
            self.approved(call)
        else:
            self.declined(call)

    # --- what holds at every step

    @invariant()
    def amounts_are_the_numbers(self) -> None:
        if not hasattr(self, "payment"):
            return
        refunds = self.refunded + self.under_way(Effect.REFUND)
        assert (self.payment.authorized, self.payment.captured, self.payment.refunded) == (
            self.authorized,
            self.captured,
            refunds,
        )
        assert refunds <= self.captured <= self.authorized <= self.payment.amount.amount
        assert self.payment.status == self.status
        assert bool(self.payment.open_outcomes) == bool(self.open)


PaymentsAgainstNumbers.TestCase.settings = settings(
    max_examples=100, stateful_step_count=30, deadline=None
)
TestPaymentsAgainstNumbers = PaymentsAgainstNumbers.TestCase
