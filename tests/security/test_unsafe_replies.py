"""A database that answers well-formed nonsense, or worse: the API stays up, says 5xx, and tells nothing.

The client's own tests hold it to the contract reply by reply; here the whole application stands behind a
service over real HTTP that spoils the replies of the real one.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.testing.database import database_service
from fintech_kernel.testing.leaks import CANARY, leaks
from spilling import SPILLED
from surface import Operation, operations
from world import Story

pytestmark = pytest.mark.anyio

UNAVAILABLE: Final = {500, 503}
"""503 where somebody may repeat; 500 where a reply breaks what the database promised."""

IMPATIENT: Final = {
    "app_request_timeout_seconds": 1.2,
    "db_timeout_seconds": 0.6,
    "payments_answer_seconds": 1.0,
}
"""Most of these replies make the client ask again until the request's time is over."""

HUGE_BYTES: Final = 80 * 1024 * 1024
"""Beyond what the client reads of any reply."""


@dataclass(slots=True)
class SpoilingService:
    """Forwards requests to the real service; once ``spoil`` is set, it answers what that makes of a reply."""

    real: httpx.AsyncClient
    spoil: Callable[[bytes], bytes] | None = None
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._answer(head, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def _answer(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        first, *lines = head.decode().split("\r\n")
        method, path, _ = first.split(" ")
        headers = dict(line.lower().split(": ", 1) for line in lines if line)
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        kept = {name: headers[name] for name in ("content-type",) if name in headers}
        found = await self.real.request(method, path, content=body, headers=kept)
        raw = whole(found.content)
        writer.write(self.spoil(raw) if self.spoil and path != "/health" else raw)
        await writer.drain()


def whole(body: bytes, status: str = "200 OK", content_type: str = "application/json") -> bytes:
    """Return a well-formed HTTP reply."""
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def results(change: Callable[[Mapping[str, Any]], Any]) -> Callable[[bytes], bytes]:
    """Return a spoiler that changes every result object of a reply and keeps the rest."""

    def spoil(raw: bytes) -> bytes:
        told = json.loads(raw.partition(b"\r\n\r\n")[2])
        if "results" in told:
            told["results"] = [[change(one) for one in sequence] for sequence in told["results"]]
        else:
            told = change(told)
        return whole(json.dumps(told).encode())

    return spoil


def cells(value: object) -> Callable[[Mapping[str, Any]], Any]:
    """Return a change that puts a value into every cell of every row."""

    def change(result: Mapping[str, Any]) -> Any:
        rows = result.get("data") or [{}]
        spoiled = [dict.fromkeys(row, value) or {"anything": value} for row in rows]
        return {**result, "success": True, "data": spoiled, "error": None}

    return change


def with_(**members: object) -> Callable[[bytes], bytes]:
    return results(lambda one: {**one, **members})


def body(text: bytes) -> Callable[[bytes], bytes]:
    return lambda _raw: whole(text)


REDIRECT: Final = (
    b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n"
)

SPOILERS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "no JSON": body(SPILLED.encode()),
    "half a JSON": lambda raw: whole(raw.partition(b"\r\n\r\n")[2][:-7]),
    "an empty body": body(b""),
    "a page of a proxy": lambda _: whole(f"<html>{SPILLED}".encode(), content_type="text/html"),
    "a page of a proxy, 502": lambda _: whole(SPILLED.encode(), "502 Bad Gateway", "text/html"),
    "500 with SQL": lambda _: whole(json.dumps({"error": SPILLED}).encode(), "500 Internal"),
    "a redirect": lambda _: REDIRECT,
    "a body shorter than it says": lambda raw: raw[:-5],
    "no HTTP": lambda _: SPILLED.encode() + b"\r\n\r\n",
    "nothing": lambda _: b"",
    "a list": body(b"[]"),
    "null": body(b"null"),
    "an object of something else": body(json.dumps({"canary": SPILLED}).encode()),
    "results that are no list": body(json.dumps({"results": SPILLED}).encode()),
    "NaN": body(b'{"success": true, "data": [{"a": NaN}], "rows_affected": 0, "error": null}'),
    "nested 50,000 deep": body(b"[" * 50_000 + b"]" * 50_000),
    "a string with a lone surrogate": body(b'{"success": true, "data": [{"a": "\\ud800"}]}'),
    "beyond the cap": lambda _: whole(b'"' + b"x" * HUGE_BYTES + b'"'),
    "success as a text": with_(success="yes"),
    "data as a text": with_(data=SPILLED),
    "rows as texts": with_(data=[SPILLED, SPILLED]),
    "rows_affected as a text": with_(rows_affected=SPILLED),
    "an error of another form": with_(success=False, error=[SPILLED]),
    "an unknown error": with_(success=False, data=None, error={"code": SPILLED, "message": SPILLED}),
    "an internal error": with_(success=False, data=None, error={"code": "internal", "message": SPILLED}),
    "a syntax error": with_(success=False, data=None, error={"code": "syntax_error", "message": SPILLED}),
    "rows without columns": results(lambda one: {**one, "success": True, "data": [{}], "error": None}),
    "texts where numbers belong": results(cells(SPILLED)),
    "numbers where texts belong": results(cells(7)),
    "nothing where texts belong": results(cells(None)),
    "fractions": results(cells(0.5)),
    "truth values": results(cells(True)),
    "objects in cells": results(cells({"canary": SPILLED})),
}  # fmt: skip
"""Replies that no database of the contract gives."""


@dataclass(frozen=True, slots=True)
class Spoiled:
    app: RunningApp
    service: SpoilingService
    objects: Mapping[str, str]
    readers: list[Operation]


@asynccontextmanager
async def spoiling(url: str) -> AsyncIterator[tuple[SpoilingService, str]]:
    async with httpx.AsyncClient(base_url=url) as real:
        service = SpoilingService(real)
        server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
        try:
            yield service, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for writer in service.writers:
                writer.close()


@pytest.fixture(scope="module")
async def spoiled(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncIterator[Spoiled]:
    path: Path = tmp_path_factory.mktemp("unsafe") / "unsafe.db"
    with database_service(f"sqlite:///{path}") as url:
        async with (
            spoiling(url) as (service, spoiling_url),
            running_app(
                database_url=spoiling_url,
                plugins=None,
                settings=IMPATIENT,
            ) as app,
        ):
            objects = await Story(app, "unsafe").told()
            guarded = [one for one in operations(app.app) if one.permissions and one.is_strict]
            yield Spoiled(app, service, objects, guarded)


async def asked(spoiled: Spoiled, operation: Operation) -> httpx.Response:
    app, objects = spoiled.app, spoiled.objects
    needed = {
        one.name: objects[one.name]
        for one in operation.parameters
        if one.place == "query" and one.is_required
    }
    sample = operation.sample_body()
    if isinstance(sample, dict) and "merchant_id" in operation.members(()):
        sample = {**sample, "merchant_id": objects["merchant_id"]}
    return await app.client.request(
        operation.method,
        operation.path.format(**objects),
        params=needed or None,
        json=sample,
        headers={**app.headers(), "Idempotency-Key": f"unsafe-{operation.name}"},
    )


@pytest.mark.parametrize("name", SPOILERS)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_reply_that_breaks_the_contract_ends_as_a_problem_that_tells_nothing(
    spoiled: Spoiled, name: str, method: str
):
    chosen = [one for one in spoiled.readers if one.method == method and one.path_names]
    operation = chosen[sorted(SPOILERS).index(name) % len(chosen)]
    spoiled.service.spoil = SPOILERS[name]
    try:
        answer = await asked(spoiled, operation)
    finally:
        spoiled.service.spoil = None
    label = f"{operation.label}, {name}: {answer.status_code} {answer.text[:300]}"
    assert answer.status_code in UNAVAILABLE, label
    assert answer.headers["content-type"] == "application/problem+json", label
    assert list(leaks(answer.text)) == [], label
    assert CANARY not in str(answer.headers), label


async def test_afterwards_the_same_application_serves_again(spoiled: Spoiled):
    operation = next(one for one in spoiled.readers if one.name == "get_payment")
    for _ in range(50):  # the circuit closes again at its own pace
        answer = await asked(spoiled, operation)
        if answer.status_code == 200:
            break
        await asyncio.sleep(0.2)
    assert answer.status_code == 200, answer.text
    assert answer.json()["payment_id"] == spoiled.objects["payment_id"]
