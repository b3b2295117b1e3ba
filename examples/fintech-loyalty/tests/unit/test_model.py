"""An account redeems what it has, and no more."""

import pytest
from fintech_loyalty.domain.commands import RedeemPoints
from fintech_loyalty.domain.errors import NotEnoughPoints, RedemptionTooSmall
from fintech_loyalty.domain.model import Account, decide, fold


def command(points: int, *, earned: int = 100) -> RedeemPoints:
    return RedeemPoints(
        redemption_id="red_1",
        merchant_id="mer_1",
        customer_id="c_1",
        points=points,
        earned=earned,
        points_min=10,
        requested_at=1,
    )


def test_everything_that_is_left_can_be_redeemed():
    first = decide(fold([]), command(60))
    second = decide(fold([first]), command(40))

    assert fold([first, second]) == Account(redeemed=100)


def test_a_point_more_than_is_left_is_refused_with_what_is_left():
    with pytest.raises(NotEnoughPoints) as refused:
        decide(Account(redeemed=60), command(41))

    assert refused.value.facts == {"points_left": 40}


def test_what_was_taken_back_after_it_was_spent_is_owed():
    with pytest.raises(NotEnoughPoints) as refused:
        decide(Account(redeemed=60), command(10, earned=50))

    assert refused.value.facts == {"points_left": -10}


def test_less_than_one_redemption_takes_is_refused():
    assert decide(Account(), command(10)).points == 10
    with pytest.raises(RedemptionTooSmall):
        decide(Account(), command(9))
