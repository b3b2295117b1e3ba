"""Traces leave over OTLP where they are switched on, and a server without the extra says what to install."""

import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from fintech_kernel.errors import StartupFault
from fintech_kernel.testing.apps import SETTINGS, running_app
from fintech_kernel.web.app import create_app

TRACES_ON = {"app_traces": True}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, bytes]]]:
    """What a collector was sent, as path and body."""
    received: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "fintech-of-a-test")
    yield received
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.anyio
async def test_spans_reach_a_collector_at_the_latest_when_the_server_stops(
    database_url: str, collector: list[tuple[str, bytes]]
) -> None:
    async with running_app(database_url=database_url, plugins=[], settings=TRACES_ON) as app:
        answer = await app.client.get("/v1/operations/op_canary-4f")
    assert answer.status_code == 401
    (path, _), *_ = collector
    assert path == "/v1/traces"
    sent = b"".join(body for _, body in collector)
    assert b"GET /v1/operations/{operation_id}" in sent
    assert b"fintech-of-a-test" in sent
    assert bytes.fromhex(answer.headers["traceparent"].split("-")[1]) in sent
    assert b"canary-4f" not in sent


def test_traces_without_their_extra_stop_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fintech_kernel.observability.otel", None)
    with pytest.raises(StartupFault, match=r"install fintech-kernel\[otel\]"):
        create_app(
            settings={**SETTINGS, **TRACES_ON, "db_base_url": "http://127.0.0.1:1"}, plugins=[]
        )
