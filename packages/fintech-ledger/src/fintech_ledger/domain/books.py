"""Reading the books: balances now and in the past, transfers, the trial balance.

A balance is what folds recorded plus the transfers that are open, of one moment. Whose rows are read is
an argument of every call: a merchant's id, or ``None`` for every merchant (the platform's principals).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fintech_dbclient import Database, Row, Statement
from fintech_kernel.clock import Clock
from fintech_kernel.errors import InvalidRequest, InvariantBroken, NotFound
from fintech_kernel.money import Money

from fintech_ledger.domain.folding import close_of
from fintech_ledger.domain.folds import Total, period_end, summed, total_of, totals_of_text
from fintech_ledger.domain.model import (
    CHART,
    MERCHANT,
    SETTLEMENT,
    Account,
    AccountBalance,
    Sums,
    Transfer,
    TrialBalance,
    TrialLine,
    balance_of,
    find_account,
    names_of_merchant,
)
from fintech_ledger.infrastructure import balance_queries, queries

_GROUPS: Final = {group.name: group for group in CHART}


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferFilter:
    """Which transfers are wanted; None means any. Times are UTC milliseconds, the end is exclusive."""

    account: str | None = None
    subject_id: str | None = None
    kind: str | None = None
    currency: str | None = None
    reference: str | None = None
    recorded_from: int | None = None
    recorded_before: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PastBalance:
    """An account at the end of a day. ``fold`` is the day's close; None where there is none.

    Without a close it is what was recorded before the day's end, as far as it has been committed since.
    """

    balance: AccountBalance
    period: str
    fold: int | None


class Books:
    """The ledger, read."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def accounts(
        self, *, merchant_id: str | None, after: str, limit: int
    ) -> tuple[AccountBalance, ...]:
        """Return accounts by name, behind ``after``: a merchant's own, or those of all.

        ``in_settlement`` is given for a merchant's own only.
        """
        first, end = (after, None) if merchant_id is None else names_of_merchant(merchant_id)
        result = await self._database.execute(
            balance_queries.account_names(
                after=max(after, first), end=end, merchant_id=merchant_id, limit=limit
            )
        )
        names = [str(row["account"]) for row in result.rows]
        return await self._now(names, merchant_id) if names else ()

    async def account(self, name: str, *, merchant_id: str | None) -> AccountBalance:
        """Return one account.

        Raises:
            NotFound: no such account, nothing was ever posted to it, or it is not this merchant's.
        """
        account = _visible(name, merchant_id)
        return _only(await self._now([name], _owner(account)))

    async def account_at(self, name: str, *, period: str, merchant_id: str | None) -> PastBalance:
        """Return one account at the end of a day: of its close, or computed where there is none.

        Raises:
            NotFound: as ``account``, or nothing was posted to it by then.
            InvalidRequest: it is no day that has ended.
        """
        account = _visible(name, merchant_id)
        moment = _ended(period, self._clock.now_milliseconds())
        owner = _owner(account)
        close = await close_of(self._database, period)
        if close is None:
            statement = balance_queries.balances_by_time(
                accounts=[name],
                moment=moment,
                merchant_id=owner,
                settlement_accounts=SETTLEMENT.names,
            )
        else:
            statement = balance_queries.balances_at_fold(
                accounts=[name], fold=close.fold, moment=moment, merchant_id=owner
            )
        found = await self._read(statement, owner)
        return PastBalance(
            balance=_only(found), period=period, fold=None if close is None else close.fold
        )

    async def transfers(
        self,
        *,
        merchant_id: str | None,
        wanted: TransferFilter,
        before: tuple[int, str] | None,
        limit: int,
    ) -> tuple[Transfer, ...]:
        """Return transfers, newest first, behind the position ``before`` (recorded_at, transfer_id)."""
        result = await self._database.execute(
            queries.transfers_page(
                merchant_id=merchant_id,
                account=wanted.account,
                subject_id=wanted.subject_id,
                kind=wanted.kind,
                currency=wanted.currency,
                reference=wanted.reference,
                recorded_from=wanted.recorded_from,
                recorded_before=wanted.recorded_before,
                before=before,
                limit=limit,
            )
        )
        return tuple(_transfer(row) for row in result.rows)

    async def trial_balance(self) -> tuple[TrialBalance, ...]:
        """Return the trial balance of every currency, of one moment.

        Raises:
            InvariantBroken: a transfer names an account that is not in the chart.
        """
        result = await self._database.execute(balance_queries.trial_balance())
        return trial_of(total for row in result.rows for total in _totals(row))

    async def _now(
        self, names: Sequence[str], merchant_id: str | None
    ) -> tuple[AccountBalance, ...]:
        statement = balance_queries.balances(
            accounts=names,
            now=self._clock.now_milliseconds(),
            merchant_id=merchant_id,
            settlement_accounts=SETTLEMENT.names,
        )
        return await self._read(statement, merchant_id)

    async def _read(
        self, statement: Statement, merchant_id: str | None
    ) -> tuple[AccountBalance, ...]:
        """Return balances by name; rows without a name say what settlements took, by currency."""
        rows: list[dict[str, Any]] = [
            dict(row) for row in (await self._database.execute(statement)).rows
        ]
        taken = {row["currency"]: row["in_settlement"] for row in rows if not row["account"]}
        return tuple(
            balance_of(
                _known_account(row["account"]),
                _sums(row),
                in_settlement=(
                    None
                    if merchant_id is None
                    else row["in_settlement"] + taken.get(row["currency"], 0)
                ),
            )
            for row in sorted(rows, key=lambda row: row["account"])
            if row["account"]
        )


