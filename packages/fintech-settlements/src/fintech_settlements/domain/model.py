"""The settlement as a decider: ``decide_*`` says what a command leads to, ``evolve`` what an event means.

Pure: standard library and kernel value types, no clock, no randomness, no I/O. A settlement's lines and
total are fixed by its first event; afterwards it only moves through ``TRANSITIONS``, and at most once
into ``paid``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from fintech_kernel.clock import MILLISECONDS_PER_SECOND
from fintech_kernel.contracts.ledger import CARRYOVER, ClaimedLines
from fintech_kernel.contracts.merchants import MerchantStatus
from fintech_kernel.contracts.payouts import PayoutAnswer, RailCapabilities
from fintech_kernel.contracts.processors import Outcome
from fintech_kernel.errors import InvariantBroken
from fintech_kernel.money import Money

from fintech_settlements.domain.errors import (
    CutoffInFuture,
    MerchantHeld,
    NothingDue,
    SecondPersonRequired,
    SettlementNotApproved,
    SettlementNotCancelable,
    SettlementNotOpen,
)
from fintech_settlements.domain.events import (
    CloseReason,
    PayoutStarted,
    SettlementApproved,
    SettlementCanceled,
    SettlementClosed,
    SettlementEvent,
    SettlementFailed,
    SettlementOpened,
    SettlementPaid,
)

HELD_STATUSES: Final = frozenset({MerchantStatus.PENDING, MerchantStatus.SUSPENDED})
"""Merchants under review or suspended. A closed merchant is still paid what it is owed."""

DUE_LINES_LOOKED_AT: Final = 2
"""How many due lines a creation looks at: two tell a lone carry-over from a set worth claiming."""


class SettlementStatus(StrEnum):
    """The states of a settlement."""

    OPEN = "open"
    APPROVED = "approved"
    PAYING = "paying"
    PAID = "paid"
    FAILED = "failed"
    CANCELED = "canceled"
    CLOSED = "closed"


TRANSITIONS: Final[Mapping[SettlementStatus, frozenset[SettlementStatus]]] = {
    SettlementStatus.OPEN: frozenset(
        {SettlementStatus.APPROVED, SettlementStatus.CANCELED, SettlementStatus.CLOSED}
    ),
    SettlementStatus.APPROVED: frozenset({SettlementStatus.PAYING, SettlementStatus.CANCELED}),
    SettlementStatus.PAYING: frozenset({SettlementStatus.PAID, SettlementStatus.FAILED}),
    SettlementStatus.PAID: frozenset(),
    SettlementStatus.FAILED: frozenset(),
    SettlementStatus.CANCELED: frozenset(),
    SettlementStatus.CLOSED: frozenset(),
}
"""From each state to the states that may follow. ``closed`` ends without a payout: zero, or carried."""


# --- commands -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class DueLine:
    """A line that was due when a creation looked. ``amount`` is signed minor units."""

    kind: str
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSettlement:
    """Settle what is due by a cutoff. All but merchant, currency and cutoff was read before the claim.

    ``due`` holds at most ``DUE_LINES_LOOKED_AT`` lines; ``cutoff`` and ``requested_at`` are UTC
    milliseconds.
    """

    settlement_id: str
    merchant_id: str
    merchant_status: MerchantStatus
    currency: str
    cutoff: int
    minimum: int
    batch_number: str
    chunk_size: int
    due: tuple[DueLine, ...]
    opened_by: str
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproveSettlement:
    """Answer for a settlement's total."""

    settlement_id: str
    merchant_id: str
    approved_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaySettlement:
    """Pay a settlement out. Rail and limit are settings, frozen before the claim."""

    settlement_id: str
    merchant_id: str
    rail: str
    two_people_above: int
    paid_by: str
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelSettlement:
    """Give a settlement up before its payout."""

    settlement_id: str
    merchant_id: str
    canceled_by: str


