"""Replaying the books: every fold, transfer and settlement line is read again and compared.

What is compared is computed from transfers alone. Folds are replayed in their order, so each recorded
balance and each trial balance is checked, not the last ones only. Payments may go on meanwhile: where a
sum read page by page differs from what a balance says, one SELECT of one moment decides.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from fintech_dbclient import Database, Statement
from fintech_kernel.clock import Clock

from fintech_ledger.domain.books import Books
from fintech_ledger.domain.errors import BooksDiffer
from fintech_ledger.domain.folding import balance_columns, fold_of_row, folded_transfer
from fintech_ledger.domain.folds import (
    BEFORE_ALL,
    Fold,
    FoldedBalance,
    balances_behind,
    totals_behind,
    totals_of_text,
    totals_text,
)
from fintech_ledger.domain.model import MERCHANT, find_account
from fintech_ledger.infrastructure import check_queries, fold_queries

PAGE_ROWS: Final = 1_000
"""Rows of one read."""

FOLDS: Final = "folds"
TRANSFERS: Final = "transfers"
LINES: Final = "settlement lines"
ACCOUNTS: Final = "accounts"

OnProgress: TypeAlias = Callable[[str, int, int], None]
"""Is told a part's name, how many rows of it were read, and of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """How much was compared and found right."""

    folds: int
    transfers: int
    lines: int
    accounts: int


class BooksCheck:
    """Compares what the ledger says with what its transfers make."""

    def __init__(self, *, database: Database, clock: Clock, on_progress: OnProgress) -> None:
        self._database = database
        self._books = Books(database=database, clock=clock)
        self._on_progress = on_progress
        self._sums: dict[str, tuple[int, int]] = {}

    async def run(self) -> Checked:
        """Compare everything.

        Raises:
            BooksDiffer: the first difference.
            DatabaseError: the database did not answer in time.
        """
        (counts,) = (await self._database.execute(check_queries.row_counts())).rows
        expected: dict[str, Any] = dict(counts)
        return Checked(
            folds=await self._check_folds(expected["folds"]),
            transfers=await self._check_transfers(expected["transfers"]),
            lines=await self._check_lines(expected["lines"]),
            accounts=await self._check_accounts(),
        )

    # --- folds, in their order: lines, balances, totals

    async def _check_folds(self, expected: int) -> int:
        last = BEFORE_ALL
        balances: dict[str, FoldedBalance] = {}
        while True:
            page = fold_queries.folds_page(after=last.fold, limit=PAGE_ROWS)
            folds = [fold_of_row(row) for row in (await self._database.execute(page)).rows]
            for fold in folds:
                _check_order(last, fold)
                if not fold.is_recorded:
                    return last.fold
                await self._check_fold(last, fold, balances)
                last = fold
                self._on_progress(FOLDS, fold.fold, expected)
            if len(folds) < PAGE_ROWS:
                return last.fold

    async def _check_fold(self, last: Fold, fold: Fold, balances: dict[str, FoldedBalance]) -> None:
        """Replay one fold on the balances before it."""
        lines = await self._lines_of(fold)
        transfers = [folded_transfer(line) for line in lines]
        if len(transfers) != fold.line_count:
            raise BooksDiffer(
                f"fold {fold.fold} says {fold.line_count} lines and has {len(transfers)}"
            )
        made = balances_behind(balances, transfers)
        standing = await self._database.execute(fold_queries.balances_of_fold(fold.fold))
        told = {str(row["account"]): dict(row) for row in standing.rows}
        for balance in made:
            columns = balance_columns(fold, balance)
            if told.pop(balance.account, None) != columns:
                raise BooksDiffer(f"fold {fold.fold}: {balance.account} is not what its lines make")
        for account in told:
            raise BooksDiffer(f"fold {fold.fold}: {account} has a balance and no line")
        totals = totals_behind(totals_of_text(last.totals), transfers)
        if totals_text(totals) != fold.totals:
            raise BooksDiffer(f"fold {fold.fold}: its trial balance is not what its lines make")
        balances.update({balance.account: balance for balance in made})

    async def _lines_of(self, fold: Fold) -> list[dict[str, Any]]:
        result = await self._database.execute(fold_queries.fold_lines(fold.fold))
        rows: list[dict[str, Any]] = [dict(row) for row in result.rows]
        lines = [row for row in rows if not row["marker"]]
        if [row["entry_key"] for row in rows if row["marker"]] != [fold.marker]:
            raise BooksDiffer(f"fold {fold.fold} has no one marker")
        for line in lines:
            if line["amount"] is None:
                raise BooksDiffer(f"fold {fold.fold}: {line['entry_key']} is no transfer")
            if line["recorded_at"] >= fold.cutoff:
                raise BooksDiffer(
                    f"fold {fold.fold}: {line['entry_key']} is from behind its cutoff"
                )
            if line["prior_period"] != int(line["recorded_at"] < fold.closed_until):
                raise BooksDiffer(f"fold {fold.fold}: {line['entry_key']} is marked wrongly")
        return lines

    # --- transfers: sums, and hints against lines

    async def _check_transfers(self, expected: int) -> int:
        count = 0
        async for row in self._pages(check_queries.transfers_from, "transfer_id"):
            _check_transfer(row)
            self._add(row["debit_account"], row["amount"], 0)
            self._add(row["credit_account"], 0, row["amount"])
            count += 1
            if count % PAGE_ROWS == 0:
                self._on_progress(TRANSFERS, count, expected)
        self._on_progress(TRANSFERS, count, count)
        return count

    def _add(self, account: str, debit: int, credit: int) -> None:
        debits, credited = self._sums.get(account, (0, 0))
        self._sums[account] = (debits + debit, credited + credit)

    # --- settlement lines: their transfers, and their sum against the settlement's own

    async def _check_lines(self, expected: int) -> int:
        sums: dict[str, int] = {}
        own: dict[str, int] = {}
        count = 0
        async for row in self._pages(check_queries.settlement_lines_from, "line_key"):
            settlement_id = row["settlement_id"]
            signed = _signed(row)
            if not row["marker"]:
                _check_line(row, signed)
                sums[settlement_id] = sums.get(settlement_id, 0) + row["amount"]
            elif signed is not None:
                own[settlement_id] = signed
            count += 1
            if count % PAGE_ROWS == 0:
                self._on_progress(LINES, count, expected)
        for settlement_id, moved in own.items():
            if sums.get(settlement_id, 0) + moved != 0:
                raise BooksDiffer(
                    f"settlement {settlement_id}: its lines sum to {sums.get(settlement_id, 0)},"
                    f" its own transfer moved {-moved}"
                )
        self._on_progress(LINES, count, count)
        return count

    # --- balances and the trial balance, as they are told

    async def _check_accounts(self) -> int:
        seen: set[str] = set()
        after = ""
        while found := await self._books.accounts(merchant_id=None, after=after, limit=PAGE_ROWS):
            for one in found:
                name = one.account.name
                seen.add(name)
                if self._sums.get(name, (0, 0)) != (one.debits, one.credits):
                    await self._look_again(name)
            after = found[-1].account.name
            self._on_progress(ACCOUNTS, len(seen), max(len(seen), len(self._sums)))
        for name in sorted(self._sums.keys() - seen):
            raise BooksDiffer(f"{name} was posted to and is not listed")
        for trial in await self._books.trial_balance():
            if trial.difference:
                raise BooksDiffer(f"the trial balance of {trial.currency} is {trial.difference}")
        return len(seen)

    async def _look_again(self, account: str) -> None:
        """Decide by one SELECT whether a balance differs, or was posted to meanwhile."""
        (row,) = (await self._database.execute(check_queries.told_less_replayed(account))).rows
        if row["debits"] or row["credits"]:
            raise BooksDiffer(
                f"{account}: debits differ by {row['debits']} and credits by {row['credits']}"
                " from its transfers"
            )

    async def _pages(
        self, read: Callable[..., Statement], key: str
    ) -> AsyncIterator[dict[str, Any]]:
        after = ""
        while True:
            rows = (await self._database.execute(read(after=after, limit=PAGE_ROWS))).rows
            for row in rows:
                yield dict(row)
            if len(rows) < PAGE_ROWS:
                return
            after = str(rows[-1][key])


