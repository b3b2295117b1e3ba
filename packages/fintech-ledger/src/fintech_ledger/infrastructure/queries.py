"""SQL of transfers and of the lines that settlements claim.

Posting uses core statements alone; claims and lists use the query profile. What reads a merchant's rows
takes the merchant as an argument; ``merchant_id=None`` means every merchant and is for the platform's
principals only. Parameters in SELECT lists are cast, since PostgreSQL must know types there; sums are
cast, since its sum of BIGINT is NUMERIC.

``is_unclaimed`` is 1 where a transfer touches a merchant's account and no settlement may have claimed it
yet. It is a hint that spares history; whether a line names the transfer is what counts. Where it is
used, ``COALESCE(t.debit_account, '')`` changes nothing but the plan: it keeps engines from walking an
account's whole history by its index instead; and ``COALESCE(t.available_on, 0)`` from sorting all that is
due for each chunk of a claim. In ``clear_claimed`` it leaves the keys as the only way to the rows: an engine
with old statistics walked all that is unclaimed instead, once for every few hundred keys.
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
"""What a transfer is, in the order of its insert. Hints stand behind it: they change."""

_TRANSFER: Final = (
    "transfer_id, operation_id, merchant_id, debit_account, credit_account, amount, currency, kind,"
    " available_on, subject_id, reference, recorded_at"
)
_TRANSFER_READ: Final = (
    "t.transfer_id AS transfer_id, t.operation_id AS operation_id, t.merchant_id AS merchant_id,"
    " t.debit_account AS debit_account, t.credit_account AS credit_account, t.amount AS amount,"
    " t.currency AS currency, t.kind AS kind, t.available_on AS available_on,"
    " t.subject_id AS subject_id, t.reference AS reference, t.recorded_at AS recorded_at,"
    " COALESCE(l.prior_period, 0) AS prior_period"
)
_TRANSFER_ROW: Final = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

_UNCLAIMED: Final = (
    "NOT EXISTS (SELECT 1 FROM ledger_settlement_lines l WHERE l.line_key = t.transfer_id)"
)

_CHUNK_OF: Final = (
    "COALESCE((SELECT a.chunk FROM ledger_settlement_lines a"
    " WHERE a.line_key = ? AND a.settlement_id = ?), -1)"
)
"""The chunk of a line of a settlement; -1 of no line. Takes the line and the settlement."""

_SIGNED: Final = "CASE WHEN t.credit_account = ? THEN t.amount ELSE -t.amount END"
"""A transfer's amount as the owner of a liability account sees it; takes the account."""


