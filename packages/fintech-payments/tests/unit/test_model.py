"""A payment under any sequence of commands and answers: amounts stay in order, nothing is stuck."""

from dataclasses import replace

import pytest
from fintech_kernel.contracts.merchants import PricingRule, RefundPolicy
from fintech_kernel.contracts.processors import Outcome, ProcessorAnswer, ProcessorCapabilities
from fintech_kernel.errors import InvariantBroken, Refusal
from fintech_kernel.money import Money
from fintech_payments.domain import decisions
from fintech_payments.domain.commands import CapturePayment, CreatePayment, RefundPayment
from fintech_payments.domain.errors import (
    CaptureExceedsAuthorized,
    CurrencyMismatch,
    CurrencyNotEnabled,
    MerchantNotActive,
    OutcomePending,
    PartialCaptureUnsupported,
    PaymentNotCancelable,
    PaymentNotRefundable,
    RefundExceedsCaptured,
)
from fintech_payments.domain.events import (
    CaptureMode,
    Effect,
    OutcomeClosed,
    PaymentCaptured,
    PaymentCreated,
    PaymentEvent,
)
from fintech_payments.domain.model import (
    TRANSITIONS,
    Payment,
    PaymentStatus,
    RefundStatus,
    evolve,
    fold,
)
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

ABLE = ProcessorCapabilities(
    partial_capture=True,
    multiple_capture=True,
    partial_refund=True,
    asynchronous=False,
    key_retention_seconds=1,
    in_flight_limit_seconds=1,
)
SIMPLE = ProcessorCapabilities(
    partial_capture=False,
    multiple_capture=False,
    partial_refund=False,
    asynchronous=False,
    key_retention_seconds=1,
    in_flight_limit_seconds=1,
)
PRICING = PricingRule(
    rule_id="standard",
    currency="",
    basis_points=290,
    fixed=30,
    refund_policy=RefundPolicy.RETURN,
)


def kes(amount: int) -> Money:
    return Money(amount=amount, currency="KES")


def approved(amount: int | None = None) -> ProcessorAnswer:
    return ProcessorAnswer(
        outcome=Outcome.APPROVED, amount=kes(amount) if amount is not None else None
    )


DECLINED = ProcessorAnswer(outcome=Outcome.DECLINED, decline_code="no")
UNKNOWN = ProcessorAnswer(outcome=Outcome.UNKNOWN)


def creation(*, capture: CaptureMode = CaptureMode.MANUAL, amount: int = 10_000) -> CreatePayment:
    return CreatePayment(
        payment_id="pay_1",
        merchant_id="mer_1",
        merchant_is_active=True,
        merchant_currencies=("KES",),
        amount=kes(amount),
        capture=capture,
        method="card",
        token="sandbox_approve",
        processor="sandbox",
        reference="",
        metadata={},
        pricing=PRICING,
        settlement_delay_days=1,
        requested_at=1_000,
    )


def created(answer: ProcessorAnswer, *, capture: CaptureMode = CaptureMode.MANUAL) -> Payment:
    return fold(
        decisions.decide_creation(creation(capture=capture), answer, operation_id="op_create")
    )


def capture_of(amount: int | None) -> CapturePayment:
    return CapturePayment(
        payment_id="pay_1",
        merchant_id="mer_1",
        amount=None if amount is None else kes(amount),
        requested_at=2_000,
    )


def refund_of(amount: int | None, refund_id: str = "ref_1") -> RefundPayment:
    return RefundPayment(
        payment_id="pay_1",
        merchant_id="mer_1",
        refund_id=refund_id,
        amount=None if amount is None else kes(amount),
        reason="",
        requested_at=3_000,
    )


def applied(payment: Payment, *events: PaymentEvent) -> Payment:
    for event in events:
        payment = evolve(payment, event)
    return payment


def test_a_sale_is_authorized_and_captured_with_its_fee_in_one_decision() -> None:
    payment = created(approved(10_000), capture=CaptureMode.AUTOMATIC)
    assert payment.status is PaymentStatus.CAPTURED
    assert (payment.authorized, payment.captured, payment.fee) == (10_000, 10_000, 320)
    assert payment.available_on == 1_000 + 86_400_000


def test_a_merchant_that_is_not_active_or_lacks_the_currency_takes_nothing() -> None:
    with pytest.raises(MerchantNotActive):
        decisions.check_creation(replace(creation(), merchant_is_active=False))
    with pytest.raises(CurrencyNotEnabled):
        decisions.check_creation(replace(creation(), merchant_currencies=("USD",)))
    decisions.check_creation(replace(creation(), merchant_currencies=None))


def test_an_amount_that_is_not_ours_stops_everything() -> None:
    payment = created(approved(9_999))
    assert payment.status is PaymentStatus.CONFLICTED
    for command in (
        lambda: decisions.decide_capture(payment, capture_of(None), ABLE),
        lambda: decisions.decide_cancel(payment),
        lambda: decisions.decide_refund(payment, refund_of(None), ABLE),
    ):
        with pytest.raises(Refusal):
            command()


