"""All SQL of messages, deliveries and attempts.

The merchant is an argument of every query but two: the job asks which endpoints have anything due, and a
gauge what waits.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any, Final, LiteralString

from fintech_dbclient import Row, Statement, Value
from fintech_dbclient.statements import repeated

_COLUMNS: Final = (
    "delivery_id, merchant_id, endpoint_id, message_id, stream_id, seq, type, repeats, state, nonce,"
    " lease_until, attempts, next_run_at, last_status, last_error, created_at, updated_at"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRow:
    """A row of ``webhooks_messages``: what is sent, byte for byte, to whichever endpoint."""

    message_id: str
    merchant_id: str
    type: str
    body: str
    created_at: int

    @classmethod
    def from_row(cls, row: Row) -> "MessageRow":
        """Decode a row."""
        columns: dict[str, Any] = {one.name: row[one.name] for one in fields(cls)}
        return cls(**columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """A row of ``webhooks_deliveries``: a message on its way to an endpoint.

    ``seq`` is the event's place in its object's stream, 0 for a ping. ``last_status`` is 0 where no
    answer came.
    """

    delivery_id: str
    merchant_id: str
    endpoint_id: str
    message_id: str
    stream_id: str
    seq: int
    type: str
    repeats: str
    state: str
    nonce: str
    lease_until: int
    attempts: int
    next_run_at: int
    last_status: int
    last_error: str
    created_at: int
    updated_at: int

    @classmethod
    def from_row(cls, row: Row) -> "DeliveryRow":
        """Decode a row."""
        columns: dict[str, Any] = {one.name: row[one.name] for one in fields(cls)}
        return cls(**columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """A row of ``webhooks_attempts``: one request to an endpoint, and what came of it."""

    attempt_id: str
    merchant_id: str
    endpoint_id: str
    delivery_id: str
    number: int
    started_at: int
    duration_milliseconds: int
    status: int
    error: str
    succeeded: int

    @classmethod
    def from_row(cls, row: Row) -> "AttemptRow":
        """Decode a row."""
        columns: dict[str, Any] = {one.name: row[one.name] for one in fields(cls)}
        return cls(**columns)


def insert_message(row: MessageRow) -> Statement:
    """Keep a message: written once."""
    return Statement(
        name="webhooks.messages.insert",
        sql="INSERT INTO webhooks_messages (message_id, merchant_id, type, body, created_at)"
        " VALUES (?, ?, ?, ?, ?)",
        params=astuple(row),
    )


def message_by_id(merchant_id: str, message_id: str) -> Statement:
    """Read a merchant's message."""
    return Statement(
        name="webhooks.messages.by_id",
        sql="SELECT message_id, merchant_id, type, body, created_at FROM webhooks_messages"
        " WHERE merchant_id = ? AND message_id = ?",
        params=(merchant_id, message_id),
    )


def insert_deliveries(rows: Sequence[DeliveryRow]) -> Statement:
    """Insert deliveries: all or none."""
    marks = repeated("(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", len(rows))
    return Statement(
        name="webhooks.deliveries.insert",
        sql="INSERT INTO webhooks_deliveries (" + _COLUMNS + ") VALUES " + marks,
        params=tuple(value for row in rows for value in astuple(row)),
    )


def due_endpoints(*, now: int, after: str, limit: int) -> Statement:
    """Read which endpoints, of every merchant, have deliveries whose time has come, by id."""
    return Statement(
        name="webhooks.deliveries.due_endpoints",
        sql="SELECT endpoint_id, merchant_id, COUNT(*) AS due FROM webhooks_deliveries"
        " WHERE state = 'pending' AND next_run_at <= ? AND lease_until <= ? AND endpoint_id > ?"
        " GROUP BY endpoint_id, merchant_id ORDER BY endpoint_id LIMIT ?",
        params=(now, now, after, limit),
    )


def longest_waiting(*, limit: int) -> Statement:
    """Read when deliveries, of every merchant, are to be tried, the longest waiting first."""
    return Statement(
        name="webhooks.deliveries.longest_waiting",
        sql="SELECT next_run_at FROM webhooks_deliveries WHERE state = 'pending'"
        " ORDER BY next_run_at LIMIT ?",
        params=(limit,),
    )


def due_deliveries(merchant_id: str, endpoint_id: str, *, now: int, limit: int) -> Statement:
    """Read an endpoint's deliveries that may be sent, oldest first.

    One waits while an earlier event of its object is still on its way to the same endpoint.
    """
    return Statement(
        name="webhooks.deliveries.due",
        sql="SELECT " + _COLUMNS + " FROM webhooks_deliveries d"
        " WHERE d.merchant_id = ? AND d.endpoint_id = ? AND d.state = 'pending'"
        " AND d.next_run_at <= ? AND d.lease_until <= ?"
        " AND NOT EXISTS (SELECT 1 FROM webhooks_deliveries e WHERE e.endpoint_id = d.endpoint_id"
        " AND e.stream_id = d.stream_id AND e.seq < d.seq AND e.state = 'pending')"
        " ORDER BY d.next_run_at, d.delivery_id LIMIT ?",
        params=(merchant_id, endpoint_id, now, now, limit),
    )


