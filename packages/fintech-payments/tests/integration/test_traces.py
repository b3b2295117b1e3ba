"""The trace of a payment: what hangs below what, whose trace it is, and what is in none of it."""

import json
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fintech_dbclient import OutcomeUnknown, Result, Statement
from fintech_kernel.observability.otel import OpenTelemetryTracing
from fintech_kernel.testing import ledger as test_ledger
from fintech_kernel.testing.apps import SETTINGS, RunningApp, running_app
from fintech_kernel.web.app import Overrides
from fintech_payments import plugin
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

pytestmark = pytest.mark.anyio

MERCHANT = "mer_test"
METADATA = "c4nary metadata"
TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"


@dataclass(slots=True, kw_only=True)
class Traced:
    app: RunningApp
    exporter: InMemorySpanExporter
    key: str = field(default_factory=lambda: f"c4nary-{uuid.uuid4().hex}")

    async def pay(self, card: str = "sandbox_approve", **headers: str) -> httpx.Response:
        body = {
            "amount": 1200,
            "currency": "KES",
            "payment_method": {"type": "card", "token": card},
            "metadata": {"order": METADATA},
        }
        given = {**self.app.headers(merchant_id=MERCHANT), **headers}
        return await self.app.post("/v1/payments", body, key=self.key, headers=given)

    def spans(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()

    def tree(self) -> dict[str, Any]:
        """Return the names of spans, below their parents, in the order in which they began."""
        spans = sorted(self.spans(), key=lambda span: span.start_time or 0)

        def below(parent: int | None) -> dict[str, Any]:
            return {
                span.name: below(span.context.span_id)
                for span in spans
                if (span.parent.span_id if span.parent else None) == parent
            }

        known = {span.context.span_id for span in spans}
        outside = {span.parent.span_id for span in spans if span.parent} - known
        return below(next(iter(outside))) if outside else below(None)


@pytest.fixture
async def traced(database_url: str, anyio_backend: str) -> AsyncIterator[Traced]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    async with running_app(
        database_url=database_url,
        plugins=[plugin, test_ledger],
        settings={"payments_without_merchants": True},
        overrides=Overrides(tracing=OpenTelemetryTracing(provider)),
    ) as app:
        exporter.clear()  # what the start did
        yield Traced(app=app, exporter=exporter)


def attributes(spans: Sequence[ReadableSpan], name: str) -> dict[str, Any]:
    (found,) = (span for span in spans if span.name == name)
    return dict(found.attributes or {})


async def test_a_payment_is_a_request_its_operation_its_statements_and_its_processor(
    traced: Traced,
) -> None:
    paid = await traced.pay()
    assert paid.status_code == 201
    assert traced.tree() == {
        "POST /v1/payments": {
            "revocations.of_token": {},
            "operation payments.create": {
                "operations.claim": {},
                "processor sandbox authorize": {
                    "payments.sandbox.insert": {},
                },
                "journal.append": {},
            },
        }
    }
    spans = traced.spans()
    request = attributes(spans, "POST /v1/payments")
    assert request["http.response.status_code"] == 201
    assert request["fintech.request_id"] == paid.headers["X-Request-ID"]
    assert attributes(spans, "processor sandbox authorize")["fintech.outcome"] == "approved"
    assert attributes(spans, "operation payments.create")["fintech.state"] == "succeeded"
    closing = attributes(spans, "journal.append")["fintech.statements"]
    assert closing[0] == "journal.append"
    assert "operations.finish" in closing


async def test_the_trace_of_the_caller_goes_on_and_the_answer_names_our_place_in_it(
    traced: Traced,
) -> None:
    paid = await traced.pay(traceparent=f"00-{TRACE}-{CALLER}-01")
    (request,) = (span for span in traced.spans() if span.name == "POST /v1/payments")
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == CALLER
    assert {f"{span.context.trace_id:032x}" for span in traced.spans()} == {TRACE}
    assert paid.headers["traceparent"] == f"00-{TRACE}-{request.context.span_id:016x}-01"
    lines = [json.loads(line) for line in traced.app.lines]
    assert {line["trace_id"] for line in lines if line["message"] == "request"} == {TRACE}


async def test_a_caller_that_does_not_sample_is_not_traced(traced: Traced) -> None:
    paid = await traced.pay(traceparent=f"00-{TRACE}-{CALLER}-00")
    assert paid.status_code == 201
    assert traced.spans() == ()
    assert paid.headers["traceparent"].startswith(f"00-{TRACE}-")
    assert paid.headers["traceparent"].endswith("-00")


async def test_a_malformed_place_begins_a_trace_of_our_own(traced: Traced) -> None:
    paid = await traced.pay(traceparent="00-" + "0" * 32 + "-b7ad6b7169203331-01")
    trace_id = paid.headers["traceparent"].split("-")[1]
    assert {f"{span.context.trace_id:032x}" for span in traced.spans()} == {trace_id}
    assert int(trace_id, 16)


async def test_no_parameter_and_no_secret_is_in_any_span(traced: Traced) -> None:
    await traced.pay()
    await traced.pay("4111111111111111")
    await traced.pay("tok_other")  # refused: the key was used for another body
    told = "\n".join(span.to_json() for span in traced.spans())
    authorization = traced.app.headers(merchant_id=MERCHANT)["Authorization"]
    forbidden = (
        *(
            "sandbox_approve",
            "tok_other",
            "4111111111111111",
            traced.key,
            METADATA,
            "1200",
            "INSERT",
            "SELECT",
        ),
        authorization.removeprefix("Bearer ")[-20:],
        str(SETTINGS["app_secret"]),
    )
    assert [text for text in forbidden if text in told] == []
    assert all(not span.events for span in traced.spans())


async def test_a_failed_request_says_which_error_and_no_more(traced: Traced) -> None:
    async def lose(sequence: Sequence[Statement]) -> list[Result]:
        raise OutcomeUnknown("c4nary in a text")

    client = vars(traced.app.context.database)["_database"]
    client.run = lose
    refused = await traced.pay()
    assert refused.status_code == 503
    spans = traced.spans()
    assert attributes(spans, "operation payments.create")["error.type"] == "OutcomeUnknown"
    assert attributes(spans, "POST /v1/payments")["error.type"] == refused.json()["code"]
    failed = {span.name for span in spans if span.status.status_code is StatusCode.ERROR}
    assert failed == {"POST /v1/payments", "operation payments.create", "operations.claim"}
    assert "c4nary in" not in "".join(span.to_json() for span in spans)


async def test_a_processor_that_raises_is_told_without_its_words(traced: Traced) -> None:
    async def fail(**request: Any) -> None:
        raise OSError("c4nary in a text")

    vars(traced.app.context.processors["sandbox"])["party"].authorize = fail
    assert (await traced.pay()).status_code == 202
    call = attributes(traced.spans(), "processor sandbox authorize")
    assert (call["error.type"], call["fintech.outcome"]) == ("OSError", "raised")
    assert "c4nary in" not in "".join(span.to_json() for span in traced.spans())


async def test_health_and_metrics_are_not_traced(traced: Traced) -> None:
    for path in ("/health/live", "/health/ready", "/metrics"):
        await traced.app.client.get(path)
    await traced.app.deliver_events()
    assert traced.spans() == ()


async def test_calls_to_processors_are_counted(traced: Traced) -> None:
    await traced.pay()
    text = (await traced.app.client.get("/metrics")).text
    counted = (
        'fintech_processor_calls_total{call="authorize",outcome="approved",processor="sandbox"}'
    )
    assert f"{counted} 1.0" in text


def test_nothing_that_traces_is_loaded_where_traces_are_off() -> None:
    settings = {**SETTINGS, "db_base_url": "http://127.0.0.1:1", "app_traces": False}
    program = (
        "import sys\n"
        "from fintech_kernel.web.app import create_app\n"
        f"create_app(settings={settings!r}, plugins=[])\n"
        "print([name for name in sys.modules if name.endswith('.otel') or 'opentelemetry.sdk' in name])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
