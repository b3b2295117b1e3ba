"""Admission: how often and how many at once, before anybody works for a request.

Pure ASGI, right inside of the envelope. Before anything else of a request is looked at: the quota of its
address, then a slot of the process. Once ``requires(...)`` knows the principal: its quota, then a slot
of its merchant. However a request ends, its slots are free again. Health is never limited.

The headers are those of draft-ietf-httpapi-ratelimit-headers-10 (RFC 9651 lists of strings with
parameters): ``RateLimit-Policy: "address";q=1200;w=60`` and ``RateLimit: "address";r=1199;t=42``.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fintech_kernel.clock import Clock
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.denials import Denial
from fintech_kernel.errors import NotFound
from fintech_kernel.observability.context import log_context, note_address
from fintech_kernel.quotas import Quota, QuotaCounter, Standing
from fintech_kernel.settings import KernelSettings
from fintech_kernel.web.addresses import client_address
from fintech_kernel.web.errors import Overloaded, RateLimited
from fintech_kernel.web.problems import fixed_problem, problem_response
from fintech_kernel.web.templates import path_template

UNLIMITED_PATHS: Final = frozenset({"/health/live", "/health/ready", "/metrics"})
"""Who watches a process must see it when it is overloaded."""

TOKEN_PATH: Final = "/v1/auth/token"  # noqa: S105 - a path
"""Where secrets are guessed: failures here have a quota of their own."""

_VISIT: Final = "fintech.visit"
_NOT_FOUND: Final = 404
"""Counted where somebody is known: who asks for many foreign or absent ids is searching."""

_DENIED_STATUSES: Final = frozenset({401, 403, 429})
_FAILED_STATUSES: Final = range(400, 429)

OnDenied = Callable[[Denial], None]
"""Hears of every denial."""


class Admission:
    """ASGI middleware: lets in what the quotas and the slots allow."""

    def __init__(
        self, app: ASGIApp, *, settings: KernelSettings, clock: Clock, on_denied: OnDenied
    ) -> None:
        self._app = app
        self._on_denied = on_denied
        self._proxies = settings.app_trusted_proxies
        self._addresses = _counter(settings.address_quota, clock)
        self._failures = _counter(settings.token_quota, clock)
        self._running = 0
        self._running_max = settings.concurrency_max
        self._merchants = _Merchants(settings, clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["path"] in UNLIMITED_PATHS:
            await self._app(scope, receive, send)
            return
        visit = _Visit(client_address(scope, self._proxies), self._merchants, send)
        note_address(visit.address)
        scope[_VISIT] = visit
        asks_token = scope["path"] == TOKEN_PATH
        try:
            self._admit(visit, asks_token=asks_token)
        except (RateLimited, Overloaded) as refused:
            await _refusal(scope, receive, visit, refused)
        else:
            await self._run(scope, receive, visit)
        finally:
            visit.leave()
            if asks_token and self._failures is not None and visit.status in _FAILED_STATUSES:
                self._failures.take(visit.address)
            self._count_denial(scope, visit)

    def _admit(self, visit: "_Visit", *, asks_token: bool) -> None:
        if self._addresses is not None:
            visit.take("address", self._addresses, visit.address)
        if asks_token and self._failures is not None:
            visit.check("token", self._failures, self._failures.look(visit.address))
        if self._running_max is not None and self._running >= self._running_max:
            raise Overloaded

    async def _run(self, scope: Scope, receive: Receive, visit: "_Visit") -> None:
        self._running += 1
        try:
            await self._app(scope, receive, visit.answer)
        finally:
            self._running -= 1

    def _count_denial(self, scope: Scope, visit: "_Visit") -> None:
        context = log_context()
        if context is None or not _is_denial(visit.status, context.problem, context.subject):
            return
        self._on_denied(
            Denial(
                reason=context.problem,
                route=path_template(scope),
                subject=context.subject,
                merchant_id=context.merchant_id,
                address="" if context.subject else visit.address,
            )
        )


class _Merchants:
    """What is counted once the principal is known."""

    def __init__(self, settings: KernelSettings, clock: Clock) -> None:
        self.principals = _counter(settings.principal_quota, clock)
        self.running_max = settings.concurrency_merchant_max
        self.running: Counter[str] = Counter()

    def enter(self, merchant_id: str) -> None:
        """Take a slot.

        Raises:
            Overloaded: the merchant has no slot left.
        """
        if self.running_max is not None and self.running[merchant_id] >= self.running_max:
            raise Overloaded
        self.running[merchant_id] += 1

    def leave(self, merchant_id: str) -> None:
        """Give a slot back."""
        self.running[merchant_id] -= 1
        if not self.running[merchant_id]:
            del self.running[merchant_id]


class _Visit:
    """One request under way: what it was counted against, and the slot that it holds."""

    def __init__(self, address: str, merchants: _Merchants, send: Send) -> None:
        self.address = address
        self.status = 0
        self._merchants = merchants
        self._merchant_id = ""
        self._send = send
        self._standings: list[tuple[str, Quota, Standing]] = []

    def take(self, policy: str, counter: QuotaCounter, key: str) -> None:
        """Count against a quota.

        Raises:
            RateLimited: it is used up.
        """
        self.check(policy, counter, counter.take(key))

    def check(self, policy: str, counter: QuotaCounter, standing: Standing) -> None:
        """Remember a standing for the answer's headers.

        Raises:
            RateLimited: the quota is used up.
        """
        self._standings.append((policy, counter.quota, standing))
        if standing.is_exceeded:
            raise RateLimited(retry_after_seconds=standing.wait_seconds)

    def admit(self, actor: Actor) -> None:
        """Count the principal and take a slot of its merchant.

        Raises:
            RateLimited: the principal's quota is used up.
            Overloaded: its merchant has no slot left.
        """
        if self._merchants.principals is not None:
            key = f"{actor.merchant_id}/{actor.subject}"
            self.take("principal", self._merchants.principals, key)
        if actor.merchant_id and not self._merchant_id:
            self._merchants.enter(actor.merchant_id)
            self._merchant_id = actor.merchant_id

    def leave(self) -> None:
        """Give back what is held."""
        if self._merchant_id:
            self._merchants.leave(self._merchant_id)
            self._merchant_id = ""

    async def answer(self, message: Message) -> None:
        """Send, and say on the head what is left."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self._standings:
                given = list(message.get("headers", ()))
                message = {**message, "headers": [*given, *_headers(self._standings)]}
        await self._send(message)


