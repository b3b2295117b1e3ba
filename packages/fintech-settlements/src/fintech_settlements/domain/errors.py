"""Why a settlement is refused. Every refusal is recorded and stays the answer to its key.

::

    Refusal
    ├── MerchantHeld             under review or suspended: nothing is settled
    ├── CutoffInFuture
    ├── NothingDue               no line is due, or only what would be carried forward again
    ├── SettlementNotOpen        approval
    ├── SettlementNotApproved    payment
    ├── SettlementNotCancelable  paying, or ended
    ├── SecondPersonRequired     who approved a large settlement cannot pay it
    ├── RailUnsuitable           payment: the rail does not pay this currency
    ├── BankAccountUnsuitable    payment: the merchant has no account that the rail pays to
    ├── SettlementNotPaying      confirm, fail: no payout waits for its outcome
    ├── FailureNeedsSecondPerson
    ├── FailureTooEarly          what was sent may still be paid
    ├── SettlementNotPaid        return: nothing is out that could come back
    └── NothingToRecover         of what a rail paid after it had refused
    TryAgainLater
    └── PayoutCallbackTooEarly   of a rail's callback, never recorded
"""

from typing import ClassVar

from fintech_kernel.errors import Refusal, TryAgainLater


class MerchantHeld(Refusal):
    """The merchant was under review or suspended when the request was taken."""

    code = "merchant_held"
    title = "The merchant is under review or suspended; nothing is settled until that ends."
    remedy = "Wait until the review or suspension ends; what is due stays due."


class CutoffInFuture(Refusal):
    """A settlement takes what was available by its cutoff, which must have passed."""

    code = "cutoff_in_future"
    title = "The cutoff must not lie in the future."
    remedy = "Choose a cutoff that has passed."


class NothingDue(Refusal):
    """No line is due by the cutoff, or only an amount that would be carried forward again."""

    code = "nothing_due"
    title = "Nothing is due for settlement by this cutoff."
    remedy = "Try again when something is available; balances show what is."


class SettlementNotOpen(Refusal):
    """Only an open settlement can be approved."""

    code = "settlement_not_open"
    title = "The settlement cannot be approved in its state."
    remedy = "Read the settlement: only an open one can be approved."


class SettlementNotApproved(Refusal):
    """Only an approved settlement can be paid."""

    code = "settlement_not_approved"
    title = "The settlement cannot be paid in its state."
    remedy = "Approve the settlement first; read it if it was paid already."


class SettlementNotCancelable(Refusal):
    """Its payout was started, or it has ended."""

    code = "settlement_not_cancelable"
    title = "The settlement cannot be canceled in its state."
    remedy = "Wait for the payout's outcome: what fails or is returned is due again."


class SecondPersonRequired(Refusal):
    """The settlement is above the limit and the same person approved it."""

    code = "second_person_required"
    title = "A settlement above the limit is paid by somebody other than who approved it."
    remedy = "Let somebody else, with the same permission, pay it."


class RailUnsuitable(Refusal):
    """The rail does not pay the settlement's currency."""

    code = "payout_rail_unsuitable"
    title = "The payout rail does not pay this currency."
    remedy = (
        "Name a rail for the currency in SETTLEMENTS_RAILS_BY_CURRENCY, then pay with a new key."
    )


class BankAccountUnsuitable(Refusal):
    """The merchant has no account, or one of a kind that the rail does not pay to."""

    code = "bank_account_unsuitable"
    title = "The merchant has no bank account that the payout rail pays to."
    remedy = (
        "Give the merchant a bank account of a kind that the rail takes, then pay with a new key."
    )


class SettlementNotPaying(Refusal):
    """No payout waits for its outcome: it was not started, is being sent right now, or has ended."""

    code = "settlement_not_paying"
    title = "The settlement has no payout whose outcome is open."
    remedy = "Read the settlement: only a payout that is paying, with outcome open, is confirmed or failed."


class FailureNeedsSecondPerson(Refusal):
    """Who asked for a payout to be given up cannot agree to it, too."""

    code = "failure_needs_second_person"
    title = "A payout is given up by two people: somebody else has to agree."
    remedy = "Let somebody else, with the same permission, fail the settlement."


class FailureTooEarly(Refusal):
    """What was sent to the rail may still be paid."""

    code = "failure_too_early"
    title = "What was sent to the payout rail may still be paid."
    remedy = "Wait until the time that approvable_at says, then repeat with a new Idempotency-Key."


class SettlementNotPaid(Refusal):
    """Nothing is out that could come back."""

    code = "settlement_not_paid"
    title = "The settlement has no payout that could have been returned."
    remedy = "Read the settlement: only what was paid, and did not come back yet, is returned."


class NothingToRecover(Refusal):
    """What the rail paid after it had refused is recorded already."""

    code = "nothing_to_recover"
    title = "The rail's answer changes nothing that stands."
    remedy = "Nothing is to be done."


class PayoutCallbackTooEarly(TryAgainLater):
    """A callback speaks of a payout that does not stand yet."""

    code = "payout_callback_too_early"
    title = "The payout that the callback is about is not known yet."
    remedy = "Send the callback again after as long as Retry-After says."
    seconds: ClassVar[int] = 5
