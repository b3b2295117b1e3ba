"""Fixtures for tests of plugins: ``database_url``, ``frozen_clock``, ``anyio_backend``."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.testing.database import database_service


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests (``@pytest.mark.anyio``) run on asyncio."""
    return "asyncio"


@pytest.fixture(scope="module")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database service of the module's own, on an empty SQLite file."""
    path: Path = tmp_path_factory.mktemp("database") / "test.db"
    with database_service(f"sqlite:///{path}") as url:
        yield url


@pytest.fixture
def frozen_clock() -> FrozenClock:
    """A clock that stands still until it is told to move."""
    return FrozenClock()
