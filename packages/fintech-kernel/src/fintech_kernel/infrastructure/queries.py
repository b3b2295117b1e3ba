"""All SQL of the kernel.

Operations and journal use core statements alone; dispatch and recovery, which are jobs, also use the
query profile.
"""

from collections.abc import Sequence
from typing import Final, LiteralString

from fintech_dbclient import Statement, Value
from fintech_dbclient.statements import repeated

_JOURNAL_COLUMNS: Final = (
    "entry_id, step_key, stream_id, seq, type, data, actor, request_id, occurred_at,"
    " previous_hash, hash"
)
_JOURNAL_ROW: Final = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_OPERATION_COLUMNS: Final = (
    "operation_id, kind, version, merchant_id, fingerprint, request, state, nonce, lease_until, attempts,"
    " next_run_at, result, created_at, finished_at"
)
_DELIVERY_COLUMNS: Final = (
    "delivery_id, entry_id, stream_id, seq, handler, state, nonce, lease_until, attempts,"
    " next_run_at, error"
)


def claim_operation(
    *,
    operation_id: str,
    kind: str,
    version: int,
    merchant_id: str,
    fingerprint: str,
    request: str,
    nonce: str,
    lease_until: int,
    created_at: int,
) -> Statement:
    """Insert a running operation; fails as a duplicate when anybody claimed it before."""
    return Statement(
        name="operations.claim",
        sql="INSERT INTO operations (operation_id, kind, version, merchant_id, fingerprint, request, state,"
        " nonce, lease_until, attempts, next_run_at, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, 'running', ?, ?, 1, ?, ?)",
        params=(
            operation_id,
            kind,
            version,
            merchant_id,
            fingerprint,
            request,
            nonce,
            lease_until,
            lease_until,
            created_at,
        ),
    )


def operation_by_id(operation_id: str) -> Statement:
    """Read one operation."""
    return Statement(
        name="operations.by_id",
        sql="SELECT " + _OPERATION_COLUMNS + " FROM operations WHERE operation_id = ?",
        params=(operation_id,),
    )


def operation_outcome(operation_id: str) -> Statement:
    """Read what became of an operation: no more than its finisher must see."""
    return Statement(
        name="operations.outcome",
        sql="SELECT nonce, state, result FROM operations WHERE operation_id = ?",
        params=(operation_id,),
    )


def take_over_operation(
    *, held_nonce: str, nonce: str, lease_until: int, attempts: int
) -> Statement:
    """Make a running operation mine, if nobody else did since it was read."""
    return Statement(
        name="operations.take_over",
        sql="UPDATE operations SET nonce = ?, lease_until = ?, next_run_at = ?, attempts = ? WHERE nonce = ?",
        params=(nonce, lease_until, lease_until, attempts, held_nonce),
    )


def hand_back_operation(*, nonce: str, now: int, next_run_at: int) -> Statement:
    """End my lease; recovery runs the operation again from ``next_run_at``."""
    return Statement(
        name="operations.hand_back",
        sql="UPDATE operations SET lease_until = ?, next_run_at = ? WHERE nonce = ?",
        params=(now, next_run_at, nonce),
    )


def finish_operation(
    *, operation_id: str, nonce: str, state: str, result: str, finished_at: int
) -> Statement:
    """Store the result, if the operation is still mine."""
    return Statement(
        name="operations.finish",
        sql="UPDATE operations SET state = ?, result = ?, finished_at = ?, nonce = ? WHERE nonce = ?",
        params=(state, result, finished_at, done_nonce(operation_id), nonce),
    )


def done_nonce(operation_id: str) -> str:
    """Return the nonce of a finished operation: no executor ever holds it."""
    return f"done:{operation_id}"


def overdue_operations(*, kinds: Sequence[str], version: int, now: int, limit: int) -> Statement:
    """Read running operations of these kinds, whose lease and waiting time are over, oldest first."""
    marks = repeated("?", len(kinds))
    return Statement(
        name="operations.overdue",
        sql="SELECT " + _OPERATION_COLUMNS + " FROM operations"
        " WHERE state = 'running' AND next_run_at <= ? AND lease_until <= ? AND version = ?"
        " AND kind IN (" + marks + ") ORDER BY next_run_at LIMIT ?",
        params=(now, now, version, *kinds, limit),
    )


