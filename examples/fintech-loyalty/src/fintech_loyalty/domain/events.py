"""What happens to an account. Past tense, stored for ever: fields are only ever added."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class PointsRedeemed:
    """A customer got something for points. ``earned`` is what the decision went by."""

    type: ClassVar[str] = "loyalty.points_redeemed"
    redemption_id: str
    points: int
    earned: int
    requested_at: int
