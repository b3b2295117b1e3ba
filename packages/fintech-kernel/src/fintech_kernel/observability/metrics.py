"""Metrics in Prometheus' form, one registry per application: nothing is registered globally.

Labels are words of our code (kinds, states, handlers, statements), never ids and never input, so their
number is bounded by what is installed.
"""

from collections.abc import Sequence
from typing import Final

from fintech_dbclient import CallRecord
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from fintech_kernel.hooks import GaugeSet, Sample
from fintech_kernel.observability.gauges import GaugeBoard

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

DURATION_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Bounds of the durations of calls to the database."""


class Metrics:
    """The counters and gauges of one application."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        self._board = GaugeBoard(registry)
        self._gauges_read_at = Gauge(
            "fintech_gauges_read_at_seconds",
            "When the gauges of a set were last read from tables, UTC seconds.",
            ("set",),
            registry=registry,
        )
        self.operations_finished = Counter(
            "fintech_operations_finished",
            "Operations that ended here, by kind and final state.",
            ("kind", "state"),
            registry=registry,
        )
        self.operation_attempts_failed = Counter(
            "fintech_operation_attempts_failed",
            "Attempts that ended without an outcome; recovery runs the operation again.",
            ("kind", "reason"),
            registry=registry,
        )
        self.operations_alarmed = Counter(
            "fintech_operations_alarmed",
            "Failed attempts of operations that failed too often: somebody should look.",
            ("kind",),
            registry=registry,
        )
        self.operations_overdue = Gauge(
            "fintech_operations_overdue",
            "Operations whose lease ended, as the last look of recovery found them.",
            ("kind",),
            registry=registry,
        )
        self.operations_not_installed = Gauge(
            "fintech_operations_not_installed",
            "Overdue operations of kinds whose plugin is not installed in this process.",
            ("kind",),
            registry=registry,
        )
        self.deliveries = Counter(
            "fintech_deliveries",
            "Attempts to deliver an event, by handler and what became of them.",
            ("handler", "state"),
            registry=registry,
        )
        self.alarms = Counter(
            "fintech_alarms",
            "What people must look at, by what happened.",
            ("event",),
            registry=registry,
        )
        self.requests_denied = Counter(
            "fintech_requests_denied",
            "Requests that were refused to whoever sent them, by reason.",
            ("reason",),
            registry=registry,
        )
        self.audit_log_size = Gauge(
            "fintech_audit_log_size",
            "Entries under the latest tree head that this process signed or found.",
            registry=registry,
        )
        self.audit_signed_at_seconds = Gauge(
            "fintech_audit_signed_at_seconds",
            "When that tree head was signed, UTC seconds.",
            registry=registry,
        )
        self._database_calls = Counter(
            "fintech_database_calls",
            "Requests to the database by their first statement and outcome; unknown ones are repeated.",
            ("statement", "outcome"),
            registry=registry,
        )
        self._database_seconds = Histogram(
            "fintech_database_call_seconds",
            "How long requests to the database took.",
            ("endpoint",),
            buckets=DURATION_SECONDS,
            registry=registry,
        )

    def database_call(self, call: CallRecord) -> None:
        """Count a request to the database."""
        first = call.names[0] if call.names else call.endpoint
        self._database_calls.labels(first, call.outcome.value).inc()
        self._database_seconds.labels(call.endpoint).observe(call.duration_seconds)

    def add_gauges(self, gauges: GaugeSet) -> list[str]:
        """Register gauges of a set; return those whose names are taken, which are left out."""
        return self._board.add(gauges)

    def show_gauges(
        self, gauges: GaugeSet, samples: Sequence[Sample], *, at_seconds: float
    ) -> None:
        """Replace what the gauges of a set were.

        Raises:
            InvariantBroken: a sample is not of the set, or a label is no word; nothing is replaced.
        """
        self._board.show(gauges, samples)
        self._gauges_read_at.labels(gauges.name).set(at_seconds)

    def text(self) -> bytes:
        """Return everything as Prometheus reads it."""
        return generate_latest(self._registry)
