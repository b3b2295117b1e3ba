"""What the whole suite has executed: one statement a text, known tables, and always whose rows.

The fixture ``judged`` holds every process to these rules at its end; here are what servers' jobs execute by
themselves, and that the rules have teeth.
"""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from fintech_dbclient import Statement
from fintech_kernel.context import AppContext
from fintech_kernel.host import PluginHost
from statements import PLATFORM_WIDE, SCOPED_KEYS, Executed, StatementBook, Tables, faults

PACKAGES = Path(__file__).parents[2] / "packages"

pytestmark = pytest.mark.anyio


async def test_every_statement_keeps_the_rules(world, book: StatementBook, tables: Tables):
    for job in _jobs(world.app.context):
        await job()
    found = book.faults(tables)
    if found:
        pytest.fail("\n".join(found))


def _jobs(context: AppContext) -> Iterator[Callable[[], Awaitable[object]]]:
    """Yield what runs by itself in a server: it executes statements, too."""
    yield context.operations.recover
    yield context.sealer.seal
    yield from (job.run for job in context.events.jobs())
    yield from (job.run for job in PluginHost.installed().jobs(context))


def test_the_written_lists_name_what_there_is(tables: Tables):
    sources = "".join(file.read_text() for file in PACKAGES.glob("*/src/*/infrastructure/*.py"))
    assert set(SCOPED_KEYS) - tables.of_merchants == set()
    assert [name for name in PLATFORM_WIDE if f'"{name}"' not in sources] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT data FROM payments_payments WHERE status = ?", "without its merchant"),
        ("SELECT data FROM payments_payments WHERE payment_id = ?", "without its merchant"),
        ("SELECT data FROM payments_payments", "without its merchant"),
        (
            "SELECT data FROM payments_payments WHERE merchant_id = ? OR payment_id = ?",
            "without its merchant",
        ),
        (
            "SELECT data FROM payments_payments WHERE merchant_id = merchant_id",
            "without its merchant",
        ),
        ("SELECT data FROM payments_payments WHERE merchant_id <> ?", "without its merchant"),
        ("UPDATE payments_payments SET data = ? WHERE payment_id = ?", "without its merchant"),
        ("UPDATE journal SET dispatched = 1", "without its merchant"),
        ("SELECT data FROM journal WHERE step_key >= ?", "without its merchant"),
        ("SELECT data FROM journal WHERE step_key < ?", "without its merchant"),
        (
            "SELECT data FROM payments_payments WHERE COALESCE(merchant_id, ?) = merchant_id",
            "without its merchant",
        ),
        ("SELECT sql FROM sqlite_master WHERE merchant_id = ?", "no table of ours"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("SELECT handler FROM handlers; DROP TABLE handlers", "2 statements"),
    ],
)
def test_the_rules_have_teeth(tables: Tables, text: str, said: str):
    found = list(faults(Executed("some.name", text, by_merchant=True), tables))
    assert found
    assert all(said in fault for fault in found)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT data FROM payments_payments WHERE merchant_id = ? AND payment_id < ?",
        "SELECT data FROM payments_payments WHERE COALESCE(merchant_id, '') = ?",
        "SELECT data FROM journal WHERE stream_id = ?",
        "SELECT data FROM journal WHERE step_key >= ? AND step_key < ?",
        "UPDATE journal SET dispatched = 1 WHERE entry_id IN (?, ?)",
        "INSERT INTO journal (entry_id, seq) VALUES (?, ?), (?, ?)",
        "SELECT handler FROM handlers",
    ],
)
def test_the_rules_let_scoped_statements_pass(tables: Tables, text: str):
    assert list(faults(Executed("some.name", text, by_merchant=True), tables)) == []


def test_a_statement_across_merchants_is_refused_to_a_merchants_principal(tables: Tables):
    name = next(iter(PLATFORM_WIDE))
    text = "SELECT data FROM payments_payments"
    assert list(faults(Executed(name, text, by_merchant=False), tables)) == []
    assert list(faults(Executed(name, text, by_merchant=True), tables)) != []


def test_a_migration_may_change_everybodys_rows(tables: Tables):
    text = "UPDATE payments_payments SET data = ?"
    assert list(faults(Executed("fintech-payments.migration_5", text, False), tables)) == []
    assert list(faults(Executed("payments.migration", text, False), tables)) != []


def test_a_book_keeps_texts_and_no_parameters():
    book = StatementBook()
    book.note([Statement(name="one", sql="SELECT 1 WHERE 1 = ?", params=("secret",))])
    assert book.texts() == {"SELECT 1 WHERE 1 = ?"}
    assert "secret" not in repr(book)
