"""One byte sequence for one JSON value (RFC 8785), and hashes over it."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import rfc8785

Json: TypeAlias = "str | int | bool | Mapping[str, Json] | Sequence[Json] | None"
"""A JSON value as this project uses it: numbers are integers."""


def canonical_json(value: Json) -> str:
    """Return the RFC 8785 form of a value.

    Raises:
        rfc8785.CanonicalizationError: the value has no canonical form (an integer beyond 2**53, a
            lone surrogate).
    """
    return rfc8785.dumps(value).decode()


def sha256_hex(text: str) -> str:
    """Return the SHA-256 of a text's UTF-8 bytes, as 64 hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_base32(text: str) -> str:
    """Return the SHA-256 of a text's UTF-8 bytes as 52 lower-case base32 letters (RFC 4648)."""
    digest = hashlib.sha256(text.encode()).digest()
    return base64.b32encode(digest).decode().rstrip("=").lower()
