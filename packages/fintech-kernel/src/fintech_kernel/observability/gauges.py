"""Gauges that are read from tables: what they may be called, and what they may say.

A label's value is a word of our code. Whatever looks like an id is refused when it is read, and so are
more series than a set of words can have: a metric must not grow with the business.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client import Gauge as Series

from fintech_kernel.errors import InvariantBroken
from fintech_kernel.hooks import GaugeSet, Sample

LABELS_MAX: Final = 3
SERIES_MAX: Final = 256
"""Series of one gauge: more than all kinds of operations or handlers of a large installation."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,99}")
_VALUE: Final = re.compile(r"[A-Za-z0-9_.:*-]{1,80}")
_ID: Final = re.compile(r"[0-9a-z]{26}|[0-9a-fA-F]{16}|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-")
"""What ids hold: TypeIDs, digests, UUIDs. No word of ours does."""


def gauge_faults(gauges: GaugeSet, *, prefix: str) -> Iterable[str]:
    """Yield what is wrong with the declaration of a set, a line each."""
    names = [gauge.name for gauge in gauges.gauges]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"gauge {name!r} is declared twice"
    for gauge in gauges.gauges:
        if not gauge.name.startswith(prefix) or not _NAME.fullmatch(gauge.name):
            yield f"gauge {gauge.name!r} must be named {prefix}... in lower case"
        if gauge.name.endswith(("_total", "_bucket", "_count", "_sum", "_created", "_info")):
            yield f"gauge {gauge.name!r} ends like a counter's or a histogram's series"
        if len(gauge.labels) > LABELS_MAX:
            yield f"gauge {gauge.name!r} has more than {LABELS_MAX} labels"
        yield from (
            f"label {label!r} of gauge {gauge.name!r} must be a word, and none that names an id"
            for label in gauge.labels
            if not _NAME.fullmatch(label) or label == "id" or label.endswith("_id")
        )


class GaugeBoard:
    """The gauges of sets, as Prometheus reads them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._series: dict[str, Series] = {}

    def add(self, gauges: GaugeSet) -> list[str]:
        """Register the gauges of a set; return those whose names are taken, which are left out."""
        taken: list[str] = []
        for gauge in gauges.gauges:
            try:
                self._series[gauge.name] = Series(
                    gauge.name, gauge.summary, gauge.labels, registry=self._registry
                )
            except ValueError:
                taken.append(gauge.name)
        return taken

    def show(self, gauges: GaugeSet, samples: Sequence[Sample]) -> None:
        """Replace what the gauges of a set were by what was read.

        Raises:
            InvariantBroken: a sample is not of the set's gauges and their labels, a label holds what is
                no word, or there are too many of them; nothing is replaced.
        """
        labels = {gauge.name: gauge.labels for gauge in gauges.gauges}
        for sample in samples:
            _check(sample, labels.get(sample.gauge))
        for name in labels:
            if sum(sample.gauge == name for sample in samples) > SERIES_MAX:
                raise InvariantBroken(f"gauge {name} has more than {SERIES_MAX} series")
        for name, label_names in labels.items():
            if label_names:
                self._series[name].clear()
        for sample in samples:
            series = self._series[sample.gauge]
            (series.labels(*sample.labels) if sample.labels else series).set(sample.value)


def _check(sample: Sample, labels: Sequence[str] | None) -> None:
    if labels is None:
        raise InvariantBroken(
            f"a sample is of gauge {sample.gauge}, which its set does not declare"
        )
    if len(sample.labels) != len(labels):
        raise InvariantBroken(f"a sample of gauge {sample.gauge} needs the labels {tuple(labels)}")
    if not all(_VALUE.fullmatch(value) and not _ID.search(value) for value in sample.labels):
        raise InvariantBroken(
            f"a label of gauge {sample.gauge} is no word of ours: labels hold neither ids nor input"
        )
