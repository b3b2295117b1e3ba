"""What must never stand in a log line, an answer or a metric, recognised wherever it appears.

Card numbers are found here as digits: 13 to 19 of them, together or in the groups printed on cards,
whose Luhn check digit fits. So that chance does not fail a test, four rules say what is no number:

- times in our logs are ISO 8601 texts, not counts of milliseconds (13 digits, some of them Luhn-valid);
  only the database service begins its lines with such a count, in ``"time":``;
- digits beside a letter, a digit or an underscore are part of an identifier, as in ``pay_01k9...`` and
  in hexadecimal trace ids; digits behind a decimal point are a fraction;
- runs of more than 19 digits are no card.
"""

import re
from collections.abc import Iterator
from typing import Final

CANARY: Final = "canary"
"""Tests put this word into every secret of theirs: where it appears, something was told."""

_DIGITS_MIN: Final = 13
_DIGITS_MAX: Final = 19
_BASE: Final = 10
_TOGETHER: Final = rf"\d{{{_DIGITS_MIN},{_DIGITS_MAX}}}"
_GROUPED: Final = r"\d{4}(?:[ .-]\d{4,6}){2,3}(?:[ .-]\d{1,7})?"
_CARD: Final = re.compile(rf'(?<!\w)(?<!\d\.)(?<!"time":)(?:{_TOGETHER}|{_GROUPED})(?!\w)')

_SECRETS: Final = {
    "a canary": re.compile(CANARY, re.IGNORECASE),
    "a token": re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\."),
    "an authorization": re.compile(r"\bBearer [A-Za-z0-9._~+/-]{8,}"),
    "an API key": re.compile(r"\bfk_(?:live|test)_[A-Za-z0-9]{8,}"),
    "a webhook's secret": re.compile(r"\bwhsec_[A-Za-z0-9+/]{8,}"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    "a password in an address": re.compile(r"[a-z][a-z0-9+.-]*://[^\s/:@\"]+:[^\s/@\"]+@"),
    "SQL": re.compile(
        r"\b(?:SELECT\b.{1,400}?\bFROM|INSERT INTO|UPDATE\b.{1,60}?\bSET|DELETE FROM)\b", re.DOTALL
    ),
}


def leaks(text: str) -> Iterator[str]:
    """Yield what a text tells that it must not, each with the text around it."""
    for name, pattern in _SECRETS.items():
        yield from (f"{name}: {_around(text, found)}" for found in pattern.finditer(text))
    for found in _CARD.finditer(text):
        if _is_luhn_valid(found.group()):
            yield f"a card number: {_around(text, found)}"


def _around(text: str, found: re.Match[str]) -> str:
    return repr(text[max(0, found.start() - 40) : found.end() + 40])


def _is_luhn_valid(text: str) -> bool:
    """Whether the digits of a text satisfy the Luhn formula; written anew, not the code under test."""
    digits = [int(character) for character in text if character.isdecimal()]
    if not _DIGITS_MIN <= len(digits) <= _DIGITS_MAX:
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = digit * (1 + place % 2)
        total += value - (_BASE - 1) * (value >= _BASE)
    return total % _BASE == 0
