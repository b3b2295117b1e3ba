"""Rotation of signing keys: the next key comes beside the old one, which verifies until it is retired."""

from collections.abc import Sequence
from dataclasses import replace

from fintech_kernel.security.jwk_files import new_key
from fintech_kernel.security.token_keys import KeySet, TokenKey


class RotationRefused(Exception):
    """The keys cannot be changed so; its text says why."""


def rotated(
    keys: Sequence[TokenKey],
    *,
    algorithm: str,
    key_id: str,
    now: int,
    signs_from: int,
    overlap_seconds: int,
) -> list[TokenKey]:
    """Return the keys with a new one that signs from ``signs_from`` on.

    The others verify for ``overlap_seconds`` longer; those that are retired by now are left out. Times
    are in seconds since 1970.
    """
    retires_at = signs_from + overlap_seconds
    kept = [_retired_by(key, retires_at) for key in keys if not key.is_retired(now)]
    return [*kept, new_key(algorithm, key_id=key_id, created_at=now, signs_from=signs_from)]


def retired(keys: Sequence[TokenKey], key_id: str, *, now: int) -> list[TokenKey]:
    """Return the keys with one whose tokens are refused from now on.

    Raises:
        RotationRefused: there is no such key, or no other would sign.
    """
    if all(key.key_id != key_id for key in keys):
        raise RotationRefused(f"there is no key {key_id}")
    changed = [_retired_by(key, now) if key.key_id == key_id else key for key in keys]
    if KeySet(changed).signer(now) is None:
        raise RotationRefused(f"no other key signs now: rotate before you retire {key_id}")
    return changed


def _retired_by(key: TokenKey, time: int) -> TokenKey:
    """Return a key that is retired at a time, or before where that was decided."""
    if key.retires_at is not None and key.retires_at <= time:
        return key
    return replace(key, retires_at=time)
