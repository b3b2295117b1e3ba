"""SQL of balances: what folds recorded, plus the transfers that no recorded fold names, in one SELECT.

A merchant's reads take the merchant as an argument; ``merchant_id=None`` is the platform's. Where only
open transfers are wanted, ``COALESCE(t.debit_account, '')`` changes nothing but the plan: it keeps
engines from walking an account's whole history by its index instead of the few rows that are open.
"""

from collections.abc import Sequence
from typing import Final, LiteralString

from fintech_dbclient import Statement, Value
from fintech_dbclient.statements import repeated

LAST_FOLD: Final = "(SELECT COALESCE(MAX(fold), 0) FROM ledger_fold_records)"
"""The number of the last recorded fold."""

_OPEN: Final = (
    " FROM ledger_transfers t WHERE t.is_unfolded = 1"
    " AND NOT EXISTS (SELECT 1 FROM ledger_fold_lines l"
    " WHERE l.entry_key = t.transfer_id AND l.fold <= " + LAST_FOLD + ")"
)
_OF_MERCHANT: Final = " AND t.merchant_id = ?"
_OF_MERCHANT_TOO: Final = " AND COALESCE(t.merchant_id, '') = ?"
"""Whose, where an account's index has named the few rows already: no second index is walked for it."""

_SUMS: Final = (
    "SELECT sides.account AS account, sides.currency AS currency,"
    " CAST(SUM(sides.debit) AS BIGINT) AS debits, CAST(SUM(sides.credit) AS BIGINT) AS credits,"
    " CAST(SUM(sides.pending_debit) AS BIGINT) AS pending_debits,"
    " CAST(SUM(sides.pending_credit) AS BIGINT) AS pending_credits,"
    " CAST(SUM(sides.in_settlement) AS BIGINT) AS in_settlement FROM ("
)
_SUMS_END: Final = ") sides GROUP BY sides.account, sides.currency"

_FOLDED: Final = (
    "SELECT b.account AS account, b.currency AS currency, b.debits AS debit, b.credits AS credit,"
    " 0 AS pending_debit, 0 AS pending_credit, b.in_settlement AS in_settlement"
    " FROM ledger_balances a JOIN ledger_balances b ON b.account = a.account"
    " AND b.fold = (SELECT MAX(p.fold) FROM ledger_balances p"
    " WHERE p.account = a.account AND p.fold <= "
)

_DEBIT: Final = (
    "SELECT t.debit_account AS account, t.currency AS currency, t.amount AS debit, 0 AS credit,"
    " 0 AS pending_debit, 0 AS pending_credit, 0 AS in_settlement"
)
_CREDIT: Final = (
    "SELECT t.credit_account AS account, t.currency AS currency, 0 AS debit, t.amount AS credit,"
    " 0 AS pending_debit, 0 AS pending_credit, 0 AS in_settlement"
)
_PENDING_DEBIT: Final = (
    "SELECT t.debit_account AS account, t.currency AS currency, 0 AS debit, 0 AS credit,"
    " t.amount AS pending_debit, 0 AS pending_credit, 0 AS in_settlement FROM ledger_transfers t"
)
_PENDING_CREDIT: Final = (
    "SELECT t.credit_account AS account, t.currency AS currency, 0 AS debit, 0 AS credit,"
    " 0 AS pending_debit, t.amount AS pending_credit, 0 AS in_settlement FROM ledger_transfers t"
)
_TAKEN: Final = (
    "SELECT CAST('' AS TEXT) AS account, t.currency AS currency, 0 AS debit, 0 AS credit,"
    " 0 AS pending_debit, 0 AS pending_credit, t.amount AS in_settlement"
)
_GIVEN: Final = (
    "SELECT CAST('' AS TEXT) AS account, t.currency AS currency, 0 AS debit, 0 AS credit,"
    " 0 AS pending_debit, 0 AS pending_credit, -t.amount AS in_settlement"
)
"""What settlements took and gave, by currency, under no account's name."""

