"""All SQL of payments. The merchant is part of every key or an argument of the query."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

from fintech_dbclient import Statement, Value
from fintech_dbclient.statements import repeated

_COLUMNS: Final = (
    "payment_id, merchant_id, status, currency, reference, outcomes_open, created_at, seq, data,"
    " expires_at, next_ask_at"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRow:
    """A row of the read model. ``data`` is the payment as JSON at position ``seq`` of its stream.

    ``expires_at`` and ``next_ask_at`` are None where nothing is to expire, and nothing to be asked.
    """

    payment_id: str
    merchant_id: str
    status: str
    currency: str
    reference: str
    outcomes_open: int
    created_at: int
    seq: int
    data: str
    expires_at: int | None
    next_ask_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFilter:
    """What a list is narrowed to; None leaves a condition out. Times are UTC milliseconds."""

    status: str | None = None
    currency: str | None = None
    reference: str | None = None
    created_from: int | None = None
    created_until: int | None = None
    outcomes_open: int | None = None
    metadata: tuple[str, str] | None = None


def reference_key(merchant_id: str, reference: str) -> str:
    """Return the key that makes a reference unique per merchant."""
    return f"{merchant_id}/{reference}"


def insert_reference(
    *,
    merchant_id: str,
    reference: str,
    operation_id: str,
    payment_id: str,
    amount: int,
    currency: str,
) -> Statement:
    """Take a reference for an operation; fails as a duplicate when it is taken."""
    return Statement(
        name="payments.references.insert",
        sql="INSERT INTO payments_references"
        " (reference_key, operation_id, payment_id, amount, currency) VALUES (?, ?, ?, ?, ?)",
        params=(
            reference_key(merchant_id, reference),
            operation_id,
            payment_id,
            amount,
            currency,
        ),
    )


def reference_owner(merchant_id: str, reference: str) -> Statement:
    """Read who owns a reference: written once, never changed."""
    return Statement(
        name="payments.references.by_key",
        sql="SELECT operation_id, payment_id, amount, currency FROM payments_references"
        " WHERE reference_key = ?",
        params=(reference_key(merchant_id, reference),),
    )


def upsert_payment(row: PaymentRow) -> Statement:
    """Write the read model, unless a later position is there already."""
    return Statement(
        name="payments.upsert",
        sql="INSERT INTO payments_payments ("
        + _COLUMNS
        + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (payment_id) DO UPDATE SET status = excluded.status,"
        " outcomes_open = excluded.outcomes_open, seq = excluded.seq, data = excluded.data,"
        " expires_at = excluded.expires_at, next_ask_at = excluded.next_ask_at"
        " WHERE payments_payments.seq < excluded.seq",
        params=(
            row.payment_id,
            row.merchant_id,
            row.status,
            row.currency,
            row.reference,
            row.outcomes_open,
            row.created_at,
            row.seq,
            row.data,
            row.expires_at,
            row.next_ask_at,
        ),
    )


def upsert_metadata(merchant_id: str, payment_id: str, metadata: Mapping[str, str]) -> Statement:
    """Write a payment's pairs: they never change."""
    values = repeated("(?, ?, ?, ?, ?)", len(metadata))
    return Statement(
        name="payments.metadata.upsert",
        sql="INSERT INTO payments_metadata (pair_key, merchant_id, payment_id, name, value) VALUES "
        + values
        + " ON CONFLICT (pair_key) DO UPDATE SET value = excluded.value",
        params=tuple(
            part
            for name, value in metadata.items()
            for part in (_pair_key(payment_id, name), merchant_id, payment_id, name, value)
        ),
    )


