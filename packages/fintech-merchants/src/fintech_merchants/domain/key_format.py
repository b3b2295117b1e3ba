"""What an API key looks like: ``fk_live_`` or ``fk_test_``, 32 random characters, 6 of a checksum.

Random characters are base62: 190 bits, of which 166 remain to who knows the last four characters. The
checksum is the CRC-32 of all that stands before it, in base62, as GitHub's tokens have it: it tells a
key from what looks like one, and a typo, without asking the database. It guards nothing.
"""

import re
import string
import zlib
from collections.abc import Callable
from enum import StrEnum
from typing import Final

ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM_CHARACTERS: Final = 32
CHECKSUM_CHARACTERS: Final = 6
"""Enough for 32 bits: 62 ** 6 > 2 ** 32."""

SHOWN_CHARACTERS: Final = 4
"""Characters of a key's end that are kept and shown, so that people recognise it."""

KEY_PATTERN: Final = rf"fk_(?:live|test)_[0-9A-Za-z]{{{RANDOM_CHARACTERS + CHECKSUM_CHARACTERS}}}"
"""What secret scanners look for."""

_KEY: Final = re.compile(KEY_PATTERN)


class KeyEnvironment(StrEnum):
    """Where a key works: with real money, or not."""

    LIVE = "live"
    TEST = "test"


def new_secret(environment: KeyEnvironment, random_below: Callable[[int], int]) -> str:
    """Return a new key. ``random_below(n)`` returns a number below ``n``, each as likely."""
    number = random_below(len(ALPHABET) ** RANDOM_CHARACTERS)
    body = f"{_prefix(environment)}{_base62(number, RANDOM_CHARACTERS)}"
    return body + _checksum(body)


def looks_like_key(text: str) -> bool:
    """Whether a text is shaped like a key and its checksum fits."""
    if not _KEY.fullmatch(text):
        return False
    body, checksum = text[:-CHECKSUM_CHARACTERS], text[-CHECKSUM_CHARACTERS:]
    return _checksum(body) == checksum


def is_of(environment: KeyEnvironment, key: str) -> bool:
    """Whether a key says that it works there."""
    return key.startswith(_prefix(environment))


def last_four(key: str) -> str:
    """Return the characters of a key that may be shown."""
    return key[-SHOWN_CHARACTERS:]


def _prefix(environment: KeyEnvironment) -> str:
    return f"fk_{environment.value}_"


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), CHECKSUM_CHARACTERS)


def _base62(number: int, length: int) -> str:
    characters: list[str] = []
    for _ in range(length):
        number, remainder = divmod(number, len(ALPHABET))
        characters.append(ALPHABET[remainder])
    return "".join(reversed(characters))
