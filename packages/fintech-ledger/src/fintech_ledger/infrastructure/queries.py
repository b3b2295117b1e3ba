"""All SQL of the ledger.

Posting uses core statements alone; claims, lists and reports use the query profile. What reads a
merchant's rows takes the merchant as an argument; ``merchant_id=None`` means every merchant and is for
the platform's principals only. Parameters in SELECT lists are cast, since PostgreSQL must know types
there; sums are cast, since its sum of BIGINT is NUMERIC.
"""

from collections.abc import Sequence
from typing import Final, LiteralString

from fintech_dbclient import Statement, Value
from fintech_dbclient.statements import repeated

TRANSFER_COLUMNS: Final = (
    "transfer_id",
    "operation_id",
    "merchant_id",
    "debit_account",
    "credit_account",
    "amount",
    "currency",
    "kind",
    "available_on",
    "subject_id",
    "reference",
    "recorded_at",
)
"""The columns of a transfer, in the order of its insert."""

_TRANSFER: Final = (
    "transfer_id, operation_id, merchant_id, debit_account, credit_account, amount, currency, kind,"
    " available_on, subject_id, reference, recorded_at"
)
_TRANSFER_ROW: Final = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

_UNCLAIMED: Final = (
    "NOT EXISTS (SELECT 1 FROM ledger_settlement_lines l WHERE l.line_key = t.transfer_id)"
)

_SIGNED: Final = "CASE WHEN t.credit_account = ? THEN t.amount ELSE -t.amount END"
"""A transfer's amount as the owner of a liability account sees it; takes the account."""


def insert_transfers(rows: Sequence[tuple[Value, ...]]) -> Statement:
    """Insert the legs of one decision: all or none."""
    values = repeated(_TRANSFER_ROW, len(rows))
    return Statement(
        name="ledger.post",
        sql="INSERT INTO ledger_transfers (" + _TRANSFER + ") VALUES " + values,
        params=tuple(value for row in rows for value in row),
    )


def transfers_of_operation(operation_id: str) -> Statement:
    """Read what one operation posted."""
    return Statement(
        name="ledger.by_operation",
        sql="SELECT " + _TRANSFER + " FROM ledger_transfers WHERE operation_id = ?",
        params=(operation_id,),
    )


def claim_chunk(
    *,
    settlement_id: str,
    marker: str,
    merchant_id: str,
    account: str,
    cutoff: int,
    chunk: int,
    size: int,
) -> Statement:
    """Insert a marker and the next ``size`` due transfers of an account: all of them or none.

    A transfer, or the marker, that already stands makes the whole statement fail.
    """
    return Statement(
        name="ledger.claim_chunk",
        sql="INSERT INTO ledger_settlement_lines"
        " (line_key, settlement_id, merchant_id, chunk, marker, amount)"
        " SELECT CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT),"
        " CAST(1 AS BIGINT), CAST(0 AS BIGINT)"
        " UNION ALL"
        " SELECT due.transfer_id, CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT),"
        " CAST(0 AS BIGINT), due.signed FROM"
        " (SELECT t.transfer_id AS transfer_id, " + _SIGNED + " AS signed FROM ledger_transfers t"
        " WHERE t.merchant_id = ? AND (t.debit_account = ? OR t.credit_account = ?)"
        " AND t.available_on <= ? AND " + _UNCLAIMED + " ORDER BY t.transfer_id LIMIT ?) due",
        params=(
            marker,
            settlement_id,
            merchant_id,
            chunk,
            settlement_id,
            merchant_id,
            chunk,
            account,
            merchant_id,
            account,
            account,
            cutoff,
            size,
        ),
    )


def chunk_counts(*, settlement_id: str, merchant_id: str) -> Statement:
    """Read how many markers and lines each chunk of a settlement holds, in order."""
    return Statement(
        name="ledger.chunk_counts",
        sql="SELECT chunk, CAST(SUM(marker) AS BIGINT) AS markers, COUNT(*) AS entries"
        " FROM ledger_settlement_lines WHERE settlement_id = ? AND merchant_id = ?"
        " GROUP BY chunk ORDER BY chunk",
        params=(settlement_id, merchant_id),
    )