def admit(request: HTTPConnection, actor: Actor) -> None:
    """Count a request's principal, who is known from here on, and take a slot of its merchant.

    Raises:
        RateLimited: its quota is used up.
        Overloaded: its merchant has no slot left.
    """
    visit: _Visit | None = request.scope.get(_VISIT)
    if visit is not None:  # without the middleware nothing is limited
        visit.admit(actor)


def _counter(quota: Quota | None, clock: Clock) -> QuotaCounter | None:
    return None if quota is None else QuotaCounter(quota, clock)


def _is_denial(status: int, problem: str, subject: str) -> bool:
    if status == _NOT_FOUND:
        return bool(subject) and problem == NotFound.code
    return status in _DENIED_STATUSES or problem == Overloaded.code


async def _refusal(
    scope: Scope, receive: Receive, visit: _Visit, refused: RateLimited | Overloaded
) -> None:
    body = fixed_problem(refused.status, refused.code, refused.title)
    headers = {"Retry-After": str(refused.retry_after_seconds)}
    await problem_response(refused.status, body, headers=headers)(scope, receive, visit.answer)


def _headers(standings: Sequence[tuple[str, Quota, Standing]]) -> list[tuple[bytes, bytes]]:
    policies = (f'"{name}";q={quota.count};w={quota.seconds}' for name, quota, _ in standings)
    left = (f'"{name}";r={one.remaining};t={one.wait_seconds}' for name, _, one in standings)
    return [
        (b"ratelimit-policy", ", ".join(policies).encode()),
        (b"ratelimit", ", ".join(left).encode()),
    ]