# --- state --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """A settlement as its events made it. ``total`` and ``carried`` are signed minor units."""

    settlement_id: str
    merchant_id: str
    currency: str
    status: SettlementStatus
    cutoff: int
    minimum: int
    batch_number: str
    total: int
    line_count: int
    opened_by: str
    created_at: int
    close_reason: str = ""
    carried: int = 0
    approved_by: str = ""
    paid_by: str = ""
    rail: str = ""
    rail_reference: str = ""
    failure_code: str = ""
    lines_hash: str = ""

    @property
    def is_payable(self) -> bool:
        """Whether the total is worth a payout."""
        return is_payable(self.total, self.minimum)

    @property
    def moved(self) -> Money:
        """What the settlement's own transfer moves."""
        return Money(amount=abs(self.total), currency=self.currency)


def is_payable(total: int, minimum: int) -> bool:
    """Whether a total (signed minor units) is paid out rather than carried forward."""
    return total >= max(minimum, 1)


def batch_number_of(settlement_id: str) -> str:
    """Return the bank reference of a settlement: unique, and 35 letters at most (ISO 20022 Max35Text)."""
    prefix, _, suffix = settlement_id.partition("_")
    return f"{prefix}{suffix}".upper()


def may_send(capabilities: RailCapabilities, *, started_at: int, now: int) -> bool:
    """Whether a payout may (still) be sent under its key; times are UTC milliseconds.

    A call that leaves now may arrive ``in_flight_limit`` later, and the rail must still know the key
    then; the first call cannot have been sent before ``started_at``.
    """
    sure_seconds = capabilities.key_retention_seconds - capabilities.in_flight_limit_seconds
    return now < started_at + sure_seconds * MILLISECONDS_PER_SECOND


# --- decide -------------------------------------------------------------------------------------


def check_creation(command: CreateSettlement) -> None:
    """Judge a creation on its frozen inputs, before anything is claimed: after that it can only close.

    Raises:
        CutoffInFuture, MerchantHeld, NothingDue: the refusals of a creation.
    """
    if command.cutoff > command.requested_at:
        raise CutoffInFuture(cutoff=command.cutoff)
    if command.merchant_status in HELD_STATUSES:
        raise MerchantHeld(merchant_id=command.merchant_id, status=command.merchant_status)
    if not command.due or _would_only_carry_again(command):
        raise NothingDue(merchant_id=command.merchant_id, currency=command.currency)


def decide_creation(
    command: CreateSettlement, claimed: ClaimedLines, lines_hash: str = ""
) -> tuple[SettlementEvent, ...]:
    """Return what a creation and its claimed lines lead to: a settlement, closed where nothing is paid."""
    opened = SettlementOpened(
        settlement_id=command.settlement_id,
        merchant_id=command.merchant_id,
        currency=command.currency,
        cutoff=command.cutoff,
        minimum=command.minimum,
        batch_number=command.batch_number,
        total=claimed.total,
        line_count=claimed.count,
        opened_by=command.opened_by,
        requested_at=command.requested_at,
        lines_hash=lines_hash,
    )
    if claimed.total == 0:
        return (opened, SettlementClosed(reason=CloseReason.ZERO, carried=0))
    if not is_payable(claimed.total, command.minimum):
        return (
            opened,
            SettlementClosed(reason=CloseReason.CARRIED_FORWARD, carried=claimed.total),
        )
    return (opened,)


def decide_approval(
    settlement: Settlement, command: ApproveSettlement
) -> tuple[SettlementEvent, ...]:
    """Approve an open settlement.

    Raises:
        SettlementNotOpen: it is not.
    """
    if settlement.status is not SettlementStatus.OPEN:
        raise SettlementNotOpen(settlement_id=settlement.settlement_id, status=settlement.status)
    return (SettlementApproved(approved_by=command.approved_by),)


def decide_payment(settlement: Settlement, command: PaySettlement) -> tuple[SettlementEvent, ...]:
    """Start the one payout of an approved settlement.

    Raises:
        SettlementNotApproved: it is not approved, or its payout was started before.
        SecondPersonRequired: it is above the limit and who approved it wants to pay it.
    """
    if settlement.status is not SettlementStatus.APPROVED:
        raise SettlementNotApproved(
            settlement_id=settlement.settlement_id, status=settlement.status
        )
    is_large = settlement.total > command.two_people_above
    if is_large and command.paid_by == settlement.approved_by:
        raise SecondPersonRequired(
            settlement_id=settlement.settlement_id, limit=command.two_people_above
        )
    return (
        PayoutStarted(
            rail=command.rail,
            amount=settlement.moved,
            paid_by=command.paid_by,
            requested_at=command.requested_at,
        ),
    )


