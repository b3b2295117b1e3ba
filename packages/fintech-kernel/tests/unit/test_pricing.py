"""What a pricing charges: lines that sum to the fee, within its bounds."""

import pytest
from fintech_kernel.contracts.merchants import PricingRule
from fintech_kernel.money import Money
from fintech_kernel.pricing import FeeLine, FeePart, applicable_rule, fee_lines, fee_of
from hypothesis import given
from hypothesis import strategies as st

rules = st.builds(
    PricingRule,
    rule_id=st.just("rule"),
    currency=st.just(""),
    basis_points=st.integers(0, 10_000),
    fixed=st.integers(0, 10_000),
    minimum=st.integers(0, 1_000),
    maximum=st.none() | st.integers(1_000, 10**9),
)


def kes(amount: int) -> Money:
    return Money(amount=amount, currency="KES")


def rule(**changes) -> PricingRule:
    return PricingRule(**{"rule_id": "r", "currency": "", "basis_points": 0, "fixed": 0, **changes})


@given(rules, st.integers(0, 10**12))
def test_lines_sum_to_a_fee_within_its_bounds(pricing, amount):
    lines = fee_lines(pricing, kes(amount))

    fee = fee_of(pricing, kes(amount)).amount
    assert sum(line.amount for line in lines) == fee <= amount
    assert fee >= min(pricing.minimum, amount)
    assert pricing.maximum is None or fee <= pricing.maximum


@pytest.mark.parametrize(
    ("pricing", "amount", "lines"),
    [
        (rule(basis_points=290, fixed=60), 10_000, [("basis_points", 290), ("fixed", 60)]),
        (rule(basis_points=100, minimum=50), 1_000, [("basis_points", 10), ("minimum", 40)]),
        (rule(basis_points=100, maximum=5), 1_000, [("basis_points", 10), ("maximum", -5)]),
        (rule(fixed=100), 30, [("fixed", 100), ("amount", -70)]),
        (rule(), 30, []),
        (rule(fixed=100), 0, []),
        (None, 30, []),
    ],
)
def test_a_fee_is_explained_line_by_line(pricing, amount, lines):
    expected = tuple(FeeLine(part=FeePart(part), amount=value) for part, value in lines)

    assert fee_lines(pricing, kes(amount)) == expected


def test_a_half_of_a_minor_unit_goes_to_the_even_neighbour():
    assert [fee_of(rule(basis_points=50), kes(amount)).amount for amount in (100, 300)] == [0, 2]


def test_the_first_rule_whose_selectors_match_applies():
    mobile = rule(rule_id="mobile", method="mobile_money")
    dollars = rule(rule_id="dollars", currency="USD")

    assert applicable_rule((mobile, dollars), currency="USD", method="card") is dollars
    assert applicable_rule((mobile, dollars), currency="USD", method="mobile_money") is mobile
    assert applicable_rule((mobile, dollars), currency="KES", method="card") is None
