"""Metrics in Prometheus' form, one registry per application: nothing is registered globally.

Labels are words of our code (kinds, states, handlers, statements), never ids and never input, so their
number is bounded by what is installed. docs/observability.md says what each metric means; a test compares
it with this module.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fintech_dbclient import CallRecord
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from fintech_kernel.hooks import GaugeSet, Sample
from fintech_kernel.observability.gauges import GaugeBoard

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

DATABASE_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
REQUEST_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0)
OUTSIDE_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
OPERATION_SECONDS: Final = (
    0.025,
    0.1,
    0.5,
    1.0,
    5.0,
    15.0,
    60.0,
    300.0,
    1_800.0,
    7_200.0,
    86_400.0,
)
STATEMENTS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Upper bounds of histograms. The last of requests is their deadline, that of statements a batch's limit."""

NONE: Final = "-"
"""A label's value where there is nothing to name: no answer was sent, no route took the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A metric as Prometheus knows it: a counter's name ends with ``_total``."""

    name: str
    kind: str
    labels: tuple[str, ...]
    summary: str


class Metrics:
    """The counters, histograms and gauges of one application.

    Series that every payment touches are kept once found: finding one costs more than counting.
    """

    def __init__(self) -> None:
        disable_created_metrics()  # a second series for each, which says when it was first seen
        self._registry = CollectorRegistry()
        self._described: list[Described] = []
        self._board = GaugeBoard(self._registry)
        self._add_requests()
        self._add_operations()
        self._add_outside()
        self._add_events_and_audit()
        self._add_database()
        self._add_process()
        self._requests_known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._calls_known: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self._operations_known: dict[tuple[str, str], tuple[Counter, Histogram]] = {}

    @property
    def described(self) -> tuple[Described, ...]:
        """Every metric of this application, by name; those of the process itself are the library's."""
        return tuple(sorted(self._described, key=lambda one: one.name))

    def request(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that ended; ``status`` is 0 where no answer was sent."""
        known = self._requests_known.get((method, route, status))
        if known is None:
            known = self._requests_known[method, route, status] = (
                self._requests.labels(method, route, str(status) if status else NONE),
                self._request_seconds.labels(method, route),
            )
        known[0].inc()
        known[1].observe(seconds)

    def database_call(self, call: CallRecord) -> None:
        """Count a request to the database."""
        first = call.names[0] if call.names else call.endpoint
        known = self._calls_known.get((first, call.endpoint, call.outcome))
        if known is None:
            known = self._calls_known[first, call.endpoint, call.outcome] = (
                self._database_calls.labels(first, call.outcome.value),
                self._database_seconds.labels(call.endpoint),
            )
        known[0].inc()
        known[1].observe(call.duration_seconds)
        if call.sequences:
            self._database_statements.observe(len(call.names))
            self._database_callers.inc(call.sequences)
        if call.attempt > 1:
            self._database_retries.inc()

    def operation_finished(self, *, kind: str, state: str, age_milliseconds: int) -> None:
        """Count an operation that ended here."""
        known = self._operations_known.get((kind, state))
        if known is None:
            known = self._operations_known[kind, state] = (
                self.operations_finished.labels(kind, state),
                self._operation_seconds.labels(kind),
            )
        known[0].inc()
        known[1].observe(max(0, age_milliseconds) / 1_000)

    def job_ran(self, *, job: str, outcome: str, at_seconds: float) -> None:
        """Count a run of a job: ``done``, ``failed`` or ``timeout``."""
        self._job_runs.labels(job, outcome).inc()
        if outcome == "done":
            self._job_done_at.labels(job).set(at_seconds)

    def add_gauges(self, gauges: GaugeSet) -> list[str]:
        """Register gauges of a set; return those whose names are taken, which are left out."""
        taken = self._board.add(gauges)
        self._described += [
            Described(name=one.name, kind="gauge", labels=one.labels, summary=one.summary)
            for one in gauges.gauges
            if one.name not in taken
        ]
        return taken

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

    def _add_requests(self) -> None:
        self._requests = self._counter(
            "fintech_requests",
            "Requests, by route and status of the answer.",
            ("method", "route", "status"),
        )
        self._request_seconds = self._histogram(
            "fintech_request_seconds",
            "How long requests took, until their answer was sent.",
            ("method", "route"),
            REQUEST_SECONDS,
        )
        self.requests_denied = self._counter(
            "fintech_requests_denied",
            "Requests that were refused to whoever sent them, by reason.",
            ("reason",),
        )

    def _add_operations(self) -> None:
        self.operations_finished = self._counter(
            "fintech_operations_finished",
            "Operations that ended here, by kind and final state.",
            ("kind", "state"),
        )
        self._operation_seconds = self._histogram(
            "fintech_operation_seconds",
            "How old operations were when they ended here.",
            ("kind",),
            OPERATION_SECONDS,
        )
        self.operations_taken_over = self._counter(
            "fintech_operations_taken_over",
            "Operations that were taken from an executor whose lease had ended.",
            ("kind",),
        )
        self.operation_attempts_failed = self._counter(
            "fintech_operation_attempts_failed",
            "Attempts that ended without an outcome; recovery runs the operation again.",
            ("kind", "reason"),
        )
        self.operations_alarmed = self._counter(
            "fintech_operations_alarmed",
            "Failed attempts of operations that failed too often: somebody should look.",
            ("kind",),
        )
        self.operations_overdue = self._gauge(
            "fintech_operations_overdue",
            "Operations whose lease ended, as the last look of recovery found them.",
            ("kind",),
        )
        self.operations_not_installed = self._gauge(
            "fintech_operations_not_installed",
            "Overdue operations of kinds whose plugin is not installed in this process.",
            ("kind",),
        )

    def _add_outside(self) -> None:
        self.processor_calls = self._counter(
            "fintech_processor_calls",
            "Calls to processors, by what they answered.",
            ("processor", "call", "outcome"),
        )
        self.processor_seconds = self._histogram(
            "fintech_processor_call_seconds",
            "How long processors took to answer.",
            ("processor", "call"),
            OUTSIDE_SECONDS,
        )
        self.rail_calls = self._counter(
            "fintech_payout_rail_calls",
            "Calls to payout rails, by what they answered.",
            ("rail", "call", "outcome"),
        )
        self.rail_seconds = self._histogram(
            "fintech_payout_rail_call_seconds",
            "How long payout rails took to answer.",
            ("rail", "call"),
            OUTSIDE_SECONDS,
        )

    def _add_events_and_audit(self) -> None:
        self.deliveries = self._counter(
            "fintech_deliveries",
            "Attempts to deliver an event, by handler and what became of them.",
            ("handler", "state"),
        )
        self.alarms = self._counter(
            "fintech_alarms", "What people must look at, by what happened.", ("event",)
        )
        self.audit_log_size = self._gauge(
            "fintech_audit_log_size",
            "Entries under the latest tree head that this process signed or found.",
        )
        self.audit_signed_at_seconds = self._gauge(
            "fintech_audit_signed_at_seconds", "When that tree head was signed, UTC seconds."
        )

    def _add_database(self) -> None:
        self._database_calls = self._counter(
            "fintech_database_calls",
            "Requests to the database by their first statement and outcome; unknown ones are repeated.",
            ("statement", "outcome"),
        )
        self._database_seconds = self._histogram(
            "fintech_database_call_seconds",
            "How long requests to the database took.",
            ("endpoint",),
            DATABASE_SECONDS,
        )
        self._database_statements = self._histogram(
            "fintech_database_call_statements",
            "How many statements a request to the database carried.",
            (),
            STATEMENTS,
        )
        self._database_callers = self._counter(
            "fintech_database_callers",
            "Callers whose statements went to the database; those of one moment share a request.",
        )
        self._database_retries = self._counter(
            "fintech_database_retries",
            "Requests to the database that repeated one which was lost or refused unread.",
        )

    def _add_process(self) -> None:
        self._job_runs = self._counter(
            "fintech_job_runs", "Runs of jobs, by how they ended.", ("task", "outcome")
        )
        self._job_done_at = self._gauge(
            "fintech_job_done_at_seconds",
            "When a job last ended well here, UTC seconds.",
            ("task",),
        )
        self._gauges_read_at = self._gauge(
            "fintech_gauges_read_at_seconds",
            "When the gauges of a set were last read from tables, UTC seconds.",
            ("set",),
        )
        self.plugins = self._gauge(
            "fintech_plugin_installed",
            "1 for the kernel and each plugin of this process, with its version.",
            ("plugin", "version"),
        )
        ProcessCollector(registry=self._registry)

    def _counter(self, name: str, summary: str, labels: tuple[str, ...] = ()) -> Counter:
        self._describe(f"{name}_total", "counter", labels, summary)
        return Counter(name, summary, labels, registry=self._registry)

    def _gauge(self, name: str, summary: str, labels: tuple[str, ...] = ()) -> Gauge:
        self._describe(name, "gauge", labels, summary)
        return Gauge(name, summary, labels, registry=self._registry)

    def _histogram(
        self, name: str, summary: str, labels: tuple[str, ...], bounds: tuple[float, ...]
    ) -> Histogram:
        self._describe(name, "histogram", labels, summary)
        return Histogram(name, summary, labels, buckets=bounds, registry=self._registry)

    def _describe(self, name: str, kind: str, labels: tuple[str, ...], summary: str) -> None:
        self._described.append(Described(name=name, kind=kind, labels=labels, summary=summary))