def test_while_an_outcome_is_open_everything_else_is_refused() -> None:
    payment = created(UNKNOWN)
    assert payment.status is PaymentStatus.PENDING
    for command in (
        lambda: decisions.decide_capture(payment, capture_of(None), ABLE),
        lambda: decisions.decide_cancel(payment),
        lambda: decisions.decide_refund(payment, refund_of(None), ABLE),
    ):
        with pytest.raises(OutcomePending):
            command()
    answered = decisions.decide_answer(
        payment,
        Effect.AUTHORIZE,
        approved(10_000),
        operation_id="op_create",
        amount=payment.amount,
        now=5_000,
    )
    resolved = applied(payment, OutcomeClosed(operation_id="op_create"), *answered)
    assert resolved.status is PaymentStatus.AUTHORIZED
    assert not resolved.open_outcomes


def test_a_simple_processor_captures_and_refunds_everything_or_nothing() -> None:
    payment = created(approved(10_000))
    with pytest.raises(PartialCaptureUnsupported):
        decisions.decide_capture(payment, capture_of(1), SIMPLE)
    payment = created(approved(10_000), capture=CaptureMode.AUTOMATIC)
    with pytest.raises(RefundExceedsCaptured):
        decisions.decide_refund(payment, refund_of(1), SIMPLE)


def test_another_currency_is_never_captured_or_refunded() -> None:
    payment = created(approved(10_000))
    dollars = replace(capture_of(1), amount=Money(amount=1, currency="USD"))
    with pytest.raises(CurrencyMismatch):
        decisions.decide_capture(payment, dollars, ABLE)

    payment = created(approved(10_000), capture=CaptureMode.AUTOMATIC)
    dollars = replace(refund_of(1), amount=Money(amount=1, currency="USD"))
    with pytest.raises(CurrencyMismatch):
        decisions.decide_refund(payment, dollars, ABLE)


def test_a_capture_under_way_blocks_a_cancellation_and_is_not_taken_twice() -> None:
    payment = created(approved(10_000))
    payment = applied(payment, *decisions.decide_capture(payment, capture_of(7_000), ABLE))
    assert payment.capturable == 3_000
    with pytest.raises(OutcomePending):
        decisions.decide_cancel(payment)
    with pytest.raises(CaptureExceedsAuthorized):
        decisions.decide_capture(payment, capture_of(3_001), ABLE)


def test_nothing_captured_nothing_refunded() -> None:
    with pytest.raises(PaymentNotRefundable):
        decisions.decide_refund(created(approved(10_000)), refund_of(1), ABLE)
    with pytest.raises(PaymentNotCancelable):
        decisions.decide_cancel(created(DECLINED))


def test_a_refund_counts_from_its_decision_and_no_more_when_it_failed() -> None:
    payment = created(approved(10_000), capture=CaptureMode.AUTOMATIC)
    pending = applied(payment, *decisions.decide_refund(payment, refund_of(10_000), ABLE))
    assert (pending.refunded, pending.refundable) == (10_000, 0)
    assert pending.status is PaymentStatus.CAPTURED
    answer = decisions.decide_answer(
        pending,
        Effect.REFUND,
        DECLINED,
        operation_id="op_r",
        amount=kes(10_000),
        now=1,
        refund_id="ref_1",
    )
    failed = applied(pending, *answer)
    assert (failed.refunded, failed.refundable) == (0, 10_000)


def captured_and_refunded(
    payment: Payment, *, capture: int, refund: int, refund_id: str, answer: ProcessorAnswer
) -> Payment:
    if capture:
        requested = decisions.decide_capture(payment, capture_of(capture), ABLE)
        payment = applied(payment, *requested)
        payment = applied(
            payment,
            *decisions.decide_answer(
                payment,
                Effect.CAPTURE,
                approved(capture),
                operation_id=f"op_capture_{refund_id}",
                amount=kes(capture),
                now=2_000,
            ),
        )
    payment = applied(
        payment, *decisions.decide_refund(payment, refund_of(refund, refund_id), ABLE)
    )
    return applied(
        payment,
        *decisions.decide_answer(
            payment,
            Effect.REFUND,
            answer,
            operation_id=f"op_{refund_id}",
            amount=kes(refund),
            now=3_000,
            refund_id=refund_id,
        ),
    )


def test_captures_between_refunds_return_no_more_fee_than_was_charged() -> None:
    payment = created(approved(10_000))
    payment = captured_and_refunded(
        payment, capture=5_000, refund=5_000, refund_id="ref_1", answer=approved(5_000)
    )
    assert payment.fee_returned == payment.fee == 175
    payment = captured_and_refunded(
        payment, capture=5_000, refund=5_000, refund_id="ref_2", answer=approved(5_000)
    )
    assert payment.fee_returned == payment.fee == 320