def one_chunk_count(*, settlement_id: str, merchant_id: str, chunk: int) -> Statement:
    """Read how many markers and lines one chunk holds; no row where it does not stand."""
    return Statement(
        name="ledger.chunk_count",
        sql="SELECT chunk, CAST(SUM(marker) AS BIGINT) AS markers, COUNT(*) AS entries"
        " FROM ledger_settlement_lines WHERE settlement_id = ? AND merchant_id = ? AND chunk = ?"
        " GROUP BY chunk",
        params=(settlement_id, merchant_id, chunk),
    )


def claimed_total(*, settlement_id: str, merchant_id: str) -> Statement:
    """Read number and sum of a settlement's lines, of one moment."""
    return Statement(
        name="ledger.claimed_total",
        sql="SELECT COUNT(*) AS entries, CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS total"
        " FROM ledger_settlement_lines WHERE settlement_id = ? AND merchant_id = ? AND marker = 0",
        params=(settlement_id, merchant_id),
    )


def lines_page(*, settlement_id: str, merchant_id: str, after: str, limit: int) -> Statement:
    """Read claimed lines with their transfers, by transfer id."""
    return Statement(
        name="ledger.lines",
        sql="SELECT l.line_key AS transfer_id, t.kind AS kind, t.subject_id AS subject_id,"
        " t.reference AS reference, l.amount AS amount, t.recorded_at AS recorded_at,"
        " l.chunk AS chunk"
        " FROM ledger_settlement_lines l JOIN ledger_transfers t ON t.transfer_id = l.line_key"
        " WHERE l.settlement_id = ? AND l.merchant_id = ? AND l.marker = 0 AND l.line_key > ?"
        " ORDER BY l.line_key LIMIT ?",
        params=(settlement_id, merchant_id, after, limit),
    )


def due_lines(*, merchant_id: str, account: str, cutoff: int, limit: int) -> Statement:
    """Read due transfers of an account that no line names, by transfer id."""
    return Statement(
        name="ledger.due_lines",
        sql="SELECT t.transfer_id AS transfer_id, t.kind AS kind, t.subject_id AS subject_id,"
        " t.reference AS reference, " + _SIGNED + " AS amount, t.recorded_at AS recorded_at,"
        " CAST(-1 AS BIGINT) AS chunk FROM ledger_transfers t"
        " WHERE t.merchant_id = ? AND (t.debit_account = ? OR t.credit_account = ?)"
        " AND t.available_on <= ? AND " + _UNCLAIMED + " ORDER BY t.transfer_id LIMIT ?",
        params=(account, merchant_id, account, account, cutoff, limit),
    )


def due_accounts(
    *, first_account: str, end_account: str, carryover_kind: str, cutoff: int, limit: int
) -> Statement:
    """Read whose accounts, by name from ``first_account`` up to ``end_account``, have due lines.

    Those that have nothing but a carry-over are left out.
    """
    one_side: Final = (
        " AND t.available_on <= ? AND t.kind <> ? AND " + _UNCLAIMED  # of either side
    )
    return Statement(
        name="ledger.due_accounts",
        sql="SELECT due.merchant_id AS merchant_id, due.currency AS currency FROM ("
        "SELECT t.merchant_id AS merchant_id, t.currency AS currency FROM ledger_transfers t"
        " WHERE t.debit_account >= ? AND t.debit_account < ?"
        + one_side
        + " UNION ALL SELECT t.merchant_id AS merchant_id, t.currency AS currency"
        " FROM ledger_transfers t WHERE t.credit_account >= ? AND t.credit_account < ?"
        + one_side
        + ") due GROUP BY due.merchant_id, due.currency"
        " ORDER BY due.merchant_id, due.currency LIMIT ?",
        params=(
            first_account,
            end_account,
            cutoff,
            carryover_kind,
            first_account,
            end_account,
            cutoff,
            carryover_kind,
            limit,
        ),
    )


