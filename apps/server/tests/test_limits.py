"""The limits of a request's form over a real socket: at the limit, one above, a hundred times it."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn
from fastapi import APIRouter, FastAPI, Request
from fintech_kernel.clock import SystemClock
from fintech_kernel.identifiers import RandomIdentifiers
from fintech_kernel.observability.metrics import Metrics
from fintech_kernel.settings import KernelSettings
from fintech_kernel.strict_json import DEPTH_MAX, INTEGER_MAX
from fintech_kernel.testing.apps import SETTINGS
from fintech_kernel.web.health import health_router
from fintech_kernel.web.limits import HEADER_BYTES_MAX, HEADERS_MAX, URL_BYTES_MAX
from fintech_kernel.web.middleware import install_middleware
from fintech_kernel.web.problems import ProblemHandlers
from fintech_kernel.web.strict_json import StrictJsonRequest, StrictJsonRoute
from fintech_server.connections import Connection

pytestmark = pytest.mark.anyio

BODY_BYTES_MAX = 65_536
DEADLINE_SECONDS = 1.0
HEAD = (
    b"POST /v1/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
)
GIVEN_HEADERS = 4
GIVEN_HEADER_BYTES = len("hostxconnectionclosecontent-typeapplication/json")


def application() -> FastAPI:
    """The kernel's own assembly of middleware, routes and problems, around one open route."""
    clock = SystemClock()
    values: dict[str, Any] = {**SETTINGS, "db_base_url": "http://127.0.0.1:9"}
    values |= {"app_request_timeout_seconds": DEADLINE_SECONDS, "app_concurrency_max": 2}
    settings = KernelSettings(_env_file=None, **values)
    router = APIRouter(route_class=StrictJsonRoute)

    @router.post("/v1/echo")
    async def echo(request: Request, body: dict[str, Any] | None = None) -> dict[str, Any]:
        assert isinstance(request, StrictJsonRequest)
        return {"size": len(await request.body())}

    app = FastAPI(redirect_slashes=False)
    app.include_router(router)
    app.include_router(health_router(()))
    ProblemHandlers(()).install(app)
    install_middleware(
        app,
        settings,
        RandomIdentifiers(clock),
        clock=clock,
        on_denied=lambda _denial: None,
        metrics=Metrics(),
    )
    return app


@asynccontextmanager
async def listening() -> AsyncGenerator[int]:
    config = uvicorn.Config(
        application(), http=Connection, ws="none", lifespan="off", log_config=None
    )
    config.load()
    server = uvicorn.Server(config)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(
        lambda: Connection(config, server.server_state, {}, loop), "127.0.0.1", 0
    )
    async with listener:
        yield listener.sockets[0].getsockname()[1]
    async with asyncio.timeout(5):
        while server.server_state.connections or server.server_state.tasks:  # noqa: ASYNC110 - uvicorn tells nobody when its connections have ended
            await asyncio.sleep(0.01)


async def status_of(port: int, *parts: bytes) -> int:
    """Send until the other side has enough; return the status of its answer."""
    line = await asyncio.to_thread(_first_line, port, parts)
    return int(line.split(b" ")[1])


def _first_line(port: int, parts: tuple[bytes, ...]) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        # Who refuses a request does not read the rest of it: what it answered is there nevertheless.
        with suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
        return connection.recv(4_096)


async def asked(*parts: bytes) -> int:
    async with listening() as port:
        return await status_of(port, *parts)


def body_of(size: int) -> bytes:
    frame = len(b'{"a":""}')
    return b'{"a":"' + b"x" * (size - frame) + b'"}'


def announced(body: bytes, *, head: bytes = HEAD) -> tuple[bytes, bytes]:
    return head + b"Content-Length: %d\r\n\r\n" % len(body), body


def chunked(body: bytes) -> list[bytes]:
    parts = [body[start : start + 4_096] for start in range(0, len(body), 4_096)]
    framed = [b"%x\r\n%b\r\n" % (len(part), part) for part in parts]
    return [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *framed, b"0\r\n\r\n"]


@pytest.mark.parametrize(
    ("size", "status"),
    [(BODY_BYTES_MAX, 200), (BODY_BYTES_MAX + 1, 413), (100 * BODY_BYTES_MAX, 413)],
)
async def test_a_body_has_its_limit_announced_or_streamed(size: int, status: int) -> None:
    body = body_of(size)
    assert await asked(*announced(body)) == status
    assert await asked(*chunked(body)) == status


@pytest.mark.parametrize(
    ("size", "statuses"),
    [(URL_BYTES_MAX, {404}), (URL_BYTES_MAX + 1, {414}), (100 * URL_BYTES_MAX, {414, 431})],
)
async def test_a_url_has_its_limit(size: int, statuses: set[int]) -> None:
    line = b"GET /" + b"a" * (size - 1) + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert await asked(line) in statuses


@pytest.mark.parametrize(
    ("size", "status"),
    [(HEADER_BYTES_MAX, 200), (HEADER_BYTES_MAX + 1, 431), (100 * HEADER_BYTES_MAX, 431)],
)
async def test_headers_have_their_limit(size: int, status: int) -> None:
    own = GIVEN_HEADER_BYTES + len("content-length2") + len("x-large")
    head = HEAD + b"X-Large: " + b"x" * (size - own) + b"\r\n"
    assert await asked(*announced(b"{}", head=head)) == status


@pytest.mark.parametrize(
    ("count", "status"), [(HEADERS_MAX, 200), (HEADERS_MAX + 1, 431), (100 * HEADERS_MAX, 431)]
)
async def test_header_lines_have_their_limit(count: int, status: int) -> None:
    head = HEAD + b"X-Many: 1\r\n" * (count - GIVEN_HEADERS)
    assert await asked(*announced(b"{}", head=head)) == status


@pytest.mark.parametrize(
    ("depth", "status"), [(DEPTH_MAX, 200), (DEPTH_MAX + 1, 400), (100 * DEPTH_MAX, 400)]
)
async def test_json_has_its_depth(depth: int, status: int) -> None:
    lists = depth - 1
    body = b'{"a":' + b"[" * lists + b"]" * lists + b"}"
    assert await asked(*announced(body)) == status


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (INTEGER_MAX, 200), (INTEGER_MAX + 1, 400), (100 * INTEGER_MAX, 400),
        (-INTEGER_MAX, 200), (-INTEGER_MAX - 1, 400), (10**6_00, 400),
    ],
)  # fmt: skip
async def test_numbers_have_their_limit(number: int, status: int) -> None:
    assert await asked(*announced(json.dumps({"a": number}).encode())) == status


async def test_a_head_without_end_is_refused_before_it_fills_the_memory() -> None:
    endless = [b"GET / HTTP/1.1\r\nX-Large: ", *[b"x" * 8_192] * 100]
    assert await asked(*endless) == 431


async def test_a_body_that_drips_is_408_and_the_connection_ends() -> None:
    async with listening() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + b"Content-Length: 100\r\n\r\n{")
        answer = await asyncio.wait_for(reader.read(), 5 * DEADLINE_SECONDS)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"body_too_slow" in answer


async def test_slow_clients_take_slots_and_health_does_not_notice() -> None:
    async with listening() as port:
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(10)]
        for _, writer in slow:
            writer.write(HEAD + b"Content-Length: 100\r\n\r\n{")
        await asyncio.sleep(0.1)
        health = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert await status_of(port, health) == 200
        assert await status_of(port, *announced(b"{}")) == 503
        for _, writer in slow:
            writer.close()
        await asyncio.sleep(0.2)
        assert await status_of(port, *announced(b"{}")) == 200
