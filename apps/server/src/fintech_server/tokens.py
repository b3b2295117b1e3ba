"""Tokens for the command line: issued with the configured key, or with a data folder's.

Imported only by commands that need a key: it brings the kernel.
"""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol, cast

from fintech_kernel.clock import MILLISECONDS_PER_SECOND, SystemClock
from fintech_kernel.domain.access import API_KEY_PREFIX, TokenRejected
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.permissions import MERCHANT_ROLES, PLATFORM_ADMIN, ROLES
from fintech_kernel.errors import Unauthenticated
from fintech_kernel.hooks import SettingsSpec
from fintech_kernel.identifiers import RandomIdentifiers
from fintech_kernel.security.tokens import TokenIssuer, TokenVerifier, json_object, parts_of
from fintech_kernel.settings import KernelSettings, load_settings

from fintech_server.development import DEFAULT_FOLDER, DataFolder
from fintech_server.failures import CommandFailed

CONFIGURED_KEYS: Final = (
    "JWT_SECRET",
    "JWT_PUBLIC_KEY",
    "JWT_PRIVATE_KEY",
    "JWT_KEYS_FILE",
    "JWT_JWKS_FILE",
)
"""Variables that say that this shell belongs to a real deployment."""

_PARTS: Final = ("header", "payload")
_TIMES: Final = {"iat": "issued", "nbf": "counts from", "exp": "expires"}

NO_DATABASE: Final = "http://127.0.0.1"
"""Stands where settings want a database and none is spoken to."""


class Credentials(Protocol):
    """Who can speak for principals."""

    def bearer(self, *, role: str, subject: str, merchant_id: str) -> str:
        """Return a token for a principal; ``merchant_id`` is empty for platform staff."""
        ...


class SignedTokens:
    """Signs a fresh token for whoever is asked for."""

    def __init__(self, settings: KernelSettings) -> None:
        """Read the key.

        Raises:
            StartupFault: there is no key to sign with.
        """
        clock = SystemClock()
        self.lifetime_seconds: Final = settings.jwt_lifetime_seconds
        self._issuer = TokenIssuer(settings, clock, RandomIdentifiers(clock))

    def bearer(self, *, role: str, subject: str, merchant_id: str) -> str:
        """Return a token.

        Raises:
            CommandFailed: no such principal can have one.
        """
        if role not in ROLES:
            raise CommandFailed(f"there is no role {role!r}: roles are {', '.join(ROLES)}")
        if role in MERCHANT_ROLES and not merchant_id:
            raise CommandFailed(f"{role} is a merchant's role: say whose with --merchant")
        if role not in MERCHANT_ROLES and merchant_id:
            raise CommandFailed(f"{role} is the platform's role: leave --merchant out")
        try:
            return self._issuer.issue(
                Actor(subject=subject, roles=(role,), merchant_id=merchant_id)
            )
        except ValueError as error:
            raise CommandFailed(str(error)) from error


class OneToken:
    """One platform token that was given, for everything."""

    def __init__(self, token: str) -> None:
        self._token = token

    def bearer(self, *, role: str, subject: str, merchant_id: str) -> str:
        """Return the token, whoever is asked for: it must be an administrator's of the platform."""
        del role, subject, merchant_id  # it was issued to whom it was issued
        return self._token


def signed_tokens(settings: Mapping[str, object] | None) -> SignedTokens:
    """Return a signer for these settings; None is the environment's alone.

    Raises:
        StartupFault: the settings are not right, or hold no key to sign with.
    """
    return SignedTokens(_loaded(settings))


def found_tokens(data_folder: Path | None) -> SignedTokens:
    """Return a signer with the key of the named folder, else of the environment, else of ``.fintech``.

    Raises:
        CommandFailed: there is no such folder.
        StartupFault: see ``signed_tokens``.
    """
    return SignedTokens(found_settings(data_folder))


def found_settings(data_folder: Path | None) -> KernelSettings:
    """Return the settings of the named folder, else of the environment, else of ``.fintech``.

    Raises:
        CommandFailed: there is no such folder.
        StartupFault: the settings are not right.
    """
    if data_folder is None and any(os.environ.get(name) for name in CONFIGURED_KEYS):
        return _loaded(None)
    folder = DataFolder.existing(data_folder or DEFAULT_FOLDER)
    return _loaded(folder.settings(database_url=NO_DATABASE, database_token=None))


def inspected(token: str, settings: KernelSettings) -> tuple[list[str], bool]:
    """Return lines that say what a token holds, and whether its signature and times are accepted.

    The reason of a refusal is for the terminal of whoever runs a server; a client never gets it.
    Whether the token was revoked only the database knows: that is not asked here.
    """
    if token.startswith(API_KEY_PREFIX):
        return ["This is an API key, no token: it says nothing by itself."], False
    clock = SystemClock()
    try:
        header, payload, _ = parts_of(token)
        shown = {
            name: json_object(raw, name)
            for name, raw in zip(_PARTS, (header, payload), strict=True)
        }
    except TokenRejected as reason:
        return [f"not accepted: {reason}"], False
    lines = [
        f"{name}: {json.dumps(said, indent=2, sort_keys=True)}" for name, said in shown.items()
    ]
    now = clock.now_milliseconds() // MILLISECONDS_PER_SECOND
    lines += [
        f"{word} {_in_words(said, now)}"
        for claim, word in _TIMES.items()
        if type(said := shown["payload"].get(claim)) is int
    ]
    try:
        TokenVerifier(settings, clock).verify(token)
    except Unauthenticated as refused:
        return [*lines, f"not accepted: {refused.__cause__}"], False
    return [*lines, "accepted, unless it was revoked"], True


def _in_words(seconds: int, now: int) -> str:
    """Return a time and how far away it is."""
    try:
        written = datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return "at a time that no calendar has"
    distance = timedelta(seconds=abs(seconds - now))
    return f"{written}, {distance} ago" if seconds <= now else f"{written}, in {distance}"


def _loaded(settings: Mapping[str, object] | None) -> KernelSettings:
    loaded = load_settings([SettingsSpec(name="kernel", model=KernelSettings)], settings)
    return cast("KernelSettings", loaded["kernel"])


__all__ = [
    "PLATFORM_ADMIN",
    "Credentials",
    "OneToken",
    "SignedTokens",
    "found_settings",
    "found_tokens",
    "inspected",
    "signed_tokens",
]
