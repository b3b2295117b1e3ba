"""The client repeats what it may, under the same key, within its patience; and tells refusals."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from fintech_server.client import ApiClient
from fintech_server.failures import CommandFailed

Scripted = tuple[int, dict[str, str], dict[str, Any]]

DROP: Scripted = (0, {}, {})
RUNNING: Scripted = (
    409,
    {"Retry-After": "0"},
    {"code": "operation_running", "title": "Still running."},
)
BUSY: Scripted = (503, {"Retry-After": "0"}, {"code": "outcome_unknown", "title": "Not known yet."})
DONE: Scripted = (201, {}, {"payment_id": "pay_1"})
REFUSED: Scripted = (
    422,
    {},
    {
        "code": "refund_exceeds_captured",
        "title": "Too much.",
        "errors": [{"pointer": "/amount", "rule": "must be less"}],
        "facts": {"captured": 10},
    },
)

Script = Callable[..., tuple[str, list[str | None]]]


@pytest.fixture
def scripted() -> Iterator[Script]:
    """Starts a server that answers as it is told, and notes the keys that it was sent."""
    servers: list[ThreadingHTTPServer] = []

    def start(*answers: Scripted) -> tuple[str, list[str | None]]:
        keys: list[str | None] = []
        left = list(answers)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                keys.append(self.headers["Idempotency-Key"])
                self.rfile.read(int(self.headers["Content-Length"]))
                status, headers, body = left.pop(0) if len(left) > 1 else left[0]
                if status == 0:
                    self.close_connection = True
                    return
                raw = json.dumps(body).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(raw))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}", keys

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def post(url: str, *, patience_seconds: float = 20.0) -> Any:
    client = ApiClient(url, patience_seconds=patience_seconds)
    try:
        return client.call("POST", "/v1/payments", token="t", key="key-1", body={}).json()
    finally:
        client.close()


@pytest.mark.parametrize("first", [DROP, RUNNING, BUSY])
def test_what_may_have_happened_is_sent_again_under_the_same_key(
    first: Scripted, scripted: Script
) -> None:
    url, keys = scripted(first, first, DONE)

    assert post(url) == {"payment_id": "pay_1"}
    assert keys == ["key-1", "key-1", "key-1"]


def test_a_refusal_is_told_and_not_repeated(scripted: Script) -> None:
    url, keys = scripted(REFUSED)

    with pytest.raises(CommandFailed) as failure:
        post(url)

    (line,) = failure.value.lines
    assert line.startswith("POST /v1/payments was refused: refund_exceeds_captured (422)")
    assert line.endswith("Too much. /amount must be less; captured 10")
    assert len(keys) == 1


def test_another_conflict_is_a_refusal(scripted: Script) -> None:
    url, keys = scripted((409, {}, {"code": "payment_not_refundable", "title": "No."}))

    with pytest.raises(CommandFailed, match="payment_not_refundable"):
        post(url)
    assert len(keys) == 1


def test_patience_ends(scripted: Script) -> None:
    url, keys = scripted(BUSY)

    with pytest.raises(CommandFailed, match="was not answered for"):
        post(url, patience_seconds=0.5)
    assert 1 < len(keys) < 10


def test_a_server_that_asks_for_more_time_than_there_is_is_not_waited_for(
    scripted: Script,
) -> None:
    url, keys = scripted((503, {"Retry-After": "5"}, {}))

    with pytest.raises(CommandFailed, match="was not answered for"):
        post(url, patience_seconds=1)
    assert len(keys) == 1


def test_where_no_server_is_the_person_is_told_how_to_start_one() -> None:
    client = ApiClient("http://127.0.0.1:9")

    with pytest.raises(CommandFailed, match="start one with `fintech dev`"):
        client.check()
    client.close()
