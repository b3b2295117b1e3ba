"""All SQL of settlements. The merchant is part of every key or an argument of the query."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

from fintech_dbclient import Statement, Value

_COLUMNS: Final = "settlement_id, merchant_id, status, currency, created_at, seq, data, next_ask_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementRow:
    """A row of the read model. ``data`` is the settlement as JSON at position ``seq`` of its stream.

    ``next_ask_at`` is None where the rail is not to be asked.
    """

    settlement_id: str
    merchant_id: str
    status: str
    currency: str
    created_at: int
    seq: int
    data: str
    next_ask_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementFilter:
    """What a list is narrowed to; None leaves a condition out. Times are UTC milliseconds."""

    status: str | None = None
    currency: str | None = None
    created_from: int | None = None
    created_until: int | None = None


def insert_owner(*, settlement_id: str, merchant_id: str) -> Statement:
    """Note whose a settlement is; fails as a duplicate when that stands."""
    return Statement(
        name="settlements.owners.insert",
        sql="INSERT INTO settlements_owners (settlement_id, merchant_id) VALUES (?, ?)",
        params=(settlement_id, merchant_id),
    )


def owner_of(settlement_id: str) -> Statement:
    """Read whose a settlement is: for platform staff only."""
    return Statement(
        name="settlements.owners.by_id",
        sql="SELECT settlement_id, merchant_id FROM settlements_owners WHERE settlement_id = ?",
        params=(settlement_id,),
    )


def upsert_settlement(row: SettlementRow) -> Statement:
    """Write the read model, unless a later position is there already."""
    return Statement(
        name="settlements.upsert",
        sql="INSERT INTO settlements_settlements (" + _COLUMNS + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (settlement_id) DO UPDATE SET status = excluded.status,"
        " seq = excluded.seq, data = excluded.data, next_ask_at = excluded.next_ask_at"
        " WHERE settlements_settlements.seq < excluded.seq",
        params=(
            row.settlement_id,
            row.merchant_id,
            row.status,
            row.currency,
            row.created_at,
            row.seq,
            row.data,
            row.next_ask_at,
        ),
    )


def settlements_of_merchant(
    *, merchant_id: str, where: SettlementFilter, before: str | None, limit: int
) -> Statement:
    """Read a merchant's settlements, newest first, behind the id ``before``."""
    conditions, params = _conditions(where, before)
    return Statement(
        name="settlements.by_merchant",
        sql="SELECT "
        + _COLUMNS
        + " FROM settlements_settlements WHERE merchant_id = ?"
        + conditions
        + " ORDER BY settlement_id DESC LIMIT ?",
        params=(merchant_id, *params, limit),
    )


def settlements_of_platform(
    *, where: SettlementFilter, before: str | None, limit: int
) -> Statement:
    """Read settlements across merchants, newest first: for platform staff only."""
    conditions, params = _conditions(where, before)
    return Statement(
        name="settlements.of_platform",
        sql="SELECT "
        + _COLUMNS
        + " FROM settlements_settlements WHERE 1 = 1"
        + conditions
        + " ORDER BY settlement_id DESC LIMIT ?",
        params=(*params, limit),
    )


def settlements_to_ask_about(*, now: int, limit: int) -> Statement:
    """Read settlements whose rail is to be asked by now (platform scope)."""
    return Statement(
        name="settlements.open_payouts",
        sql="SELECT settlement_id, merchant_id FROM settlements_settlements"
        " WHERE next_ask_at <= ? ORDER BY next_ask_at, settlement_id LIMIT ?",
        params=(now, limit),
    )


def put_off_question(*, merchant_id: str, settlement_id: str, next_ask_at: int | None) -> Statement:
    """Note when a settlement's rail is asked again: before it is, so that one that hangs waits."""
    return Statement(
        name="settlements.put_off_question",
        sql="UPDATE settlements_settlements SET next_ask_at = ?"
        " WHERE merchant_id = ? AND settlement_id = ?",
        params=(next_ask_at, merchant_id, settlement_id),
    )


def _conditions(
    where: SettlementFilter, before: str | None
) -> tuple[LiteralString, Sequence[Value]]:
    conditions: LiteralString = ""
    params: list[Value] = []
    wanted: tuple[tuple[LiteralString, Value], ...] = (
        (" AND status = ?", where.status),
        (" AND currency = ?", where.currency),
        (" AND created_at >= ?", where.created_from),
        (" AND created_at < ?", where.created_until),
        (" AND settlement_id < ?", before),
    )
    for condition, value in wanted:
        if value is not None:
            conditions += condition
            params.append(value)
    return conditions, params


def oldest_in_status(status: str, *, limit: int) -> Statement:
    """Read when settlements in a status were created, oldest first: their ids are in that order."""
    return Statement(
        name="settlements.oldest_in_status",
        sql="SELECT status, created_at FROM settlements_settlements WHERE status = ?"
        " ORDER BY settlement_id LIMIT ?",
        params=(status, limit),
    )
