"""SQL of the list of adjustments: the platform's, for every merchant."""

from typing import Final, LiteralString

from fintech_dbclient import Statement, Value


def upsert_adjustment(*, adjustment_id: str, status: str, seq: int, data: str) -> Statement:
    """Show an adjustment as of ``seq`` of its stream, unless a later one is shown."""
    return Statement(
        name="ledger.show_adjustment",
        sql="INSERT INTO ledger_adjustments (adjustment_id, status, seq, data) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (adjustment_id) DO UPDATE SET status = excluded.status, seq = excluded.seq,"
        " data = excluded.data WHERE ledger_adjustments.seq < excluded.seq",
        params=(adjustment_id, status, seq, data),
    )


def adjustments_page(*, status: str | None, before: str | None, limit: int) -> Statement:
    """Read adjustments, newest first, behind ``before``: their ids sort by time."""
    conditions: list[LiteralString] = []
    params: list[Value] = []
    if status is not None:
        conditions.append("status = ?")
        params.append(status)
    if before is not None:
        conditions.append("adjustment_id < ?")
        params.append(before)
    where: Final[LiteralString] = (" WHERE " + " AND ".join(conditions)) if conditions else ""
    return Statement(
        name="ledger.adjustments",
        sql="SELECT data FROM ledger_adjustments" + where + " ORDER BY adjustment_id DESC LIMIT ?",
        params=(*params, limit),
    )
