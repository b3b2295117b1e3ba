"""The chart of accounts and what follows from it: which side an account grows on, what a leg may name.

Pure: standard library and kernel value types, no clock, no I/O. Account names are
``type:owner[:id]:CUR`` (``fintech_kernel.contracts.accounts``); each group of the chart is one range of
names, since the character after ``:`` is ``;``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from fintech_kernel.contracts.ledger import Posting
from fintech_kernel.identifiers import OBJECT_ID
from fintech_kernel.money import CURRENCY_CODES, Money

from fintech_ledger.domain.errors import MalformedPosting

LEGS_MAX: Final = 32
"""Legs of one decision: they are one insert."""

ACCOUNTS_KNOWN_MAX: Final = 8_192
"""Names whose meaning is remembered: each leg is asked about four times, and a merchant has few accounts."""

_LEG: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_END: Final = ";"


class AccountType(StrEnum):
    """What an account is to us."""

    ASSETS = "assets"
    LIABILITIES = "liabilities"
    INCOME = "income"
    SUSPENSE = "suspense"


class Side(StrEnum):
    """The two sides of every transfer."""

    DEBIT = "debit"
    CREDIT = "credit"


NORMAL_SIDE: Final[Mapping[AccountType, Side]] = {
    AccountType.ASSETS: Side.DEBIT,
    AccountType.LIABILITIES: Side.CREDIT,
    AccountType.INCOME: Side.CREDIT,
    AccountType.SUSPENSE: Side.DEBIT,
}
"""The side on which an account of each type grows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountGroup:
    """One kind of account. ``has_owner`` tells whether its names carry an id."""

    name: str
    type: AccountType
    has_owner: bool
    summary: str

    @property
    def names(self) -> tuple[str, str]:
        """The range of its accounts' names: the first, and the first behind them."""
        return f"{self.name}:", f"{self.name}{_END}"


PROCESSOR: Final = AccountGroup(
    name="assets:processor",
    type=AccountType.ASSETS,
    has_owner=True,
    summary="what a processor owes us",
)
BANK: Final = AccountGroup(
    name="assets:bank", type=AccountType.ASSETS, has_owner=False, summary="our money at the bank"
)
MERCHANT: Final = AccountGroup(
    name="liabilities:merchant",
    type=AccountType.LIABILITIES,
    has_owner=True,
    summary="what we owe a merchant",
)
SETTLEMENT: Final = AccountGroup(
    name="liabilities:settlement",
    type=AccountType.LIABILITIES,
    has_owner=True,
    summary="what a settlement took from a merchant and has not paid out",
)
DISPUTES: Final = AccountGroup(
    name="liabilities:disputes",
    type=AccountType.LIABILITIES,
    has_owner=True,
    summary="what is held back while a payment is disputed",
)
FEES: Final = AccountGroup(
    name="income:fees", type=AccountType.INCOME, has_owner=False, summary="fees that we earned"
)
RECONCILIATION: Final = AccountGroup(
    name="suspense:reconciliation",
    type=AccountType.SUSPENSE,
    has_owner=False,
    summary="differences that are not explained yet",
)

CHART: Final = (PROCESSOR, BANK, MERCHANT, SETTLEMENT, DISPUTES, FEES, RECONCILIATION)
"""Every account belongs to one of these. Accounts come into being with their first transfer."""

_GROUPS: Final = {group.name: group for group in CHART}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account's name, understood. ``owner`` is empty where its group has none."""

    name: str
    group: AccountGroup
    owner: str
    currency: str

    @property
    def normal_side(self) -> Side:
        """The side on which it grows."""
        return NORMAL_SIDE[self.group.type]


@lru_cache(maxsize=ACCOUNTS_KNOWN_MAX)
def find_account(name: str) -> Account | None:
    """Return what an account's name says, or None where the chart has no such account."""
    kind, _, rest = name.partition(":")
    what, _, rest = rest.partition(":")
    group = _GROUPS.get(f"{kind}:{what}")
    owner, separator, currency = rest.rpartition(":")
    if group is None or bool(separator) != group.has_owner or currency not in CURRENCY_CODES:
        return None
    if group.has_owner and not OBJECT_ID.fullmatch(owner):
        return None
    return Account(name=name, group=group, owner=owner, currency=currency)


