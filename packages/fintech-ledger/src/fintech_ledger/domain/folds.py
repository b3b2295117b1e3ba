"""Folds as a model: what is folded next, what a set of transfers makes of balances, when a period is closed.

Pure: no clock, no I/O. A fold is a bounded set of transfers whose number is its key; fold n follows from
the recorded fold n-1 alone, so that every closer plans and computes the same. Periods are days, UTC, named
by their date (ISO 8601). See ``docs/decisions/0012``.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from fintech_kernel.clock import MILLISECONDS_PER_DAY
from fintech_kernel.contracts.accounts import merchant_account
from fintech_kernel.errors import InvariantBroken

from fintech_ledger.domain.model import SETTLEMENT, AccountGroup, find_account

FOLD_SIZE_MAX: Final = 1_000
"""Most transfers of one fold: its balances are one insert, of three rows a transfer at most."""

_FORMAT: Final = "%Y-%m-%d"
_DAY: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """What is wanted: everything recorded before ``cutoff`` folded; with a period, that period closed."""

    cutoff: int
    period: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """A planned fold; recorded where ``line_count`` is known. Times are UTC milliseconds.

    ``closed_until`` is the end of the last period that was closed before it; 0 where none was.
    """

    fold: int
    cutoff: int
    period: str
    closed_until: int
    size: int
    line_count: int | None = None
    totals: str = "[]"
    recorded_at: int | None = None

    @property
    def marker(self) -> str:
        """The key of its marker."""
        return f"fold#{self.fold}"

    @property
    def is_recorded(self) -> bool:
        """Whether it counts."""
        return self.line_count is not None

    @property
    def is_full(self) -> bool:
        """Whether more may wait before its cutoff."""
        return self.line_count == self.size

    @property
    def is_close(self) -> bool:
        """Whether it closed its period."""
        return bool(self.period) and self.is_recorded and not self.is_full

    @property
    def closed_until_behind(self) -> int:
        """The end of the last period that is closed behind it."""
        return self.cutoff if self.is_close else self.closed_until


BEFORE_ALL: Final = Fold(fold=0, cutoff=0, period="", closed_until=0, size=1, line_count=0)
"""What the first fold follows."""


def next_fold(last: Fold, want: Want, *, size: int) -> Fold | None:
    """Return the fold behind a recorded one; None where nothing is left to fold for what is wanted.

    A period under way is finished first, whoever wanted it; cutoffs never go back.
    """
    if last.is_full:
        cutoff, period = last.cutoff, last.period
    elif want.cutoff < last.cutoff or is_closed(last, want):
        return None
    else:
        cutoff, period = want.cutoff, want.period
    return Fold(
        fold=last.fold + 1,
        cutoff=cutoff,
        period=period,
        closed_until=last.closed_until_behind,
        size=size,
    )


def is_closed(last: Fold, want: Want) -> bool:
    """Whether the last fold did what is wanted."""
    return last.cutoff == want.cutoff and not last.is_full and want.period in {"", last.period}


# --- periods


def period_end(period: str) -> int:
    """Return the end of a period, UTC milliseconds.

    Raises:
        ValueError: it is no date, or not written as ours are.
    """
    day = datetime.strptime(period, _FORMAT).replace(tzinfo=UTC)
    if day.strftime(_FORMAT) != period:
        raise ValueError("a day is written as 2026-11-30")
    return (day + _DAY - _EPOCH) // timedelta(milliseconds=1)


def period_ending(moment: int) -> str:
    """Return the last period that has ended by a moment (UTC milliseconds)."""
    return (_EPOCH + timedelta(milliseconds=moment) - _DAY).strftime(_FORMAT)


def due_period(last: Fold, *, now: int, grace: int) -> str | None:
    """Return the period to close next, if it ended ``grace`` milliseconds ago; None where none is due.

    Without any close it is the last one, which takes everything before it along.
    """
    until = last.closed_until_behind
    end = until + MILLISECONDS_PER_DAY if until else now - grace
    return period_ending(end) if end <= now - grace else None


def fold_cutoff(last: Fold, *, now: int) -> int:
    """Return up to when may be folded: never beyond the end of a period that is to be closed first."""
    until = last.closed_until_behind
    return min(now, until + MILLISECONDS_PER_DAY) if until else now


# --- balances


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldedTransfer:
    """What a fold needs of a transfer. ``amount`` is minor units."""

    transfer_id: str
    merchant_id: str
    debit_account: str
    credit_account: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldedBalance:
    """An account's sums up to a fold, minor units.

    ``in_settlement`` is what settlements took from a merchant's account and have not paid out; 0 elsewhere.
    """

    account: str
    currency: str
    is_first: bool
    debits: int
    credits: int
    in_settlement: int


def touched_accounts(transfers: Iterable[FoldedTransfer]) -> tuple[str, ...]:
    """Return the names of all accounts whose balances these transfers change, in order."""
    return tuple(sorted({account for one in transfers for account, *_ in _changes(one)}))


def balances_behind(
    before: Mapping[str, FoldedBalance], transfers: Sequence[FoldedTransfer]
) -> tuple[FoldedBalance, ...]:
    """Return the balances of all touched accounts behind a set of transfers, by name."""
    behind: dict[str, FoldedBalance] = {}
    for transfer in transfers:
        for account, debit, credit, taken in _changes(transfer):
            known = behind.get(account) or _opened(before.get(account), account, transfer.currency)
            behind[account] = replace(
                known,
                debits=known.debits + debit,
                credits=known.credits + credit,
                in_settlement=known.in_settlement + taken,
            )
    return tuple(behind[account] for account in sorted(behind))


def _opened(before: FoldedBalance | None, account: str, currency: str) -> FoldedBalance:
    if before is not None:
        return replace(before, is_first=False)
    return FoldedBalance(
        account=account, currency=currency, is_first=True, debits=0, credits=0, in_settlement=0
    )


def _changes(transfer: FoldedTransfer) -> tuple[tuple[str, int, int, int], ...]:
    """Return what changes: account, debit, credit, and what settlements took."""
    taken = _taken(transfer)
    changes = (
        (transfer.debit_account, transfer.amount, 0, 0),
        (transfer.credit_account, 0, transfer.amount, 0),
    )
    if taken == 0 or not transfer.merchant_id:
        return changes
    return (*changes, (merchant_account(transfer.merchant_id, transfer.currency), 0, 0, taken))


def _taken(transfer: FoldedTransfer) -> int:
    """Return by how much a transfer changes what settlements hold of its merchant."""
    taken = 0
    if group_of(transfer.credit_account) is SETTLEMENT:
        taken += transfer.amount
    if group_of(transfer.debit_account) is SETTLEMENT:
        taken -= transfer.amount
    return taken


# --- totals: the trial balance of all recorded folds, as it is stored


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Total:
    """Debits and credits of one group of accounts in one currency, minor units."""

    currency: str
    group: str
    debits: int
    credits: int

    def plus(self, other: "Total") -> "Total":
        """Return both together."""
        return replace(
            self, debits=self.debits + other.debits, credits=self.credits + other.credits
        )


def totals_behind(
    before: Iterable[Total], transfers: Iterable[FoldedTransfer]
) -> tuple[Total, ...]:
    """Return the totals behind a set of transfers, by currency and group."""
    return summed((*before, *(side for one in transfers for side in _sides(one))))


def summed(totals: Iterable[Total]) -> tuple[Total, ...]:
    """Return one total for each currency and group, in that order."""
    sums: dict[tuple[str, str], Total] = {}
    for one in totals:
        known = sums.get((one.currency, one.group))
        sums[(one.currency, one.group)] = one if known is None else known.plus(one)
    return tuple(sorted(sums.values()))


def _sides(transfer: FoldedTransfer) -> tuple[Total, Total]:
    return (
        total_of(transfer.debit_account, transfer.currency, debits=transfer.amount),
        total_of(transfer.credit_account, transfer.currency, credits=transfer.amount),
    )


def total_of(account: str, currency: str, *, debits: int = 0, credits: int = 0) -> Total:  # noqa: A002 - the word of the field
    """Return what an account's sums add to its group."""
    return Total(currency=currency, group=group_of(account).name, debits=debits, credits=credits)


def totals_text(totals: Iterable[Total]) -> str:
    """Return totals as they are stored: one text for one trial balance."""
    rows = [[one.currency, one.group, one.debits, one.credits] for one in totals]
    return json.dumps(rows, separators=(",", ":"))


def totals_of_text(text: str) -> tuple[Total, ...]:
    """Return stored totals."""
    rows: list[tuple[str, str, int, int]] = json.loads(text)
    return tuple(
        Total(currency=row[0], group=row[1], debits=row[2], credits=row[3]) for row in rows
    )


def group_of(account: str) -> AccountGroup:
    """Return the group of the chart that an account belongs to.

    Raises:
        InvariantBroken: it is in none; nothing can be posted to such an account.
    """
    found = find_account(account)
    if found is None:
        raise InvariantBroken(f"{account} was posted to and is not in the chart of accounts")
    return found.group
