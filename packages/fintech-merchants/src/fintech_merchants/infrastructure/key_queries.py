"""All SQL of API keys. The merchant is an argument of every query but one: a key is found by its HMAC."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any, Final, LiteralString

from fintech_dbclient import Row, Statement, Value
from fintech_dbclient.statements import repeated

_COLUMNS: Final = (
    "key_id, merchant_id, name, digest, last_four, scopes, status, revoked_because, rotated_from,"
    " rotated_to, expires_at, created_at, updated_at, seq"
)
_MARKS: Final = "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"

_FOR_EVER: Final = 9_007_199_254_740_991
"""When keys without an end expire, to comparisons."""

_CREDENTIAL: Final = (
    "SELECT k.key_id, k.merchant_id, k.digest, k.scopes, k.status, k.expires_at,"
    " m.status AS merchant_status FROM merchants_api_keys k"
    " JOIN merchants_merchants m ON m.merchant_id = k.merchant_id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """A row of ``merchants_api_keys``: the key at position ``seq`` of its stream.

    ``scopes`` are names separated by spaces, ``digest`` is an HMAC behind its pepper's id. Ids of other
    keys and the reason are empty where there are none.
    """

    key_id: str
    merchant_id: str
    name: str
    digest: str
    last_four: str
    scopes: str
    status: str
    revoked_because: str
    rotated_from: str
    rotated_to: str
    expires_at: int | None
    created_at: int
    updated_at: int
    seq: int

    @classmethod
    def from_row(cls, row: Row) -> "KeyRow":
        """Decode a row."""
        columns: dict[str, Any] = {one.name: row[one.name] for one in fields(cls)}
        return cls(**columns)

    def columns(self) -> dict[str, Value]:
        """Return the row as the database holds it."""
        return {one.name: value for one, value in zip(fields(self), astuple(self), strict=True)}


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialRow:
    """What authentication reads of a key and its merchant, in one SELECT."""

    key_id: str
    merchant_id: str
    digest: str
    scopes: str
    status: str
    expires_at: int | None
    merchant_status: str

    @classmethod
    def from_row(cls, row: Row) -> "CredentialRow":
        """Decode a row."""
        columns: dict[str, Any] = dict(row)
        return cls(**columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFilter:
    """What a list is narrowed to: stored statuses, and when keys expire (UTC milliseconds)."""

    statuses: Sequence[str]
    expires_after: int | None = None
    expires_until: int | None = None


def upsert_key(row: KeyRow) -> Statement:
    """Write a key, unless a later position is there already."""
    return Statement(
        name="merchants.api_keys.upsert",
        sql="INSERT INTO merchants_api_keys (" + _COLUMNS + ") VALUES (" + _MARKS + ")"
        " ON CONFLICT (key_id) DO UPDATE SET scopes = excluded.scopes, status = excluded.status,"
        " revoked_because = excluded.revoked_because, rotated_to = excluded.rotated_to,"
        " expires_at = excluded.expires_at, updated_at = excluded.updated_at, seq = excluded.seq"
        " WHERE merchants_api_keys.seq < excluded.seq",
        params=tuple(row.columns().values()),
    )


def key_by_id(merchant_id: str, key_id: str) -> Statement:
    """Read a merchant's key."""
    return Statement(
        name="merchants.api_keys.by_id",
        sql="SELECT " + _COLUMNS + ", last_used_at FROM merchants_api_keys"
        " WHERE merchant_id = ? AND key_id = ?",
        params=(merchant_id, key_id),
    )


def keys_page(
    merchant_id: str, *, narrowed: KeyFilter | None, before: str | None, limit: int
) -> Statement:
    """Read a merchant's keys, newest first, behind the id ``before``."""
    where, params = _where(merchant_id, narrowed)
    if before is not None:
        where, params = where + " AND key_id < ?", (*params, before)
    return Statement(
        name="merchants.api_keys.of_merchant",
        sql="SELECT "
        + _COLUMNS
        + ", last_used_at FROM merchants_api_keys"
        + where
        + " ORDER BY key_id DESC LIMIT ?",
        params=(*params, limit),
    )


def keys_counted(merchant_id: str, narrowed: KeyFilter) -> Statement:
    """Count a merchant's keys."""
    where, params = _where(merchant_id, narrowed)
    return Statement(
        name="merchants.api_keys.count",
        sql="SELECT COUNT(*) AS counted FROM merchants_api_keys" + where,
        params=params,
    )


def credential_by_digest(digests: Sequence[str]) -> Statement:
    """Read the key that one of these HMACs stands for: the HMAC is unique, and names the merchant."""
    return Statement(
        name="merchants.api_keys.by_digest",
        sql=_CREDENTIAL + " WHERE k.digest IN (" + repeated("?", len(digests)) + ")",
        params=tuple(digests),
    )


def credential_by_id(merchant_id: str, key_id: str) -> Statement:
    """Read a merchant's key as authentication needs it."""
    return Statement(
        name="merchants.api_keys.current",
        sql=_CREDENTIAL + " WHERE k.merchant_id = ? AND k.key_id = ?",
        params=(merchant_id, key_id),
    )


def note_use(merchant_id: str, key_id: str, used_at: int) -> Statement:
    """Write when a key was last used, unless a later use is known."""
    return Statement(
        name="merchants.api_keys.note_use",
        sql="UPDATE merchants_api_keys SET last_used_at = ?"
        " WHERE merchant_id = ? AND key_id = ? AND COALESCE(last_used_at, 0) < ?",
        params=(used_at, merchant_id, key_id, used_at),
    )


def _where(merchant_id: str, narrowed: KeyFilter | None) -> tuple[LiteralString, tuple[Value, ...]]:
    where: LiteralString = " WHERE merchant_id = ?"
    params: tuple[Value, ...] = (merchant_id,)
    if narrowed is None:
        return where, params
    where += " AND status IN (" + repeated("?", len(narrowed.statuses)) + ")"
    params += tuple(narrowed.statuses)
    if narrowed.expires_after is not None:
        where += " AND COALESCE(expires_at, ?) > ?"
        params += (_FOR_EVER, narrowed.expires_after)
    if narrowed.expires_until is not None:
        where += " AND COALESCE(expires_at, ?) <= ?"
        params += (_FOR_EVER, narrowed.expires_until)
    return where, params