def test_a_refund_that_failed_leaves_no_rounding_to_be_returned_twice() -> None:
    payment = created(approved(10_000), capture=CaptureMode.AUTOMATIC)
    for size in range(15, 0, -1):
        failing, passing = f"ref_{size}_a", f"ref_{size}_b"
        requested = decisions.decide_refund(payment, refund_of(size, failing), ABLE)
        payment = captured_and_refunded(
            applied(payment, *requested),
            capture=0,
            refund=1,
            refund_id=passing,
            answer=approved(1),
        )
        failed = decisions.decide_answer(
            payment,
            Effect.REFUND,
            DECLINED,
            operation_id=f"op_{failing}",
            amount=kes(size),
            now=3_000,
            refund_id=failing,
        )
        payment = applied(payment, *failed)
    left = payment.refundable
    payment = captured_and_refunded(
        payment, capture=0, refund=left, refund_id="ref_last", answer=approved(left)
    )
    assert payment.refundable == 0
    assert payment.fee_returned == payment.fee == 320


def test_events_that_cannot_follow_are_refused() -> None:
    with pytest.raises(InvariantBroken):
        fold([])
    payment = created(DECLINED)
    capture = PaymentCaptured(amount=kes(1), fee=kes(0), rule_id="", available_on=1)
    with pytest.raises(InvariantBroken):
        evolve(payment, capture)
    events = decisions.decide_creation(creation(), DECLINED, operation_id="op")
    assert isinstance(events[0], PaymentCreated)
    with pytest.raises(InvariantBroken):
        fold([events[0], events[0]])


def test_the_table_of_transitions_covers_every_state() -> None:
    assert set(TRANSITIONS) == set(PaymentStatus)


class PaymentMachine(RuleBasedStateMachine):
    """Any interleaving of decisions and answers that processors may give."""

    def __init__(self) -> None:
        super().__init__()
        self.payment = created(approved(10_000))
        self.under_way: list[tuple[Effect, str, Money, str]] = []
        self.number = 0

    def decide(self, effect: Effect, events: tuple[PaymentEvent, ...], refund_id: str = "") -> None:
        self.payment = applied(self.payment, *events)
        amount = getattr(events[0], "amount", self.payment.amount)
        self.number += 1
        self.under_way.append((effect, f"op_{self.number}", amount, refund_id))

    @rule(amount=st.integers(1, 10_000))
    def capture(self, amount: int) -> None:
        try:
            events = decisions.decide_capture(self.payment, capture_of(amount), ABLE)
        except Refusal:
            return
        self.decide(Effect.CAPTURE, events)

    @rule()
    def cancel(self) -> None:
        try:
            events = decisions.decide_cancel(self.payment)
        except Refusal:
            return
        self.decide(Effect.CANCEL, events)

    @rule(amount=st.integers(1, 10_000))
    def refund(self, amount: int) -> None:
        refund_id = f"ref_{self.number}"
        try:
            events = decisions.decide_refund(self.payment, refund_of(amount, refund_id), ABLE)
        except Refusal:
            return
        self.decide(Effect.REFUND, events, refund_id)

    @precondition(lambda self: self.under_way)
    @rule(
        index=st.integers(0, 9),
        outcome=st.sampled_from(["approve", "decline", "unknown", "conflict"]),
    )
    def answer(self, index: int, outcome: str) -> None:
        effect, operation_id, amount, refund_id = self.under_way.pop(index % len(self.under_way))
        answers = {
            "approve": approved(amount.amount),
            "decline": DECLINED,
            "unknown": UNKNOWN,
            "conflict": approved(amount.amount + 1),
        }
        events = decisions.decide_answer(
            self.payment,
            effect,
            answers[outcome],
            operation_id=operation_id,
            amount=amount,
            now=9,
            refund_id=refund_id,
        )
        was_open = any(one.operation_id == operation_id for one in self.payment.open_outcomes)
        closing = (OutcomeClosed(operation_id=operation_id),) if was_open else ()
        self.payment = applied(self.payment, *closing, *events)
        if outcome == "unknown":
            self.under_way.append((effect, operation_id, amount, refund_id))

    @invariant()
    def amounts_are_in_order(self) -> None:
        payment = self.payment
        assert 0 <= payment.refunded <= payment.captured <= payment.authorized
        assert payment.authorized <= payment.amount.amount
        assert payment.capturable >= 0

    @invariant()
    def fees_sum_exactly(self) -> None:
        payment = self.payment
        whole = payment.captured * 290
        expected = -(-whole // 10_000)  # within one unit of the half-even rounding
        if payment.captured:
            assert abs(payment.fee - min(expected + 30, payment.captured)) <= 1
        assert 0 <= payment.fee_returned <= payment.fee
        if payment.captured and payment.refunded == payment.captured:
            succeeded = [one for one in payment.refunds if one.status is not RefundStatus.FAILED]
            assert sum(one.amount.amount for one in succeeded) == payment.captured


TestPaymentMachine = PaymentMachine.TestCase
