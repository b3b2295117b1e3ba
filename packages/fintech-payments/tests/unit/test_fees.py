"""Fees: whatever the number of parts, they add up to the fee of the whole."""

from typing import Any

from fintech_kernel.contracts.merchants import PricingRule, RefundPolicy
from fintech_kernel.contracts.processors import Outcome, ProcessorAnswer, ProcessorCapabilities
from fintech_kernel.money import Money
from fintech_payments.domain.commands import CapturePayment
from fintech_payments.domain.decisions import decide_answer, decide_capture
from fintech_payments.domain.events import CaptureMode, Effect, PaymentAuthorized, PaymentCreated
from fintech_payments.domain.fees import applicable_rule, fee_of, fee_of_capture, fee_returned
from fintech_payments.domain.model import evolve, fold
from fintech_payments.domain.views import payment_view
from hypothesis import given
from hypothesis import strategies as st

CAPABILITIES = ProcessorCapabilities(
    partial_capture=True,
    multiple_capture=True,
    partial_refund=True,
    asynchronous=False,
    key_retention_seconds=86_400,
    in_flight_limit_seconds=60,
)

amounts = st.integers(1, 10**12)
rules = st.builds(
    PricingRule,
    rule_id=st.just("rule"),
    currency=st.just(""),
    basis_points=st.integers(0, 10_000),
    fixed=st.integers(0, 10_000),
    minimum=st.integers(0, 1_000),
    maximum=st.none() | st.integers(1_000, 10**9),
    refund_policy=st.just(RefundPolicy.RETURN),
)


def kes(amount: int) -> Money:
    return Money(amount=amount, currency="KES")


def rule(**changes: object) -> PricingRule:
    given: dict[str, object] = {"rule_id": "r", "currency": "", "basis_points": 0, "fixed": 0}
    return PricingRule(**{**given, **changes})  # pyright: ignore[reportArgumentType] - a test's own values


@given(rules, st.lists(amounts, min_size=1, max_size=8))
def test_fees_of_captures_sum_to_the_fee_of_the_total(
    pricing: PricingRule, parts: list[int]
) -> None:
    charged, before = 0, kes(0)
    for part in parts:
        charged += fee_of_capture(pricing, before=before, amount=kes(part)).amount
        before = before.plus(kes(part))
    assert charged == fee_of(pricing, before).amount <= before.amount


@given(rules, amounts, st.lists(st.integers(1, 100), min_size=1, max_size=8))
def test_returned_shares_sum_to_the_fee_when_everything_is_refunded(
    pricing: PricingRule, captured: int, weights: list[int]
) -> None:
    fee = fee_of(pricing, kes(captured))
    returned, refunded = 0, 0
    for index, weight in enumerate(weights, start=1):
        left = captured - refunded
        part = left if index == len(weights) else min(left, captured * weight // 1_000)
        returned += fee_returned(
            pricing,
            fee=fee,
            returned=kes(returned),
            captured=kes(captured),
            refunded=kes(refunded),
            amount=kes(part),
        ).amount
        refunded += part
    assert returned == fee.amount


def test_limits_hold_and_a_fee_never_exceeds_what_was_captured() -> None:
    assert fee_of(rule(basis_points=100, minimum=50), kes(1_000)).amount == 50
    assert fee_of(rule(basis_points=100, maximum=5), kes(1_000)).amount == 5
    assert fee_of(rule(fixed=100), kes(30)).amount == 30
    assert fee_of(None, kes(30)).amount == 0


def test_a_policy_that_keeps_the_fee_returns_nothing() -> None:
    keeping = rule(fixed=100, refund_policy=RefundPolicy.KEEP)
    returned = fee_returned(
        keeping,
        fee=kes(100),
        returned=kes(0),
        captured=kes(1_000),
        refunded=kes(0),
        amount=kes(1_000),
    )
    assert returned.amount == 0


def test_the_first_rule_whose_selectors_match_applies() -> None:
    mobile = rule(rule_id="mobile", method="mobile_money")
    dollars = rule(rule_id="dollars", currency="USD")
    anything = rule(rule_id="anything")
    pricing = (mobile, dollars, anything)
    found = [
        applicable_rule(pricing, currency=currency, method=method)
        for currency, method in (("KES", "mobile_money"), ("USD", "card"), ("KES", "card"))
    ]
    assert [one.rule_id for one in found if one] == ["mobile", "dollars", "anything"]
    assert applicable_rule((mobile,), currency="KES", method="card") is None


@given(rules, st.lists(amounts, min_size=1, max_size=4))
def test_the_lines_that_a_payment_shows_sum_to_the_fee_that_its_captures_were_charged(
    pricing: PricingRule, parts: list[int]
) -> None:
    payment = fold(
        [
            PaymentCreated(
                payment_id="pay_1",
                merchant_id="mer_1",
                amount=kes(sum(parts)),
                capture=CaptureMode.MANUAL,
                method="card",
                token="sandbox_approve",
                processor="sandbox",
                reference="",
                metadata={},
                pricing=pricing,
                settlement_delay_days=0,
                requested_at=1,
            ),
            PaymentAuthorized(amount=kes(sum(parts)), processor_reference="a"),
        ]
    )
    for part in parts:
        command = CapturePayment(
            payment_id="pay_1", merchant_id="mer_1", amount=kes(part), requested_at=1
        )
        for event in decide_capture(payment, command, CAPABILITIES):
            payment = evolve(payment, event)
        answer = ProcessorAnswer(outcome=Outcome.APPROVED)
        for event in decide_answer(
            payment, Effect.CAPTURE, answer, operation_id="op_1", amount=kes(part), now=1
        ):
            payment = evolve(payment, event)
    fee: Any = payment_view(payment)["fee"]
    assert sum(line["amount"] for line in fee["lines"]) == fee["amount"] == payment.fee
