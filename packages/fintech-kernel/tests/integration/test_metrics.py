"""What a running server tells Prometheus, and what it costs the database to be asked: nothing."""

import re
import uuid
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fintech_dbclient import Statement
from fintech_kernel.domain.journal import Draft, Stream
from fintech_kernel.errors import StartupFault
from fintech_kernel.hooks import (
    Gauge,
    GaugeSet,
    PluginManifest,
    Sample,
    hookimpl,
)
from fintech_kernel.host import PluginHost
from fintech_kernel.infrastructure import queries
from fintech_kernel.testing.apps import SETTINGS, RunningApp, running_app
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.testing.database import database_service
from fintech_kernel.web.app import Overrides, create_app
from fintech_kernel.web.background import background_jobs

pytestmark = pytest.mark.anyio

RUNNING = (
    "INSERT INTO operations (operation_id, kind, version, merchant_id, fingerprint, request, state,"
    " nonce, lease_until, attempts, next_run_at, created_at)"
    " VALUES (?, 'toys.build', 1, '', '', '', ?, ?, 0, 1, 0, ?)"
)
DELIVERY = (
    "INSERT INTO deliveries (delivery_id, entry_id, stream_id, seq, handler, state, nonce, lease_until,"
    " attempts, next_run_at, error) VALUES (?, '', '', 1, 'toys.show', ?, ?, 0, 1, ?, '')"
)


def toys(*gauges: GaugeSet) -> ModuleType:
    module = ModuleType("toys")

    def fintech_plugins() -> list[PluginManifest]:
        return [
            PluginManifest(
                name="toys", summary="test", table_prefix="toys_", route_prefix="/v1/toys"
            )
        ]

    def fintech_metrics() -> list[GaugeSet]:
        return [*gauges]

    for function in (fintech_plugins, fintech_metrics):
        setattr(module, function.__name__, hookimpl(function))
    return module


async def metrics_of(app: RunningApp) -> str:
    return (await app.client.get("/metrics")).text


async def write(app: RunningApp, sql: Any, *params: str | int) -> None:
    await app.context.database.execute(Statement(name="test", sql=sql, params=params))


async def test_requests_are_counted_by_method_route_and_status(database_url: str) -> None:
    async with running_app(database_url=database_url, plugins=[toys()]) as app:
        for path in ("/v1/operations/op_1", "/v1/operations/op_2", "/v1/nowhere/1", "/health/live"):
            await app.client.get(path)
        await app.client.request("BREW", "/v1/nowhere")
        text = await metrics_of(app)
    assert (
        'fintech_requests_total{method="GET",route="/v1/operations/{operation_id}",status="401"} 2.0'
        in text
    )
    assert 'fintech_requests_total{method="GET",route="-",status="404"} 1.0' in text
    assert 'fintech_requests_total{method="-",route="-",status="404"} 1.0' in text
    assert 'fintech_request_seconds_count{method="GET",route="/health/live"} 1.0' in text
    assert "op_1" not in text
    assert "BREW" not in text


async def test_gauges_of_plugins_are_read_by_a_job_and_shown_without_asking_the_database(
    database_url: str,
) -> None:
    gauge = Gauge(name="fintech_toys_kept", summary="Toys.", labels=("status",))

    async def read() -> list[Sample]:
        found = await app.context.database.execute(Statement(name="t", sql="SELECT 7 AS toys"))
        kept = float(str(found.rows[0]["toys"]))
        return [Sample(gauge=gauge.name, value=kept, labels=("whole",))]

    plugin = toys(GaugeSet(name="toys", gauges=(gauge,), read=read))
    async with running_app(database_url=database_url, plugins=[plugin]) as app:
        before = await metrics_of(app)
        await app.context.gauges.read()
        app.calls.clear()
        after = await metrics_of(app)
        await metrics_of(app)
    assert app.calls == []
    assert "fintech_toys_kept{" not in before
    assert 'fintech_toys_kept{status="whole"} 7.0' in after


def test_gauges_of_another_name_stop_the_start() -> None:
    async def read() -> list[Sample]:
        return []

    thief = GaugeSet(name="toys", gauges=(Gauge(name="fintech_up", summary="x"),), read=read)
    with pytest.raises(StartupFault, match=r"plugin 'toys'.*must be named fintech_toys_"):
        create_app(
            settings={**SETTINGS, "db_base_url": "http://127.0.0.1:1"}, plugins=[toys(thief)]
        )


