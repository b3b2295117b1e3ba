"""Real parts, small: settings, a clock that stands still, and a context made of them."""

import io
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from fintech_dbclient import DatabaseError, Health, Result, Statement
from fintech_kernel.domain.access import Access
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.permissions import Permissions
from fintech_kernel.hooks import ErrorMapping, Permission
from fintech_kernel.identifiers import RandomIdentifiers
from fintech_kernel.infrastructure.tables import MIGRATIONS
from fintech_kernel.observability.logging import SILENCED, configure_logging
from fintech_kernel.observability.metrics import Metrics
from fintech_kernel.security.secrets import KeyRing
from fintech_kernel.security.tokens import TokenIssuer, TokenVerifier
from fintech_kernel.settings import KernelSettings
from fintech_kernel.simulation.infrastructure.model_database import ModelDatabase
from fintech_kernel.web.direct import DirectRoutes
from fintech_kernel.web.middleware import install_middleware
from fintech_kernel.web.openapi import install_openapi
from fintech_kernel.web.problems import ProblemHandlers
from loguru import logger

NOW_MILLISECONDS = 1_800_000_000_000


class MemoryDatabase:
    """The kernel's tables in memory; ``calls`` are the names of the statements of each call."""

    def __init__(self) -> None:
        self._model = ModelDatabase()
        self.calls: list[tuple[str, ...]] = []
        self.fails_with: DatabaseError | None = None
        for migration in MIGRATIONS:
            for sql in migration.statements:
                self._model.execute(Statement(name="migrate", sql=sql))

    async def execute(self, statement: Statement) -> Result:
        return (await self.run([statement]))[0].unwrap()

    async def run(self, sequence: Sequence[Statement]) -> list[Result]:
        self.calls.append(tuple(statement.name for statement in sequence))
        if self.fails_with is not None:
            raise self.fails_with
        return [self._model.execute(statement) for statement in sequence]

    async def health(self) -> Health:
        return Health(engine="memory", contract="1", capabilities=frozenset(), batch_max=1)

    async def close(self) -> None:
        self._model.close()


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
def memory() -> MemoryDatabase:
    return MemoryDatabase()


@pytest.fixture
def context(
    settings: KernelSettings,
    clock: StandingClock,
    permissions: Permissions,
    memory: MemoryDatabase,
) -> Any:
    return SimpleNamespace(
        settings=settings,
        clock=clock,
        access=Access(verifier=TokenVerifier(settings, clock), database=memory),
        keyring=KeyRing(settings),
        permissions=permissions,
        identifiers=RandomIdentifiers(clock),
        denied=[],
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


@pytest.fixture
def new_app(context: Any) -> Callable[..., FastAPI]:
    """Return an application as the kernel assembles it, of a test's own routers."""

    def assemble(*routers: APIRouter, mappings: Sequence[ErrorMapping] = ()) -> FastAPI:
        app = FastAPI(title="small", version="1", redirect_slashes=False)
        app.state.context = context
        for router in routers:
            app.include_router(router, prefix="/v1")
        problems = ProblemHandlers(mappings)
        problems.install(app)
        install_openapi(app)
        app.add_middleware(DirectRoutes, routes=app, problems=problems)
        install_middleware(
            app,
            context.settings,
            context.identifiers,
            clock=context.clock,
            on_denied=context.denied.append,
            metrics=Metrics(),
        )
        return app

    return assemble


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Return what was logged so far, as JSON lines at the level of everything."""
    written = io.StringIO()
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    configure_logging("DEBUG", sink=written)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    logger.remove()
    logging.basicConfig(handlers=before[0], level=before[1], force=True)
    for name in SILENCED:
        logging.getLogger(name).disabled = False