def _check_order(last: Fold, fold: Fold) -> None:
    if fold.fold != last.fold + 1:
        raise BooksDiffer(f"fold {fold.fold} follows fold {last.fold}")
    if fold.cutoff < last.cutoff or fold.closed_until != last.closed_until_behind:
        raise BooksDiffer(f"fold {fold.fold} does not follow from the one before it")


def _check_transfer(row: dict[str, Any]) -> None:
    name = row["transfer_id"]
    sides = [find_account(row["debit_account"]), find_account(row["credit_account"])]
    for side in sides:
        if side is None or side.currency != row["currency"]:
            raise BooksDiffer(f"{name} names an account that the chart does not have")
    if not row["is_unfolded"] and not row["is_folded"]:
        raise BooksDiffer(f"{name} is hidden from balances: its hint is cleared, no fold has it")
    touches_merchant = any(side is not None and side.group is MERCHANT for side in sides)
    if touches_merchant and not row["is_unclaimed"] and not row["is_claimed"]:
        raise BooksDiffer(f"{name} is hidden from settlements: its hint is cleared, none has it")


def _signed(row: dict[str, Any]) -> int | None:
    """Return what a line's transfer moved in favour of the merchant's account; None without a transfer."""
    if row["transferred"] is None:
        return None
    credit, debit = find_account(row["credit_account"]), find_account(row["debit_account"])
    if credit is not None and credit.group is MERCHANT and credit.owner == row["merchant_id"]:
        return int(row["transferred"])
    if debit is not None and debit.group is MERCHANT and debit.owner == row["merchant_id"]:
        return -int(row["transferred"])
    raise BooksDiffer(f"{row['line_key']} is a line of a settlement of {row['merchant_id']}")


def _check_line(row: dict[str, Any], signed: int | None) -> None:
    if signed is None:
        raise BooksDiffer(f"settlement {row['settlement_id']}: {row['line_key']} is no transfer")
    if signed != row["amount"]:
        raise BooksDiffer(
            f"settlement {row['settlement_id']}: {row['line_key']} says {row['amount']},"
            f" its transfer moved {signed}"
        )
