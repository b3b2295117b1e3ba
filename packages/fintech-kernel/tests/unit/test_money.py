"""Money: integers, half-even, and nothing that is not money."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import pytest
from fintech_kernel.money import AMOUNT_MAX, InvalidMoney, Money, divide_half_even, exponent
from hypothesis import given
from hypothesis import strategies as st


def kes(amount: int) -> Money:
    return Money(amount=amount, currency="KES")


@given(st.integers(-(10**18), 10**18), st.integers(1, 10**9))
def test_division_rounds_half_to_even_as_decimal_does(dividend: int, divisor: int) -> None:
    expected = (Decimal(dividend) / Decimal(divisor)).quantize(0, ROUND_HALF_EVEN)
    if abs(dividend) < 10**15:
        assert divide_half_even(dividend, divisor) == int(expected)
    assert abs(divide_half_even(dividend, divisor) * divisor - dividend) * 2 <= divisor


@pytest.mark.parametrize("amount", [-1, AMOUNT_MAX + 1, True, 1.0, "1", None])
def test_what_is_no_amount_is_refused(amount: Any) -> None:
    with pytest.raises(InvalidMoney):
        Money(amount=amount, currency="KES")


@pytest.mark.parametrize("currency", ["", "kes", "XAU", "XXX", "KE", "BTC"])
def test_what_is_no_currency_is_refused(currency: str) -> None:
    with pytest.raises(InvalidMoney):
        Money(amount=1, currency=currency)


def test_exponents_are_those_of_iso_4217() -> None:
    assert [exponent(code) for code in ("JPY", "KES", "USD", "KWD")] == [0, 2, 2, 3]


def test_amounts_are_shown_with_their_digits() -> None:
    shown = [Money(amount=1205, currency=code).formatted() for code in ("JPY", "KES", "KWD")]
    assert shown == ["JPY 1205", "KES 12.05", "KWD 1.205"]


def test_currencies_do_not_mix_and_differences_are_not_negative() -> None:
    with pytest.raises(InvalidMoney):
        kes(1).plus(Money(amount=1, currency="USD"))
    with pytest.raises(InvalidMoney):
        kes(1).minus(kes(2))
    assert kes(2).minus(kes(1)).plus(kes(3)) == kes(4)


@given(st.integers(0, AMOUNT_MAX), st.integers(0, 10_000))
def test_a_share_in_basis_points_never_exceeds_the_whole(amount: int, points: int) -> None:
    assert 0 <= kes(amount).basis_points(points).amount <= amount
