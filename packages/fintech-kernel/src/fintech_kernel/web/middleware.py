"""What surrounds every request: ids, log context, security headers, access log, the last resort.

Pure ASGI, outermost first: ``Envelope``, ``Admission``, ``FormLimits``, ``Deadline``. Nothing that
fails inside can leave otherwise than as a fixed problem document.
"""

import re
import time
from collections.abc import Iterator, Mapping
from typing import Final

from fastapi import FastAPI
from loguru import logger
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fintech_kernel.clock import Clock
from fintech_kernel.errors import FintechError
from fintech_kernel.identifiers import Identifiers
from fintech_kernel.observability.context import LogContext, logging_as
from fintech_kernel.observability.logging import Lines
from fintech_kernel.observability.metrics import Metrics
from fintech_kernel.observability.tracing import NO_TRACING, RequestSpan, Tracing
from fintech_kernel.security.card_numbers import holds_card_number
from fintech_kernel.settings import KernelSettings
from fintech_kernel.web.admission import Admission, OnDenied
from fintech_kernel.web.errors import FormRefused
from fintech_kernel.web.limits import Deadline, FormLimits, form_problem
from fintech_kernel.web.problems import INTERNAL_ERROR, fixed_problem, problem_response
from fintech_kernel.web.templates import UNMATCHED, path_template

REQUEST_ID_HEADER: Final = "X-Request-ID"
TRACE_HEADER: Final = "traceparent"
REQUEST_ID_PREFIX: Final = "req"

_REQUEST: Final = "request"
_PLACE: Final = f"{__name__}:access"
"""Message and place of a line of the access log."""

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SERVER_ERROR: Final = 500

_METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"}
)
"""Methods as logs name them; any other is a text of the client's, and stays out."""

_QUIET_PREFIXES: Final = ("/health/", "/metrics")
_DOCS_PATHS: Final = ("/docs", "/redoc")

_SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_POLICY: Final = b"default-src 'none'; frame-ancestors 'none'"
_DOCS_POLICY: Final = (
    b"default-src 'none'; frame-ancestors 'none'; connect-src 'self'; img-src 'self' data: https:; "
    b"script-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net; worker-src blob:; "
    b"style-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net https://fonts.googleapis.com; "
    b"font-src https://fonts.gstatic.com"
)


def install_middleware(
    app: FastAPI,
    settings: KernelSettings,
    identifiers: Identifiers,
    *,
    clock: Clock,
    on_denied: OnDenied,
    metrics: Metrics,
    tracing: Tracing = NO_TRACING,
) -> None:
    """Surround an application. Call it last: what is added later would stand outside."""
    app.add_middleware(
        Deadline,
        seconds=settings.app_request_timeout_seconds,
        stream_seconds=settings.app_stream_timeout_seconds,
    )
    app.add_middleware(FormLimits, body_bytes_max=settings.app_body_bytes_max)
    app.add_middleware(Admission, settings=settings, clock=clock, on_denied=on_denied)
    app.add_middleware(Envelope, identifiers=identifiers, metrics=metrics, tracing=tracing)


def answer_before_us(identifiers: Identifiers, refused: FormRefused) -> Response:
    """Return the answer to what a server refuses before any application sees it."""
    context = LogContext(request_id=identifiers.new(REQUEST_ID_PREFIX))
    with logging_as(context):
        answer = form_problem(refused)
    with NO_TRACING.request(()) as span:
        answer.raw_headers.extend(_own_headers(context.request_id, str(span.place), _POLICY))
    answer.headers["Connection"] = "close"
    return answer