_ON_CREDIT_RANGE: Final = (
    " AND COALESCE(t.credit_account, '') >= ? AND COALESCE(t.credit_account, '') < ?"
)
_ON_DEBIT_RANGE: Final = (
    " AND COALESCE(t.debit_account, '') >= ? AND COALESCE(t.debit_account, '') < ?"
)


def balances(
    *,
    accounts: Sequence[str],
    now: int,
    merchant_id: str | None,
    settlement_accounts: tuple[str, str],
) -> Statement:
    """Read the sums of accounts, of one moment; no row where nothing was ever posted to one.

    With a merchant, rows without a name hold what its settlements took since the last fold, by currency.

    Args:
        accounts: names, at least one; of one merchant where a merchant is given.
        now: UTC milliseconds; what becomes available later is pending.
        merchant_id: whose; None for the platform.
        settlement_accounts: first name of settlements' accounts, and the first name behind them.
    """
    names = repeated("?", len(accounts))
    merchant: LiteralString = "" if merchant_id is None else _OF_MERCHANT
    own: tuple[Value, ...] = () if merchant_id is None else (merchant_id,)
    settling, settling_params = _settling(_OPEN, (), settlement_accounts, own)
    return Statement(
        name="ledger.balances" if merchant_id is None else "ledger.balances_of_merchant",
        sql=_SUMS
        + (_FOLDED + LAST_FOLD + ") WHERE a.is_first = 1 AND a.account IN (" + names + ")")
        + (" UNION ALL " + _DEBIT + _OPEN + merchant)
        + (" AND COALESCE(t.debit_account, '') IN (" + names + ")")
        + (" UNION ALL " + _CREDIT + _OPEN + merchant)
        + (" AND COALESCE(t.credit_account, '') IN (" + names + ")")
        + _pending(names, "" if merchant_id is None else _OF_MERCHANT_TOO)
        + settling
        + _SUMS_END,
        params=(
            *accounts,
            *own,
            *accounts,
            *own,
            *accounts,
            *(now, *accounts, *own),
            *(now, *accounts, *own),
            *settling_params,
        ),
    )


def balances_at_fold(
    *, accounts: Sequence[str], fold: int, moment: int, merchant_id: str | None
) -> Statement:
    """Read the sums of accounts up to a recorded fold; what was available behind ``moment`` was pending.

    Its cost grows with what became available since.
    """
    names = repeated("?", len(accounts))
    merchant: LiteralString = "" if merchant_id is None else _OF_MERCHANT_TOO
    own: tuple[Value, ...] = () if merchant_id is None else (merchant_id,)
    member: Final = (  # not EXISTS, which engines turn into a join with all lines of all folds
        " AND (SELECT l.fold FROM ledger_fold_lines l WHERE l.entry_key = t.transfer_id) <= ?"
    )
    return Statement(
        name="ledger.balances_at_fold" if merchant_id is None else "ledger.balances_of_merchant_at",
        sql=_SUMS
        + (_FOLDED + "?) WHERE a.is_first = 1 AND a.account IN (" + names + ")")
        + _pending(names, merchant, member)
        + _SUMS_END,
        params=(
            *(fold, *accounts),
            *(moment, *accounts, *own, fold),
            *(moment, *accounts, *own, fold),
        ),
    )


def balances_by_time(
    *,
    accounts: Sequence[str],
    moment: int,
    merchant_id: str | None,
    settlement_accounts: tuple[str, str],
) -> Statement:
    """Read the sums of accounts over all transfers recorded before ``moment``: as slow as they are many."""
    names = repeated("?", len(accounts))
    merchant: LiteralString = "" if merchant_id is None else _OF_MERCHANT
    own: tuple[Value, ...] = () if merchant_id is None else (merchant_id,)
    before: Final = " FROM ledger_transfers t WHERE t.recorded_at < ?"
    settling, settling_params = _settling(before, (moment,), settlement_accounts, own)
    return Statement(
        name="ledger.balances_by_time" if merchant_id is None else "ledger.balances_of_merchant_by",
        sql=_SUMS
        + (_DEBIT + before + merchant + " AND t.debit_account IN (" + names + ")")
        + (" UNION ALL " + _CREDIT + before + merchant)
        + (" AND t.credit_account IN (" + names + ")")
        + _pending(names, merchant, " AND t.recorded_at < ?")
        + settling
        + _SUMS_END,
        params=(
            *(moment, *own, *accounts),
            *(moment, *own, *accounts),
            *(moment, *accounts, *own, moment),
            *(moment, *accounts, *own, moment),
            *settling_params,
        ),
    )