def pairs_of(payment_id: str, metadata: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the keys of a payment's pairs, each with its value."""
    return [(_pair_key(payment_id, name), value) for name, value in metadata.items()]


def _pair_key(payment_id: str, name: str) -> str:
    return f"{payment_id}:{name}"


def payment_positions(*, merchant_ids: Sequence[str], payment_ids: Sequence[str]) -> Statement:
    """Read up to which position of their streams payments are shown, for the dispatcher (platform scope)."""
    return Statement(
        name="payments.positions",
        sql="SELECT payment_id, seq FROM payments_payments WHERE payment_id IN ("
        + repeated("?", len(payment_ids))
        + ") AND merchant_id IN ("
        + repeated("?", len(merchant_ids))
        + ")",
        params=(*payment_ids, *merchant_ids),
    )


def standing_pairs(keys: Sequence[str]) -> Statement:
    """Read which of these pairs stand, for the dispatcher (platform scope)."""
    return Statement(
        name="payments.metadata.standing",
        sql="SELECT pair_key, value FROM payments_metadata WHERE pair_key IN ("
        + repeated("?", len(keys))
        + ")",
        params=tuple(keys),
    )


def payments_of_merchant(
    *, merchant_id: str, where: PaymentFilter, before: str | None, limit: int
) -> Statement:
    """Read a merchant's payments, newest first, behind the id ``before``."""
    conditions, params = _conditions(where, before)
    if where.metadata is not None:
        return Statement(
            name="payments.by_merchant",
            sql="SELECT p.data AS data FROM payments_metadata d INNER JOIN payments_payments p"
            " ON p.payment_id = d.payment_id AND p.merchant_id = d.merchant_id"
            " WHERE d.merchant_id = ? AND d.name = ? AND d.value = ?"
            + conditions
            + " ORDER BY d.payment_id DESC LIMIT ?",
            params=(merchant_id, *where.metadata, *params, limit),
        )
    return Statement(
        name="payments.by_merchant",
        sql="SELECT p.data AS data FROM payments_payments p WHERE p.merchant_id = ?"
        + conditions
        + " ORDER BY p.payment_id DESC LIMIT ?",
        params=(merchant_id, *params, limit),
    )


def payments_of_platform(*, where: PaymentFilter, before: str | None, limit: int) -> Statement:
    """Read payments across merchants, newest first: for platform staff only."""
    conditions, params = _conditions(where, before)
    if where.metadata is not None:
        return Statement(
            name="payments.of_platform",
            sql="SELECT p.data AS data FROM payments_metadata d INNER JOIN payments_payments p"
            " ON p.payment_id = d.payment_id WHERE d.name = ? AND d.value = ?"
            + conditions
            + " ORDER BY d.payment_id DESC LIMIT ?",
            params=(*where.metadata, *params, limit),
        )
    return Statement(
        name="payments.of_platform",
        sql="SELECT p.data AS data FROM payments_payments p WHERE 1 = 1"
        + conditions
        + " ORDER BY p.payment_id DESC LIMIT ?",
        params=(*params, limit),
    )


def payment_owner(payment_id: str) -> Statement:
    """Read whose payment this is: for platform staff, who name payments without a merchant."""
    return Statement(
        name="payments.owner",
        sql="SELECT merchant_id FROM payments_payments WHERE payment_id = ?",
        params=(payment_id,),
    )


def payments_to_ask_about(*, now: int, limit: int) -> Statement:
    """Read payments whose processor is to be asked again, for the resolver (platform scope)."""
    return Statement(
        name="payments.open_outcomes",
        sql="SELECT payment_id, merchant_id FROM payments_payments"
        " WHERE next_ask_at <= ? ORDER BY next_ask_at, payment_id LIMIT ?",
        params=(now, limit),
    )


def payments_with_open_outcomes(limit: int) -> Statement:
    """Read payments whose processor has not answered yet, oldest first: for gauges, across merchants."""
    return Statement(
        name="payments.with_open_outcomes",
        sql="SELECT status, created_at, data FROM payments_payments WHERE outcomes_open = 1"
        " ORDER BY payment_id LIMIT ?",
        params=(limit,),
    )


def put_off_question(*, merchant_id: str, payment_id: str, next_ask_at: int | None) -> Statement:
    """Note when a payment's processor is asked again: before it is, so that one that hangs waits."""
    return Statement(
        name="payments.put_off_question",
        sql="UPDATE payments_payments SET next_ask_at = ? WHERE merchant_id = ? AND payment_id = ?",
        params=(next_ask_at, merchant_id, payment_id),
    )


def expired_authorizations(*, now: int, after: tuple[int, str], limit: int) -> Statement:
    """Read payments of whose authorization something is left behind its time (platform scope)."""
    return Statement(
        name="payments.expired",
        sql="SELECT payment_id, merchant_id, expires_at FROM payments_payments"
        " WHERE expires_at <= ? AND (expires_at > ? OR (expires_at = ? AND payment_id > ?))"
        " ORDER BY expires_at, payment_id LIMIT ?",
        params=(now, after[0], after[0], after[1], limit),
    )


def _conditions(where: PaymentFilter, before: str | None) -> tuple[LiteralString, Sequence[Value]]:
    behind: LiteralString = " AND p.payment_id < ?"
    if where.metadata is not None:
        behind = " AND d.payment_id < ?"
    conditions: LiteralString = ""
    params: list[Value] = []
    wanted: tuple[tuple[LiteralString, Value], ...] = (
        (" AND p.status = ?", where.status),
        (" AND p.currency = ?", where.currency),
        (" AND p.reference = ?", where.reference),
        (" AND p.created_at >= ?", where.created_from),
        (" AND p.created_at < ?", where.created_until),
        (" AND p.outcomes_open = ?", where.outcomes_open),
        (behind, before),
    )
    for condition, value in wanted:
        if value is not None:
            conditions += condition
            params.append(value)
    return conditions, params


_CALL: Final = (
    "call_key, processor, payment_id, effect, amount, currency, token, decline_code, answers_at,"
    " told"
)


def insert_sandbox_call(
    *,
    key: str,
    processor: str,
    payment_id: str,
    effect: str,
    amount: int,
    currency: str,
    token: str,
    outcome: str,
    decline_code: str,
    recorded_at: int,
    answers_at: int,
    told: bool,
) -> Statement:
    """Write a call into a sandbox's books; fails as a duplicate when the key is known."""
    return Statement(
        name="payments.sandbox.insert",
        sql="INSERT INTO payments_sandbox_calls (call_key, processor, payment_id, effect, amount,"
        " currency, token, outcome, decline_code, recorded_at, answers_at, told)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params=(
            key,
            processor,
            payment_id,
            effect,
            amount,
            currency,
            token,
            outcome,
            decline_code,
            recorded_at,
            answers_at,
            1 if told else 0,
        ),
    )


