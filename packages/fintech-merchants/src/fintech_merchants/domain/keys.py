"""The API key as a decider, and what a key may do where its merchant stands.

Pure: standard library and kernel value types, no clock, no randomness, no I/O. Which changes a status
allows is one table (``ALLOWED``).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import reduce
from typing import Final, TypeAlias

from fintech_kernel.clock import MILLISECONDS_PER_DAY
from fintech_kernel.contracts.merchants import MerchantStatus
from fintech_kernel.errors import InvariantBroken

from fintech_merchants.domain import errors, key_errors, key_events
from fintech_merchants.domain.key_events import ApiKeyCreated, ApiKeyEvent

ACTIVE_KEYS_MAX: Final = 50
"""Active keys of one merchant, as counted before the claim: creations that race can exceed it.

A bound on clutter, not on what keys may do; so it needs no more than a count.
"""

LIFETIME_DAYS_MAX: Final = 730
"""Two years: the longest that a key with an end may live."""

READING: Final = ":read"
"""How the permissions end that a suspended merchant's keys keep."""


class KeyStatus(StrEnum):
    """The states of a key. ``expired`` comes by itself and is never stored."""

    ACTIVE = "active"
    EXPIRING = "expiring"
    EXPIRED = "expired"
    REVOKED = "revoked"


class KeyAction(StrEnum):
    """What changes a key."""

    RESCOPE = "rescope"
    ROTATE = "rotate"
    REVOKE = "revoke"


ALLOWED: Final[Mapping[KeyStatus, frozenset[KeyAction]]] = {
    KeyStatus.ACTIVE: frozenset(KeyAction),
    KeyStatus.EXPIRING: frozenset({KeyAction.RESCOPE, KeyAction.REVOKE}),
    KeyStatus.EXPIRED: frozenset({KeyAction.REVOKE}),
    KeyStatus.REVOKED: frozenset(),
}
"""What can be done with a key of each status; what is not here is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedSecret:
    """What is written down of a secret: its HMAC with the pepper's id, and its last four characters."""

    digest: str
    last_four: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateKey:
    """Issue a key.

    Attributes:
        grantable: the scopes that whoever asks may give.
        keys_active: how many active keys the merchant had.
    """

    merchant_id: str
    merchant_is_closed: bool
    key_id: str
    name: str
    scopes: tuple[str, ...]
    grantable: tuple[str, ...]
    expires_at: int | None
    keys_active: int
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateKey:
    """Replace a key by ``rotated_to``; it works on for ``overlap_milliseconds`` at most."""

    merchant_id: str
    merchant_is_closed: bool
    key_id: str
    rotated_to: str
    overlap_milliseconds: int
    grantable: tuple[str, ...]
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RescopeKey:
    """Replace a key's scopes."""

    merchant_id: str
    merchant_is_closed: bool
    key_id: str
    scopes: tuple[str, ...]
    grantable: tuple[str, ...]
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeKey:
    """End a key now."""

    merchant_id: str
    key_id: str
    reason: str
    requested_at: int


