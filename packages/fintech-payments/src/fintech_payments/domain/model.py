"""The payment: its states, its amounts, and what each event makes of it (``evolve``).

Pure: standard library and kernel value types, no clock, no randomness, no I/O. What a command leads to
is in ``decisions``. The invariant is held here and nowhere else, at every position of every stream:
``refunded <= captured <= authorized <= amount`` and ``refunded + disputed <= captured``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from fintech_kernel.contracts.merchants import PricingRule
from fintech_kernel.contracts.processors import DisputeStatus
from fintech_kernel.errors import InvariantBroken
from fintech_kernel.money import Money

from fintech_payments.domain.events import (
    CancelFailed,
    CancelRequested,
    CaptureFailed,
    CaptureMode,
    CaptureRequested,
    DisputeLost,
    DisputeOpened,
    DisputeWon,
    Effect,
    ExpiryRequested,
    OutcomeAbandoned,
    OutcomeClosed,
    OutcomeOpened,
    PaymentAuthorized,
    PaymentCanceled,
    PaymentCaptured,
    PaymentConflicted,
    PaymentCreated,
    PaymentEvent,
    PaymentExpired,
    PaymentFailed,
    RefundFailed,
    RefundRequested,
    RefundSucceeded,
    ReversalFailed,
    ReversalRequested,
    ReversalSucceeded,
)


class PaymentStatus(StrEnum):
    """The states of a payment."""

    PENDING = "pending"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    REFUNDED = "refunded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"
    CONFLICTED = "conflicted"


class RefundStatus(StrEnum):
    """The states of a refund."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


TRANSITIONS: Final[Mapping[PaymentStatus, frozenset[PaymentStatus]]] = {
    PaymentStatus.PENDING: frozenset(
        {PaymentStatus.AUTHORIZED, PaymentStatus.FAILED, PaymentStatus.CONFLICTED}
    ),
    PaymentStatus.AUTHORIZED: frozenset(
        {
            PaymentStatus.CAPTURED,
            PaymentStatus.CANCELED,
            PaymentStatus.EXPIRED,
            PaymentStatus.CONFLICTED,
        }
    ),
    PaymentStatus.CAPTURED: frozenset({PaymentStatus.REFUNDED, PaymentStatus.CONFLICTED}),
    PaymentStatus.REFUNDED: frozenset({PaymentStatus.CAPTURED, PaymentStatus.CONFLICTED}),
    PaymentStatus.FAILED: frozenset({PaymentStatus.CONFLICTED}),
    PaymentStatus.CANCELED: frozenset({PaymentStatus.CONFLICTED}),
    PaymentStatus.EXPIRED: frozenset({PaymentStatus.CONFLICTED}),
    PaymentStatus.CONFLICTED: frozenset(),
}
"""From each state to the states that may follow. A failed refund leads from refunded back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """A refund of a payment."""

    refund_id: str
    amount: Money
    fee_returned: Money
    available_on: int
    reason: str
    requested_at: int
    status: RefundStatus = RefundStatus.PENDING
    decline_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """A dispute of a payment. ``reference`` is the processor's name of it."""

    dispute_id: str
    reference: str
    amount: Money
    fee: Money
    reason: str
    available_on: int
    opened_at: int
    status: DisputeStatus = DisputeStatus.OPEN
    closed_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOutcome:
    """A step whose answer is not known: which call, of which operation, since when."""

    effect: Effect
    operation_id: str
    opened_at: int
    refund_id: str = ""

    @property
    def key(self) -> str:
        """The processor's key of the call."""
        return f"{self.operation_id}:{self.effect}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """A payment as its events made it. Amounts are minor units of ``amount.currency``.

    ``capture_reserved`` is spoken for by captures under way; ``refunded`` counts refunds under way.
    ``abandoned_outcomes`` were given up (``opened_at``: when); the processor is still asked about them.
    """

    payment_id: str
    merchant_id: str
    amount: Money
    capture: CaptureMode
    method: str
    token: str
    processor: str
    reference: str
    metadata: Mapping[str, str]
    pricing: PricingRule | None
    settlement_delay_days: int
    created_at: int
    expires_at: int | None = None
    base_status: PaymentStatus = PaymentStatus.PENDING
    authorized: int = 0
    captured: int = 0
    capture_reserved: int = 0
    cancel_requested: bool = False
    expiry_requested: bool = False
    fee: int = 0
    fee_rule: str = ""
    available_on: int = 0
    refunds: tuple[Refund, ...] = ()
    disputes: tuple[Dispute, ...] = ()
    open_outcomes: tuple[OpenOutcome, ...] = ()
    abandoned_outcomes: tuple[OpenOutcome, ...] = ()
    decline_code: str = ""

    @property
    def refunded(self) -> int:
        """Refunded in total, refunds under way included."""
        return sum(
            refund.amount.amount
            for refund in self.refunds
            if refund.status is not RefundStatus.FAILED
        )

    @property
    def disputed(self) -> int:
        """Held back or lost by disputes; what was won is the merchant's again."""
        return sum(
            dispute.amount.amount
            for dispute in self.disputes
            if dispute.status is not DisputeStatus.WON
        )

    @property
    def fee_returned(self) -> int:
        """Fee that went back with refunds, those under way included."""
        return sum(
            refund.fee_returned.amount
            for refund in self.refunds
            if refund.status is not RefundStatus.FAILED
        )

    @property
    def status(self) -> PaymentStatus:
        """The state to show: a captured payment of which nothing is left is refunded."""
        if not self.refunds:
            return self.base_status
        settled = sum(
            refund.amount.amount
            for refund in self.refunds
            if refund.status is RefundStatus.SUCCEEDED
        )
        if self.base_status is PaymentStatus.CAPTURED and settled == self.captured > 0:
            return PaymentStatus.REFUNDED
        return self.base_status

    @property
    def capturable(self) -> int:
        """What a further capture may take: nothing once the authorization's time is over."""
        return 0 if self.expiry_requested else self.uncaptured

    @property
    def uncaptured(self) -> int:
        """What is authorized and neither captured nor spoken for."""
        return self.authorized - self.captured - self.capture_reserved

    @property
    def refundable(self) -> int:
        """What a further refund may give back, or a further dispute hold."""
        return self.captured - self.refunded - self.disputed

    def refund(self, refund_id: str) -> Refund | None:
        """Return a refund by id."""
        return next((one for one in self.refunds if one.refund_id == refund_id), None)

    def dispute(self, dispute_id: str) -> Dispute | None:
        """Return a dispute by id."""
        return next((one for one in self.disputes if one.dispute_id == dispute_id), None)

    def money(self, amount: int) -> Money:
        """Return an amount in the payment's currency."""
        return Money(amount=amount, currency=self.amount.currency)