def trial_of(totals: Iterable[Total]) -> tuple[TrialBalance, ...]:
    """Return the trial balance of each currency."""
    lines: dict[str, list[TrialLine]] = {}
    for total in summed(totals):
        lines.setdefault(total.currency, []).append(
            TrialLine(group=_GROUPS[total.group], debits=total.debits, credits=total.credits)
        )
    return tuple(
        TrialBalance(currency=currency, lines=tuple(found)) for currency, found in lines.items()
    )


def _totals(row: Row) -> tuple[Total, ...]:
    """Return what a row adds: the totals of all folds, or the open sums of one account."""
    columns: dict[str, Any] = dict(row)
    if not columns["account"]:
        return totals_of_text(columns["totals"])
    return (
        total_of(
            columns["account"],
            columns["currency"],
            debits=columns["debits"],
            credits=columns["credits"],
        ),
    )


def _visible(name: str, merchant_id: str | None) -> Account:
    """Return an account that may be seen.

    Raises:
        NotFound: there is none in the chart, or it is not this merchant's.
    """
    account = find_account(name)
    if account is None or merchant_id not in {None, _owner(account)}:
        raise NotFound
    return account


def _owner(account: Account) -> str | None:
    """Return the merchant whose account it is; None for the platform's."""
    return account.owner if account.group is MERCHANT else None


def _only(found: Sequence[AccountBalance]) -> AccountBalance:
    if not found:
        raise NotFound
    return found[0]


def _ended(period: str, now: int) -> int:
    """Return the end of a day that has ended.

    Raises:
        InvalidRequest: it has not, or is none.
    """
    refused = InvalidRequest("/query/at", "must be a day (UTC) that has ended")
    try:
        moment = period_end(period)
    except ValueError:
        raise refused from None
    if moment > now:
        raise refused
    return moment


def _known_account(name: str) -> Account:
    account = find_account(name)
    if account is None:
        raise InvariantBroken(f"{name} was posted to and is not in the chart of accounts")
    return account


def _sums(row: Row) -> Sums:
    columns: dict[str, Any] = dict(row)
    return Sums(
        debits=columns["debits"],
        credits=columns["credits"],
        pending_debits=columns["pending_debits"],
        pending_credits=columns["pending_credits"],
    )


def _transfer(row: Row) -> Transfer:
    columns: dict[str, Any] = dict(row)
    amount = Money(amount=columns.pop("amount"), currency=columns.pop("currency"))
    is_prior = bool(columns.pop("prior_period"))
    return Transfer(amount=amount, is_prior_period=is_prior, **columns)
