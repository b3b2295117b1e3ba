"""The assembled application, once per module, and the book of all that it executes."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(
    0, str(Path(__file__).parent)
)  # the modules of this folder import one another by name

from fintech_kernel.host import PluginHost
from fintech_kernel.testing.apps import SETTINGS
from fintech_kernel.web.app import create_app, migrations
from statements import StatementBook, Tables
from surface import Operation, operations
from world import World, running_world

OPERATIONS = operations(create_app(settings={**SETTINGS, "db_base_url": "http://127.0.0.1:9"}))
"""Of everything that is installed; nothing here starts it, so no database is needed."""

WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})

BOOK = StatementBook()
"""Of this process: each worker has its own, and judges it."""

TOLD: list[tuple[int, list[str]]] = []
"""How many statements each worker executed, and their texts."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name, wanted in {
        "operation": OPERATIONS,
        "guarded_operation": [one for one in OPERATIONS if one.permissions],
        "writing_operation": [one for one in OPERATIONS if one.method in WRITING and one.is_strict],
        "operation_with_body": [
            one for one in OPERATIONS if one.body is not None and one.is_strict
        ],
    }.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, wanted, ids=[one.label for one in wanted])


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["book"] = (BOOK.count, [*BOOK.texts()])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker had executed into the summary; a worker that crashed says nothing."""
    count, texts = getattr(node, "workeroutput", {}).get("book", (0, []))
    TOLD.append((count, texts))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    books = [(BOOK.count, BOOK.texts()), *TOLD]
    terminalreporter.write_line(
        f"security: {len(OPERATIONS)} operations; {sum(count for count, _ in books)} statements executed,"
        f" {len({text for _, texts in books for text in texts})} distinct"
    )


@pytest.fixture(scope="session")
def book() -> StatementBook:
    return BOOK


@pytest.fixture(scope="session")
def tables() -> Tables:
    return Tables.of(
        [
            text
            for one in migrations(PluginHost.installed())
            for migration in one.migrations
            for text in migration.statements
        ]
    )


@pytest.fixture(scope="session", autouse=True)
def judged(book: StatementBook, tables: Tables) -> Iterator[None]:
    """Judge, at the end, every statement that these tests had executed."""
    yield
    found = book.faults(tables)
    if found:
        pytest.fail("\n".join(found))


@pytest.fixture(scope="session")
def all_operations() -> list[Operation]:
    return OPERATIONS


@pytest.fixture(scope="module")
async def world(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str, book: StatementBook
) -> AsyncIterator[World]:
    async with running_world(tmp_path_factory.mktemp("security"), book) as one:
        yield one
