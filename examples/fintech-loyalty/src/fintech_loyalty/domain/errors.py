"""Why points are not redeemed. Every refusal is recorded and stays the answer to its key.

::

    Refusal
    ├── NotEnoughPoints
    └── RedemptionTooSmall
"""

from fintech_kernel.errors import Refusal


class NotEnoughPoints(Refusal):
    """The customer has fewer points than were asked for."""

    code = "not_enough_points"
    title = "The customer does not have so many points."
    remedy = "Redeem at most what facts says is left, with a new Idempotency-Key."


class RedemptionTooSmall(Refusal):
    """Fewer points were asked for than one redemption takes."""

    code = "redemption_too_small"
    title = "The redemption takes too few points."
    remedy = "Redeem at least what facts says, with a new Idempotency-Key."
