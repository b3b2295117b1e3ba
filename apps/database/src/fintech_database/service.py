"""The ASGI application: an HTTP request becomes statements for an engine, their outcomes a reply.

It is bare ASGI because the work per statement is some ten microseconds: a framework would cost more
than the database. Everything that may wait is counted here (``Admission``), so that memory stays
bounded however much is sent.

What does not live here: JSON (``wire``), SQL (``forms``, ``engines``), sockets (``cli``, uvicorn).
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any, Final, TypeAlias, cast

from fintech_database import wire
from fintech_database.engines import Engine, EngineUnavailable
from fintech_database.limits import BODY_BYTES_MAX, Limits
from fintech_database.logs import LOGGER
from fintech_database.statements import Outcome
from fintech_database.wire import RequestRefused

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Headers: TypeAlias = Iterable[tuple[bytes, bytes]]

_METHODS: Final = {"/execute": "POST", "/batch": "POST", "/health": "GET"}


class Service:
    """The contract over HTTP, in front of an engine."""

    def __init__(self, *, engine: Engine, limits: Limits, token: str | None) -> None:
        self._engine = engine
        self._limits = limits
        self._authorization = None if token is None else f"Bearer {token}".encode()
        self._decoder = wire.Decoder()
        self._admission = Admission(limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError("this service speaks HTTP only; run it with lifespan off")
        status = 200
        held = Held(self._admission)
        try:
            try:
                body = await self._answer(scope, receive, held)
            except RequestRefused as refusal:
                status, body = refusal.status, refusal.encode()
            except Exception:  # noqa: BLE001 - the outermost handler: a reply without our words
                LOGGER.exception("a request failed")
                status, body = 500, wire.encode_error("internal", "the service failed; see its log")
            held.add_answer(len(body))
            length = str(len(body)).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", length)]
            if status == HTTPStatus.SERVICE_UNAVAILABLE:
                headers.append((b"retry-after", b"1"))
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        finally:
            held.release()

    async def _answer(self, scope: Scope, receive: Receive, held: "Held") -> bytes:
        path = cast("str", scope["path"])
        method = _METHODS.get(path)
        if method is None:
            raise RequestRefused(404, "not_found", "the paths are /execute, /batch and /health")
        if scope["method"] != method:
            raise RequestRefused(405, "method_not_allowed", f"{path} takes {method}")
        if path == "/health":
            return await self._health()
        self._check_headers(cast("Headers", scope["headers"]))
        body = await self._read(receive, held)
        if path == "/execute":
            statement = self._decoder.execute(body)
            held.add_statements(1)
            outcomes = await self._engine.run([[statement]])
            _check_run(outcomes)
            return wire.encode_outcome(outcomes[0][0])
        batch = self._decoder.batch(body)
        held.add_statements(sum(map(len, batch)))
        outcomes = await self._engine.run(batch)
        _check_run(outcomes)
        return wire.encode_batch(outcomes)

    async def _health(self) -> bytes:
        """Say how the engine is; no token is needed, and nothing about the data is told."""
        try:
            await self._engine.probe()
        except EngineUnavailable as unavailable:
            raise RequestRefused(503, "overloaded", str(unavailable)) from None
        return wire.encode_health(self._engine.name)

    def _check_headers(self, headers: Headers) -> None:
        """Refuse strangers, browsers and bodies that are too long, before a body is read.

        A page in a browser can post to a loopback address, but neither as JSON nor without
        ``Origin`` unless the service agrees, and it never does.
        """
        is_authorized = self._authorization is None
        is_json = False
        for name, value in headers:
            if name == b"content-type":
                is_json = value.partition(b";")[0].strip().lower() == b"application/json"
            elif name == b"content-length" and int(value) > BODY_BYTES_MAX:
                raise _too_large()
            elif name == b"authorization" and self._authorization is not None:
                is_authorized = hmac.compare_digest(value, self._authorization)
            elif name == b"origin":
                raise RequestRefused(403, "invalid_request", "this service is not for browsers")
        if not is_authorized:
            raise RequestRefused(401, "unauthorized", "a valid bearer token is needed")
        if not is_json:
            raise RequestRefused(415, "invalid_request", "the content type is application/json")

    async def _read(self, receive: Receive, held: "Held") -> bytes:
        """Read the body as far as it is allowed."""
        message = await receive()
        body = cast("bytes", message.get("body", b""))
        held.add_bytes(len(body))
        if not message.get("more_body", False):
            return body
        chunks = [body]
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while message.get("more_body", False):
                    message = await receive()
                    body = cast("bytes", message.get("body", b""))
                    held.add_bytes(len(body))
                    chunks.append(body)
                    if held.bytes > BODY_BYTES_MAX:
                        raise _too_large()
        except TimeoutError:
            raise RequestRefused(408, "invalid_request", "the body came too slowly") from None
        if message["type"] == "http.disconnect":
            raise RequestRefused(400, "invalid_request", "the client left")
        return b"".join(chunks)


def _too_large() -> RequestRefused:
    return RequestRefused(413, "too_large", f"a body holds {BODY_BYTES_MAX} bytes at most")


def _check_run(results: list[list[Outcome]]) -> None:
    """Make a request of which nothing was run a 503, which says so for all of it at once.

    Raises:
        RequestRefused: every sequence was refused before its first statement.
    """
    first: Outcome | None = None
    for outcomes in results:
        if outcomes:
            first = outcomes[0]
            if first.error is None or first.error.code != "overloaded":
                return
    if first is not None and first.error is not None:
        raise RequestRefused(503, "overloaded", first.error.message)


class Admission:
    """How much may be at work at once; beyond it a request is answered 503 without being run."""

    def __init__(self, limits: Limits) -> None:
        self.statements = 0
        self.bytes = 0
        self._statements_max = limits.waiting_statements_max
        self._bytes_max = limits.waiting_bytes_max

    def check(self) -> None:
        """Refuse what goes beyond the limits.

        Raises:
            RequestRefused: too much waits already.
        """
        if self.statements > self._statements_max:
            raise RequestRefused(503, "overloaded", "too many statements wait; nothing was run")
        if self.bytes > self._bytes_max:
            raise RequestRefused(503, "overloaded", "too many bytes wait; nothing was run")


class Held:
    """What one request holds of what is admitted, given back at its end."""

    __slots__ = ("_admission", "_statements", "bytes")

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._statements = 0
        self.bytes = 0

    def add_bytes(self, count: int) -> None:
        """Count bytes that came in.

        Raises:
            RequestRefused: too much waits already.
        """
        self.add_answer(count)
        self._admission.check()

    def add_answer(self, count: int) -> None:
        """Count bytes that go out: they are made already, so they are never refused."""
        self.bytes += count
        self._admission.bytes += count

    def add_statements(self, count: int) -> None:
        """Count statements about to be run.

        Raises:
            RequestRefused: too much waits already.
        """
        self._statements += count
        self._admission.statements += count
        self._admission.check()

    def release(self) -> None:
        """Give everything back."""
        self._admission.statements -= self._statements
        self._admission.bytes -= self.bytes
        self._statements = self.bytes = 0
