"""What gauges of tables may be called and may say, and what becomes of a set that cannot be read."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fintech_kernel.domain.gauges import Gauges, counted, oldest
from fintech_kernel.errors import InvariantBroken, StartupFault
from fintech_kernel.hooks import Gauge, GaugeSet, Sample
from fintech_kernel.observability.gauges import SERIES_MAX, gauge_faults
from fintech_kernel.observability.metrics import Metrics
from fintech_kernel.testing.clocks import FrozenClock

WAITING = Gauge(name="fintech_toys_waiting", summary="Toys.", labels=("status",))


def gauge_set(*gauges: Gauge, read: Callable[[], Any] | None = None, **changes: Any) -> GaugeSet:
    async def nothing() -> list[Sample]:
        return []

    given = {"name": "toys", "gauges": gauges or (WAITING,), "read": read or nothing}
    return GaugeSet(**{**given, **changes})


def reader(*samples: Sample) -> Callable[[], Any]:
    async def read() -> list[Sample]:
        return [*samples]

    return read


def sample(word: str, value: float = 1) -> Sample:
    return Sample(gauge=WAITING.name, value=value, labels=(word,))


@pytest.mark.parametrize(
    ("gauge", "fault"),
    [
        (Gauge(name="fintech_payments_open", summary="x"), "must be named fintech_toys_..."),
        (Gauge(name="fintech_toys_Open", summary="x"), "in lower case"),
        (Gauge(name="fintech_toys_total", summary="x"), "ends like a counter's"),
        (Gauge(name="fintech_toys_a", summary="x", labels=("merchant_id",)), "names an id"),
        (Gauge(name="fintech_toys_a", summary="x", labels=("id",)), "names an id"),
        (Gauge(name="fintech_toys_a", summary="x", labels=("a b",)), "must be a word"),
        (Gauge(name="fintech_toys_a", summary="x", labels=("a", "b", "c", "d")), "more than 3"),
    ],
)
def test_a_gauge_of_another_name_or_with_labels_that_are_no_words_is_a_fault(
    gauge: Gauge, fault: str
) -> None:
    (said,) = gauge_faults(gauge_set(gauge), prefix="fintech_toys_")
    assert fault in said


def test_a_gauge_that_is_declared_twice_in_a_set_is_a_fault() -> None:
    assert "declared twice" in next(
        iter(gauge_faults(gauge_set(WAITING, WAITING), prefix="fintech_toys_"))
    )


def test_a_well_named_gauge_is_none() -> None:
    assert list(gauge_faults(gauge_set(), prefix="fintech_toys_")) == []


@pytest.mark.parametrize(
    ("samples", "fault"),
    [
        ([Sample(gauge="fintech_toys_other", value=1)], "does not declare"),
        ([Sample(gauge=WAITING.name, value=1)], "needs the labels"),
        ([sample("pay_01k9qq3v5kf7wsc0d3jz8y2m4t")], "neither ids nor input"),
        ([sample("3fa85f64-5717-4562-b3fc-2c963f66afa6")], "neither ids nor input"),
        ([sample("9f86d081884c7d659a2feaa0c55ad015")], "neither ids nor input"),
        ([sample("a word")], "neither ids nor input"),
        ([sample("")], "neither ids nor input"),
        ([sample(f"w{number}") for number in range(SERIES_MAX + 1)], "more than 256"),
    ],
)
def test_samples_that_are_not_of_the_set_replace_nothing(samples: list[Sample], fault: str) -> None:
    metrics, one = Metrics(), gauge_set()
    metrics.add_gauges(one)
    metrics.show_gauges(one, [sample("open", 3)], at_seconds=1)
    with pytest.raises(InvariantBroken, match=fault):
        metrics.show_gauges(one, samples, at_seconds=2)
    assert b'fintech_toys_waiting{status="open"} 3.0' in metrics.text()
    assert b'fintech_gauges_read_at_seconds{set="toys"} 1.0' in metrics.text()


@pytest.mark.anyio
async def test_what_is_read_replaces_everything_that_was() -> None:
    metrics = Metrics()
    answers = [[sample("open", 2), sample("paying", 1)], [sample("paying", 5)]]

    async def read() -> list[Sample]:
        return answers.pop(0)

    gauges = Gauges(metrics=metrics, clock=FrozenClock())
    gauges.use([gauge_set(read=read)])
    await gauges.read()
    await gauges.read()
    assert b'{status="paying"} 5.0' in metrics.text()
    assert b'{status="open"}' not in metrics.text()


@pytest.mark.anyio
async def test_a_set_that_fails_or_hangs_keeps_its_gauges_and_leaves_the_others_alone() -> None:
    metrics, working = Metrics(), Gauge(name="fintech_bears_kept", summary="Bears.")
    failing, hanging = (Gauge(name=f"fintech_{name}_x", summary="x") for name in ("cats", "dogs"))

    async def fail() -> list[Sample]:
        raise OSError("canary-1f")

    async def hang() -> list[Sample]:
        await asyncio.Event().wait()
        return []

    gauges = Gauges(metrics=metrics, clock=FrozenClock())
    gauges.use(
        [
            gauge_set(failing, name="cats", read=fail),
            gauge_set(hanging, name="dogs", read=hang, timeout_seconds=0.01),
            gauge_set(working, name="bears", read=reader(Sample(gauge=working.name, value=7))),
        ]
    )
    await gauges.read()
    text = metrics.text().decode()
    assert "fintech_bears_kept 7.0" in text
    assert 'fintech_gauges_read_at_seconds{set="bears"}' in text
    assert '{set="cats"}' not in text
    assert '{set="dogs"}' not in text
    assert "canary" not in text


def test_a_gauge_with_the_name_of_another_metric_stops_the_start() -> None:
    gauges = Gauges(metrics=Metrics(), clock=FrozenClock())
    with pytest.raises(StartupFault, match="fintech_audit_log_size"):
        gauges.use([gauge_set(Gauge(name="fintech_audit_log_size", summary="x"))])


def test_words_are_counted_and_the_earliest_time_of_each_is_its_age() -> None:
    assert counted(WAITING, ["open", "open"], known=("open", "paying")) == [
        sample("open", 2),
        sample("paying", 0),
    ]
    rows = [("open", 4_000), ("open", 9_000), ("late", 12_000)]
    assert oldest(WAITING, rows, now=10_000, known=("paying",)) == [
        sample("paying", 0),
        sample("open", 6),
        sample("late", 0),
    ]