def sandbox_call(key: str) -> Statement:
    """Read a call of a sandbox."""
    return Statement(
        name="payments.sandbox.by_key",
        sql="SELECT " + _CALL + " FROM payments_sandbox_calls WHERE call_key = ?",
        params=(key,),
    )


def sandbox_calls_of_payment(payment_id: str) -> Statement:
    """Read a sandbox's calls of a payment: how it knows the token of an earlier authorization."""
    return Statement(
        name="payments.sandbox.by_payment",
        sql="SELECT " + _CALL + " FROM payments_sandbox_calls WHERE payment_id = ?",
        params=(payment_id,),
    )


def sandbox_calls_untold(*, processor: str, now: int, limit: int) -> Statement:
    """Read a sandbox's calls whose answer is due and for which a callback is owed."""
    return Statement(
        name="payments.sandbox.untold",
        sql="SELECT " + _CALL + " FROM payments_sandbox_calls"
        " WHERE told = 0 AND answers_at <= ? AND processor = ? ORDER BY answers_at LIMIT ?",
        params=(now, processor, limit),
    )


def mark_sandbox_call_told(key: str) -> Statement:
    """Note that the callback of a call was acknowledged."""
    return Statement(
        name="payments.sandbox.told",
        sql="UPDATE payments_sandbox_calls SET told = 1 WHERE call_key = ?",
        params=(key,),
    )
