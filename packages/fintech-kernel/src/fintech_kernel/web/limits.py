"""Limits of a request's form, checked before anybody works for it: URL, headers, body, time.

The body is counted while it streams: a length that was announced is refused at once, one that was not
as soon as it is passed. Rate limits and concurrency are not here.
"""

import asyncio
from typing import Final

from fintech_dbclient.deadlines import deadline_within
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fintech_kernel.web.errors import (
    BodyTooLarge,
    BodyTooSlow,
    DeadlineExceeded,
    FormRefused,
    HeadersTooLarge,
    UrlTooLong,
)
from fintech_kernel.web.problems import RETRY_AFTER_SECONDS, fixed_problem, problem_response

URL_BYTES_MAX: Final = 4_096
"""Path and query."""

HEADERS_MAX: Final = 64
"""Header lines."""

HEADER_BYTES_MAX: Final = 16_384
"""All names and values."""


class FormLimits:
    """ASGI middleware: refuses what is too long."""

    def __init__(self, app: ASGIApp, *, body_bytes_max: int) -> None:
        self._app = app
        self._body_bytes_max = body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused = self._refused(scope)
        if refused is not None:
            await form_problem(refused)(scope, receive, send)
            return
        await _CountedBody(self._app, self._body_bytes_max)(scope, receive, send)

    def _refused(self, scope: Scope) -> FormRefused | None:
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        if len(path) + len(scope["query_string"]) > URL_BYTES_MAX:
            return UrlTooLong()
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        if len(headers) > HEADERS_MAX:
            return HeadersTooLarge()
        size = 0
        is_short = True
        for name, value in headers:
            size += len(name) + len(value)
            # The server has parsed the length already; what is no number here is its to refuse.
            if name == b"content-length" and value.isdigit():
                is_short = is_short and int(value) <= self._body_bytes_max
        if size > HEADER_BYTES_MAX:
            return HeadersTooLarge()
        return None if is_short else BodyTooLarge()


class _BodyPassedLimit(Exception):
    """Stops whoever reads the body."""


class _CountedBody:
    """Runs the application over a body that is counted as it arrives."""

    def __init__(self, app: ASGIApp, bytes_max: int) -> None:
        self._app = app
        self._bytes_left = bytes_max
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted() -> Message:
            message = await receive()
            self._bytes_left -= len(message.get("body", b""))
            if self._bytes_left < 0:
                raise _BodyPassedLimit
            return message

        async def guarded(message: Message) -> None:
            # Whatever the application makes of the interruption, the answer is ours.
            if self._bytes_left >= 0 or self._started:
                self._started = True
                await send(message)

        try:
            await self._app(scope, counted, guarded)
        except Exception:
            if self._bytes_left >= 0 or self._started:
                raise
        if self._bytes_left < 0 and not self._started:
            await form_problem(BodyTooLarge())(scope, receive, send)


class Deadline:
    """ASGI middleware: every answer ends within ``seconds``; what we call knows how long it has.

    A streamed answer has so long for each of its parts, until the client took it, and ``stream_seconds``
    in all: a client that stopped reading, or reads slowly for ever, holds nothing longer. Work that must
    outlive its request (an operation) runs in a task of its own.
    """

    def __init__(self, app: ASGIApp, *, seconds: float, stream_seconds: float) -> None:
        self._app = app
        self._seconds = seconds
        self._stream_seconds = stream_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = waiting = False

        async def watched() -> Message:
            nonlocal waiting
            waiting = True
            message = await receive()
            waiting = False
            return message

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)
            if message.get("more_body") and not limit.expired():
                deadline.ends_at = min(loop.time() + self._seconds, stream_ends_at)
                limit.reschedule(deadline.ends_at)

        loop = asyncio.get_running_loop()
        stream_ends_at = loop.time() + self._stream_seconds
        limit = asyncio.timeout(self._seconds)
        try:
            async with limit:
                with deadline_within(self._seconds) as deadline:
                    await self._app(scope, watched, noted)
        except TimeoutError:
            if not limit.expired() or started:
                raise
            late = BodyTooSlow() if waiting else DeadlineExceeded()
            await form_problem(late)(scope, receive, send)


def form_problem(refused: FormRefused) -> Response:
    """Return the answer to a request whose form is refused outside of the application."""
    body = fixed_problem(refused.status, refused.code, refused.title)
    headers = (
        {"Retry-After": str(RETRY_AFTER_SECONDS)} if isinstance(refused, DeadlineExceeded) else {}
    )
    if isinstance(refused, BodyTooLarge | BodyTooSlow):
        headers["Connection"] = "close"
    return problem_response(refused.status, body, headers=headers)
