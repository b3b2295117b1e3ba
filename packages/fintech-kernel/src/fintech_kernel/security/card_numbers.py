"""Card numbers: recognised, so that they are refused before anything stores or logs them.

This API takes tokens of a processor, never cards. A run of 13 to 19 digits (ISO/IEC 7812) whose Luhn
check digit fits looks like a card, whether written together or in the groups printed on cards.
"""

import re
from typing import Final

DIGITS_MIN: Final = 13
DIGITS_MAX: Final = 19

_BASE: Final = 10

_CANDIDATE: Final = re.compile(
    r"(?<![^\W_])"  # not inside a word: ids of ours and UUIDs carry letters next to their digits
    rf"(?:\d{{{DIGITS_MIN},{DIGITS_MAX}}}"
    r"|\d{4}([ .-])\d{4}\1\d{4}\1\d{1,7}"  # 4-4-4-4, the last group up to 19 digits in all
    r"|\d{4}([ .-])\d{6}\2\d{4,5})"  # 4-6-5 and 4-6-4
    r"(?![^\W_])"
)

_DIGIT_RUN: Final = re.compile(r"\d(?:[ .-]?\d){12}")


def may_hold_card_number(text: str) -> bool:
    """Whether a closer look is worth its time: quick, and true for everything that holds a card."""
    return _DIGIT_RUN.search(text) is not None


def holds_card_number(text: str) -> bool:
    """Whether a text holds something that looks like a card number."""
    return any(luhn_valid(match.group()) for match in _CANDIDATE.finditer(text))


def luhn_valid(text: str) -> bool:
    """Whether the digits of a text satisfy the Luhn formula (ISO/IEC 7812-1 annex B)."""
    digits = [int(character) for character in text if character.isdecimal()]
    total = sum(digits[-1::-2])
    total += sum(sum(divmod(2 * digit, _BASE)) for digit in digits[-2::-2])
    return total % _BASE == 0
