"""Folding: the statements of a fold in their order, run by anybody, as often as it takes.

Plan, claim, balances, record, hints (``docs/decisions/0012``). Each is keyed by the fold, so whoever
comes, at once or hours late, finds what stands and goes on behind it. Nothing of a fold counts before its
record stands.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fintech_dbclient import Database, Row, UniqueViolation, Value
from fintech_kernel.clock import Clock
from fintech_kernel.domain.execution import RaceLost

from fintech_ledger.domain.errors import FoldBroken
from fintech_ledger.domain.folds import (
    BEFORE_ALL,
    Fold,
    FoldedBalance,
    FoldedTransfer,
    Want,
    balances_behind,
    next_fold,
    totals_behind,
    totals_of_text,
    totals_text,
    touched_accounts,
)
from fintech_ledger.infrastructure import fold_queries as queries

FOLD_PAUSE_SECONDS: Final = 0.01
"""Pause behind each fold: payments come first."""

CLAIM_ATTEMPTS_MAX: Final = 30
"""How often one claim is tried when it read too early and met lines that others had claimed."""

CLAIM_PAUSE_SECONDS_MAX: Final = 0.05
"""Longest pause (full jitter) between such attempts."""


class Folding:
    """Folds transfers into balances."""

    def __init__(
        self, *, database: Database, clock: Clock, size: int, jitter: random.Random | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._size = size
        self._jitter = jitter or random.Random()  # noqa: S311 - spreads load, guards nothing

    async def last(self) -> Fold:
        """Return the last recorded fold."""
        recorded, _ = await self._ends()
        return recorded

    async def has_open(self, cutoff: int) -> bool:
        """Whether anything recorded before the cutoff waits to be folded."""
        return bool((await self._database.execute(queries.open_transfer(cutoff=cutoff))).rows)

    async def fold(self, want: Want, *, folds_max: int) -> Fold | None:
        """Fold until what is wanted is done and return the last fold; None where ``folds_max`` ended it.

        Raises:
            RaceLost: a claim met others' lines too often; running it again goes on where it stopped.
            FoldBroken: what stands contradicts the protocol.
            DatabaseError: the database did not answer in time.
        """
        for _ in range(folds_max):
            last, under_way = await self._ends()
            if under_way is None:
                await self._clear_hints()
                under_way = next_fold(last, want, size=self._size)
                if under_way is None:
                    return last
                if not await self._plan(under_way):
                    continue
            await self._complete(under_way, last)
            await asyncio.sleep(FOLD_PAUSE_SECONDS)
        return None

    async def _ends(self) -> tuple[Fold, Fold | None]:
        """Return the last recorded fold, and the planned one behind it if there is one."""
        result = await self._database.execute(queries.newest_folds(2))
        folds = [fold_of_row(row) for row in result.rows]
        if not folds:
            return BEFORE_ALL, None
        if folds[0].is_recorded:
            return folds[0], None
        last = folds[1] if len(folds) > 1 else BEFORE_ALL
        if not last.is_recorded or folds[0].fold != last.fold + 1:
            raise FoldBroken(f"fold {folds[0].fold} was planned behind one that is not recorded")
        return last, folds[0]

    async def _clear_hints(self) -> None:
        """Let the lines of recorded folds be looked at no more, before anything is planned behind them."""
        hinted = (await self._database.execute(queries.folded_hints())).rows
        if hinted:
            ids = [row["transfer_id"] for row in hinted]
            await self._database.execute(queries.clear_folded(ids))

    async def _plan(self, fold: Fold) -> bool:
        """Plan a fold; False where somebody else planned one under its number."""
        insert = queries.insert_fold(
            fold=fold.fold,
            cutoff=fold.cutoff,
            period=fold.period,
            closed_until=fold.closed_until,
            size=fold.size,
        )
        try:
            await self._database.execute(insert)
        except UniqueViolation:
            return False
        return True

    async def _complete(self, fold: Fold, last: Fold) -> None:
        """Claim the set of a planned fold, write its balances, record it."""
        transfers = await self._claim(fold)
        before = await self._balances_before(fold, touched_accounts(transfers))
        rows = [balance_columns(fold, one) for one in balances_behind(before, transfers)]
        record = queries.record_fold(
            fold=fold.fold,
            line_count=len(transfers),
            totals=totals_text(totals_behind(totals_of_text(last.totals), transfers)),
            recorded_at=self._clock.now_milliseconds(),
        )
        if rows:
            insert = queries.insert_balances([tuple(row.values()) for row in rows])
            inserted, recorded = await self._database.run([insert, record])
            if inserted.error is None:
                _let_pass_duplicate(recorded.error)
                return
            _let_pass_duplicate(inserted.error)
            await self._check_balances(fold, rows)
        (recorded,) = await self._database.run([record])
        _let_pass_duplicate(recorded.error)

    async def _claim(self, fold: Fold) -> tuple[FoldedTransfer, ...]:
        """Make a fold's set stand, by us or by whoever was faster, and return it."""
        claim = queries.claim_fold(
            fold=fold.fold,
            marker=fold.marker,
            cutoff=fold.cutoff,
            closed_until=fold.closed_until,
            size=fold.size,
        )
        read_back = queries.fold_lines(fold.fold)
        for _ in range(CLAIM_ATTEMPTS_MAX):
            claimed, found = await self._database.run([claim, read_back])
            if isinstance(claimed.error, UniqueViolation):
                found = (await self._database.run([read_back]))[0]
            elif claimed.error is not None:
                raise claimed.error
            rows = found.unwrap().rows
            if rows:
                return _transfers(fold, rows)
            await asyncio.sleep(self._jitter.uniform(0, CLAIM_PAUSE_SECONDS_MAX))
        raise RaceLost

    async def _balances_before(
        self, fold: Fold, accounts: Sequence[str]
    ) -> Mapping[str, FoldedBalance]:
        if not accounts:
            return {}
        result = await self._database.execute(
            queries.balances_before(fold=fold.fold, accounts=accounts)
        )
        return {str(row["account"]): _balance(row) for row in result.rows}

    async def _check_balances(self, fold: Fold, rows: Sequence[Mapping[str, Value]]) -> None:
        """Check that the balances that stand are the ones that we would have written.

        Raises:
            FoldBroken: they are not.
        """
        standing = await self._database.execute(queries.balances_of_fold(fold.fold))
        if [dict(row) for row in standing.rows] != [dict(row) for row in rows]:
            raise FoldBroken(f"fold {fold.fold}: other balances stand than its lines make")


