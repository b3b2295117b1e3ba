"""Why a payment is refused. Every refusal is recorded and stays the answer to its key.

::

    Refusal
    ├── MerchantNotActive
    ├── CurrencyNotEnabled
    ├── ReferenceExists
    ├── ReferenceExistsWithDifferentAmount
    ├── OutcomePending           an outcome is open; it must be known first
    ├── PaymentNotCapturable
    ├── CurrencyMismatch
    ├── CaptureExceedsAuthorized
    ├── PartialCaptureUnsupported
    ├── PaymentNotCancelable
    ├── PaymentNotExpirable
    ├── PaymentNotRefundable
    ├── RefundExceedsCaptured
    ├── NothingToReverse         of a reversal
    ├── ManualCaptureUnsupported
    ├── PaymentNotDisputable
    ├── DisputeExceedsCaptured
    ├── DisputeExists
    └── DisputeNotOpen
    TryAgainLater
    └── CallbackTooEarly         of a callback, never recorded
"""

from typing import ClassVar

from fintech_kernel.errors import Refusal, TryAgainLater


class MerchantNotActive(Refusal):
    """The merchant was not active when the request was taken."""

    code = "merchant_not_active"
    title = "The merchant is not active."
    remedy = "Activate the merchant, then send the payment with a new Idempotency-Key."


class CurrencyNotEnabled(Refusal):
    """The merchant does not accept the currency."""

    code = "currency_not_enabled"
    title = "The merchant does not accept this currency."
    remedy = "Use a currency that the merchant accepts, or enable this one."


class ReferenceExists(Refusal):
    """The merchant used the reference for another payment of the same amount."""

    code = "reference_exists"
    title = "A payment with this reference exists."
    remedy = "Read the payment with this reference; use another reference for another payment."


class ReferenceExistsWithDifferentAmount(Refusal):
    """The merchant used the reference for a payment of another amount."""

    code = "reference_exists_with_different_amount"
    title = "A payment with this reference and a different amount exists."
    remedy = "Read the payment with this reference: two orders seem to share it."


class OutcomePending(Refusal):
    """The processor's answer to an earlier step is not known yet."""

    code = "outcome_pending"
    title = "The outcome of an earlier step is not known yet; try again when it is."
    remedy = "Read the payment until processor_outcome is settled, then repeat with a new Idempotency-Key."


class PaymentNotCapturable(Refusal):
    """Nothing is authorized, or everything was captured."""

    code = "payment_not_capturable"
    title = "The payment cannot be captured in its state."
    remedy = (
        "Read the payment: only what is authorized, and not captured or expired, can be captured."
    )


class CurrencyMismatch(Refusal):
    """A capture or refund in another currency than the payment's."""

    code = "currency_mismatch"
    title = "The amount is not in the payment's currency."
    remedy = "Send the amount in the payment's currency."


class CaptureExceedsAuthorized(Refusal):
    """More than what is authorized and not captured."""

    code = "capture_exceeds_authorized"
    title = "The capture exceeds what is authorized."
    remedy = "Capture at most what facts says is left."


class PartialCaptureUnsupported(Refusal):
    """The processor captures everything or nothing."""

    code = "partial_capture_unsupported"
    title = "The processor does not support this partial or further capture."
    remedy = "Capture the whole authorized amount at once, or choose another processor."


class PaymentNotCancelable(Refusal):
    """Captured, ended, or never authorized."""

    code = "payment_not_cancelable"
    title = "The payment cannot be canceled in its state."
    remedy = "Refund what was captured instead."


class PaymentNotExpirable(Refusal):
    """Nothing is authorized any more."""

    code = "payment_not_expirable"
    title = "Nothing of the payment's authorization is left to expire."
    remedy = "Nothing is to be done: the authorization was captured or given up before its time."


class PaymentNotRefundable(Refusal):
    """Nothing was captured."""

    code = "payment_not_refundable"
    title = "The payment cannot be refunded in its state."
    remedy = "Cancel the payment instead if it is only authorized."


class RefundExceedsCaptured(Refusal):
    """More than what was captured and not refunded."""

    code = "refund_exceeds_captured"
    title = "The refund exceeds what was captured and not refunded."
    remedy = "Refund at most what facts says is left."


class NothingToReverse(Refusal):
    """What the processor did after all is what the payment came to anyway."""

    code = "nothing_to_reverse"
    title = "The processor's answer changes nothing that stands."
    remedy = "Nothing is to be done."


class ManualCaptureUnsupported(Refusal):
    """The processor takes money at once or not at all."""

    code = "manual_capture_unsupported"
    title = (
        "The processor of this payment method cannot reserve an amount; let capture be automatic."
    )
    remedy = "Use automatic capture, or another processor."


class PaymentNotDisputable(Refusal):
    """Nothing is captured that could be disputed."""

    code = "payment_not_disputable"
    title = "The payment cannot be disputed in its state."
    remedy = "Check that the payment was captured."


class DisputeExceedsCaptured(Refusal):
    """More than what was captured and neither refunded nor disputed."""

    code = "dispute_exceeds_captured"
    title = "The dispute exceeds what was captured and neither refunded nor disputed."
    remedy = "Dispute at most what was captured."


class DisputeExists(Refusal):
    """The processor's dispute of this name is known already."""

    code = "dispute_exists"
    title = "A dispute with this reference exists."
    remedy = "Read the payment's dispute; there is one at a time."


class DisputeNotOpen(Refusal):
    """The dispute has ended."""

    code = "dispute_not_open"
    title = "The dispute has ended already."
    remedy = "Read the dispute: it has ended."


class CallbackTooEarly(TryAgainLater):
    """A callback speaks of a payment, or of a step, that does not stand yet."""

    code = "callback_too_early"
    title = "Nothing is known of this yet; send the callback again."
    remedy = "Send the callback again after the time that Retry-After says."
    seconds: ClassVar[int] = 30
