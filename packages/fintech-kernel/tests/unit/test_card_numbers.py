import uuid

import pytest
from fintech_kernel.security.card_numbers import (
    holds_card_number,
    luhn_valid,
    may_hold_card_number,
)
from hypothesis import given
from hypothesis import strategies as st

CARDS = (
    "4111111111111111",
    "5555555555554444",
    "378282246310005",
    "30569309025904",
    "6011111111111117",
    "4222222222222",
    "6304000000000000000",
)


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize("frame", ["{}", " {} ", "card: {}.", "({})", "a={}&b=1", '"{}"', "x\n{}"])
def test_a_card_number_is_found_wherever_it_stands(card: str, frame: str) -> None:
    assert holds_card_number(frame.format(card))


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "3782 822463 10005",
        "\uff14111111111111111",
        "\u0664\u0661\u0661\u0661111111111111",
    ],
)
def test_grouping_and_other_digits_hide_nothing(text: str) -> None:
    assert holds_card_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4111111111111112",
        "411111111111",
        "41111111111111111111111",
        "pay_01k9qq3v5kf7wsc0d3jz8y2m4t",
        "order-1017",
        "2026-01-31T12:00:00.000Z",
        "a4111111111111111",
        "4111111111111111b",
        "1000000000000000",
        "4111-11111111-1111",
    ],
)
def test_what_is_no_card_number_passes(text: str) -> None:
    assert not holds_card_number(text)


@given(st.uuids(version=4))
def test_a_uuid_with_letters_is_no_card_number(value: uuid.UUID) -> None:
    if any(character.isalpha() for character in value.hex[16:]):
        assert not holds_card_number(f"id {value}") or value.hex.isdecimal()


@given(st.text(alphabet="0123456789 -.ab", max_size=40))
def test_the_quick_look_never_misses(text: str) -> None:
    if holds_card_number(text):
        assert may_hold_card_number(text)


@given(st.integers(min_value=10**12, max_value=10**18))
def test_exactly_one_check_digit_fits(body: int) -> None:
    assert sum(luhn_valid(f"{body}{digit}") for digit in range(10)) == 1