class Envelope:
    """ASGI middleware, outermost: names the request, logs it, and answers what nobody else did."""

    def __init__(
        self, app: ASGIApp, *, identifiers: Identifiers, metrics: Metrics, tracing: Tracing
    ) -> None:
        self._app = app
        self._identifiers = identifiers
        self._metrics = metrics
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        tracing = NO_TRACING if scope["path"].startswith(_QUIET_PREFIXES) else self._tracing
        with tracing.request(headers.getlist(TRACE_HEADER)) as span:
            context = LogContext(request_id=self._request_id(headers), trace_id=span.place.trace_id)
            with logging_as(context):
                exchange = _Exchange(scope, send, context=context, span=span, metrics=self._metrics)
                await exchange.run(self._app, receive)

    def _request_id(self, headers: Headers) -> str:
        given = headers.getlist(REQUEST_ID_HEADER)
        if len(given) == 1 and _REQUEST_ID.fullmatch(given[0]) and not holds_card_number(given[0]):
            return given[0]
        return self._identifiers.new(REQUEST_ID_PREFIX)


class _Exchange:
    """One request and its answer."""

    def __init__(
        self,
        scope: Scope,
        send: Send,
        *,
        context: LogContext,
        span: RequestSpan,
        metrics: Metrics,
    ) -> None:
        self._scope = scope
        self._send = send
        self._context = context
        self._span = span
        self._metrics = metrics
        self._status = 0
        self._began = time.perf_counter()

    async def run(self, app: ASGIApp, receive: Receive) -> None:
        try:
            await app(self._scope, receive, self._answer)
        except ClientDisconnect:
            logger.debug("client went away")
        except Exception as error:  # noqa: BLE001 - the last resort: nothing passes it but the log
            logger.opt(exception=error).error("unhandled error")
            await self._last_resort(receive)
        finally:
            self._tell()

    async def _last_resort(self, receive: Receive) -> None:
        if self._status:
            return  # the answer had begun; the server cuts it off
        body = fixed_problem(500, INTERNAL_ERROR, FintechError.title)
        await problem_response(500, body)(self._scope, receive, self._answer)

    async def _answer(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            given = list(message.get("headers", ()))
            names = {name for name, _ in given}
            ours = [one for one in self._headers() if one[0] not in names]
            message = {**message, "headers": [*given, *ours]}
        await self._send(message)

    def _headers(self) -> Iterator[tuple[bytes, bytes]]:
        docs = self._scope["path"].startswith(_DOCS_PATHS)
        return _own_headers(
            self._context.request_id, str(self._span.place), _DOCS_POLICY if docs else _POLICY
        )

    def _tell(self) -> None:
        """Log, count and trace what became of the request."""
        seconds = time.perf_counter() - self._began
        method = method if (method := self._scope["method"]) in _METHODS else UNMATCHED
        route = path_template(self._scope)
        quiet = self._status < _SERVER_ERROR and self._scope["path"].startswith(_QUIET_PREFIXES)
        self._log(
            "DEBUG" if quiet else "INFO",
            {
                "method": method,
                "route": route,
                "status": self._status,
                "duration_ms": round(seconds * 1_000, 2),
                **self._refusal(),
            },
        )
        self._metrics.request(method=method, route=route, status=self._status, seconds=seconds)
        self._span.rename(f"{method} {route}")
        self._span.note("http.request.method", method)
        self._span.note("http.route", route)
        self._span.note("http.response.status_code", self._status)
        self._span.note("fintech.request_id", self._context.request_id)
        if self._status >= _SERVER_ERROR:
            self._span.failed(self._context.problem or str(self._status))

    def _log(self, level: str, fields: Mapping[str, object]) -> None:
        """Write the line of the access log: by ``app.state.lines`` where a server put it there."""
        lines: Lines | None = getattr(self._scope["app"].state, "lines", None)
        if lines is None:
            logger.log(level, _REQUEST, **fields)
        else:
            lines.say(level, _REQUEST, place=_PLACE, fields=fields)

    def _refusal(self) -> dict[str, str]:
        """Return what the line of a refused request says besides: why, and of nobody known from where."""
        if not self._context.problem:
            return {}
        who = {} if self._context.subject else {"address": self._context.address}
        return {"code": self._context.problem, **who}


def _own_headers(request_id: str, trace: str, policy: bytes) -> Iterator[tuple[bytes, bytes]]:
    yield REQUEST_ID_HEADER.lower().encode(), request_id.encode()
    yield TRACE_HEADER.encode(), trace.encode()
    yield from _SECURITY_HEADERS
    yield b"content-security-policy", policy