def decide_payout(settlement: Settlement, answer: PayoutAnswer) -> tuple[SettlementEvent, ...]:
    """Return what the rail's definite answer leads to.

    Raises:
        InvariantBroken: no payout is under way, or the answer is not definite.
    """
    if settlement.status is not SettlementStatus.PAYING:
        raise InvariantBroken(f"settlement {settlement.settlement_id} is not being paid")
    if answer.outcome is Outcome.APPROVED:
        return (SettlementPaid(rail_reference=answer.rail_reference),)
    if answer.outcome is Outcome.DECLINED:
        return (
            SettlementFailed(
                failure_code=answer.failure_code, rail_reference=answer.rail_reference
            ),
        )
    raise InvariantBroken(f"{answer.outcome} is no definite answer of a rail")


def decide_cancel(settlement: Settlement, command: CancelSettlement) -> tuple[SettlementEvent, ...]:
    """Give up a settlement whose payout was not started.

    Raises:
        SettlementNotCancelable: it was started, or the settlement has ended.
    """
    if settlement.status not in {SettlementStatus.OPEN, SettlementStatus.APPROVED}:
        raise SettlementNotCancelable(
            settlement_id=settlement.settlement_id, status=settlement.status
        )
    return (SettlementCanceled(canceled_by=command.canceled_by),)


def _would_only_carry_again(command: CreateSettlement) -> bool:
    if len(command.due) != 1:
        return False
    (lone,) = command.due
    return lone.kind == CARRYOVER and not is_payable(lone.amount, command.minimum)


# --- evolve -------------------------------------------------------------------------------------


def fold(events: Iterable[SettlementEvent]) -> Settlement:
    """Return the settlement that events made.

    Raises:
        InvariantBroken: the events cannot be a settlement's.
    """
    settlement: Settlement | None = None
    for event in events:
        settlement = evolve(settlement, event)
    if settlement is None:
        raise InvariantBroken("a settlement without events")
    return settlement


def evolve(settlement: Settlement | None, event: SettlementEvent) -> Settlement:
    """Return the settlement after an event.

    Raises:
        InvariantBroken: the event cannot follow.
    """
    if isinstance(event, SettlementOpened):
        return _opened(settlement, event)
    if settlement is None:
        raise InvariantBroken(f"{event.type} before settlement.opened")
    after = _applied(settlement, event)
    if after.status not in TRANSITIONS[settlement.status]:
        raise InvariantBroken(f"{settlement.status} -> {after.status} is no transition")
    return after


def _opened(settlement: Settlement | None, event: SettlementOpened) -> Settlement:
    if settlement is not None:
        raise InvariantBroken("settlement.opened twice")
    return Settlement(
        settlement_id=event.settlement_id,
        merchant_id=event.merchant_id,
        currency=event.currency,
        status=SettlementStatus.OPEN,
        cutoff=event.cutoff,
        minimum=event.minimum,
        batch_number=event.batch_number,
        total=event.total,
        line_count=event.line_count,
        opened_by=event.opened_by,
        created_at=event.requested_at,
        lines_hash=event.lines_hash,
    )


def _applied(settlement: Settlement, event: SettlementEvent) -> Settlement:
    match event:
        case SettlementClosed():
            return replace(
                settlement,
                status=SettlementStatus.CLOSED,
                close_reason=event.reason,
                carried=event.carried,
            )
        case SettlementApproved():
            return replace(
                settlement, status=SettlementStatus.APPROVED, approved_by=event.approved_by
            )
        case PayoutStarted():
            return replace(
                settlement,
                status=SettlementStatus.PAYING,
                rail=event.rail,
                paid_by=event.paid_by,
            )
        case SettlementPaid():
            return replace(
                settlement, status=SettlementStatus.PAID, rail_reference=event.rail_reference
            )
        case SettlementFailed():
            return replace(
                settlement,
                status=SettlementStatus.FAILED,
                failure_code=event.failure_code,
                rail_reference=event.rail_reference,
            )
        case SettlementCanceled():
            return replace(settlement, status=SettlementStatus.CANCELED)
        case SettlementOpened():
            raise InvariantBroken("settlement.opened twice")
