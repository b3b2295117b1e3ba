"""Reading the books: balances, transfers, the trial balance.

Balances are sums over transfers. Whose rows are read is an argument of every call: a merchant's id, or
``None`` for every merchant (the platform's principals).
"""

from dataclasses import dataclass
from typing import Any, Final

from fintech_dbclient import Database, Row
from fintech_kernel.clock import Clock
from fintech_kernel.contracts.accounts import merchant_account
from fintech_kernel.errors import InvariantBroken, NotFound
from fintech_kernel.money import Money

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
    group_of_names,
    names_of_merchant,
)
from fintech_ledger.infrastructure import queries

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
        if merchant_id is not None:
            last = find_account(after)
            return await self._of_merchant(
                merchant_id, currency=None, after=last.currency if last else "", limit=limit
            )
        now = self._clock.now_milliseconds()
        result = await self._database.execute(
            queries.accounts_page(after=after, now=now, limit=limit)
        )
        return tuple(
            balance_of(_known_account(str(row["account"])), _sums(row)) for row in result.rows
        )

    async def account(self, name: str, *, merchant_id: str | None) -> AccountBalance:
        """Return one account.

        Raises:
            NotFound: no such account, nothing was ever posted to it, or it is not this merchant's.
        """
        account = find_account(name)
        if account is None:
            raise NotFound
        if account.group is MERCHANT and merchant_id in {None, account.owner}:
            found = await self._of_merchant(
                account.owner, currency=account.currency, after="", limit=1
            )
        elif merchant_id is None:
            found = await self._of_platform(account)
        else:
            found = ()
        if not found:
            raise NotFound
        return found[0]

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
        result = await self._database.execute(queries.trial_balance(group_of_names()))
        lines: dict[str, list[TrialLine]] = {}
        for row in result.rows:
            columns: dict[str, Any] = dict(row)
            group = _GROUPS.get(columns["account_group"])
            if group is None:
                raise InvariantBroken("transfers name accounts that are not in the chart")
            lines.setdefault(columns["currency"], []).append(
                TrialLine(group=group, debits=columns["debits"], credits=columns["credits"])
            )
        return tuple(
            TrialBalance(currency=currency, lines=tuple(found)) for currency, found in lines.items()
        )

    async def _of_merchant(
        self, merchant_id: str, *, currency: str | None, after: str, limit: int
    ) -> tuple[AccountBalance, ...]:
        result = await self._database.execute(
            queries.merchant_balances(
                merchant_id=merchant_id,
                merchant_accounts=names_of_merchant(merchant_id),
                settlement_accounts=SETTLEMENT.names,
                currency=currency,
                after_currency=after,
                now=self._clock.now_milliseconds(),
                limit=limit,
            )
        )
        return tuple(
            balance_of(
                _known_account(merchant_account(merchant_id, str(row["currency"]))),
                _sums(row),
                in_settlement=dict[str, Any](row)["in_settlement"],
            )
            for row in result.rows
        )

    async def _of_platform(self, account: Account) -> tuple[AccountBalance, ...]:
        result = await self._database.execute(
            queries.account_sums(account=account.name, now=self._clock.now_milliseconds())
        )
        return tuple(balance_of(account, _sums(row)) for row in result.rows)


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
    return Transfer(amount=amount, **columns)
