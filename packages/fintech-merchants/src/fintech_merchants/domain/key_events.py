"""What happens to an API key. Past tense, stored for ever: fields are only ever added.

Times are UTC milliseconds, chosen before the operation was claimed. Of the secret no event holds more
than its HMAC and its last four characters.
"""

from dataclasses import dataclass
from typing import ClassVar, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyCreated:
    """A merchant has a new key. ``rotated_from`` is the key that it replaces, empty where none."""

    type: ClassVar[str] = "api_key.created"
    key_id: str
    merchant_id: str
    name: str
    scopes: tuple[str, ...]
    digest: str
    last_four: str
    expires_at: int | None
    rotated_from: str = ""
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyRescoped:
    """The key has other scopes from now on."""

    type: ClassVar[str] = "api_key.rescoped"
    scopes: tuple[str, ...]
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyRotated:
    """Another key replaces it; it works until ``expires_at``."""

    type: ClassVar[str] = "api_key.rotated"
    rotated_to: str
    expires_at: int
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyRevoked:
    """The key works no more."""

    type: ClassVar[str] = "api_key.revoked"
    reason: str
    at: int


ApiKeyEvent: TypeAlias = ApiKeyCreated | ApiKeyRescoped | ApiKeyRotated | ApiKeyRevoked