def running_of_merchant(merchant_id: str, *, kinds: Sequence[str], limit: int) -> Statement:
    """Read a merchant's running operations of these kinds, oldest first."""
    marks = repeated("?", len(kinds))
    return Statement(
        name="operations.running_of_merchant",
        sql="SELECT " + _OPERATION_COLUMNS + " FROM operations"
        " WHERE state = 'running' AND merchant_id = ? AND kind IN ("
        + marks
        + ") ORDER BY created_at LIMIT ?",
        params=(merchant_id, *kinds, limit),
    )


def append_entries(rows: Sequence[tuple[Value, ...]]) -> Statement:
    """Insert the rows of one decision: all or none."""
    values = repeated(_JOURNAL_ROW, len(rows))
    return Statement(
        name="journal.append",
        sql="INSERT INTO journal (" + _JOURNAL_COLUMNS + ") VALUES " + values,
        params=tuple(value for row in rows for value in row),
    )


def entries_of_stream(stream_id: str) -> Statement:
    """Read a stream. Callers order it by ``seq``: the core profile has no ORDER BY."""
    return Statement(
        name="journal.by_stream",
        sql="SELECT " + _JOURNAL_COLUMNS + " FROM journal WHERE stream_id = ?",
        params=(stream_id,),
    )


def entry_by_step(step_key: str) -> Statement:
    """Read the first entry of a step, if the step happened."""
    return Statement(
        name="journal.by_step",
        sql="SELECT " + _JOURNAL_COLUMNS + " FROM journal WHERE step_key = ?",
        params=(step_key,),
    )


def entry_by_id(entry_id: str) -> Statement:
    """Read one entry."""
    return Statement(
        name="journal.by_id",
        sql="SELECT " + _JOURNAL_COLUMNS + " FROM journal WHERE entry_id = ?",
        params=(entry_id,),
    )


def undispatched_entries(limit: int) -> Statement:
    """Read entries that are not dispatched yet, oldest first."""
    return Statement(
        name="journal.undispatched",
        sql="SELECT " + _JOURNAL_COLUMNS + " FROM journal WHERE dispatched = 0"
        " ORDER BY occurred_at, entry_id LIMIT ?",
        params=(limit,),
    )


def mark_dispatched(entry_ids: Sequence[str]) -> Statement:
    """Set the flag of entries; it is never reset."""
    marks = repeated("?", len(entry_ids))
    return Statement(
        name="journal.mark_dispatched",
        sql="UPDATE journal SET dispatched = 1 WHERE entry_id IN (" + marks + ")",
        params=tuple(entry_ids),
    )


def insert_handler(handler: str, event: str) -> Statement:
    """Make a handler known to every process."""
    return Statement(
        name="handlers.insert",
        sql="INSERT INTO handlers (handler, event) VALUES (?, ?)",
        params=(handler, event),
    )


def update_handler(handler: str, event: str) -> Statement:
    """Change which events a known handler wants."""
    return Statement(
        name="handlers.update",
        sql="UPDATE handlers SET event = ? WHERE handler = ?",
        params=(event, handler),
    )


def all_handlers() -> Statement:
    """Read the handlers of every process."""
    return Statement(name="handlers.all", sql="SELECT handler, event FROM handlers")


def insert_deliveries(rows: Sequence[tuple[Value, ...]]) -> Statement:
    """Insert deliveries: all or none."""
    values = repeated("(?, ?, ?, ?, ?, 'pending', ?, 0, 0, ?, '')", len(rows))
    return Statement(
        name="deliveries.insert",
        sql="INSERT INTO deliveries (" + _DELIVERY_COLUMNS + ") VALUES " + values,
        params=tuple(value for row in rows for value in row),
    )


def insert_settled_deliveries(rows: Sequence[tuple[Value, ...]]) -> Statement:
    """Insert deliveries of which nothing is left to do: all or none."""
    values = repeated("(?, ?, ?, ?, ?, 'done', ?, 0, 0, ?, '')", len(rows))
    return Statement(
        name="deliveries.insert_settled",
        sql="INSERT INTO deliveries (" + _DELIVERY_COLUMNS + ") VALUES " + values,
        params=tuple(value for row in rows for value in row),
    )


def existing_deliveries(delivery_ids: Sequence[str]) -> Statement:
    """Read which of these deliveries exist."""
    marks = repeated("?", len(delivery_ids))
    return Statement(
        name="deliveries.existing",
        sql="SELECT delivery_id FROM deliveries WHERE delivery_id IN (" + marks + ")",
        params=tuple(delivery_ids),
    )


