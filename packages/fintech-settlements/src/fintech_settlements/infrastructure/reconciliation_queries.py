"""SQL of reconciliations' lists and of what a close waits for. All of it is the platform's.

Looks at what is open go by status: what agrees is never looked at again.
"""

from dataclasses import dataclass
from typing import Final, LiteralString

from fintech_dbclient import Statement, Value

_COLUMNS: Final = "reconciliation_id, settlement_id, currency, status, due_at, seq, data"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconciliationRow:
    """A row of the read model. ``data`` is the reconciliation as JSON at position ``seq`` of its stream."""

    reconciliation_id: str
    settlement_id: str
    currency: str
    status: str
    due_at: int
    seq: int
    data: str


def upsert_reconciliation(row: ReconciliationRow) -> Statement:
    """Write the read model, unless a later position is there already."""
    return Statement(
        name="settlements.reconciliations.upsert",
        sql="INSERT INTO settlements_reconciliations ("
        + _COLUMNS
        + ") VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (reconciliation_id) DO UPDATE SET status = excluded.status,"
        " settlement_id = excluded.settlement_id, due_at = excluded.due_at,"
        " seq = excluded.seq, data = excluded.data"
        " WHERE settlements_reconciliations.seq < excluded.seq",
        params=(
            row.reconciliation_id,
            row.settlement_id,
            row.currency,
            row.status,
            row.due_at,
            row.seq,
            row.data,
        ),
    )


def reconciliations_page(
    *, status: str | None, overdue_at: int | None, before: str | None, limit: int
) -> Statement:
    """Read reconciliations, newest first; ``overdue_at`` narrows to those due before a moment."""
    conditions: LiteralString = ""
    params: list[Value] = []
    wanted: tuple[tuple[LiteralString, Value], ...] = (
        (" AND status = ?", status),
        (" AND due_at < ?", overdue_at),
        (" AND reconciliation_id < ?", before),
    )
    for condition, value in wanted:
        if value is not None:
            conditions += condition
            params.append(value)
    return Statement(
        name="settlements.reconciliations.page",
        sql="SELECT "
        + _COLUMNS
        + " FROM settlements_reconciliations WHERE 1 = 1"
        + conditions
        + " ORDER BY reconciliation_id DESC LIMIT ?",
        params=(*params, limit),
    )


def open_by_status() -> Statement:
    """Count what is in suspense, by status and currency."""
    return Statement(
        name="settlements.reconciliations.open",
        sql="SELECT status, currency, COUNT(*) AS found FROM settlements_reconciliations"
        " WHERE status IN ('over', 'under', 'unknown') GROUP BY status, currency"
        " ORDER BY status, currency",
    )


def overdue(*, now: int) -> Statement:
    """Count payouts whose line the bank owes, by currency."""
    return Statement(
        name="settlements.reconciliations.overdue",
        sql="SELECT currency, COUNT(*) AS found FROM settlements_reconciliations"
        " WHERE status = 'expected' AND due_at < ? GROUP BY currency ORDER BY currency",
        params=(now,),
    )


def unended(*, before: int) -> Statement:
    """Count settlements that were created before a moment and have not ended, by status."""
    return Statement(
        name="settlements.unended",
        sql="SELECT status, COUNT(*) AS found FROM settlements_settlements"
        " WHERE status IN ('open', 'approved', 'paying') AND created_at < ?"
        " GROUP BY status ORDER BY status",
        params=(before,),
    )