ChangeKey: TypeAlias = RotateKey | RescopeKey | RevokeKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as its events made it.

    Attributes:
        status: as it is stored; see ``status_at``.
        expires_at: its end as it was created, None where it has none.
        overlap_ends_at: its end since it was rotated, None before.
    """

    key_id: str
    merchant_id: str
    name: str
    scopes: tuple[str, ...]
    digest: str
    last_four: str
    status: KeyStatus
    revoked_because: str
    rotated_from: str
    rotated_to: str
    expires_at: int | None
    overlap_ends_at: int | None
    created_at: int
    updated_at: int

    @property
    def ends_at(self) -> int | None:
        """When it stops to work by itself, None where it does not."""
        return self.expires_at if self.overlap_ends_at is None else self.overlap_ends_at


def decide_creation(command: CreateKey, secret: SealedSecret) -> ApiKeyCreated:
    """Return the new key.

    Raises:
        Refusal: a leaf of ``key_errors``, or ``MerchantClosed``.
    """
    _refuse_closed(command.merchant_id, is_closed=command.merchant_is_closed)
    _refuse_beyond(command.scopes, command.grantable)
    if command.keys_active >= ACTIVE_KEYS_MAX:
        raise key_errors.ApiKeyLimitReached(limit=ACTIVE_KEYS_MAX)
    _check_expiry(command)
    return ApiKeyCreated(
        key_id=command.key_id,
        merchant_id=command.merchant_id,
        name=command.name,
        scopes=command.scopes,
        digest=secret.digest,
        last_four=secret.last_four,
        expires_at=command.expires_at,
        at=command.requested_at,
    )


def decide(state: ApiKey | None, command: ChangeKey) -> ApiKeyEvent:
    """Return what a change leads to.

    Raises:
        Refusal: a leaf of ``key_errors``, or ``MerchantClosed``.
        InvariantBroken: the key does not exist yet.
    """
    if state is None:
        raise InvariantBroken(f"{command.key_id} is changed before it exists")
    match command:
        case RotateKey():
            return _rotate(state, command)
        case RescopeKey():
            return _rescope(state, command)
        case RevokeKey():
            _refuse_unless_allowed(state, KeyAction.REVOKE, command.requested_at)
            return key_events.ApiKeyRevoked(reason=command.reason, at=command.requested_at)


def successor(rotated: ApiKey, command: RotateKey, secret: SealedSecret) -> ApiKeyCreated:
    """Return the key that replaces a rotated one: its name, its scopes, and no later end."""
    return ApiKeyCreated(
        key_id=command.rotated_to,
        merchant_id=command.merchant_id,
        name=rotated.name,
        scopes=rotated.scopes,
        digest=secret.digest,
        last_four=secret.last_four,
        expires_at=rotated.expires_at,
        rotated_from=command.key_id,
        at=command.requested_at,
    )


def evolve(state: ApiKey | None, event: ApiKeyEvent) -> ApiKey:
    """Return what an event makes of a key."""
    if isinstance(event, ApiKeyCreated):
        return _created(event)
    if state is None:
        raise InvariantBroken(f"{event.type} stands before api_key.created")
    match event:
        case key_events.ApiKeyRescoped():
            return replace(state, scopes=event.scopes, updated_at=event.at)
        case key_events.ApiKeyRotated():
            return replace(
                state,
                status=KeyStatus.EXPIRING,
                rotated_to=event.rotated_to,
                overlap_ends_at=event.expires_at,
                updated_at=event.at,
            )
        case key_events.ApiKeyRevoked():
            return replace(
                state,
                status=KeyStatus.REVOKED,
                revoked_because=event.reason,
                updated_at=event.at,
            )


def fold(history: Iterable[ApiKeyEvent]) -> ApiKey | None:
    """Return the key that events made, or None before the first."""
    return reduce(evolve, history, None)


def status_at(stored: KeyStatus, expires_at: int | None, now: int) -> KeyStatus:
    """Return the status of a key at a time: what was not revoked expires by itself."""
    is_over = expires_at is not None and expires_at <= now
    return KeyStatus.EXPIRED if is_over and stored is not KeyStatus.REVOKED else stored


def is_usable(status: KeyStatus, merchant: MerchantStatus) -> bool:
    """Whether a key authenticates: its time is not over, and its merchant is not closed."""
    return (
        status in {KeyStatus.ACTIVE, KeyStatus.EXPIRING} and merchant is not MerchantStatus.CLOSED
    )


def scopes_in_force(scopes: Iterable[str], merchant: MerchantStatus) -> tuple[str, ...]:
    """Return what a usable key may do: a suspended merchant's keys only read."""
    is_suspended = merchant is MerchantStatus.SUSPENDED
    return tuple(scope for scope in scopes if not is_suspended or scope.endswith(READING))


def _created(event: ApiKeyCreated) -> ApiKey:
    return ApiKey(
        key_id=event.key_id,
        merchant_id=event.merchant_id,
        name=event.name,
        scopes=event.scopes,
        digest=event.digest,
        last_four=event.last_four,
        status=KeyStatus.ACTIVE,
        revoked_because="",
        rotated_from=event.rotated_from,
        rotated_to="",
        expires_at=event.expires_at,
        overlap_ends_at=None,
        created_at=event.at,
        updated_at=event.at,
    )


def _rotate(state: ApiKey, command: RotateKey) -> ApiKeyEvent:
    _refuse_closed(command.merchant_id, is_closed=command.merchant_is_closed)
    _refuse_unless_allowed(state, KeyAction.ROTATE, command.requested_at)
    _refuse_beyond(state.scopes, command.grantable)
    ends = command.requested_at + command.overlap_milliseconds
    return key_events.ApiKeyRotated(
        rotated_to=command.rotated_to,
        expires_at=ends if state.expires_at is None else min(ends, state.expires_at),
        at=command.requested_at,
    )


def _rescope(state: ApiKey, command: RescopeKey) -> ApiKeyEvent:
    _refuse_closed(command.merchant_id, is_closed=command.merchant_is_closed)
    _refuse_unless_allowed(state, KeyAction.RESCOPE, command.requested_at)
    _refuse_beyond(command.scopes, command.grantable)
    return key_events.ApiKeyRescoped(scopes=command.scopes, at=command.requested_at)


def _refuse_closed(merchant_id: str, *, is_closed: bool) -> None:
    if is_closed:
        raise errors.MerchantClosed(merchant_id=merchant_id)


def _refuse_beyond(scopes: Iterable[str], grantable: Collection[str]) -> None:
    for scope in scopes:
        if scope not in grantable:
            raise key_errors.ScopeNotGrantable(scope=scope)


def _refuse_unless_allowed(state: ApiKey, action: KeyAction, now: int) -> None:
    status = status_at(state.status, state.ends_at, now)
    if action not in ALLOWED[status]:
        raise key_errors.ApiKeyTransitionRefused(
            key_id=state.key_id, status=status.value, action=action.value
        )


def _check_expiry(command: CreateKey) -> None:
    if command.expires_at is None:
        return
    lifetime = command.expires_at - command.requested_at
    if not 0 < lifetime <= LIFETIME_DAYS_MAX * MILLISECONDS_PER_DAY:
        raise key_errors.ApiKeyExpiryOutOfRange(lifetime_days_max=LIFETIME_DAYS_MAX)
