"""Secrets of API keys: drawn by an executor, handed to the request that it runs in, kept nowhere.

Why in this way stands in ``docs/decisions/0010-a-secret-is-handed-over-once.md``.
"""

import secrets
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from fintech_kernel.security.secrets import KeyRing

from fintech_merchants.domain.key_format import (
    KeyEnvironment,
    is_of,
    last_four,
    looks_like_key,
    new_secret,
)
from fintech_merchants.domain.keys import SealedSecret

PEPPER_PURPOSE: Final = "api_key"
"""What the pepper of the HMACs is derived for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnSecret:
    """A secret that one executor drew, and what may be written down of it."""

    secret: str = field(repr=False)
    sealed: SealedSecret


class SecretSource:
    """Draws secrets and seals them. ``random_below`` is the system's unless a test gives its own."""

    def __init__(
        self,
        *,
        keyring: KeyRing,
        environment: KeyEnvironment,
        random_below: Callable[[int], int] = secrets.randbelow,
    ) -> None:
        self._keyring = keyring
        self._environment = environment
        self._random_below = random_below

    def draw(self) -> DrawnSecret:
        """Return a new secret."""
        secret = new_secret(self._environment, self._random_below)
        digest = self._keyring.sign(PEPPER_PURPOSE, secret.encode())
        return DrawnSecret(
            secret=secret, sealed=SealedSecret(digest=digest, last_four=last_four(secret))
        )

    def digests(self, secret: str) -> tuple[str, ...]:
        """Return every HMAC that may stand for a secret: none where it cannot be a key of ours here."""
        if not looks_like_key(secret) or not is_of(self._environment, secret):
            return ()
        return self._keyring.signatures(PEPPER_PURPOSE, secret.encode())


@dataclass(slots=True)
class Receipt:
    """Where the executor of a request leaves the secret of the key that it made."""

    secret: str | None = field(default=None, repr=False)


_receipt: ContextVar[Receipt | None] = ContextVar("fintech_api_key_receipt", default=None)


@contextmanager
def expecting_secret() -> Generator[Receipt]:
    """Operations that are begun in this block leave their secret in the receipt."""
    receipt = Receipt()
    token = _receipt.set(receipt)
    try:
        yield receipt
    finally:
        _receipt.reset(token)


def hand_over(drawn: DrawnSecret) -> None:
    """Give a secret to the request at hand; where there is none (recovery) it is forgotten."""
    receipt = _receipt.get()
    if receipt is not None:
        receipt.secret = drawn.secret
