"""What the ledger refuses of people, and what it cannot take from whoever posts.

::

    Refusal
    ├── PeriodPassed             later transfers were folded before this period was closed
    ├── PeriodNotReady           something stands in the way of closing it; facts hold all reasons
    ├── PeriodAlreadyClosed
    ├── PeriodOutOfOrder         a later period is closed
    ├── AccountNotAdjustable     not in the chart, of another currency, twice, or a settlement's own
    ├── TwoMerchants             one adjustment moves money of one merchant at most
    ├── AdjustmentNotProposed    it was approved or rejected before
    └── SamePerson               who proposed an adjustment does not decide on it
    InvariantBroken
    ├── MalformedPosting         a leg that the chart of accounts or the books do not allow
    ├── ClaimBroken              claimed lines that contradict the claim protocol
    ├── FoldBroken               folds that contradict theirs
    └── BooksDiffer              a replay of the books found other sums than they say
"""

from fintech_kernel.errors import InvariantBroken, Refusal


class PeriodPassed(Refusal):
    """Folds went on behind the period's end: what belongs to it can no longer be told apart."""

    code = "period_passed"
    title = "Later transfers were folded before this period was closed; it stays without a close."
    remedy = "Post into the period of now."


class PeriodNotReady(Refusal):
    """Suspense is not zero, something is overdue or unfinished, or the audit log does not verify."""

    code = "period_not_ready"
    title = "The period cannot be closed yet; the facts hold every reason."
    remedy = "Settle what the reasons name, then close it with a new Idempotency-Key."


class PeriodAlreadyClosed(Refusal):
    """A period is closed once."""

    code = "period_already_closed"
    title = "The period is closed."
    remedy = "Read the period; nothing is left to do."


class PeriodOutOfOrder(Refusal):
    """Periods are closed in order; one that was passed over stays without a close."""

    code = "period_out_of_order"
    title = "A later period is closed; what belonged to this one was told there."
    remedy = "Read the later period."


class AccountNotAdjustable(Refusal):
    """An adjustment names two different accounts of the chart that hold its currency.

    Accounts of settlements move by their settlement alone.
    """

    code = "account_not_adjustable"
    title = "The account cannot be adjusted: it is unknown, holds another currency, or is a settlement's."
    remedy = "Choose an account that adjustments may name."


class TwoMerchants(Refusal):
    """Money between merchants goes through an account of the platform, in two adjustments."""

    code = "two_merchants"
    title = "An adjustment moves money of one merchant at most."
    remedy = "Make one adjustment for each merchant."


class AdjustmentNotProposed(Refusal):
    """It was decided before."""

    code = "adjustment_not_proposed"
    title = "The adjustment was approved or rejected before."
    remedy = "Read the adjustment: it was decided already."


class SamePerson(Refusal):
    """Two people answer for an adjustment."""

    code = "same_person"
    title = "Who proposed an adjustment cannot approve or reject it."
    remedy = "Let somebody else decide."


class MalformedPosting(InvariantBroken):
    """A leg names an unknown account, another merchant's, another currency, or itself twice."""


class ClaimBroken(InvariantBroken):
    """The chunks of a settlement are not dense, not full, or do not add up."""


class FoldBroken(InvariantBroken):
    """A fold was planned out of order, or its lines and balances do not fit one another."""


class BooksDiffer(InvariantBroken):
    """What is recorded is not what its transfers make. The message names the first difference."""
