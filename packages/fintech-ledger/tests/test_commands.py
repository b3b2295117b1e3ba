"""``fintech ledger``: as an operator runs it, against a real database service."""

import asyncio
import functools

import pytest
from fintech_dbclient import HttpDatabase, Statement
from fintech_kernel.contracts.accounts import merchant_account, processor_account
from fintech_kernel.contracts.ledger import Posting
from fintech_kernel.money import Money
from fintech_kernel.testing.apps import SETTINGS, running_app
from fintech_kernel.testing.database import database_service
from fintech_ledger import plugin
from fintech_ledger.commands import app, close_app
from fintech_ledger.domain.service import DoubleEntryLedger
from typer.testing import CliRunner

LEG = Posting(
    leg="capture",
    debit_account=processor_account("sandbox", "KES"),
    credit_account=merchant_account("mer_1", "KES"),
    amount=Money(amount=100, currency="KES"),
    kind="Settled",
    available_on=0,
    subject_id="pay_1",
)


@pytest.fixture(scope="module")
def books(database_url: str) -> str:
    """A database with one transfer of long ago."""
    asyncio.run(_fill(database_url))
    return database_url


async def _fill(url: str) -> None:
    async with running_app(database_url=url, plugins=[plugin]) as running:
        (write,) = DoubleEntryLedger(database=running.context.database).postings(
            operation_id="op_1", merchant_id="mer_1", recorded_at=1_000, legs=[LEG]
        )
        await running.context.database.execute(write.statement)


def fintech(*arguments: str, url: str):
    settings = {**SETTINGS, "db_base_url": url, "payments_without_merchants": True}
    return CliRunner().invoke(app, arguments, obj=settings)


def change(url: str, sql: str) -> None:
    async def changed() -> None:
        async with HttpDatabase(url) as database:
            await database.execute(Statement(name="test.change", sql=sql))

    asyncio.run(changed())


def test_a_period_is_closed_and_the_books_are_checked(books):
    closed = fintech("close", "--until", "2020-01-31", url=books)
    again = fintech("close", "--until", "2020-01-31", url=books)
    passed = fintech("close", "--until", "2020-01-01", url=books)
    checked = fintech("check", "--url", books, url=books)

    assert (closed.exit_code, closed.output) == (0, "2020-01-31 is closed by fold 1\n")
    assert again.output == closed.output
    assert passed.exit_code == 1
    assert "cannot be closed any more" in passed.output
    assert checked.exit_code == 0
    assert (
        "checked: 1 transfers, 1 folds, 0 settlement lines, 2 accounts; no difference"
        in checked.output
    )


@pytest.mark.parametrize("day", ["2999-01-01", "2020-02-30", "soon"])
def test_only_a_day_that_has_ended_is_closed(books, day):
    refused = fintech("close", "--until", day, url=books)

    assert refused.exit_code == 1
    assert "is no day that has ended" in refused.output


def test_a_difference_ends_the_check_with_its_name(books):
    hide = functools.partial(change, books)
    hide("UPDATE ledger_transfers SET is_unclaimed = 0")

    found = fintech("check", "--url", books, url=books)
    hide("UPDATE ledger_transfers SET is_unclaimed = 1")

    assert found.exit_code == 1
    assert "the books differ: op_1:capture is hidden from settlements" in found.output


def test_a_database_without_tables_is_said_with_what_to_run(tmp_path):
    with database_service(f"sqlite:///{tmp_path}/empty.db") as empty:
        found = fintech("check", "--url", empty, url=empty)

    assert found.exit_code == 1
    assert "run fintech migrate, then this again" in found.output


def test_a_database_that_does_not_answer_is_said_in_a_line():
    silent = fintech("check", "--url", "http://127.0.0.1:9", url="http://127.0.0.1:9")

    assert silent.exit_code == 1
    assert "the database did not answer" in silent.output


def close_month(*arguments: str, url: str):
    settings = {**SETTINGS, "db_base_url": url, "payments_without_merchants": True}
    return CliRunner().invoke(close_app, arguments, obj=settings)


def test_a_month_is_checked_and_closed(books):
    asyncio.run(_sealed(books))
    ready = close_month("--period", "2024-02", "--check", url=books)
    closed = close_month("--period", "2024-02", url=books)
    again = close_month("--period", "2024-02", url=books)

    assert (ready.exit_code, ready.output.splitlines()[-1]) == (0, "2024-02 can be closed")
    assert (closed.exit_code, "2024-02 is closed by fold" in closed.output) == (0, True)
    assert again.exit_code == 1
    assert "- period_already_closed" in again.output


async def _sealed(url: str) -> None:
    async with running_app(database_url=url, plugins=[plugin]) as running:
        await running.context.sealer.seal()


def test_a_month_is_refused_with_every_reason(books):
    change(
        books,
        "INSERT INTO ledger_transfers (transfer_id, operation_id, merchant_id, debit_account,"
        " credit_account, amount, currency, kind, available_on, subject_id, reference, recorded_at)"
        " VALUES ('x:x', 'x', '', 'suspense:reconciliation:KES', 'assets:bank:KES', 7, 'KES',"
        " 'Adjustment', 0, 'x', '', 0)",
    )
    for arguments in (("--check",), ()):
        refused = close_month("--period", "2024-03", *arguments, url=books)
        assert refused.exit_code == 1
        assert "- suspense_not_zero KES" in refused.output


@pytest.mark.parametrize("month", ["2999-01", "2024-13", "soon"])
def test_only_a_month_that_has_ended_is_closed(books, month):
    refused = close_month("--period", month, url=books)

    assert refused.exit_code == 1
    assert "is no month that has ended" in refused.output
