"""A running app in the test's own process: real plugins, real database service, real lifespan."""

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx
from fastapi import FastAPI
from fintech_dbclient import CallRecord
from loguru import logger

from fintech_kernel.context import AppContext
from fintech_kernel.domain.actors import PLATFORM, Actor
from fintech_kernel.domain.permissions import MERCHANT_ADMIN, PLATFORM_ADMIN
from fintech_kernel.errors import InvariantBroken
from fintech_kernel.observability.logging import json_line
from fintech_kernel.testing.leaks import leaks
from fintech_kernel.web.app import Overrides, create_app

if TYPE_CHECKING:
    from loguru import Message

SETTINGS: Final[Mapping[str, object]] = {
    "app_env": "test",
    "app_secret": "0f6b1f0c8a5e4d3c9b7a6958473625140f6b1f0c8a5e4d3c",
    "jwt_secret": "5d1e9a7c3b8f4062a1c5e7d9b3f1082645d1e9a7c3b8f406",
    "audit_signing_key": "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=",
    "app_jobs": False,
}
"""Settings of test apps: secrets that guard nothing, and jobs run by the test, not by the clock."""


@dataclass(slots=True, kw_only=True)
class RunningApp:
    """An app with its lifespan running.

    Attributes:
        client: speaks to it in process, without a token.
        calls: every HTTP request that it sent to the database, in order.
        lines: what was logged while it ran, as a server's log has it.
    """

    app: FastAPI
    context: AppContext
    client: httpx.AsyncClient
    calls: list[CallRecord] = field(default_factory=list[CallRecord])
    lines: list[str] = field(default_factory=list[str])

    def headers(
        self, *roles: str, merchant_id: str = PLATFORM, subject: str = "tester"
    ) -> dict[str, str]:
        """Return the authorization header of a principal (a platform or merchant admin by default)."""
        default = MERCHANT_ADMIN if merchant_id else PLATFORM_ADMIN
        actor = Actor(subject=subject, roles=roles or (default,), merchant_id=merchant_id)
        issuer = self.context.token_issuer
        if issuer is None:
            raise InvariantBroken("the app under test holds no signing key")
        return {"Authorization": f"Bearer {issuer.issue(actor)}"}

    async def post(
        self, path: str, body: Mapping[str, Any], *, key: str, headers: Mapping[str, str]
    ) -> httpx.Response:
        """POST a body under an idempotency key."""
        return await self.client.post(path, json=body, headers={**headers, "Idempotency-Key": key})

    async def deliver_events(self) -> None:
        """Dispatch what the journal holds and run every handler that is due."""
        for job in self.context.events.jobs():
            await job.run()


@asynccontextmanager
async def running_app(
    *,
    database_url: str,
    plugins: Sequence[object] | None,
    settings: Mapping[str, object] | None = None,
    overrides: Overrides | None = None,
) -> AsyncGenerator[RunningApp]:
    """Run an app of these plugins (None: the installed ones) against a database service.

    Raises:
        AssertionError: a log line told what it must not (``leaks``), found when the app stops.
    """
    calls: list[CallRecord] = []
    given = overrides or Overrides()
    app = create_app(
        settings={**SETTINGS, "db_base_url": database_url, **(settings or {})},
        plugins=plugins,
        overrides=Overrides(
            clock=given.clock,
            identifiers=given.identifiers,
            database=given.database,
            on_database_call=given.on_database_call or calls.append,
            tracing=given.tracing,
            services=given.services,
        ),
    )
    with logged_lines() as lines:
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
                yield RunningApp(
                    app=app, context=app.state.context, client=client, calls=calls, lines=lines
                )
    told = [leak for line in lines for leak in leaks(line)]
    if told:
        raise AssertionError("logged: " + "\n".join(told))


@contextmanager
def logged_lines() -> Generator[list[str]]:
    """Collect what is logged in this block, as a server's log would have it."""
    lines: list[str] = []

    def write(message: "Message") -> None:
        lines.append(json_line(message.record))

    sink = logger.add(write, level="DEBUG", format="{message}")
    try:
        yield lines
    finally:
        with suppress(ValueError):  # a test that configured logging removed every sink
            logger.remove(sink)