def account_names(*, after: str, end: str | None, merchant_id: str | None, limit: int) -> Statement:
    """Read names of accounts that were ever posted to, in order, behind ``after`` and before ``end``."""
    until: tuple[Value, ...] = () if end is None else (end,)
    folded: LiteralString = "" if end is None else " AND b.account < ?"
    debited: LiteralString = "" if end is None else " AND COALESCE(t.debit_account, '') < ?"
    credited: LiteralString = "" if end is None else " AND COALESCE(t.credit_account, '') < ?"
    merchant: LiteralString = "" if merchant_id is None else _OF_MERCHANT
    own: tuple[Value, ...] = () if merchant_id is None else (merchant_id,)
    return Statement(
        name="ledger.account_names" if merchant_id is None else "ledger.accounts_of_merchant",
        sql="SELECT names.account AS account FROM (SELECT f.account AS account FROM"
        " (SELECT b.account AS account FROM ledger_balances b WHERE b.is_first = 1"
        " AND b.account > ?"
        + folded
        + " AND b.fold <= "
        + LAST_FOLD
        + " ORDER BY b.account LIMIT ?) f"
        + (" UNION ALL SELECT t.debit_account AS account" + _OPEN + merchant)
        + (" AND COALESCE(t.debit_account, '') > ?" + debited)
        + (" UNION ALL SELECT t.credit_account AS account" + _OPEN + merchant)
        + (" AND COALESCE(t.credit_account, '') > ?" + credited)
        + ") names GROUP BY names.account ORDER BY names.account LIMIT ?",
        params=(
            *(after, *until, limit),
            *(*own, after, *until),
            *(*own, after, *until),
            limit,
        ),
    )


def trial_balance() -> Statement:
    """Read the totals up to the last recorded fold, and the open sums of each account, of one moment."""
    return Statement(
        name="ledger.trial_balance",
        sql="SELECT CAST('' AS TEXT) AS account, CAST('' AS TEXT) AS currency,"
        " CAST(0 AS BIGINT) AS debits, CAST(0 AS BIGINT) AS credits, r.totals AS totals"
        " FROM ledger_fold_records r WHERE r.fold = " + LAST_FOLD + " UNION ALL"
        " SELECT sides.account AS account, sides.currency AS currency,"
        " CAST(SUM(sides.debit) AS BIGINT) AS debits,"
        " CAST(SUM(sides.credit) AS BIGINT) AS credits, CAST('' AS TEXT) AS totals FROM ("
        + (_DEBIT + _OPEN + " UNION ALL " + _CREDIT + _OPEN)
        + _SUMS_END,
    )


def _pending(
    names: LiteralString, merchant: LiteralString, condition: LiteralString = ""
) -> LiteralString:
    """Return both sides of what is available later: takes (moment, names, merchant, condition) twice."""
    return (
        (" UNION ALL " + _PENDING_DEBIT + " WHERE t.available_on > ?")
        + (" AND t.debit_account IN (" + names + ")" + merchant + condition)
        + (" UNION ALL " + _PENDING_CREDIT + " WHERE t.available_on > ?")
        + (" AND t.credit_account IN (" + names + ")" + merchant + condition)
    )


def _settling(
    source: LiteralString,
    source_params: tuple[Value, ...],
    names: tuple[str, str],
    own: tuple[Value, ...],
) -> tuple[LiteralString, tuple[Value, ...]]:
    """Return the part that says what a merchant's settlements took and gave; none for the platform."""
    if not own:
        return "", ()
    return (
        (" UNION ALL " + _TAKEN + source + _OF_MERCHANT + _ON_CREDIT_RANGE)
        + (" UNION ALL " + _GIVEN + source + _OF_MERCHANT + _ON_DEBIT_RANGE),
        (*source_params, *own, *names, *source_params, *own, *names),
    )