def names_of_merchant(merchant_id: str) -> tuple[str, str]:
    """Return the range of a merchant's account names: the first, and the first behind them."""
    return f"{MERCHANT.name}:{merchant_id}:", f"{MERCHANT.name}:{merchant_id}{_END}"


def check_legs(merchant_id: str, legs: Sequence[Posting]) -> None:
    """Let pass what may be posted together for a merchant.

    Raises:
        MalformedPosting: too many legs, a leg twice, a name that is none, an account outside the
            chart, of another currency or another merchant, or the same account on both sides.
    """
    if len(legs) > LEGS_MAX:
        raise MalformedPosting(f"{len(legs)} legs exceed {LEGS_MAX}")
    names = [leg.leg for leg in legs]
    if len(set(names)) != len(names):
        raise MalformedPosting("a leg is named twice")
    for leg in legs:
        _check_leg(merchant_id, leg)


def _check_leg(merchant_id: str, leg: Posting) -> None:
    if not _LEG.fullmatch(leg.leg):
        raise MalformedPosting(f"leg {leg.leg!r}: a leg's name looks like capture or fee-return.2")
    if leg.debit_account == leg.credit_account:
        raise MalformedPosting(f"leg {leg.leg}: {leg.debit_account} is on both sides")
    for name in (leg.debit_account, leg.credit_account):
        account = find_account(name)
        if account is None:
            raise MalformedPosting(f"leg {leg.leg}: {name} is not in the chart of accounts")
        if account.currency != leg.amount.currency:
            raise MalformedPosting(f"leg {leg.leg}: {name} does not hold {leg.amount.currency}")
        if account.group is MERCHANT and account.owner != merchant_id:
            raise MalformedPosting(f"leg {leg.leg}: {name} is not an account of {merchant_id}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What stands on both sides of an account: in all, and of it what is not available yet."""

    debits: int
    credits: int
    pending_debits: int
    pending_credits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountBalance:
    """An account's balance in minor units, positive on the side on which the account grows.

    ``balance = pending + available``. ``in_settlement`` is what settlements took from a merchant's
    account and have not paid out; None where it was not asked for.
    """

    account: Account
    debits: int
    credits: int
    pending: int
    available: int
    in_settlement: int | None = None

    @property
    def balance(self) -> int:
        """Pending and available together."""
        return self.pending + self.available


def balance_of(account: Account, sums: Sums, *, in_settlement: int | None = None) -> AccountBalance:
    """Return the balance that sums mean for an account."""
    sign = 1 if account.normal_side is Side.CREDIT else -1
    balance = sign * (sums.credits - sums.debits)
    pending = sign * (sums.pending_credits - sums.pending_debits)
    return AccountBalance(
        account=account,
        debits=sums.debits,
        credits=sums.credits,
        pending=pending,
        available=balance - pending,
        in_settlement=in_settlement,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One debit and one credit of one amount, as it stands. Times are UTC milliseconds.

    ``is_prior_period`` is known once it is folded: it was committed after the period of its
    ``recorded_at`` was closed, and belongs to a later one.
    """

    transfer_id: str
    operation_id: str
    merchant_id: str
    debit_account: str
    credit_account: str
    amount: Money
    kind: str
    available_on: int
    subject_id: str
    reference: str
    recorded_at: int
    is_prior_period: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialLine:
    """Debits and credits of one group of accounts, minor units."""

    group: AccountGroup
    debits: int
    credits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialBalance:
    """All groups of one currency, of one moment."""

    currency: str
    lines: tuple[TrialLine, ...]

    @property
    def debits(self) -> int:
        """The sum of all debits, minor units."""
        return sum(line.debits for line in self.lines)

    @property
    def credits(self) -> int:
        """The sum of all credits, minor units."""
        return sum(line.credits for line in self.lines)

    @property
    def difference(self) -> int:
        """Debits less credits: zero at every moment."""
        return self.debits - self.credits
