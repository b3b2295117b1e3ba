"""SQL of folds: how transfers become balances, set by set. All of it is the platform's, for every merchant.

The order of the statements and why it holds is told in ``docs/decisions/0012``. What is claimed is keyed
by transfer and by number, so a statement that arrives again, or late, does nothing. ``COALESCE`` around a
column that is never NULL changes nothing but the plan: rows are reached by their keys, or by the order that
is asked for, whatever an engine's statistics say of that column.
"""

from collections.abc import Sequence
from typing import Final

from fintech_dbclient import Statement, Value
from fintech_dbclient.statements import repeated

BALANCE_COLUMNS: Final = (
    "balance_key",
    "account",
    "fold",
    "currency",
    "is_first",
    "debits",
    "credits",
    "in_settlement",
)
"""The columns of an account's balance up to a fold, in the order of its insert."""

_BALANCE: Final = "balance_key, account, fold, currency, is_first, debits, credits, in_settlement"
_BALANCE_ROW: Final = "(?, ?, ?, ?, ?, ?, ?, ?)"

_FOLD: Final = (
    "SELECT f.fold AS fold, f.cutoff AS cutoff, f.period AS period, f.closed_until AS closed_until,"
    " f.size AS size, r.line_count AS line_count, r.totals AS totals, r.recorded_at AS recorded_at"
    " FROM ledger_folds f LEFT JOIN ledger_fold_records r ON r.fold = f.fold"
)

_CLOSES: Final = (
    "SELECT f.fold AS fold, f.cutoff AS cutoff, f.period AS period, f.closed_until AS closed_until,"
    " f.size AS size, r.line_count AS line_count, r.totals AS totals, r.recorded_at AS recorded_at"
    " FROM ledger_folds f JOIN ledger_fold_records r ON r.fold = f.fold"
    " WHERE r.line_count < f.size"
)
"""Recorded folds that are not full; with a period, its close."""


def newest_folds(limit: int) -> Statement:
    """Read the newest folds; what is not recorded yet has no ``line_count``."""
    return Statement(
        name="ledger.newest_folds", sql=_FOLD + " ORDER BY f.fold DESC LIMIT ?", params=(limit,)
    )


def folds_page(*, after: int, limit: int) -> Statement:
    """Read folds in their order, behind ``after``."""
    return Statement(
        name="ledger.folds",
        sql=_FOLD + " WHERE f.fold > ? ORDER BY f.fold LIMIT ?",
        params=(after, limit),
    )


def close_of(period: str) -> Statement:
    """Read the fold that closed a period; none where nothing did."""
    return Statement(name="ledger.close", sql=_CLOSES + " AND f.period = ?", params=(period,))


def closes_page(*, before: int | None, limit: int) -> Statement:
    """Read closes, newest first, behind the fold ``before``."""
    behind: Final = "" if before is None else " AND f.fold < ?"
    return Statement(
        name="ledger.closes",
        sql=_CLOSES + " AND f.period > ''" + behind + " ORDER BY f.fold DESC LIMIT ?",
        params=(*(() if before is None else (before,)), limit),
    )


def open_transfer(*, cutoff: int) -> Statement:
    """Read whether a transfer recorded before the cutoff may wait to be folded."""
    return Statement(
        name="ledger.open_transfer",
        sql="SELECT t.transfer_id AS transfer_id FROM ledger_transfers t"
        " WHERE t.is_unfolded = 1 AND t.recorded_at < ? LIMIT 1",
        params=(cutoff,),
    )


def insert_fold(*, fold: int, cutoff: int, period: str, closed_until: int, size: int) -> Statement:
    """Plan a fold; its number is its key."""
    return Statement(
        name="ledger.plan_fold",
        sql="INSERT INTO ledger_folds (fold, cutoff, period, closed_until, size)"
        " VALUES (?, ?, ?, ?, ?)",
        params=(fold, cutoff, period, closed_until, size),
    )


