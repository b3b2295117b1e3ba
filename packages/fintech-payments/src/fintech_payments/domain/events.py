"""What happens to a payment. Past tense, stored for ever: fields are only ever added."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, TypeAlias

from fintech_kernel.contracts.merchants import PricingRule
from fintech_kernel.money import Money


class CaptureMode(StrEnum):
    """Whether money is taken at once or later."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


class Effect(StrEnum):
    """What a step asks of the processor."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    CANCEL = "cancel"
    REFUND = "refund"
    EXPIRE = "expire"
    REVERSE = "reverse"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentCreated:
    """A payment exists. Pricing, delay and expiry are frozen here and used by every later step.

    ``expires_at`` (UTC milliseconds) is None for payments from before authorizations expired.
    """

    type: ClassVar[str] = "payment.created"
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
    requested_at: int
    expires_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentAuthorized:
    """The processor reserved the amount."""

    type: ClassVar[str] = "payment.authorized"
    amount: Money
    processor_reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFailed:
    """The processor declined."""

    type: ClassVar[str] = "payment.failed"
    decline_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRequested:
    """Some of the authorization is spoken for by a capture that is under way."""

    type: ClassVar[str] = "payment.capture_requested"
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentCaptured:
    """Money was taken. ``available_on`` (UTC milliseconds): when the merchant can have it."""

    type: ClassVar[str] = "payment.captured"
    amount: Money
    fee: Money
    rule_id: str
    available_on: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureFailed:
    """The processor declined a capture; what it had spoken for is free again."""

    type: ClassVar[str] = "payment.capture_failed"
    amount: Money
    decline_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested:
    """A cancellation is under way: nothing else may use the authorization."""

    type: ClassVar[str] = "payment.cancel_requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentCanceled:
    """The authorization was given up."""

    type: ClassVar[str] = "payment.canceled"


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelFailed:
    """The processor declined to cancel."""

    type: ClassVar[str] = "payment.cancel_failed"
    decline_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryRequested:
    """The authorization's time is over: nothing may use it, and the processor is asked to release it."""

    type: ClassVar[str] = "payment.expiry_requested"
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentExpired:
    """What was authorized and not captured is given up.

    ``decline_code`` says why the processor would not release it; it lapses there by itself then.
    """

    type: ClassVar[str] = "payment.expired"
    released: Money
    decline_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRequested:
    """A refund is under way: its amount and fee share count from here on."""

    type: ClassVar[str] = "payment.refund_requested"
    refund_id: str
    amount: Money
    fee_returned: Money
    available_on: int
    reason: str
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundSucceeded:
    """The processor gave the money back."""

    type: ClassVar[str] = "payment.refund_succeeded"
    refund_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundFailed:
    """The processor declined; the refund's amount is the merchant's again."""

    type: ClassVar[str] = "payment.refund_failed"
    refund_id: str
    decline_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeOpened:
    """The deadline came before the processor's answer to a step of ``operation_id``."""

    type: ClassVar[str] = "payment.outcome_opened"
    effect: Effect
    operation_id: str
    opened_at: int
    refund_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeClosed:
    """The answer is known after all; what it leads to stands right behind this."""

    type: ClassVar[str] = "payment.outcome_closed"
    operation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeAbandoned:
    """The call cannot have arrived; it counts as declined, which stands right behind this."""

    type: ClassVar[str] = "payment.outcome_abandoned"
    operation_id: str
    abandoned_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReversalRequested:
    """The processor did a step that stands here as declined or abandoned; it is asked to undo it."""

    type: ClassVar[str] = "payment.reversal_requested"
    operation_id: str
    effect: Effect
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class ReversalSucceeded:
    """The processor undid it: money is where the journal says it is."""

    type: ClassVar[str] = "payment.reversal_succeeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReversalFailed:
    """The processor would not undo it: everything stops until people have looked."""

    type: ClassVar[str] = "payment.reversal_failed"
    decline_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeOpened:
    """The customer's bank disputes a payment: the amount is held back, and the fee taken."""

    type: ClassVar[str] = "payment.dispute_opened"
    dispute_id: str
    reference: str
    amount: Money
    fee: Money
    reason: str
    available_on: int
    opened_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeWon:
    """The merchant was right: what was held back is the merchant's again; the fee stays."""

    type: ClassVar[str] = "payment.dispute_won"
    dispute_id: str
    reason: str
    closed_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeLost:
    """The customer was right: what was held back goes back through the processor."""

    type: ClassVar[str] = "payment.dispute_lost"
    dispute_id: str
    reason: str
    closed_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentConflicted:
    """The processor's amount is not ours: everything stops until people have looked.

    ``effect`` is None where it is a dispute's amount, of the dispute that ``dispute_reference`` names.
    """

    type: ClassVar[str] = "payment.conflicted"
    effect: Effect | None
    expected: Money
    reported: Money
    dispute_reference: str = ""


PaymentEvent: TypeAlias = (
    PaymentCreated
    | PaymentAuthorized
    | PaymentFailed
    | CaptureRequested
    | PaymentCaptured
    | CaptureFailed
    | CancelRequested
    | PaymentCanceled
    | CancelFailed
    | ExpiryRequested
    | PaymentExpired
    | RefundRequested
    | RefundSucceeded
    | RefundFailed
    | OutcomeOpened
    | OutcomeClosed
    | OutcomeAbandoned
    | ReversalRequested
    | ReversalSucceeded
    | ReversalFailed
    | DisputeOpened
    | DisputeWon
    | DisputeLost
    | PaymentConflicted
)
