"""All SQL of endpoints and their secrets. The merchant is an argument of every query but the command's."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any, Final, LiteralString

from fintech_dbclient import Row, Statement, Value

_COLUMNS: Final = (
    "endpoint_id, merchant_id, url, events, description, status, disabled_because, secret_id,"
    " previous_secret_id, previous_until, in_use_since, created_at, updated_at, seq"
)
_MARKS: Final = "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRow:
    """A row of ``webhooks_endpoints``: the endpoint at position ``seq`` of its stream.

    ``events`` are names separated by spaces. What there is none of is empty, a time 0.
    """

    endpoint_id: str
    merchant_id: str
    url: str
    events: str
    description: str
    status: str
    disabled_because: str
    secret_id: str
    previous_secret_id: str
    previous_until: int
    in_use_since: int
    created_at: int
    updated_at: int
    seq: int

    @classmethod
    def from_row(cls, row: Row) -> "EndpointRow":
        """Decode a row."""
        columns: dict[str, Any] = {one.name: row[one.name] for one in fields(cls)}
        return cls(**columns)

    def columns(self) -> dict[str, Value]:
        """Return the row as the database holds it."""
        return {one.name: value for one, value in zip(fields(self), astuple(self), strict=True)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRow:
    """A row of ``webhooks_secrets``: a signing secret, sealed."""

    secret_id: str
    merchant_id: str
    endpoint_id: str
    key_id: str
    sealed: str
    created_at: int

    @classmethod
    def from_row(cls, row: Row) -> "SecretRow":
        """Decode a row."""
        columns: dict[str, Any] = {one.name: row[one.name] for one in fields(cls)}
        return cls(**columns)


def upsert_endpoint(row: EndpointRow) -> Statement:
    """Write an endpoint, unless a later position is there already."""
    return Statement(
        name="webhooks.endpoints.upsert",
        sql="INSERT INTO webhooks_endpoints (" + _COLUMNS + ") VALUES (" + _MARKS + ")"
        " ON CONFLICT (endpoint_id) DO UPDATE SET url = excluded.url, events = excluded.events,"
        " description = excluded.description, status = excluded.status,"
        " disabled_because = excluded.disabled_because, secret_id = excluded.secret_id,"
        " previous_secret_id = excluded.previous_secret_id,"
        " previous_until = excluded.previous_until, in_use_since = excluded.in_use_since,"
        " updated_at = excluded.updated_at, seq = excluded.seq"
        " WHERE webhooks_endpoints.seq < excluded.seq",
        params=tuple(row.columns().values()),
    )


def endpoint_by_id(merchant_id: str, endpoint_id: str) -> Statement:
    """Read a merchant's endpoint."""
    return Statement(
        name="webhooks.endpoints.by_id",
        sql="SELECT " + _COLUMNS + " FROM webhooks_endpoints"
        " WHERE merchant_id = ? AND endpoint_id = ?",
        params=(merchant_id, endpoint_id),
    )


def endpoints_page(
    merchant_id: str, *, statuses: Sequence[str], before: str | None, limit: int
) -> Statement:
    """Read a merchant's endpoints of up to three statuses, newest first, behind the id ``before``."""
    behind: LiteralString = "" if before is None else " AND endpoint_id < ?"
    first, second, third = (*statuses, *statuses[:1], *statuses[:1])[:3]
    given = () if before is None else (before,)
    return Statement(
        name="webhooks.endpoints.of_merchant",
        sql="SELECT "
        + _COLUMNS
        + " FROM webhooks_endpoints WHERE merchant_id = ? AND status IN (?, ?, ?)"
        + behind
        + " ORDER BY endpoint_id DESC LIMIT ?",
        params=(merchant_id, first, second, third, *given, limit),
    )


def endpoints_counted(merchant_id: str, *, removed: str) -> Statement:
    """Count a merchant's endpoints that are not removed."""
    return Statement(
        name="webhooks.endpoints.count",
        sql="SELECT COUNT(*) AS counted FROM webhooks_endpoints"
        " WHERE merchant_id = ? AND status <> ?",
        params=(merchant_id, removed),
    )


def insert_secret(row: SecretRow) -> Statement:
    """Keep a sealed secret: written once."""
    return Statement(
        name="webhooks.secrets.insert",
        sql="INSERT INTO webhooks_secrets (secret_id, merchant_id, endpoint_id, key_id, sealed,"
        " created_at) VALUES (?, ?, ?, ?, ?, ?)",
        params=astuple(row),
    )


def secret_by_id(merchant_id: str, secret_id: str) -> Statement:
    """Read a merchant's secret."""
    return Statement(
        name="webhooks.secrets.by_id",
        sql="SELECT secret_id, merchant_id, endpoint_id, key_id, sealed, created_at"
        " FROM webhooks_secrets WHERE merchant_id = ? AND secret_id = ?",
        params=(merchant_id, secret_id),
    )


def secrets_by_id(merchant_id: str, first: str, second: str) -> Statement:
    """Read up to two secrets of a merchant: the one that signs, and the one before it."""
    return Statement(
        name="webhooks.secrets.signing",
        sql="SELECT secret_id, merchant_id, endpoint_id, key_id, sealed, created_at"
        " FROM webhooks_secrets WHERE merchant_id = ? AND secret_id IN (?, ?)",
        params=(merchant_id, first, second),
    )


def secrets_under_other_keys(*, key_id: str, after: str, limit: int) -> Statement:
    """Read secrets that are sealed under another key than this, of every merchant, by id."""
    return Statement(
        name="webhooks.secrets.under_other_keys",
        sql="SELECT secret_id, merchant_id, endpoint_id, key_id, sealed, created_at"
        " FROM webhooks_secrets WHERE key_id <> ? AND secret_id > ? ORDER BY secret_id LIMIT ?",
        params=(key_id, after, limit),
    )


def reseal_secret(
    merchant_id: str, secret_id: str, *, key_id_before: str, key_id: str, sealed: str
) -> Statement:
    """Replace a sealed text, unless somebody else did meanwhile."""
    return Statement(
        name="webhooks.secrets.reseal",
        sql="UPDATE webhooks_secrets SET key_id = ?, sealed = ?"
        " WHERE merchant_id = ? AND secret_id = ? AND key_id = ?",
        params=(key_id, sealed, merchant_id, secret_id, key_id_before),
    )
