"""Periods that people close: months, UTC, named like 2026-11. Pure: what a close of one needs and means.

A period is closed on top of the close of its last day: its transfers are those of the folds behind the
period closed before it, up to the fold that closed its last day. So each transfer is told by one period,
whenever it was committed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from fintech_kernel.contracts.closing import ClosePeriod

from fintech_ledger.domain.errors import PeriodAlreadyClosed, PeriodNotReady, PeriodOutOfOrder
from fintech_ledger.domain.events import PeriodClosed

_NAME: Final = re.compile(r"[0-9]{4}-[0-9]{2}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS_MAX: Final = 31


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosePeriodCommand:
    """Close a period. ``reasons`` are what was in the way when it was asked for, frozen before the claim."""

    period: str
    until: int
    last_day: str
    reasons: tuple[str, ...]
    closed_by: str
    requested_at: int


def month(name: str) -> ClosePeriod:
    """Return a period by its name.

    Raises:
        ValueError: it is no month, or not written as ours are.
    """
    if not _NAME.fullmatch(name):
        raise ValueError("a period is written as 2026-11")
    begin = datetime.strptime(name, "%Y-%m").replace(tzinfo=UTC)
    end = (begin + timedelta(days=_DAYS_MAX)).replace(day=1)
    return ClosePeriod(name=name, begins_at=_milliseconds(begin), ends_at=_milliseconds(end))


def last_day(period: ClosePeriod) -> str:
    """Return the day whose close a period's rests on."""
    return (_EPOCH + timedelta(milliseconds=period.ends_at - 1)).strftime("%Y-%m-%d")


def check_ready(command: ClosePeriodCommand) -> None:
    """Let pass what nothing is in the way of.

    Raises:
        PeriodNotReady: with the list of reasons.
    """
    if command.reasons:
        raise PeriodNotReady(period=command.period, reasons=command.reasons)


def decide_close(
    closed: Sequence[PeriodClosed], command: ClosePeriodCommand, *, fold: int, totals_hash: str
) -> PeriodClosed:
    """Close a period by the fold that closed its last day.

    Raises:
        PeriodAlreadyClosed, PeriodOutOfOrder: it was closed before, or a later one was.
    """
    for one in closed:
        if one.period == command.period:
            raise PeriodAlreadyClosed(period=one.period, fold=one.fold)
    last = closed[-1] if closed else None
    if last is not None and last.until > command.until:
        raise PeriodOutOfOrder(period=command.period, closed=last.period)
    return PeriodClosed(
        period=command.period,
        until=command.until,
        behind_fold=0 if last is None else last.fold,
        fold=fold,
        totals_hash=totals_hash,
        closed_by=command.closed_by,
        requested_at=command.requested_at,
    )


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)
