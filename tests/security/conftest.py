"""The assembled application, once per module, and the book of all that it executes."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(
    0, str(Path(__file__).parent)
)  # the modules of this folder import one another by name

from fintech_kernel.testing.apps import SETTINGS
from fintech_kernel.web.app import create_app
from statements import StatementBook
from surface import Operation, operations
from world import World, running_world

OPERATIONS = operations(create_app(settings={**SETTINGS, "db_base_url": "http://127.0.0.1:9"}))
"""Of everything that is installed; nothing here starts it, so no database is needed."""

WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})

BOOK = StatementBook()
LAST = "test_statements.py"
"""It judges what all other files had executed."""


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name == LAST)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(
        f"security: {len(OPERATIONS)} operations; {BOOK.count} statements executed,"
        f" {len(BOOK.texts())} distinct"
    )


@pytest.fixture(scope="session")
def book() -> StatementBook:
    return BOOK


@pytest.fixture(scope="session")
def all_operations() -> list[Operation]:
    return OPERATIONS


@pytest.fixture(scope="module")
async def world(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str, book: StatementBook
) -> AsyncIterator[World]:
    async with running_world(tmp_path_factory.mktemp("security"), book) as one:
        yield one