async def test_what_waits_is_counted_with_its_age(database_url: str) -> None:
    clock = FrozenClock()
    now = clock.now_milliseconds()
    overrides = Overrides(clock=clock)
    async with running_app(database_url=database_url, plugins=[toys()], overrides=overrides) as app:
        await app.deliver_events()  # what other tests left
        await app.context.sealer.seal()
        await write(app, RUNNING, "op_1", "running", uuid.uuid4().hex, now - 90_000)
        await write(app, RUNNING, "op_2", "running", uuid.uuid4().hex, now - 5_000)
        await write(app, RUNNING, "op_3", "succeeded", "done:op_3", now - 900_000)
        await write(app, DELIVERY, "d1", "pending", "n1", now - 30_000)
        await write(app, DELIVERY, "d2", "pending", "n2", now + 60_000)
        await write(app, DELIVERY, "d3", "dead", "n3", now - 30_000)
        await write(app, DELIVERY, "d4", "done", "n4", now - 900_000)
        await append(app, "toy_1", occurred_at=now - 12_000)
        app.calls.clear()
        await app.context.gauges.read()
        text = await metrics_of(app)
    assert [len(call.names) for call in app.calls] == [5]
    for line in (
        'fintech_operations_running{kind="toys.build"} 2.0',
        'fintech_operations_oldest_seconds{kind="toys.build"} 90.0',
        'fintech_deliveries_pending{handler="toys.show"} 2.0',
        'fintech_deliveries_overdue_seconds{handler="toys.show"} 30.0',
        'fintech_deliveries_dead{handler="toys.show"} 1.0',
        "fintech_events_undispatched 1.0",
        "fintech_events_undispatched_oldest_seconds 12.0",
        "fintech_audit_unsealed 1.0",
        "fintech_audit_unsealed_oldest_seconds 12.0",
    ):
        assert f"{line}\n" in text


async def append(app: RunningApp, toy: str, *, occurred_at: int) -> None:
    entries = Stream(f"/{toy}").next_entries(
        [Draft(type="toy.built", data={})],
        step_key=toy,
        actor={},
        request_id="",
        occurred_at=occurred_at,
    )
    await app.context.database.execute(
        queries.append_entries([entry.columns() for entry in entries])
    )


@pytest.mark.parametrize("served", [True, False])
async def test_gauges_are_read_where_somebody_can_see_them(database_url: str, served: bool) -> None:
    settings = {"app_metrics": served}
    async with running_app(database_url=database_url, plugins=[toys()], settings=settings) as app:
        jobs = {job.name for job in background_jobs(PluginHost.of([toys()]), app.context)}
    assert ("metrics.read" in jobs) is served


async def test_the_requests_to_the_database_tell_how_many_shared_them(database_url: str) -> None:
    async with running_app(database_url=database_url, plugins=[toys()]) as app:
        await app.context.gauges.read()
        text = await metrics_of(app)
    assert (
        'fintech_database_calls_total{outcome="answered",statement="gauges.operations"} 1.0' in text
    )
    assert 'fintech_database_call_statements_bucket{le="8.0"}' in text
    assert re.search(r"^fintech_database_callers_total [1-9]", text, re.MULTILINE)
    assert "_created{" not in text


async def test_the_versions_of_plugins_are_told(database_url: str) -> None:
    async with running_app(database_url=database_url, plugins=[toys()]) as app:
        text = await metrics_of(app)
    assert 'fintech_plugin_installed{plugin="toys",version="-"} 1.0' in text
    assert 'fintech_plugin_installed{plugin="kernel",version="' in text


async def test_an_entry_that_was_altered_is_counted_as_an_alarm(tmp_path: Path) -> None:
    with database_service(f"sqlite:///{tmp_path}/altered.db") as url:
        async with running_app(database_url=url, plugins=[toys()]) as app:
            await append(app, "toy_1", occurred_at=1)
            await write(app, "UPDATE journal SET type = ? WHERE seq = 1", "toy.broken")
            await app.context.sealer.seal()
            text = await metrics_of(app)
    assert 'fintech_alarms_total{event="audit.entry_altered"} 1.0' in text
