"""SQL of daily reports: what moved on merchants' accounts on a day, by kind and currency.

A day's transfers are reached by the time of their recording, its late ones by the folds that told them:
no statement looks at more than its day, or the part of it that is asked for. A merchant's takes the
merchant; the platform's (``merchant_id=None``) are for its principals only. ``COALESCE`` around a column
changes nothing but the plan: it keeps engines from walking history by that column's index.
"""

from typing import Final, LiteralString

from fintech_dbclient import Statement, Value

_SUMS: Final = (
    "SELECT t.currency AS currency, t.kind AS kind, COUNT(*) AS transfers,"
    " CAST(SUM(CASE WHEN t.credit_account >= ? AND t.credit_account < ? THEN t.amount"
    " ELSE -t.amount END) AS BIGINT) AS amount"
)
_ON_ACCOUNTS: Final = (
    " AND ((COALESCE(t.credit_account, '') >= ? AND COALESCE(t.credit_account, '') < ?)"
    " OR (COALESCE(t.debit_account, '') >= ? AND COALESCE(t.debit_account, '') < ?))"
)
_GROUPED: Final = " GROUP BY t.currency, t.kind"
_OF_MERCHANT: Final = " AND t.merchant_id = ?"

_CLOSE: Final = (
    "SELECT f.fold AS fold, f.cutoff AS cutoff, f.period AS period, r.totals AS totals"
    " FROM ledger_folds f JOIN ledger_fold_records r ON r.fold = f.fold"
    " WHERE r.line_count < f.size AND f.period > ''"
)


def recorded_within(
    *,
    accounts: tuple[str, str],
    begin: int,
    end: int,
    fold: int | None,
    merchant_id: str | None,
) -> Statement:
    """Sum what was recorded within a time and was not late; with ``fold``, what folds up to it hold."""
    folded: LiteralString = "" if fold is None else " AND l.fold <= ?"
    merchant: LiteralString = "" if merchant_id is None else _OF_MERCHANT
    own: tuple[Value, ...] = () if merchant_id is None else (merchant_id,)
    return Statement(
        name="ledger.report" if merchant_id is None else "ledger.report_of_merchant",
        sql=_SUMS + " FROM ledger_transfers t"
        " LEFT JOIN ledger_fold_lines l ON l.entry_key = t.transfer_id"
        " WHERE t.recorded_at >= ? AND t.recorded_at < ? AND COALESCE(l.prior_period, 0) = 0"
        + folded
        + merchant
        + _ON_ACCOUNTS
        + _GROUPED,
        params=(
            *accounts,
            begin,
            end,
            *(() if fold is None else (fold,)),
            *own,
            *accounts,
            *accounts,
        ),
    )


def told_late(
    *, accounts: tuple[str, str], behind: int, fold: int, merchant_id: str | None
) -> Statement:
    """Sum what came too late for its own day and stands in folds behind one, up to another."""
    merchant: LiteralString = "" if merchant_id is None else _OF_MERCHANT
    own: tuple[Value, ...] = () if merchant_id is None else (merchant_id,)
    return Statement(
        name="ledger.report_late" if merchant_id is None else "ledger.report_late_of_merchant",
        sql=_SUMS
        + " FROM ledger_fold_lines l JOIN ledger_transfers t ON t.transfer_id = l.entry_key"
        " WHERE l.prior_period = 1 AND l.fold > ? AND l.fold <= ?"
        + merchant
        + _ON_ACCOUNTS
        + _GROUPED,
        params=(*accounts, behind, fold, *own, *accounts, *accounts),
    )


def untold(*, accounts: tuple[str, str], closed_until: int, merchant_id: str | None) -> Statement:
    """Sum what was recorded before a closed end and stands in no fold yet: late, and told next."""
    merchant: LiteralString = "" if merchant_id is None else _OF_MERCHANT
    own: tuple[Value, ...] = () if merchant_id is None else (merchant_id,)
    return Statement(
        name="ledger.report_untold" if merchant_id is None else "ledger.report_untold_of_merchant",
        sql=_SUMS
        + " FROM ledger_transfers t WHERE t.is_unfolded = 1 AND COALESCE(t.recorded_at, 0) < ?"
        " AND NOT EXISTS (SELECT 1 FROM ledger_fold_lines l WHERE l.entry_key = t.transfer_id)"
        + merchant
        + _ON_ACCOUNTS
        + _GROUPED,
        params=(*accounts, closed_until, *own, *accounts, *accounts),
    )


def close_before(day: str) -> Statement:
    """Read the last close of a day before this one."""
    return Statement(
        name="ledger.close_before",
        sql=_CLOSE + " AND f.period < ? ORDER BY f.period DESC LIMIT 1",
        params=(day,),
    )


def closes_within(first_day: str, last_day: str) -> Statement:
    """Read the closes of days, in their order."""
    return Statement(
        name="ledger.closes_within",
        sql=_CLOSE + " AND f.period >= ? AND f.period <= ? ORDER BY f.period",
        params=(first_day, last_day),
    )


def close_behind(day: str) -> Statement:
    """Read the first close of a day behind this one."""
    return Statement(
        name="ledger.close_behind",
        sql=_CLOSE + " AND f.period > ? ORDER BY f.period LIMIT 1",
        params=(day,),
    )


def balances_at(*, accounts: tuple[str, str], fold: int) -> Statement:
    """Read balances of accounts by name, as credits less debits, up to a recorded fold."""
    return Statement(
        name="ledger.report_balances",
        sql="SELECT b.currency AS currency, b.credits - b.debits AS balance"
        " FROM ledger_balances a JOIN ledger_balances b ON b.account = a.account"
        " AND b.fold = (SELECT MAX(p.fold) FROM ledger_balances p"
        " WHERE p.account = a.account AND p.fold <= ?)"
        " WHERE a.is_first = 1 AND a.account >= ? AND a.account < ?",
        params=(fold, *accounts),
    )
