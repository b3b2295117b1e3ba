"""Identifiers as a dependency: TypeIDs (a prefix and a UUIDv7) for objects, random tokens for attempts.

A TypeID sorts by time and says what it names (``pay_01h...``). Sources: the TypeID specification
0.3.0 and RFC 9562 section 5.7 for UUIDv7.
"""

import hashlib
import re
import secrets
from collections.abc import Callable
from typing import Protocol

import uuid_utils
from typeid import TypeID

from fintech_kernel.clock import Clock

MERCHANT_ID = re.compile(r"[a-z0-9_]{1,64}")
"""What a merchant id may look like: without ``/`` and ``:`` it cannot forge a stream or an account."""

OBJECT_ID = re.compile(r"[a-z0-9_]{1,64}")
"""What any id of ours looks like; checked before an id takes part in a key."""

_TIMESTAMP_BITS = 48
_RANDOM_A_BITS = 12
_RANDOM_B_BITS = 62
_NONCE_BYTES = 16


class Identifiers(Protocol):
    """Makes ids and nonces."""

    def new(self, prefix: str) -> str:
        """Return a new TypeID, for instance ``pay_01jd2k...``."""
        ...

    def nonce(self) -> str:
        """Return 128 random bits as hex: never reused."""
        ...


class RandomIdentifiers:
    """Ids from a clock and a source of randomness (``secrets`` unless a test gives its own)."""

    def __init__(
        self, clock: Clock, *, random_bits: Callable[[int], int] = secrets.randbits
    ) -> None:
        self._clock = clock
        self._random_bits = random_bits

    def new(self, prefix: str) -> str:
        """Return a new TypeID."""
        timestamp = self._clock.now_milliseconds() & ((1 << _TIMESTAMP_BITS) - 1)
        value = timestamp << 80
        value |= 0x7 << 76
        value |= self._random_bits(_RANDOM_A_BITS) << 64
        value |= 0b10 << 62
        value |= self._random_bits(_RANDOM_B_BITS)
        uuid = uuid_utils.UUID(int=value)
        return f"{TypeID.from_uuid(uuid, prefix=prefix)}"  # pyright: ignore[reportUnknownMemberType] - its annotations leave the prefix open

    def nonce(self) -> str:
        """Return 128 random bits as hex."""
        return f"{self._random_bits(_NONCE_BYTES * 8):032x}"


def derived_id(prefix: str, text: str) -> str:
    """Return the TypeID that a text has for ever: of what others name, so that it is met again as itself."""
    value = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
    return f"{TypeID.from_uuid(uuid_utils.UUID(int=value), prefix=prefix)}"  # pyright: ignore[reportUnknownMemberType] - see new