def due_deliveries(*, handler: str, now: int, limit: int) -> Statement:
    """Read a handler's deliveries that may run, oldest first.

    One waits while an earlier entry of its stream is undispatched or not yet delivered to the handler.
    """
    return Statement(
        name="deliveries.due",
        sql="SELECT " + _DELIVERY_COLUMNS + " FROM deliveries d"
        " WHERE d.handler = ? AND d.state = 'pending' AND d.next_run_at <= ? AND d.lease_until <= ?"
        " AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.stream_id = d.stream_id"
        " AND e.handler = d.handler AND e.seq < d.seq AND e.state = 'pending')"
        " AND NOT EXISTS (SELECT 1 FROM journal j WHERE j.stream_id = d.stream_id"
        " AND j.seq < d.seq AND j.dispatched = 0)"
        " ORDER BY d.next_run_at, d.delivery_id LIMIT ?",
        params=(handler, now, now, limit),
    )


def delivery_by_id(delivery_id: str) -> Statement:
    """Read one delivery."""
    return Statement(
        name="deliveries.by_id",
        sql="SELECT " + _DELIVERY_COLUMNS + " FROM deliveries WHERE delivery_id = ?",
        params=(delivery_id,),
    )


def deliveries_of_stream(stream_id: str) -> Statement:
    """Read the deliveries of a stream's entries, in the order of the entries."""
    return Statement(
        name="deliveries.by_stream",
        sql="SELECT handler, seq, state, attempts, next_run_at FROM deliveries"
        " WHERE stream_id = ? ORDER BY seq, handler",
        params=(stream_id,),
    )


def take_delivery(*, held_nonce: str, nonce: str, lease_until: int, attempts: int) -> Statement:
    """Make a delivery mine, if nobody else did since it was read."""
    return Statement(
        name="deliveries.take",
        sql="UPDATE deliveries SET nonce = ?, lease_until = ?, attempts = ? WHERE nonce = ?",
        params=(nonce, lease_until, attempts, held_nonce),
    )


def settle_delivery(
    *, nonce: str, state: str, settled_nonce: str, next_run_at: int, error: str
) -> Statement:
    """Record how an attempt ended, if the delivery is still mine."""
    return Statement(
        name="deliveries.settle",
        sql="UPDATE deliveries SET state = ?, nonce = ?, lease_until = 0, next_run_at = ?, error = ?"
        " WHERE nonce = ?",
        params=(state, settled_nonce, next_run_at, error, nonce),
    )


def dead_nonce(delivery_id: str) -> str:
    """Return the nonce of a dead-lettered delivery."""
    return f"dead:{delivery_id}"


def dead_deliveries(*, handler: str | None, after: str, limit: int) -> Statement:
    """Read dead letters by id, of one handler or of all."""
    only: LiteralString = "" if handler is None else " AND handler = ?"
    given = () if handler is None else (handler,)
    return Statement(
        name="deliveries.dead",
        sql="SELECT "
        + _DELIVERY_COLUMNS
        + " FROM deliveries WHERE state = 'dead' AND delivery_id > ?"
        + only
        + " ORDER BY delivery_id LIMIT ?",
        params=(after, *given, limit),
    )


def revive_delivery(*, delivery_id: str, nonce: str, now: int) -> Statement:
    """Make a dead letter pending again, with all its attempts."""
    return Statement(
        name="deliveries.revive",
        sql="UPDATE deliveries SET state = 'pending', nonce = ?, lease_until = 0, attempts = 0,"
        " next_run_at = ? WHERE nonce = ?",
        params=(nonce, now, dead_nonce(delivery_id)),
    )


def overdue_kinds(now: int) -> Statement:
    """Count running operations whose waiting time is over, by kind and version."""
    return Statement(
        name="operations.overdue_kinds",
        sql="SELECT kind, version, COUNT(*) AS operations FROM operations"
        " WHERE state = 'running' AND next_run_at <= ? GROUP BY kind, version",
        params=(now,),
    )


def entries_of_operation(operation_id: str) -> Statement:
    """Read what an operation wrote, in whatever streams: its step keys begin with its id and a colon."""
    return Statement(
        name="journal.by_operation",
        sql="SELECT " + _JOURNAL_COLUMNS + " FROM journal WHERE step_key >= ? AND step_key < ?"
        " ORDER BY occurred_at, stream_id, seq",
        params=(f"{operation_id}:", f"{operation_id};"),
    )
