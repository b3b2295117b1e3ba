"""Quotas: the limit, one above, far above, and how a window slides into the next."""

import pytest
from fintech_kernel.quotas import Quota, QuotaCounter, Standing, read_quota
from hypothesis import given
from hypothesis import strategies as st

MINUTE = 60_000
START = 30_000_000 * MINUTE


class Clock:
    def __init__(self, now: int = START) -> None:
        self.now = now

    def now_milliseconds(self) -> int:
        return self.now


def counter(count: int, *, keys_max: int = 100, now: int = START) -> tuple[QuotaCounter, Clock]:
    clock = Clock(now)
    quota = Quota(count=count, seconds=60)
    return QuotaCounter(quota, clock, keys_max=keys_max), clock


def test_the_last_of_a_quota_is_allowed_and_everything_above_refused() -> None:
    requests, _ = counter(5)
    allowed = [not requests.take("a").is_exceeded for _ in range(500)]
    assert allowed == [True] * 5 + [False] * 495


def test_a_standing_says_what_is_left_and_when_the_window_ends() -> None:
    requests, clock = counter(5)
    clock.now += 15_001
    assert requests.take("a") == Standing(is_exceeded=False, remaining=4, wait_seconds=45)


def test_keys_have_quotas_of_their_own() -> None:
    requests, _ = counter(1)
    assert [requests.take(key).is_exceeded for key in "aab"] == [False, True, False]


def test_looking_counts_nothing() -> None:
    requests, _ = counter(1)
    assert [requests.look("a").is_exceeded for _ in range(3)] == [False, False, False]
    requests.take("a")
    assert requests.look("a").is_exceeded


def test_the_window_before_weighs_less_and_less() -> None:
    requests, clock = counter(10)
    for _ in range(10):
        requests.take("a")
    clock.now += MINUTE
    assert requests.look("a").is_exceeded
    clock.now += MINUTE // 2
    assert [requests.take("a").is_exceeded for _ in range(6)] == [False] * 5 + [True]


def test_after_a_quiet_window_the_quota_is_whole() -> None:
    requests, clock = counter(3)
    for _ in range(3):
        requests.take("a")
    clock.now += 2 * MINUTE
    assert requests.take("a").remaining == 2


def test_a_clock_that_steps_back_begins_anew_and_refuses_nobody_forever() -> None:
    requests, clock = counter(1)
    requests.take("a")
    clock.now -= 10 * MINUTE
    assert not requests.take("a").is_exceeded


def test_keys_beyond_the_bound_share_one_quota() -> None:
    requests, _ = counter(2, keys_max=3)
    for key in "abc":
        requests.take(key)
    assert [requests.take(key).is_exceeded for key in "defg"] == [False, False, True, True]
    assert not requests.take("a").is_exceeded


@given(
    steps=st.lists(
        st.tuples(st.integers(min_value=0, max_value=90_000), st.integers(1, 12)), max_size=30
    ),
    count=st.integers(1, 20),
)
def test_whoever_waits_as_long_as_told_is_served(steps: list[tuple[int, int]], count: int) -> None:
    requests, clock = counter(count)
    for pause, burst in steps:
        clock.now += pause
        for _ in range(burst):
            standing = requests.take("a")
            assert 0 <= standing.remaining < count
            if standing.is_exceeded:
                clock.now += standing.wait_seconds * 1_000
                assert not requests.look("a").is_exceeded


@given(
    moments=st.lists(st.integers(0, 4 * MINUTE), min_size=1, max_size=120),
    count=st.integers(1, 20),
)
def test_no_aligned_window_ever_holds_more_than_the_quota(moments: list[int], count: int) -> None:
    requests, clock = counter(count)
    allowed: dict[int, int] = {}
    for moment in sorted(moments):
        clock.now = START + moment
        if not requests.take("a").is_exceeded:
            allowed[moment // MINUTE] = allowed.get(moment // MINUTE, 0) + 1
    assert max(allowed.values()) <= count


@pytest.mark.parametrize(
    ("text", "quota"),
    [
        ("600/minute", Quota(count=600, seconds=60)),
        ("1/second", Quota(count=1, seconds=1)),
        ("20000/hour", Quota(count=20_000, seconds=3_600)),
        ("off", None),
        ("0", None),
    ],
)
def test_a_quota_is_read_as_it_is_written(text: str, quota: Quota | None) -> None:
    assert read_quota(text) == quota


@pytest.mark.parametrize(
    "text", ["", "600", "600/day", "-1/minute", "0/minute", "1.5/minute", "600 / minute", "many"]
)
def test_what_is_written_otherwise_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="600/minute"):
        read_quota(text)