def insert_transfers(rows: Sequence[tuple[Value, ...]]) -> Statement:
    """Insert the legs of one decision, each with its hint ``is_unclaimed`` behind it: all or none."""
    values = repeated(_TRANSFER_ROW, len(rows))
    return Statement(
        name="ledger.post",
        sql="INSERT INTO ledger_transfers (" + _TRANSFER + ", is_unclaimed) VALUES " + values,
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
        " WHERE t.merchant_id = ? AND t.is_unclaimed = 1"
        " AND (COALESCE(t.debit_account, '') = ? OR COALESCE(t.credit_account, '') = ?)"
        " AND COALESCE(t.available_on, 0) <= ? AND "
        + _UNCLAIMED
        + " ORDER BY t.transfer_id LIMIT ?) due",
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


def claimed_hints(*, merchant_id: str, limit: int) -> Statement:
    """Read transfers of a merchant that a line names and whose hint still says otherwise."""
    return Statement(
        name="ledger.claimed_hints",
        sql="SELECT t.transfer_id AS transfer_id FROM ledger_transfers t"
        " JOIN ledger_settlement_lines l ON l.line_key = t.transfer_id"
        " WHERE t.is_unclaimed = 1 AND t.merchant_id = ? ORDER BY t.transfer_id LIMIT ?",
        params=(merchant_id, limit),
    )


def chunk_keys(*, settlement_id: str, merchant_id: str, chunk: int) -> Statement:
    """Read the transfers that one chunk claimed: no more than its size."""
    return Statement(
        name="ledger.chunk_keys",
        sql="SELECT line_key FROM ledger_settlement_lines"
        " WHERE settlement_id = ? AND merchant_id = ? AND chunk = ? AND marker = 0",
        params=(settlement_id, merchant_id, chunk),
    )


def clear_claimed(*, merchant_id: str, transfer_ids: Sequence[Value]) -> Statement:
    """Say of claimed transfers that they are: true for ever, so it may be said again, at any time."""
    return Statement(
        name="ledger.clear_claimed",
        sql="UPDATE ledger_transfers SET is_unclaimed = 0"
        " WHERE transfer_id IN ("
        + repeated("?", len(transfer_ids))
        + ") AND COALESCE(merchant_id, '') = ? AND COALESCE(is_unclaimed, 0) = 1",
        params=(*transfer_ids, merchant_id),
    )


def lines_page(
    *, settlement_id: str, merchant_id: str, after: str, limit: int, chunks: int | None
) -> Statement:
    """Read claimed lines with their transfers, by transfer id.

    The page is cut before its transfers are looked up. With ``chunks`` it is cut out of the range of keys
    up to the last one of so many chunks behind that of ``after``, so that it may be short though lines are
    left: an engine with old statistics sorts all lines of the settlement for each page otherwise.
    """
    reach, reach_params = _reach(settlement_id, after, chunks) if chunks is not None else ("", ())
    return Statement(
        name="ledger.lines",
        sql="SELECT page.line_key AS transfer_id, t.kind AS kind, t.subject_id AS subject_id,"
        " t.reference AS reference, page.amount AS amount, t.recorded_at AS recorded_at,"
        " page.chunk AS chunk FROM"
        " (SELECT l.line_key AS line_key, l.amount AS amount, l.chunk AS chunk"
        " FROM ledger_settlement_lines l"
        " WHERE l.settlement_id = ? AND l.merchant_id = ? AND l.marker = 0 AND l.line_key > ?"
        + reach
        + " ORDER BY l.line_key LIMIT ?) page"
        " JOIN ledger_transfers t ON t.transfer_id = page.line_key ORDER BY page.line_key",
        params=(settlement_id, merchant_id, after, *reach_params, limit),
    )


def _reach(
    settlement_id: str, after: str, chunks: int
) -> tuple[LiteralString, tuple[str | int, ...]]:
    """Return the end of the range of keys of a page, and its parameters.

    ``COALESCE`` inside of ``MAX`` keeps engines from looking for it backwards through all lines.
    """
    of_after: Final = (after, settlement_id)
    return (
        " AND l.line_key <= COALESCE((SELECT MAX(COALESCE(n.line_key, ''))"
        " FROM ledger_settlement_lines n WHERE n.settlement_id = ? AND n.marker = 0"
        " AND n.chunk > " + _CHUNK_OF + " AND n.chunk <= ? + " + _CHUNK_OF + "), CAST(? AS TEXT))",
        (settlement_id, *of_after, chunks, *of_after, after),
    )


def due_lines(*, merchant_id: str, account: str, cutoff: int, limit: int) -> Statement:
    """Read due transfers of an account that no line names, by transfer id."""
    return Statement(
        name="ledger.due_lines",
        sql="SELECT t.transfer_id AS transfer_id, t.kind AS kind, t.subject_id AS subject_id,"
        " t.reference AS reference, " + _SIGNED + " AS amount, t.recorded_at AS recorded_at,"
        " CAST(-1 AS BIGINT) AS chunk FROM ledger_transfers t"
        " WHERE t.merchant_id = ? AND t.is_unclaimed = 1"
        " AND (COALESCE(t.debit_account, '') = ? OR COALESCE(t.credit_account, '') = ?)"
        " AND t.available_on <= ? AND " + _UNCLAIMED + " ORDER BY t.transfer_id LIMIT ?",
        params=(account, merchant_id, account, account, cutoff, limit),
    )


def due_total(*, merchant_id: str, account: str, cutoff: int) -> Statement:
    """Read number and sum of due transfers of an account that no line names."""
    return Statement(
        name="ledger.due_total",
        sql="SELECT COUNT(*) AS entries, CAST(COALESCE(SUM(" + _SIGNED + "), 0) AS BIGINT) AS total"
        " FROM ledger_transfers t WHERE t.merchant_id = ? AND t.is_unclaimed = 1"
        " AND (COALESCE(t.debit_account, '') = ? OR COALESCE(t.credit_account, '') = ?)"
        " AND t.available_on <= ? AND " + _UNCLAIMED,
        params=(account, merchant_id, account, account, cutoff),
    )


def due_accounts(
    *,
    first_account: str,
    end_account: str,
    carryover_kind: str,
    cutoff: int,
    after: tuple[str, str],
    limit: int,
) -> Statement:
    """Read whose accounts, by name from ``first_account`` up to ``end_account``, have due lines.

    Those that have nothing but a carry-over are left out; a page begins behind ``after``, a merchant and
    a currency.
    """
    merchant_id, currency = after
    one_side: Final = (
        " AND t.is_unclaimed = 1 AND t.available_on <= ? AND t.kind <> ? AND " + _UNCLAIMED
    )
    return Statement(
        name="ledger.due_accounts",
        sql="SELECT due.merchant_id AS merchant_id, due.currency AS currency FROM ("
        "SELECT t.merchant_id AS merchant_id, t.currency AS currency FROM ledger_transfers t"
        " WHERE COALESCE(t.debit_account, '') >= ? AND COALESCE(t.debit_account, '') < ?"
        + one_side
        + " UNION ALL SELECT t.merchant_id AS merchant_id, t.currency AS currency"
        " FROM ledger_transfers t"
        " WHERE COALESCE(t.credit_account, '') >= ? AND COALESCE(t.credit_account, '') < ?"
        + one_side
        + ") due WHERE due.merchant_id > ? OR (due.merchant_id = ? AND due.currency > ?)"
        " GROUP BY due.merchant_id, due.currency"
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
            merchant_id,
            merchant_id,
            currency,
            limit,
        ),
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

    only("t.merchant_id = ?", merchant_id)
    only("(t.debit_account = ? OR t.credit_account = ?)", account, account)
    only("t.subject_id = ?", subject_id)
    only("t.kind = ?", kind)
    only("t.currency = ?", currency)
    only("t.reference = ?", reference)
    only("t.recorded_at >= ?", recorded_from)
    only("t.recorded_at < ?", recorded_before)
    if before is not None:
        recorded_at, transfer_id = before
        only(
            "t.recorded_at <= ? AND (t.recorded_at < ? OR t.transfer_id < ?)",
            recorded_at,
            recorded_at,
            transfer_id,
        )
    where: LiteralString = (" WHERE " + " AND ".join(conditions)) if conditions else ""
    return Statement(
        name="ledger.transfers" if merchant_id is None else "ledger.transfers_of_merchant",
        sql="SELECT "
        + _TRANSFER_READ
        + " FROM ledger_transfers t LEFT JOIN ledger_fold_lines l ON l.entry_key = t.transfer_id"
        + where
        + " ORDER BY t.recorded_at DESC, t.transfer_id DESC LIMIT ?",
        params=(*params, limit),
    )