async def close_of(database: Database, period: str) -> Fold | None:
    """Return the fold that closed a period; None where nothing did."""
    rows = (await database.execute(queries.close_of(period))).rows
    return fold_of_row(rows[0]) if rows else None


def fold_of_row(row: Row) -> Fold:
    """Return a fold of its row."""
    columns: dict[str, Any] = dict(row)
    columns["totals"] = columns["totals"] or "[]"
    return Fold(**columns)


def _transfers(fold: Fold, rows: Sequence[Row]) -> tuple[FoldedTransfer, ...]:
    lines: list[dict[str, Any]] = [dict(row) for row in rows if not row["marker"]]
    if len(rows) - len(lines) != 1 or len(lines) > fold.size:
        raise FoldBroken(f"fold {fold.fold} has no one marker, or more lines than its size")
    if any(line["amount"] is None for line in lines):
        raise FoldBroken(f"fold {fold.fold}: a line names no transfer")
    return tuple(folded_transfer(line) for line in lines)


def folded_transfer(line: Mapping[str, Any]) -> FoldedTransfer:
    """Return the transfer of a line."""
    return FoldedTransfer(
        transfer_id=line["entry_key"],
        merchant_id=line["merchant_id"],
        debit_account=line["debit_account"],
        credit_account=line["credit_account"],
        amount=line["amount"],
        currency=line["currency"],
    )


def _balance(row: Row) -> FoldedBalance:
    columns: dict[str, Any] = dict(row)
    return FoldedBalance(is_first=False, **columns)


def balance_columns(fold: Fold, balance: FoldedBalance) -> dict[str, Value]:
    """Return the row of an account's balance up to a fold, by column."""
    return {
        "balance_key": f"{balance.account}#{fold.fold}",
        "account": balance.account,
        "fold": fold.fold,
        "currency": balance.currency,
        "is_first": int(balance.is_first),
        "debits": balance.debits,
        "credits": balance.credits,
        "in_settlement": balance.in_settlement,
    }


def _let_pass_duplicate(error: Exception | None) -> None:
    """Raise what is no duplicate: one means that another closer was faster."""
    if error is not None and not isinstance(error, UniqueViolation):
        raise error