_SIDES_START: Final = (
    "SELECT sides.account AS account, CAST(SUM(sides.debit) AS BIGINT) AS debits,"
    " CAST(SUM(sides.credit) AS BIGINT) AS credits,"
    " CAST(SUM(CASE WHEN sides.available_on > ? THEN sides.debit ELSE 0 END) AS BIGINT)"
    " AS pending_debits,"
    " CAST(SUM(CASE WHEN sides.available_on > ? THEN sides.credit ELSE 0 END) AS BIGINT)"
    " AS pending_credits FROM (SELECT t.debit_account AS account, t.amount AS debit, 0 AS credit,"
    " t.available_on AS available_on FROM ledger_transfers t WHERE "
)
_SIDES_MIDDLE: Final = (
    " UNION ALL SELECT t.credit_account AS account, 0 AS debit, t.amount AS credit,"
    " t.available_on AS available_on FROM ledger_transfers t WHERE "
)
_SIDES_END: Final = ") sides GROUP BY sides.account"


def accounts_page(*, after: str, now: int, limit: int) -> Statement:
    """Read the sums of every merchant's and the platform's accounts, by name, behind ``after``."""
    return Statement(
        name="ledger.accounts",
        sql=_SIDES_START
        + "t.debit_account > ?"
        + _SIDES_MIDDLE
        + "t.credit_account > ?"
        + _SIDES_END
        + " ORDER BY sides.account LIMIT ?",
        params=(now, now, after, after, limit),
    )


def account_sums(*, account: str, now: int) -> Statement:
    """Read the sums of one account of the platform; no row where nothing was ever posted to it."""
    return Statement(
        name="ledger.account",
        sql=_SIDES_START
        + "t.debit_account = ?"
        + _SIDES_MIDDLE
        + "t.credit_account = ?"
        + _SIDES_END,
        params=(now, now, account, account),
    )


_DEBITED: Final = " WHERE t.merchant_id = ? AND t.debit_account >= ? AND t.debit_account < ?"
_CREDITED: Final = " WHERE t.merchant_id = ? AND t.credit_account >= ? AND t.credit_account < ?"


def merchant_balances(
    *,
    merchant_id: str,
    merchant_accounts: tuple[str, str],
    settlement_accounts: tuple[str, str],
    currency: str | None,
    after_currency: str,
    now: int,
    limit: int,
) -> Statement:
    """Read the sums of a merchant's accounts and what its settlements hold, by currency, of one moment.

    Args:
        merchant_id: whose.
        merchant_accounts: first name of the merchant's accounts, and the first name behind them.
        settlement_accounts: likewise of settlements' accounts.
        currency: only this one; None for all.
        after_currency: only currencies behind it.
        now: UTC milliseconds; what becomes available later is pending.
        limit: at most so many rows.
    """
    one_currency: LiteralString = "" if currency is None else " AND sides.currency = ?"
    own = (merchant_id, *merchant_accounts)
    settling = (merchant_id, *settlement_accounts)
    return Statement(
        name="ledger.merchant_balances",
        sql="SELECT sides.currency AS currency, CAST(SUM(sides.debit) AS BIGINT) AS debits,"
        " CAST(SUM(sides.credit) AS BIGINT) AS credits,"
        " CAST(SUM(CASE WHEN sides.available_on > ? THEN sides.debit ELSE 0 END) AS BIGINT)"
        " AS pending_debits,"
        " CAST(SUM(CASE WHEN sides.available_on > ? THEN sides.credit ELSE 0 END) AS BIGINT)"
        " AS pending_credits,"
        " CAST(SUM(sides.settling) AS BIGINT) AS in_settlement FROM ("
        "SELECT t.currency AS currency, t.amount AS debit, 0 AS credit, 0 AS settling,"
        " t.available_on AS available_on FROM ledger_transfers t"
        + _DEBITED
        + " UNION ALL SELECT t.currency AS currency, 0 AS debit, t.amount AS credit, 0 AS settling,"
        " t.available_on AS available_on FROM ledger_transfers t"
        + _CREDITED
        + " UNION ALL SELECT t.currency AS currency, 0 AS debit, 0 AS credit, -t.amount AS settling,"
        " t.available_on AS available_on FROM ledger_transfers t"
        + _DEBITED
        + " UNION ALL SELECT t.currency AS currency, 0 AS debit, 0 AS credit, t.amount AS settling,"
        " t.available_on AS available_on FROM ledger_transfers t"
        + _CREDITED
        + ") sides WHERE sides.currency > ?"
        + one_currency
        + " GROUP BY sides.currency ORDER BY sides.currency LIMIT ?",
        params=(
            now,
            now,
            *own,
            *own,
            *settling,
            *settling,
            after_currency,
            *(() if currency is None else (currency,)),
            limit,
        ),
    )


