"""Why a settlement is refused. Every refusal is recorded and stays the answer to its key.

::

    Refusal
    ├── MerchantHeld             under review or suspended: nothing is settled
    ├── CutoffInFuture
    ├── NothingDue               no line is due, or only what would be carried forward again
    ├── SettlementNotOpen        approval
    ├── SettlementNotApproved    payment
    ├── SettlementNotCancelable  paying, or ended
    └── SecondPersonRequired     who approved a large settlement cannot pay it
"""

from fintech_kernel.errors import Refusal


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
