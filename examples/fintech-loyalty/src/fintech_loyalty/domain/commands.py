"""What is asked of an account. Stored with the operation: every input of the decision stands in it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RedeemPoints:
    """Take points from a customer.

    ``earned`` and ``points_min`` are as they were when the request was taken: nobody who runs the
    operation reads them again. ``requested_at`` is in UTC milliseconds.
    """

    redemption_id: str
    merchant_id: str
    customer_id: str
    points: int
    earned: int
    points_min: int
    requested_at: int
