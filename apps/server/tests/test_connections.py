"""Connections: what is no request is refused like any other, and who sends no head is let go."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from fintech_kernel.web.problems import PROBLEM_JSON, Problem
from fintech_server import connections
from fintech_server.connections import Connection
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

pytestmark = pytest.mark.anyio

NO_REQUESTS = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03hello\r\n\r\n",
    b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    b"get / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: 4111111111111111\x00\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
]


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await Response("hello")(scope, receive, send)


@asynccontextmanager
async def listening() -> AsyncGenerator[int]:
    config = uvicorn.Config(hello, http=Connection, ws="none", lifespan="off", log_config=None)
    config.load()
    server = uvicorn.Server(config)
    loop = asyncio.get_running_loop()

    def connection() -> Connection:
        return Connection(config, server.server_state, {}, loop)

    listener = await loop.create_server(connection, "127.0.0.1", 0)
    async with listener:
        yield listener.sockets[0].getsockname()[1]


async def said(port: int, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    try:
        return await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()


@pytest.mark.parametrize("sent", NO_REQUESTS)
async def test_what_is_no_request_is_a_problem_document_and_ends_the_connection(
    sent: bytes,
) -> None:
    async with listening() as port:
        answer = await said(port, sent)

    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    problem = Problem.model_validate_json(body)
    assert status == "HTTP/1.1 400 Bad Request"
    assert (problem.status, problem.code) == (400, "malformed_http")
    assert headers["content-type"] == PROBLEM_JSON
    assert headers["x-request-id"] == problem.request_id
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["connection"] == "close"
    assert int(headers["content-length"]) == len(body)


@pytest.mark.parametrize("sent", [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\n", b"\r\n"])
async def test_who_sends_no_complete_head_is_let_go(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.05)
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.1)
    async with listening() as port:
        assert await said(port, sent) == b""


async def test_a_request_is_served_however_long_it_is_worked_on_and_then_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.2)
    request = b"GET / HTTP/1.1\r\nHost: x\r\n"
    async with listening() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(request + b"\r\n")
            assert await reader.readuntil(b"hello")
            await asyncio.sleep(0.3)
        writer.close()