def fold(events: Iterable[PaymentEvent]) -> Payment:
    """Return the payment that events made.

    Raises:
        InvariantBroken: the events cannot be a payment's.
    """
    payment: Payment | None = None
    for event in events:
        payment = evolve(payment, event)
    if payment is None:
        raise InvariantBroken("a payment without events")
    return payment


def evolve(payment: Payment | None, event: PaymentEvent) -> Payment:
    """Return the payment after an event.

    Raises:
        InvariantBroken: the event cannot follow.
    """
    if isinstance(event, PaymentCreated):
        return _created(payment, event)
    if payment is None:
        raise InvariantBroken(f"{event.type} before payment.created")
    after = _applied(payment, event)
    _check(payment, after)
    return after


def _created(payment: Payment | None, event: PaymentCreated) -> Payment:
    if payment is not None:
        raise InvariantBroken("payment.created twice")
    return Payment(
        payment_id=event.payment_id,
        merchant_id=event.merchant_id,
        amount=event.amount,
        capture=event.capture,
        method=event.method,
        token=event.token,
        processor=event.processor,
        reference=event.reference,
        metadata=event.metadata,
        pricing=event.pricing,
        settlement_delay_days=event.settlement_delay_days,
        created_at=event.requested_at,
        expires_at=event.expires_at,
    )