def claim_fold(*, fold: int, marker: str, cutoff: int, closed_until: int, size: int) -> Statement:
    """Insert a marker and the next ``size`` open transfers: all of them or none.

    Open is what was recorded before the cutoff and stands in no fold. What was recorded before
    ``closed_until`` comes too late for its own period. Merchant and id are the order of the index.
    """
    return Statement(
        name="ledger.claim_fold",
        sql="INSERT INTO ledger_fold_lines (entry_key, fold, marker, prior_period)"
        " SELECT CAST(? AS TEXT), CAST(? AS BIGINT), CAST(1 AS BIGINT), CAST(0 AS BIGINT)"
        " UNION ALL"
        " SELECT waiting.transfer_id, CAST(? AS BIGINT), CAST(0 AS BIGINT),"
        " CAST(CASE WHEN waiting.recorded_at < ? THEN 1 ELSE 0 END AS BIGINT) FROM"
        " (SELECT t.transfer_id AS transfer_id, t.recorded_at AS recorded_at"
        " FROM ledger_transfers t WHERE t.is_unfolded = 1 AND COALESCE(t.recorded_at, 0) < ?"
        " AND NOT EXISTS (SELECT 1 FROM ledger_fold_lines l WHERE l.entry_key = t.transfer_id)"
        " ORDER BY t.merchant_id, t.transfer_id LIMIT ?) waiting",
        params=(marker, fold, fold, closed_until, cutoff, size),
    )


def fold_lines(fold: int) -> Statement:
    """Read a fold's marker and lines with their transfers: a marker has none."""
    return Statement(
        name="ledger.fold_lines",
        sql="SELECT l.entry_key AS entry_key, l.marker AS marker, l.prior_period AS prior_period,"
        " t.merchant_id AS merchant_id, t.debit_account AS debit_account,"
        " t.credit_account AS credit_account, t.amount AS amount, t.currency AS currency,"
        " t.recorded_at AS recorded_at"
        " FROM ledger_fold_lines l LEFT JOIN ledger_transfers t ON t.transfer_id = l.entry_key"
        " WHERE l.fold = ? ORDER BY l.entry_key",
        params=(fold,),
    )


def balances_before(*, fold: int, accounts: Sequence[str]) -> Statement:
    """Read the last balance of each of these accounts before a fold; none where there is none."""
    return Statement(
        name="ledger.balances_before",
        sql="SELECT b.account AS account, b.currency AS currency, b.debits AS debits,"
        " b.credits AS credits, b.in_settlement AS in_settlement"
        " FROM ledger_balances a JOIN ledger_balances b ON b.account = a.account"
        " AND b.fold = (SELECT MAX(p.fold) FROM ledger_balances p"
        " WHERE p.account = a.account AND p.fold < ?)"
        " WHERE a.is_first = 1 AND a.account IN (" + repeated("?", len(accounts)) + ")",
        params=(fold, *accounts),
    )


def insert_balances(rows: Sequence[tuple[Value, ...]]) -> Statement:
    """Insert the balances of every account that a fold touches: all or none."""
    values = repeated(_BALANCE_ROW, len(rows))
    return Statement(
        name="ledger.fold_balances",
        sql="INSERT INTO ledger_balances (" + _BALANCE + ") VALUES " + values,
        params=tuple(value for row in rows for value in row),
    )


def balances_of_fold(fold: int) -> Statement:
    """Read the balances that stand for a fold."""
    return Statement(
        name="ledger.balances_of_fold",
        sql="SELECT " + _BALANCE + " FROM ledger_balances WHERE fold = ? ORDER BY account",
        params=(fold,),
    )


def record_fold(*, fold: int, line_count: int, totals: str, recorded_at: int) -> Statement:
    """Make a fold count; its number is the key."""
    return Statement(
        name="ledger.record_fold",
        sql="INSERT INTO ledger_fold_records (fold, line_count, totals, recorded_at)"
        " VALUES (?, ?, ?, ?)",
        params=(fold, line_count, totals, recorded_at),
    )


def folded_hints() -> Statement:
    """Read lines of the last recorded fold whose hint still says that they are open.

    Nothing is planned behind a fold before its hints are cleared, so earlier folds have none.
    """
    return Statement(
        name="ledger.folded_hints",
        sql="SELECT t.transfer_id AS transfer_id FROM ledger_fold_lines l"
        " JOIN ledger_transfers t ON t.transfer_id = l.entry_key"
        " WHERE l.fold = (SELECT MAX(fold) FROM ledger_fold_records)"
        " AND COALESCE(t.is_unfolded, 0) = 1",
    )


def clear_folded(transfer_ids: Sequence[Value]) -> Statement:
    """Say of transfers in recorded folds that they are: true for ever, so it may be said at any time."""
    return Statement(
        name="ledger.clear_folded",
        sql="UPDATE ledger_transfers SET is_unfolded = 0 WHERE transfer_id IN ("
        + repeated("?", len(transfer_ids))
        + ") AND COALESCE(is_unfolded, 0) = 1",
        params=tuple(transfer_ids),
    )
