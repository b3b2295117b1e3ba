"""Daily reports: volume, refunds, fees and balances of a merchant, or of the platform, by day and currency.

A closed day is told by membership, as its close has it: what was recorded on it and in time, and what came
too late for an earlier day and was folded with it. So every transfer is told on one day, a closed day
never changes, and its movements are the difference of its balance to that of the close before.

One day costs its own transfers: a merchant's by the merchant's index, the platform's in slices of an hour.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from fintech_dbclient import Database, Row
from fintech_kernel.clock import MILLISECONDS_PER_DAY, Clock
from fintech_kernel.errors import InvalidRequest

from fintech_ledger.domain.folds import period_end, totals_of_text
from fintech_ledger.domain.model import MERCHANT, names_of_merchant
from fintech_ledger.infrastructure import report_queries as queries

DAYS_MAX: Final = 92
"""Days of one report: a quarter."""

SLICES_OF_A_DAY: Final = 24
"""Parts in which the platform's day is read: no statement looks at more than an hour of all merchants."""

FOLD_MAX: Final = 2**62

SALE: Final = "Settled"
REFUND: Final = "Refunded"
FEE: Final = "Fee"
FEE_REFUND: Final = "FeeRefund"
"""Kinds of transfers that have a column of their own; the words of statements."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyActivity:
    """A day in one currency. Amounts are minor units as merchants see them.

    ``balance = balance before + volume - refunds - fees + fees_returned + other``; it is known for days that
    have a close of their own. ``other`` is what settlements took and gave back, adjustments and the like.
    """

    day: str
    currency: str
    is_closed: bool
    sales: int
    volume: int
    refund_count: int
    refunds: int
    fees: int
    fees_returned: int
    other: int
    balance: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Close:
    period: str
    fold: int
    cutoff: int
    totals: str


class Reports:
    """Reports over the books."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def days(self, first_day: str, last_day: str) -> tuple[str, ...]:
        """Return the days of a report.

        Raises:
            InvalidRequest: they are none, in the wrong order, too many, or not begun yet.
        """
        try:
            first, last = date.fromisoformat(first_day), date.fromisoformat(last_day)
            begun = period_end(last_day) - MILLISECONDS_PER_DAY
        except (ValueError, OverflowError):
            raise InvalidRequest("/query/first_day", "must be a day, as 2026-11-30") from None
        count = (last - first).days + 1
        if not 1 <= count <= DAYS_MAX:
            raise InvalidRequest(
                "/query/last_day", f"must be at most {DAYS_MAX} days behind the first"
            )
        if begun > self._clock.now_milliseconds():
            raise InvalidRequest("/query/last_day", "must have begun")
        return tuple((first + timedelta(days=one)).isoformat() for one in range(count))

    async def daily(
        self, days: Sequence[str], *, merchant_id: str | None
    ) -> AsyncIterator[tuple[DailyActivity, ...]]:
        """Yield each day's rows, by currency; ``merchant_id`` None is the platform."""
        accounts = MERCHANT.names if merchant_id is None else names_of_merchant(merchant_id)
        before, within, behind = await self._database.run(
            [
                queries.close_before(days[0]),
                queries.closes_within(days[0], days[-1]),
                queries.close_behind(days[-1]),
            ]
        )
        closes = [_close(row) for found in (before, within, behind) for row in found.unwrap().rows]
        for day in days:
            found = await self._of_day(day, closes, accounts, merchant_id)
            yield found

    async def _of_day(
        self,
        day: str,
        closes: Sequence[_Close],
        accounts: tuple[str, str],
        merchant_id: str | None,
    ) -> tuple[DailyActivity, ...]:
        end = period_end(day)
        begin = end - MILLISECONDS_PER_DAY
        bound = next((one for one in closes if one.cutoff >= end), None)
        last = max((one for one in closes if one.cutoff < end), key=_fold, default=None)
        own = bound if bound is not None and bound.cutoff == end else None
        slices = 1 if merchant_id is not None else SLICES_OF_A_DAY
        step = MILLISECONDS_PER_DAY // slices
        statements = [
            queries.recorded_within(
                accounts=accounts,
                begin=begin + number * step,
                end=begin + (number + 1) * step,
                fold=None if bound is None else bound.fold,
                merchant_id=merchant_id,
            )
            for number in range(slices)
        ]
        is_next = bound is None and (last is None or last.cutoff == begin)
        if own is not None or is_next:
            statements.append(
                queries.told_late(
                    accounts=accounts,
                    behind=0 if last is None else last.fold,
                    fold=FOLD_MAX if own is None else own.fold,
                    merchant_id=merchant_id,
                )
            )
        if is_next and last is not None:
            statements.append(
                queries.untold(accounts=accounts, closed_until=last.cutoff, merchant_id=merchant_id)
            )
        results = await self._database.run(statements)
        moved = [row for result in results for row in result.unwrap().rows]
        return _activity(day, moved, await self._balances(own, accounts, merchant_id), own)

    async def _balances(
        self, close: _Close | None, accounts: tuple[str, str], merchant_id: str | None
    ) -> Mapping[str, int]:
        if close is None:
            return {}
        if merchant_id is None:
            return {
                total.currency: total.credits - total.debits
                for total in totals_of_text(close.totals)
                if total.group == MERCHANT.name
            }
        result = await self._database.execute(
            queries.balances_at(accounts=accounts, fold=close.fold)
        )
        return {str(row["currency"]): int(str(row["balance"])) for row in result.rows}


def _activity(
    day: str, moved: Iterable[Row], balances: Mapping[str, int], own: _Close | None
) -> tuple[DailyActivity, ...]:
    sums: dict[str, dict[str, tuple[int, int]]] = {currency: {} for currency in balances}
    for row in moved:
        columns: dict[str, Any] = dict(row)
        kinds = sums.setdefault(columns["currency"], {})
        count, amount = kinds.get(columns["kind"], (0, 0))
        kinds[columns["kind"]] = (count + columns["transfers"], amount + columns["amount"])
    named = {SALE, REFUND, FEE, FEE_REFUND}
    nothing = (0, 0)
    return tuple(
        DailyActivity(
            day=day,
            currency=currency,
            is_closed=own is not None,
            sales=kinds.get(SALE, nothing)[0],
            volume=kinds.get(SALE, nothing)[1],
            refund_count=kinds.get(REFUND, nothing)[0],
            refunds=-kinds.get(REFUND, nothing)[1],
            fees=-kinds.get(FEE, nothing)[1],
            fees_returned=kinds.get(FEE_REFUND, nothing)[1],
            other=sum(amount for kind, (_, amount) in kinds.items() if kind not in named),
            balance=balances.get(currency, 0) if own is not None else None,
        )
        for currency, kinds in sorted(sums.items())
    )


def _close(row: Row) -> _Close:
    columns: dict[str, Any] = dict(row)
    return _Close(**columns)


def _fold(close: _Close) -> int:
    return close.fold
