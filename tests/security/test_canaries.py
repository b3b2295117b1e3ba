"""Exceptions with secrets, raised in every layer: nothing of them is told to anybody.

The secrets are in messages, arguments, causes, notes, attributes and local variables. Looked at are the
answer's body and headers, every log line, every metric, and what deliveries keep of an error.
"""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import spilling
from fintech_dbclient import Statement
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.testing.database import database_service
from fintech_kernel.testing.leaks import CANARY, leaks
from spilling import LAYERS, SECRETS, SPILLED

pytestmark = pytest.mark.anyio

TRACE = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
DISPATCHED = "SELECT handler, state, error FROM deliveries"


@pytest.fixture(scope="module")
async def app(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[RunningApp]:
    """The failing plugin alone; when it stops, every line that it logged is searched once more."""
    path: Path = tmp_path_factory.mktemp("canaries") / "canaries.db"
    with database_service(f"sqlite:///{path}") as url:
        settings = {"app_jobs": True, "app_metrics": True}
        async with running_app(database_url=url, plugins=[spilling], settings=settings) as running:
            yield running


def told(answer: httpx.Response) -> list[str]:
    """Return what an answer tells that it must not, in its body or its headers."""
    headers = "\n".join(f"{name}: {value}" for name, value in answer.headers.multi_items())
    return [*leaks(answer.text), *leaks(headers), *_parts(answer.text), *_parts(headers)]


def _parts(text: str) -> Iterator[str]:
    yield from (name for name, secret in SECRETS.items() if secret in text)


@pytest.mark.parametrize("layer", LAYERS)
async def test_a_failure_in_a_layer_tells_nothing_and_is_logged(app: RunningApp, layer: str):
    headers = app.headers(merchant_id="mer_1")
    before = len(app.lines)
    answer = await app.post(f"/v1/spills/{layer}", {}, key=f"spill-{layer}", headers=headers)
    assert answer.status_code in (500, 503), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert told(answer) == [], layer
    assert TRACE.fullmatch(answer.headers["traceparent"])
    logged = app.lines[before:]
    assert any('"exception"' in line for line in logged), logged
    assert [leak for line in logged for leak in leaks(line)] == []


async def test_a_failing_job_tells_nothing_and_is_logged(app: RunningApp):
    failed = [line for line in app.lines if "spills.job" in line]
    assert failed != []
    assert [leak for line in failed for leak in leaks(line)] == []


async def test_a_failing_health_check_tells_its_name_alone(app: RunningApp):
    answer = await app.client.get("/health/ready")
    assert answer.status_code == 503
    assert told(answer) == []


async def test_failing_handlers_and_sinks_leave_only_the_kind_of_error(app: RunningApp):
    await spilling.write_entry(app.context, 1)
    await app.deliver_events()
    rows = (await app.context.database.execute(Statement(name="test", sql=DISPATCHED))).rows
    assert {row["handler"] for row in rows} >= {"spills.handle", "audit:spills.sink"}
    assert [leak for row in rows for leak in leaks(str(dict(row)))] == []
    failed = [line for line in app.lines if "event handler failed" in line]
    assert failed != []
    assert [leak for line in failed for leak in leaks(line)] == []


async def test_what_a_client_sends_is_never_logged(app: RunningApp):
    headers = {
        **app.headers(merchant_id="mer_1"),
        "User-Agent": SPILLED,
        "Cookie": SECRETS["token"],
    }
    before = len(app.lines)
    for path in (f"/v1/{CANARY}", f"/v1/spills/{CANARY}", f"/v1/operations/{CANARY}?q={CANARY}"):
        for method in ("GET", "POST", CANARY.upper()):
            answer = await app.client.request(
                method,
                path,
                params={"secret": SPILLED},
                json={"secret": SPILLED, CANARY: 1},
                headers={k: v.replace("\n", " ") for k, v in headers.items()},
            )
            assert answer.status_code < 500, answer.text
            assert told(answer) == [], f"{method} {path}"
    forged = {"Authorization": f"Bearer {SECRETS['token']}"}
    assert told(await app.client.get("/v1/operations/op_1", headers=forged)) == []
    assert [leak for line in app.lines[before:] for leak in leaks(line)] == []


async def test_no_metric_has_a_secret_for_a_label(app: RunningApp):
    answer = await app.client.get("/metrics")
    assert answer.status_code == 200
    assert "fintech_operation_attempts_failed" in answer.text
    assert told(answer) == []
