"""SQL of revocations: what is asked of every token, the row of a decision, and the list."""

from collections.abc import Sequence
from typing import Final

from fintech_dbclient import Statement, Value
from fintech_dbclient.statements import repeated

REVOCATION_COLUMNS: Final = (
    "revocation_key",
    "revocation_id",
    "kind",
    "value",
    "reason",
    "revoked_at",
)
"""Columns of a revocation, in the order of the insert."""

_COLUMNS: Final = "revocation_key, revocation_id, kind, value, reason, revoked_at"


def revocations_of(keys: Sequence[str]) -> Statement:
    """Read which of these are revoked, and since when."""
    return Statement(
        name="revocations.of_token",
        sql="SELECT revocation_key, revoked_at FROM revocations WHERE revocation_key IN ("
        + repeated("?", len(keys))
        + ")",
        params=tuple(keys),
    )


def put_revocation(row: Sequence[Value]) -> Statement:
    """Write a revocation; one that stands is replaced by a later one only."""
    return Statement(
        name="revocations.put",
        sql="INSERT INTO revocations (" + _COLUMNS + ") VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (revocation_key) DO UPDATE SET revocation_id = excluded.revocation_id,"
        " reason = excluded.reason, revoked_at = excluded.revoked_at"
        " WHERE revocations.revoked_at < excluded.revoked_at",
        params=tuple(row),
    )


def revocation_by_id(revocation_id: str) -> Statement:
    """Read one revocation."""
    return Statement(
        name="revocations.by_id",
        sql="SELECT " + _COLUMNS + " FROM revocations WHERE revocation_id = ?",
        params=(revocation_id,),
    )


def revocations_page(*, before: str | None, limit: int) -> Statement:
    """Read revocations, the latest first, behind the id ``before``."""
    where = " WHERE revocation_id < ?" if before is not None else ""
    return Statement(
        name="revocations.page",
        sql="SELECT "
        + _COLUMNS
        + " FROM revocations"
        + where
        + " ORDER BY revocation_id DESC LIMIT ?",
        params=(limit,) if before is None else (before, limit),
    )
