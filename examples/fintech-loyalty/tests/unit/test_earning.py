"""Points of movements add up to those of what a payment keeps, however it was cut."""

from fintech_loyalty.domain.earning import Movement, points_of
from hypothesis import given
from hypothesis import strategies as st

AMOUNTS = st.integers(min_value=1, max_value=10**9)


def movements(*amounts: int) -> list[Movement]:
    return [Movement(seq=seq, amount=amount) for seq, amount in enumerate(amounts, start=1)]


def points(moved: list[Movement], currency: str = "KES") -> list[int]:
    return [points_of(moved, seq=one.seq, currency=currency) for one in moved]


def test_a_point_is_a_whole_unit_of_the_currency():
    assert points(movements(9_990)) == [99]
    assert points(movements(99), "JPY") == [99]
    assert points(movements(99_999), "KWD") == [99]


def test_parts_that_are_worth_nothing_alone_are_worth_something_together():
    assert points(movements(60, 60, 60)) == [0, 1, 0]


def test_later_movements_change_nothing_about_an_earlier_one():
    assert points_of(movements(150, 150, -250), seq=2, currency="KES") == 2


@given(st.lists(AMOUNTS, min_size=1, max_size=10), st.data())
def test_whatever_is_captured_and_refunded_the_sum_is_what_is_kept(captured, data):
    kept, refunds = sum(captured), []
    while kept and data.draw(st.booleans()):
        refunds.append(-data.draw(st.integers(min_value=1, max_value=kept)))
        kept += refunds[-1]

    assert sum(points(movements(*captured, *refunds))) == kept // 100