def _applied(payment: Payment, event: PaymentEvent) -> Payment:  # noqa: C901, PLR0911, PLR0912 - one arm per event is the clearest table
    match event:
        case PaymentAuthorized():
            return replace(
                payment,
                base_status=_unless_conflicted(payment, PaymentStatus.AUTHORIZED),
                authorized=event.amount.amount,
            )
        case PaymentFailed():
            return replace(
                payment,
                base_status=_unless_conflicted(payment, PaymentStatus.FAILED),
                decline_code=event.decline_code,
            )
        case CaptureRequested():
            reserved = payment.capture_reserved + event.amount.amount
            return replace(payment, capture_reserved=reserved)
        case PaymentCaptured():
            return replace(
                payment,
                base_status=_unless_conflicted(payment, PaymentStatus.CAPTURED),
                captured=payment.captured + event.amount.amount,
                capture_reserved=max(0, payment.capture_reserved - event.amount.amount),
                fee=payment.fee + event.fee.amount,
                fee_rule=event.rule_id,
                available_on=max(payment.available_on, event.available_on),
            )
        case CaptureFailed():
            return replace(
                payment,
                capture_reserved=payment.capture_reserved - event.amount.amount,
                decline_code=event.decline_code,
            )
        case CancelRequested():
            return replace(payment, cancel_requested=True)
        case PaymentCanceled():
            status = _unless_conflicted(payment, PaymentStatus.CANCELED)
            return replace(payment, base_status=status)
        case CancelFailed():
            return replace(
                payment,
                cancel_requested=False,
                decline_code=event.decline_code,
            )
        case ExpiryRequested():
            return replace(payment, expiry_requested=True)
        case PaymentExpired():
            if payment.captured:
                return payment
            status = _unless_conflicted(payment, PaymentStatus.EXPIRED)
            return replace(payment, base_status=status)
        case RefundRequested():
            refund = Refund(
                refund_id=event.refund_id,
                amount=event.amount,
                fee_returned=event.fee_returned,
                available_on=event.available_on,
                reason=event.reason,
                requested_at=event.requested_at,
            )
            return replace(payment, refunds=(*payment.refunds, refund))
        case RefundSucceeded():
            return _refund_ended(payment, event.refund_id, RefundStatus.SUCCEEDED, "")
        case RefundFailed():
            return _refund_ended(payment, event.refund_id, RefundStatus.FAILED, event.decline_code)
        case OutcomeOpened():
            outcome = OpenOutcome(
                effect=event.effect,
                operation_id=event.operation_id,
                opened_at=event.opened_at,
                refund_id=event.refund_id,
            )
            return replace(payment, open_outcomes=(*payment.open_outcomes, outcome))
        case OutcomeClosed():
            still_open = _without(payment.open_outcomes, event.operation_id)
            return replace(payment, open_outcomes=still_open)
        case OutcomeAbandoned():
            abandoned = tuple(
                replace(one, opened_at=event.abandoned_at)
                for one in payment.open_outcomes
                if one.operation_id == event.operation_id
            )
            return replace(
                payment,
                open_outcomes=_without(payment.open_outcomes, event.operation_id),
                abandoned_outcomes=(*payment.abandoned_outcomes, *abandoned),
            )
        case ReversalRequested():
            known = _without(payment.abandoned_outcomes, event.operation_id)
            return replace(payment, abandoned_outcomes=known)
        case ReversalSucceeded():
            return payment
        case ReversalFailed():
            return replace(
                payment, base_status=PaymentStatus.CONFLICTED, decline_code=event.decline_code
            )
        case DisputeOpened():
            dispute = Dispute(
                dispute_id=event.dispute_id,
                reference=event.reference,
                amount=event.amount,
                fee=event.fee,
                reason=event.reason,
                available_on=event.available_on,
                opened_at=event.opened_at,
            )
            return replace(payment, disputes=(*payment.disputes, dispute))
        case DisputeWon():
            return _dispute_ended(payment, event.dispute_id, DisputeStatus.WON, event.closed_at)
        case DisputeLost():
            return _dispute_ended(payment, event.dispute_id, DisputeStatus.LOST, event.closed_at)
        case PaymentConflicted():
            return replace(payment, base_status=PaymentStatus.CONFLICTED)
        case PaymentCreated():
            raise InvariantBroken("payment.created twice")


def _without(outcomes: tuple[OpenOutcome, ...], operation_id: str) -> tuple[OpenOutcome, ...]:
    return tuple(one for one in outcomes if one.operation_id != operation_id)


def _unless_conflicted(payment: Payment, status: PaymentStatus) -> PaymentStatus:
    """A conflict stays until people have looked, whatever else was under way."""
    return payment.base_status if payment.base_status is PaymentStatus.CONFLICTED else status


def _refund_ended(payment: Payment, refund_id: str, status: RefundStatus, code: str) -> Payment:
    if payment.refund(refund_id) is None:
        raise InvariantBroken(f"no refund {refund_id}")
    refunds = tuple(
        replace(one, status=status, decline_code=code) if one.refund_id == refund_id else one
        for one in payment.refunds
    )
    return replace(payment, refunds=refunds)


def _dispute_ended(payment: Payment, dispute_id: str, status: DisputeStatus, at: int) -> Payment:
    if payment.dispute(dispute_id) is None:
        raise InvariantBroken(f"no dispute {dispute_id}")
    disputes = tuple(
        replace(one, status=status, closed_at=at) if one.dispute_id == dispute_id else one
        for one in payment.disputes
    )
    return replace(payment, disputes=disputes)


def _check(before: Payment, after: Payment) -> None:
    """Hold the invariants at every position of every stream."""
    if after.status is not before.status and after.status not in TRANSITIONS[before.status]:
        raise InvariantBroken(f"{before.status} -> {after.status} is no transition")
    amounts = (0, after.refunded, after.captured, after.authorized, after.amount.amount)
    if list(amounts) != sorted(amounts):
        raise InvariantBroken(f"payment {after.payment_id}: amounts {amounts} are out of order")
    if after.refundable < 0:
        raise InvariantBroken(f"payment {after.payment_id}: refunds and disputes exceed captures")
    if after.capture_reserved < 0 or after.uncaptured < 0:
        raise InvariantBroken(f"payment {after.payment_id}: captures exceed the authorization")
