"""The settlement: its states, and what each event makes of it.

Pure: standard library and kernel value types, no clock, no randomness, no I/O. A settlement's lines and
total are fixed by its first event; afterwards it only moves through ``TRANSITIONS``, and at most once
into ``paid``. What a command leads to is told in ``decisions``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from fintech_kernel.errors import InvariantBroken
from fintech_kernel.money import Money

from fintech_settlements.domain.events import (
    FailureRequested,
    PaidAfterFailure,
    PayoutAnswered,
    PayoutContradicted,
    PayoutOpened,
    PayoutStarted,
    SettlementApproved,
    SettlementCanceled,
    SettlementClosed,
    SettlementEvent,
    SettlementFailed,
    SettlementOpened,
    SettlementPaid,
    SettlementReturned,
)


class SettlementStatus(StrEnum):
    """The states of a settlement."""

    OPEN = "open"
    APPROVED = "approved"
    PAYING = "paying"
    PAID = "paid"
    RETURNED = "returned"
    FAILED = "failed"
    CANCELED = "canceled"
    CLOSED = "closed"


TRANSITIONS: Final[Mapping[SettlementStatus, frozenset[SettlementStatus]]] = {
    SettlementStatus.OPEN: frozenset(
        {SettlementStatus.APPROVED, SettlementStatus.CANCELED, SettlementStatus.CLOSED}
    ),
    SettlementStatus.APPROVED: frozenset({SettlementStatus.PAYING, SettlementStatus.CANCELED}),
    SettlementStatus.PAYING: frozenset({SettlementStatus.PAID, SettlementStatus.FAILED}),
    SettlementStatus.PAID: frozenset({SettlementStatus.RETURNED}),
    SettlementStatus.RETURNED: frozenset(),
    SettlementStatus.FAILED: frozenset(),
    SettlementStatus.CANCELED: frozenset(),
    SettlementStatus.CLOSED: frozenset(),
}
"""From each state to the states that may follow. ``closed`` ends without a payout: zero, or carried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPayout:
    """A payout whose rail gave no definite answer in time. Times are UTC milliseconds.

    Attributes:
        operation_id: the operation that pays; its key at the rail is ``key``.
        is_answered: whether the rail's definite answer stands meanwhile, whatever people said before.
    """

    operation_id: str
    opened_at: int
    answered_by_people: bool
    is_answered: bool = False

    @property
    def key(self) -> str:
        """The key of the call, and of its row in the journal."""
        return payout_key(self.operation_id)


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
    bank_account_id: str = ""
    payout_started_at: int = 0
    payout: OpenPayout | None = None
    confirmed_by: str = ""
    failure_requested_by: str = ""
    failure_reason: str = ""
    failure_approvable_at: int | None = None
    failed_by: str = ""
    return_code: str = ""
    returned_by: str = ""
    paid_after_failure: bool = False

    @property
    def is_payable(self) -> bool:
        """Whether the total is worth a payout."""
        return is_payable(self.total, self.minimum)

    @property
    def moved(self) -> Money:
        """What the settlement's own transfer moves."""
        return Money(amount=abs(self.total), currency=self.currency)

    @property
    def is_outcome_open(self) -> bool:
        """Whether the payout is under way and nobody knows its outcome."""
        return self.status is SettlementStatus.PAYING and self.payout is not None

    @property
    def is_out(self) -> bool:
        """Whether the money left through the rail and has not come back."""
        left = self.status is SettlementStatus.PAID or self.paid_after_failure
        return left and not self.return_code


def payout_key(operation_id: str) -> str:
    """Return the key of an operation's one payout."""
    return f"{operation_id}:pay"


def is_payable(total: int, minimum: int) -> bool:
    """Whether a total (signed minor units) is paid out rather than carried forward."""
    return total >= max(minimum, 1)


def batch_number_of(settlement_id: str) -> str:
    """Return the bank reference of a settlement: unique, and 35 letters at most (ISO 20022 Max35Text)."""
    prefix, _, suffix = settlement_id.partition("_")
    return f"{prefix}{suffix}".upper()


def settlement_id_of(batch_number: str, prefix: str) -> str:
    """Return the settlement that a bank reference names; ``prefix`` is that of settlements' ids."""
    return f"{prefix}_{batch_number.removeprefix(prefix.upper()).lower()}"


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
    after = _moved(settlement, event)
    if after is None:
        return _noted(settlement, event)
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


def _moved(  # noqa: PLR0911 - one return per state that follows
    settlement: Settlement, event: SettlementEvent
) -> Settlement | None:
    """Return the settlement in its next state; None where the event moves it to none."""
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
                bank_account_id=event.bank_account_id,
                payout_started_at=event.requested_at,
            )
        case SettlementPaid():
            return replace(
                settlement,
                status=SettlementStatus.PAID,
                rail_reference=event.rail_reference,
                confirmed_by=event.confirmed_by,
                payout=_answered(settlement, by_rail=not event.confirmed_by),
            )
        case SettlementFailed():
            return replace(
                settlement,
                status=SettlementStatus.FAILED,
                failure_code=event.failure_code,
                rail_reference=event.rail_reference,
                failed_by=event.failed_by,
                payout=_answered(settlement, by_rail=not event.failed_by),
            )
        case SettlementReturned() if settlement.status is SettlementStatus.PAID:
            return replace(
                settlement,
                status=SettlementStatus.RETURNED,
                return_code=event.return_code,
                returned_by=event.recorded_by,
            )
        case SettlementCanceled():
            return replace(settlement, status=SettlementStatus.CANCELED)
        case _:
            return None


def _noted(settlement: Settlement, event: SettlementEvent) -> Settlement:
    """Return the settlement with what an event adds to it in its state.

    Raises:
        InvariantBroken: nothing of the kind can have happened in this state.
    """
    status = settlement.status
    match event:
        case PayoutOpened() if status is SettlementStatus.PAYING and settlement.payout is None:
            payout = OpenPayout(
                operation_id=event.operation_id,
                opened_at=event.opened_at,
                answered_by_people=event.answered_by_people,
            )
            return replace(settlement, payout=payout)
        case FailureRequested() if settlement.is_outcome_open:
            return replace(
                settlement,
                failure_requested_by=event.requested_by,
                failure_reason=event.reason,
                failure_approvable_at=event.approvable_at,
            )
        case PaidAfterFailure() if (
            status is SettlementStatus.FAILED and not settlement.paid_after_failure
        ):
            return replace(
                settlement,
                paid_after_failure=True,
                rail_reference=event.rail_reference,
                payout=_answered(settlement, by_rail=True),
            )
        case SettlementReturned() if status is SettlementStatus.FAILED and settlement.is_out:
            return replace(settlement, return_code=event.return_code, returned_by=event.recorded_by)
        case PayoutAnswered() | PayoutContradicted() if settlement.payout is not None:
            return replace(settlement, payout=_answered(settlement, by_rail=True))
        case _:
            raise InvariantBroken(f"{event.type} of a settlement that is {status}")


def _answered(settlement: Settlement, *, by_rail: bool) -> OpenPayout | None:
    """Return the payout that was open, with the rail's answer where it is the rail's."""
    if settlement.payout is None or not by_rail:
        return settlement.payout
    return replace(settlement.payout, is_answered=True)