def trial_balance(groups: Sequence[tuple[str, str, str]]) -> Statement:
    """Read debits and credits of every group of accounts and currency, of one moment.

    Args:
        groups: name of each group, its first account, and the first account behind it. What belongs
            to no group stands under an empty name.
    """
    case: LiteralString = " WHEN sides.account >= ? AND sides.account < ? THEN CAST(? AS TEXT)"
    bounds = tuple(value for name, first, end in groups for value in (first, end, name))
    return Statement(
        name="ledger.trial_balance",
        sql="SELECT grouped.account_group AS account_group, grouped.currency AS currency,"
        " CAST(SUM(grouped.debit) AS BIGINT) AS debits,"
        " CAST(SUM(grouped.credit) AS BIGINT) AS credits FROM"
        " (SELECT CASE" + case * len(groups) + " ELSE CAST('' AS TEXT) END AS account_group,"
        " sides.currency AS currency, sides.debit AS debit, sides.credit AS credit FROM"
        " (SELECT t.debit_account AS account, t.currency AS currency, t.amount AS debit, 0 AS credit"
        " FROM ledger_transfers t"
        " UNION ALL SELECT t.credit_account AS account, t.currency AS currency, 0 AS debit,"
        " t.amount AS credit FROM ledger_transfers t) sides) grouped"
        " GROUP BY grouped.account_group, grouped.currency"
        " ORDER BY grouped.currency, grouped.account_group",
        params=bounds,
    )


def transfers_page(
    *,
    merchant_id: str | None,
    account: str | None = None,
    subject_id: str | None = None,
    kind: str | None = None,
    currency: str | None = None,
    reference: str | None = None,
    recorded_from: int | None = None,
    recorded_before: int | None = None,
    before: tuple[int, str] | None = None,
    limit: int,
) -> Statement:
    """Read transfers, newest first, behind the position ``before`` (recorded_at, transfer_id)."""
    conditions: list[LiteralString] = []
    params: list[Value] = []

    def only(condition: LiteralString, *values: Value) -> None:
        if None not in values:
            conditions.append(condition)
            params.extend(values)

    only("merchant_id = ?", merchant_id)
    only("(debit_account = ? OR credit_account = ?)", account, account)
    only("subject_id = ?", subject_id)
    only("kind = ?", kind)
    only("currency = ?", currency)
    only("reference = ?", reference)
    only("recorded_at >= ?", recorded_from)
    only("recorded_at < ?", recorded_before)
    if before is not None:
        recorded_at, transfer_id = before
        only(
            "recorded_at <= ? AND (recorded_at < ? OR transfer_id < ?)",
            recorded_at,
            recorded_at,
            transfer_id,
        )
    where: LiteralString = (" WHERE " + " AND ".join(conditions)) if conditions else ""
    return Statement(
        name="ledger.transfers" if merchant_id is None else "ledger.transfers_of_merchant",
        sql="SELECT "
        + _TRANSFER
        + " FROM ledger_transfers"
        + where
        + " ORDER BY recorded_at DESC, transfer_id DESC LIMIT ?",
        params=(*params, limit),
    )
