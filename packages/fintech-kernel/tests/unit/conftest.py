"""Real parts, small: settings, a clock that stands still, and a context made of them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.permissions import Permissions
from fintech_kernel.hooks import Permission
from fintech_kernel.identifiers import RandomIdentifiers
from fintech_kernel.security.secrets import KeyRing
from fintech_kernel.security.tokens import TokenIssuer, TokenVerifier
from fintech_kernel.settings import KernelSettings

NOW_MILLISECONDS = 1_800_000_000_000


class StandingClock:
    """Tells the time that a test says."""

    def __init__(self, now: int = NOW_MILLISECONDS) -> None:
        self.now = now

    def now_milliseconds(self) -> int:
        return self.now


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def make_settings() -> Callable[..., KernelSettings]:
    def make(**values: Any) -> KernelSettings:
        given: dict[str, Any] = {
            "app_env": "test",
            "app_secret": "a" * 40,
            "jwt_secret": "b" * 64,
            "db_base_url": "http://127.0.0.1:1",
        }
        return KernelSettings(_env_file=None, **(given | values))

    return make


@pytest.fixture
def settings(make_settings: Callable[..., KernelSettings]) -> KernelSettings:
    return make_settings()


@pytest.fixture
def permissions() -> Permissions:
    everyone = ("platform_admin", "merchant_admin", "merchant_operator", "merchant_viewer")
    return Permissions(
        [
            Permission(name="things:read", summary="Read things.", roles=everyone),
            Permission(name="things:write", summary="Make things.", roles=everyone[:-1]),
        ]
    )


@pytest.fixture
def context(settings: KernelSettings, clock: StandingClock, permissions: Permissions) -> Any:
    return SimpleNamespace(
        settings=settings,
        clock=clock,
        tokens=TokenVerifier(settings, clock),
        keyring=KeyRing(settings),
        permissions=permissions,
        identifiers=RandomIdentifiers(clock),
    )


@pytest.fixture
def token_for(context: Any) -> Callable[..., str]:
    issuer = TokenIssuer(context.settings, context.clock, context.identifiers)

    def issue(*roles: str, merchant: str = "mch_1", subject: str = "ann", **options: Any) -> str:
        actor = Actor(subject=subject, roles=roles or ("merchant_admin",), merchant_id=merchant)
        return issuer.issue(actor, **options)

    return issue


@pytest.fixture
def bearer(token_for: Callable[..., str]) -> dict[str, str]:
    return {"authorization": f"Bearer {token_for()}"}


@pytest.fixture
def client_of() -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as opened:
            yield opened

    return client
