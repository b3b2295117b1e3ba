"""A customer's account: what was redeemed, and whether more may be. Pure: no clock, no I/O.

What was *earned* is no part of this state. It comes from payments, of which there is no end, as rows
that are summed; a stream is for what must be decided one after the other.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fintech_loyalty.domain.commands import RedeemPoints
from fintech_loyalty.domain.errors import NotEnoughPoints, RedemptionTooSmall
from fintech_loyalty.domain.events import PointsRedeemed

POINTS_MAX: Final = 1_000_000_000_000
"""Most points of one redemption."""

CUSTOMER_ID: Final = re.compile(r"[a-z0-9_]{1,40}")
"""What a merchant may call a customer: such a name takes part in keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a stream tells so far."""

    redeemed: int = 0


def evolve(account: Account, event: PointsRedeemed) -> Account:
    """Return the account after an event."""
    return Account(redeemed=account.redeemed + event.points)


def fold(events: Iterable[PointsRedeemed]) -> Account:
    """Return the account that events lead to."""
    account = Account()
    for event in events:
        account = evolve(account, event)
    return account


def decide(account: Account, command: RedeemPoints) -> PointsRedeemed:
    """Return what a command leads to.

    Raises:
        RedemptionTooSmall: fewer points than one redemption takes.
        NotEnoughPoints: more points than the customer has.
    """
    if command.points < command.points_min:
        raise RedemptionTooSmall(points_min=command.points_min)
    left = command.earned - account.redeemed
    if command.points > left:
        raise NotEnoughPoints(points_left=left)
    return PointsRedeemed(
        redemption_id=command.redemption_id,
        points=command.points,
        earned=command.earned,
        requested_at=command.requested_at,
    )


def account_id(customer_id: str) -> str:
    """Return the id of a customer's account. Its prefix keeps it apart from every other object's."""
    return f"loyalty_{customer_id}"
