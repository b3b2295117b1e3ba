"""What is asked of a payment. Every input that is not the client's was frozen before the claim."""

from collections.abc import Mapping
from dataclasses import dataclass

from fintech_kernel.contracts.merchants import PricingRule
from fintech_kernel.contracts.processors import DisputeStatus, ProcessorAnswer
from fintech_kernel.money import Money

from fintech_payments.domain.events import CaptureMode, Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatePayment:
    """Take a payment. Everything that is not the client's was read before the claim and is frozen."""

    payment_id: str
    merchant_id: str
    merchant_is_active: bool
    merchant_currencies: tuple[str, ...] | None
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
    manual_capture_supported: bool = True
    expires_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturePayment:
    """Take some of what is authorized; without an amount, all that is left."""

    payment_id: str
    merchant_id: str
    amount: Money | None
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelPayment:
    """Give up what is authorized."""

    payment_id: str
    merchant_id: str
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpirePayment:
    """The time of an authorization is over: release what is left of it. ``expires_at``: when that was."""

    payment_id: str
    merchant_id: str
    expires_at: int
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundPayment:
    """Give back some of what was captured; without an amount, all that is left."""

    payment_id: str
    merchant_id: str
    refund_id: str
    amount: Money | None
    reason: str
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvePayment:
    """A definite answer to a step whose outcome is open, learned by whoever asked."""

    payment_id: str
    merchant_id: str
    operation_id: str
    effect: Effect
    refund_id: str
    answer: ProcessorAnswer
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AbandonOutcome:
    """Give up a call that the processor knows nothing of, and that cannot reach it any more."""

    payment_id: str
    merchant_id: str
    operation_id: str
    effect: Effect
    refund_id: str
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReverseStep:
    """The processor did what stands here as declined or abandoned: it is to undo it.

    ``amount``: what it said it did; None where it did not say.
    """

    payment_id: str
    merchant_id: str
    operation_id: str
    effect: Effect
    amount: Money | None
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDispute:
    """A payment is disputed. Without an amount: all that is left of it.

    ``reported``: the processor says so, and it is a fact; otherwise an operator does, and may be wrong.
    ``fee`` is in the payment's currency.
    """

    payment_id: str
    merchant_id: str
    dispute_id: str
    reference: str
    amount: Money | None
    fee: int
    reason: str
    reported: bool
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseDispute:
    """A dispute has ended."""

    payment_id: str
    merchant_id: str
    dispute_id: str
    status: DisputeStatus
    reason: str
    requested_at: int
