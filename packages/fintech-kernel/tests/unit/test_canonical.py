"""The quick way of writing canonical JSON writes what RFC 8785's reference implementation writes."""

from datetime import date
from enum import IntEnum, StrEnum

import pytest
import rfc8785
from fintech_kernel.canonical import canonical_json
from hypothesis import given
from hypothesis import strategies as st

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=24,
)


class Word(StrEnum):
    CAPTURED = "captured"


class Number(IntEnum):
    ONE = 1


@given(VALUES)
def test_any_json_value_is_written_as_the_reference_writes_it(value):
    assert canonical_json(value) == rfc8785.dumps(value).decode()


@pytest.mark.parametrize(
    "value",
    [
        {"z": 1, "a": {"c": [1, 2, {"b": None}], "b": True}},
        {"\ue000": 1, "\U00010000": 2},  # by UTF-16 the second stands first, by UTF-8 the last
        {"é": 1, "z": 2},
        ['\x00\x1f\x7f\u2028\\"/', "\U0001f600"],
        {"status": Word.CAPTURED, "parts": (Word.CAPTURED,)},
        1.0,
        [1e21, -0.0, 1e-7],
        Number.ONE,
    ],
)
def test_what_the_two_sort_or_write_differently_is_written_as_the_reference_does(value):
    assert canonical_json(value) == rfc8785.dumps(value).decode()


@pytest.mark.parametrize(
    "value",
    [
        2**53,
        [-(2**53)],
        float("nan"),
        "\ud800",
        {"a": "\ud800"},
        {1: 2},
        date(2026, 1, 1),
        {"a": {1}},
    ],
    ids=repr,
)
def test_what_has_no_canonical_form_is_refused_as_the_reference_refuses_it(value):
    with pytest.raises(rfc8785.CanonicalizationError):
        canonical_json(value)