def take_delivery(
    merchant_id: str, *, held_nonce: str, nonce: str, lease_until: int, attempts: int
) -> Statement:
    """Make a delivery mine, if nobody else did since it was read."""
    return Statement(
        name="webhooks.deliveries.take",
        sql="UPDATE webhooks_deliveries SET nonce = ?, lease_until = ?, attempts = ?"
        " WHERE merchant_id = ? AND nonce = ? AND state = 'pending'",
        params=(nonce, lease_until, attempts, merchant_id, held_nonce),
    )


def settle_delivery(row: DeliveryRow, *, nonce: str) -> Statement:
    """Record how an attempt ended, if the delivery is still mine."""
    return Statement(
        name="webhooks.deliveries.settle",
        sql="UPDATE webhooks_deliveries SET state = ?, nonce = ?, lease_until = 0, next_run_at = ?,"
        " last_status = ?, last_error = ?, updated_at = ? WHERE merchant_id = ? AND nonce = ?",
        params=(
            row.state,
            row.nonce,
            row.next_run_at,
            row.last_status,
            row.last_error,
            row.updated_at,
            row.merchant_id,
            nonce,
        ),
    )


def skip_deliveries(merchant_id: str, endpoint_id: str, *, now: int) -> Statement:
    """Give up what waits for an endpoint; pings are sent all the same."""
    return Statement(
        name="webhooks.deliveries.skip",
        sql="UPDATE webhooks_deliveries SET state = 'skipped', updated_at = ?"
        " WHERE merchant_id = ? AND endpoint_id = ? AND state = 'pending' AND seq > 0",
        params=(now, merchant_id, endpoint_id),
    )


def delivery_by_id(merchant_id: str, delivery_id: str) -> Statement:
    """Read a merchant's delivery."""
    return Statement(
        name="webhooks.deliveries.by_id",
        sql="SELECT " + _COLUMNS + " FROM webhooks_deliveries"
        " WHERE merchant_id = ? AND delivery_id = ?",
        params=(merchant_id, delivery_id),
    )


def deliveries_of(merchant_id: str, delivery_ids: Sequence[str]) -> Statement:
    """Read which message each of a merchant's deliveries carries, and whither."""
    return Statement(
        name="webhooks.deliveries.named",
        sql="SELECT delivery_id, endpoint_id, message_id FROM webhooks_deliveries"
        " WHERE merchant_id = ? AND delivery_id IN (" + repeated("?", len(delivery_ids)) + ")",
        params=(merchant_id, *delivery_ids),
    )


def deliveries_page(
    merchant_id: str,
    *,
    endpoint_id: str | None,
    state: str | None,
    before: str | None,
    limit: int,
) -> Statement:
    """Read a merchant's deliveries, newest first, behind the id ``before``."""
    where: LiteralString = " WHERE merchant_id = ?"
    params: tuple[Value, ...] = (merchant_id,)
    if endpoint_id is not None:
        where, params = where + " AND endpoint_id = ?", (*params, endpoint_id)
    if state is not None:
        where, params = where + " AND state = ?", (*params, state)
    if before is not None:
        where, params = where + " AND delivery_id < ?", (*params, before)
    return Statement(
        name="webhooks.deliveries.of_merchant",
        sql="SELECT "
        + _COLUMNS
        + " FROM webhooks_deliveries"
        + where
        + " ORDER BY delivery_id DESC LIMIT ?",
        params=(*params, limit),
    )


def deliveries_since(
    merchant_id: str, endpoint_id: str, *, since: int, states: Sequence[str], limit: int
) -> Statement:
    """Read an endpoint's deliveries of up to three states from a time on, oldest first; no pings."""
    first, second, third = (*states, *states[:1], *states[:1])[:3]
    return Statement(
        name="webhooks.deliveries.since",
        sql="SELECT " + _COLUMNS + " FROM webhooks_deliveries"
        " WHERE merchant_id = ? AND endpoint_id = ? AND created_at >= ? AND seq > 0"
        " AND state IN (?, ?, ?) ORDER BY created_at, delivery_id LIMIT ?",
        params=(merchant_id, endpoint_id, since, first, second, third, limit),
    )


def record_attempt(row: AttemptRow) -> Statement:
    """Write down what came of an attempt; repeated, it changes nothing."""
    return Statement(
        name="webhooks.attempts.record",
        sql="INSERT INTO webhooks_attempts (attempt_id, merchant_id, endpoint_id, delivery_id,"
        " number, started_at, duration_milliseconds, status, error, succeeded)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (attempt_id) DO UPDATE SET status = excluded.status"
        " WHERE webhooks_attempts.status < 0",
        params=astuple(row),
    )


def attempts_of_delivery(merchant_id: str, delivery_id: str, *, limit: int) -> Statement:
    """Read a delivery's attempts in order."""
    return Statement(
        name="webhooks.attempts.of_delivery",
        sql="SELECT attempt_id, merchant_id, endpoint_id, delivery_id, number, started_at,"
        " duration_milliseconds, status, error, succeeded FROM webhooks_attempts"
        " WHERE merchant_id = ? AND delivery_id = ? ORDER BY number LIMIT ?",
        params=(merchant_id, delivery_id, limit),
    )


def last_attempts(merchant_id: str, endpoint_id: str, *, since: int, limit: int) -> Statement:
    """Read how an endpoint's latest attempts ended, latest first."""
    return Statement(
        name="webhooks.attempts.latest",
        sql="SELECT succeeded FROM webhooks_attempts"
        " WHERE merchant_id = ? AND endpoint_id = ? AND started_at >= ?"
        " ORDER BY started_at DESC LIMIT ?",
        params=(merchant_id, endpoint_id, since, limit),
    )
