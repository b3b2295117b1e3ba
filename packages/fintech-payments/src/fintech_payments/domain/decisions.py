"""What a command, or a processor's answer, leads to: pure functions from a payment to events.

A ``Refusal`` that is raised here is recorded like an acceptance.
"""

from fintech_kernel.clock import MILLISECONDS_PER_DAY
from fintech_kernel.contracts.processors import Outcome, ProcessorAnswer, ProcessorCapabilities
from fintech_kernel.errors import Refusal
from fintech_kernel.money import Money

from fintech_payments.domain import fees
from fintech_payments.domain.commands import (
    CapturePayment,
    CreatePayment,
    ExpirePayment,
    RefundPayment,
    ReverseStep,
)
from fintech_payments.domain.errors import (
    CaptureExceedsAuthorized,
    CurrencyMismatch,
    CurrencyNotEnabled,
    ManualCaptureUnsupported,
    MerchantNotActive,
    NothingToReverse,
    OutcomePending,
    PartialCaptureUnsupported,
    PaymentNotCancelable,
    PaymentNotCapturable,
    PaymentNotExpirable,
    PaymentNotRefundable,
    RefundExceedsCaptured,
)
from fintech_payments.domain.events import (
    CancelFailed,
    CancelRequested,
    CaptureFailed,
    CaptureMode,
    CaptureRequested,
    Effect,
    ExpiryRequested,
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
from fintech_payments.domain.model import Payment, PaymentStatus, fold


def check_creation(command: CreatePayment) -> None:
    """Judge a creation on its frozen inputs, before the processor is asked.

    Raises:
        MerchantNotActive, CurrencyNotEnabled, ManualCaptureUnsupported: the refusals of a creation.
    """
    if not command.merchant_is_active:
        raise MerchantNotActive(merchant_id=command.merchant_id)
    accepted = command.merchant_currencies
    if accepted is not None and command.amount.currency not in accepted:
        raise CurrencyNotEnabled(currency=command.amount.currency)
    if command.capture is CaptureMode.MANUAL and not command.manual_capture_supported:
        raise ManualCaptureUnsupported(method=command.method)


def may_create(command: CreatePayment) -> bool:
    """Whether a creation passes ``check_creation``: only then it takes its reference."""
    try:
        check_creation(command)
    except Refusal:
        return False
    return True


def decide_creation(
    command: CreatePayment, answer: ProcessorAnswer, *, operation_id: str
) -> tuple[PaymentEvent, ...]:
    """Return what a creation and the processor's answer to it lead to."""
    created = PaymentCreated(
        payment_id=command.payment_id,
        merchant_id=command.merchant_id,
        amount=command.amount,
        capture=command.capture,
        method=command.method,
        token=command.token,
        processor=command.processor,
        reference=command.reference,
        metadata=command.metadata,
        pricing=command.pricing,
        settlement_delay_days=command.settlement_delay_days,
        requested_at=command.requested_at,
        expires_at=command.expires_at,
    )
    answered = decide_answer(
        fold([created]),
        Effect.AUTHORIZE,
        answer,
        operation_id=operation_id,
        amount=command.amount,
        now=command.requested_at,
    )
    return (created, *answered)


def decide_capture(
    payment: Payment, command: CapturePayment, capabilities: ProcessorCapabilities
) -> tuple[PaymentEvent, ...]:
    """Speak for some of the authorization.

    Raises:
        OutcomePending, PaymentNotCapturable, CurrencyMismatch, CaptureExceedsAuthorized,
            PartialCaptureUnsupported: the refusals of a capture.
    """
    _require_known_outcomes(payment)
    if payment.base_status not in {PaymentStatus.AUTHORIZED, PaymentStatus.CAPTURED}:
        raise PaymentNotCapturable(payment_id=payment.payment_id, status=payment.status)
    if payment.cancel_requested or payment.capturable == 0:
        raise PaymentNotCapturable(payment_id=payment.payment_id, status=payment.status)
    amount = command.amount or payment.money(payment.capturable)
    _require_currency(payment, amount)
    if amount.amount > payment.capturable:
        raise CaptureExceedsAuthorized(
            payment_id=payment.payment_id, amount_capturable=payment.capturable
        )
    is_first = payment.captured + payment.capture_reserved == 0
    is_whole = amount.amount == payment.capturable
    if not (is_first or capabilities.multiple_capture) or not (
        is_whole or capabilities.partial_capture
    ):
        raise PartialCaptureUnsupported(payment_id=payment.payment_id)
    return (CaptureRequested(amount=amount),)


def decide_cancel(payment: Payment) -> tuple[PaymentEvent, ...]:
    """Close the authorization to everything else.

    Raises:
        OutcomePending, PaymentNotCancelable: the refusals of a cancellation.
    """
    _require_known_outcomes(payment)
    if payment.base_status is not PaymentStatus.AUTHORIZED or _is_closing(payment):
        raise PaymentNotCancelable(payment_id=payment.payment_id, status=payment.status)
    if payment.capture_reserved:
        raise OutcomePending(payment_id=payment.payment_id)
    return (CancelRequested(),)


def decide_expiry(payment: Payment, command: ExpirePayment) -> tuple[PaymentEvent, ...]:
    """Close the authorization for good: its time is over.

    Raises:
        PaymentNotExpirable: nothing is left of it, and never will be again.
    """
    if not is_expirable(payment):
        raise PaymentNotExpirable(payment_id=payment.payment_id, status=payment.status)
    return (ExpiryRequested(expires_at=command.expires_at),)


def is_busy(payment: Payment) -> bool:
    """Whether something uses the authorization whose outcome is to come: expiry waits for it."""
    return bool(payment.open_outcomes or payment.capture_reserved or payment.cancel_requested)


def is_expirable(payment: Payment) -> bool:
    """Whether something is authorized that can run out of time."""
    return (
        payment.expires_at is not None
        and payment.base_status in {PaymentStatus.AUTHORIZED, PaymentStatus.CAPTURED}
        and payment.capturable > 0
    )


def decide_refund(
    payment: Payment, command: RefundPayment, capabilities: ProcessorCapabilities
) -> tuple[PaymentEvent, ...]:
    """Count a refund from now on.

    Raises:
        OutcomePending, PaymentNotRefundable, CurrencyMismatch, RefundExceedsCaptured: the refusals of
            a refund.
    """
    _require_known_outcomes(payment)
    if payment.base_status is not PaymentStatus.CAPTURED or payment.refundable == 0:
        raise PaymentNotRefundable(payment_id=payment.payment_id, status=payment.status)
    amount = command.amount or payment.money(payment.refundable)
    _require_currency(payment, amount)
    if amount.amount > payment.refundable:
        raise RefundExceedsCaptured(
            payment_id=payment.payment_id, amount_refundable=payment.refundable
        )
    if amount.amount != payment.captured and not capabilities.partial_refund:
        raise RefundExceedsCaptured(
            payment_id=payment.payment_id, amount_refundable=payment.captured
        )
    returned = fees.fee_returned(
        payment.pricing,
        fee=payment.money(payment.fee),
        returned=payment.money(payment.fee_returned),
        captured=payment.money(payment.captured),
        refunded=payment.money(payment.refunded),
        amount=amount,
    )
    return (
        RefundRequested(
            refund_id=command.refund_id,
            amount=amount,
            fee_returned=returned,
            available_on=max(command.requested_at, payment.available_on),
            reason=command.reason,
            requested_at=command.requested_at,
        ),
    )


def decide_reversal(payment: Payment, command: ReverseStep) -> tuple[PaymentEvent, ...]:
    """Undo what the processor did and we do not have; what cannot be undone people must look at.

    Money that was taken goes back, and an authorization is given up. A refund cannot be taken back from
    the customer, and what was given up cannot be authorized again.

    Raises:
        NothingToReverse: it comes to the same.
    """
    amount = command.amount or payment.amount
    if command.effect in {Effect.AUTHORIZE, Effect.CAPTURE}:
        return (
            ReversalRequested(
                operation_id=command.operation_id, effect=command.effect, amount=amount
            ),
        )
    is_over = payment.base_status in {PaymentStatus.CANCELED, PaymentStatus.EXPIRED}
    is_same = command.effect is Effect.CANCEL and is_over
    if is_same or command.effect in {Effect.EXPIRE, Effect.REVERSE}:
        raise NothingToReverse(payment_id=payment.payment_id)
    return (PaymentConflicted(effect=command.effect, expected=payment.money(0), reported=amount),)


def decide_answer(
    payment: Payment,
    effect: Effect,
    answer: ProcessorAnswer,
    *,
    operation_id: str,
    amount: Money,
    now: int,
    refund_id: str = "",
) -> tuple[PaymentEvent, ...]:
    """Return what the processor's answer to a decided step leads to.

    ``amount`` is what the step asked for; ``now`` (UTC milliseconds) is frozen in the request.
    """
    if answer.outcome in {Outcome.PENDING, Outcome.UNKNOWN}:
        return (
            OutcomeOpened(
                effect=effect, operation_id=operation_id, opened_at=now, refund_id=refund_id
            ),
        )
    if answer.outcome is Outcome.DECLINED:
        return (_declined(payment, effect, amount, answer.decline_code, refund_id),)
    is_compared = effect is not Effect.EXPIRE  # some processors say how much they released
    if is_compared and answer.amount is not None and answer.amount != amount:
        return (PaymentConflicted(effect=effect, expected=amount, reported=answer.amount),)
    return _approved(payment, effect, answer, amount, now, refund_id)


def _approved(  # noqa: PLR0911, PLR0917 - the parts of one answer, passed on; one line per effect
    payment: Payment,
    effect: Effect,
    answer: ProcessorAnswer,
    amount: Money,
    now: int,
    refund_id: str,
) -> tuple[PaymentEvent, ...]:
    match effect:
        case Effect.AUTHORIZE:
            reference = answer.processor_reference
            authorized = PaymentAuthorized(amount=amount, processor_reference=reference)
            if payment.capture is CaptureMode.MANUAL:
                return (authorized,)
            return (authorized, _captured(payment, amount, now))
        case Effect.CAPTURE:
            return (_captured(payment, amount, now),)
        case Effect.CANCEL:
            return (PaymentCanceled(),)
        case Effect.EXPIRE:
            return (PaymentExpired(released=payment.money(payment.uncaptured)),)
        case Effect.REVERSE:
            return (ReversalSucceeded(),)
        case Effect.REFUND:
            return (RefundSucceeded(refund_id=refund_id),)


def _captured(payment: Payment, amount: Money, now: int) -> PaymentCaptured:
    fee = fees.fee_of_capture(
        payment.pricing, before=payment.money(payment.captured), amount=amount
    )
    return PaymentCaptured(
        amount=amount,
        fee=fee,
        rule_id=payment.pricing.rule_id if payment.pricing else "",
        available_on=now + payment.settlement_delay_days * MILLISECONDS_PER_DAY,
    )


def _declined(
    payment: Payment, effect: Effect, amount: Money, code: str, refund_id: str
) -> PaymentEvent:
    if effect is Effect.AUTHORIZE:
        return PaymentFailed(decline_code=code)
    if effect is Effect.CAPTURE:
        return CaptureFailed(amount=amount, decline_code=code)
    if effect is Effect.CANCEL:
        return CancelFailed(decline_code=code)
    if effect is Effect.EXPIRE:
        released = payment.money(payment.uncaptured)
        return PaymentExpired(released=released, decline_code=code)
    if effect is Effect.REVERSE:
        return ReversalFailed(decline_code=code)
    return RefundFailed(refund_id=refund_id, decline_code=code)


def _is_closing(payment: Payment) -> bool:
    return payment.cancel_requested or payment.expiry_requested


def _require_currency(payment: Payment, amount: Money) -> None:
    if amount.currency != payment.amount.currency:
        raise CurrencyMismatch(payment_id=payment.payment_id, currency=payment.amount.currency)


def _require_known_outcomes(payment: Payment) -> None:
    if payment.open_outcomes:
        raise OutcomePending(payment_id=payment.payment_id)
