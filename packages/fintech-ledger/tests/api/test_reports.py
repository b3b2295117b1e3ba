"""Daily reports: every transfer on one day, closed days as their close has them, both forms alike."""

import csv
import io
import itertools
import re
import sqlite3
from collections.abc import AsyncIterator

import pytest
from fintech_kernel.contracts.accounts import bank_account, merchant_account, processor_account
from fintech_kernel.contracts.ledger import Ledger, Posting
from fintech_kernel.domain.permissions import AUDITOR, MERCHANT_VIEWER, PLATFORM_OPERATOR
from fintech_kernel.money import Money
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.testing.database import database_service
from fintech_kernel.web.app import Overrides
from fintech_ledger import plugin
from fintech_ledger.domain.closes import Closes
from fintech_ledger.infrastructure import report_queries
from fintech_ledger.infrastructure.tables import MIGRATIONS

pytestmark = pytest.mark.anyio

START = 1_793_491_200_000  # 2026-11-01
DAY = 86_400_000
ALL = "first_day=2026-11-01&last_day=2026-11-05"
_operations = itertools.count(1)


@pytest.fixture
def database_url(tmp_path):
    """A database of one test's own: closes are one chain."""
    with database_service(f"sqlite:///{tmp_path}/test.db") as url:
        yield url


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(START)


@pytest.fixture
async def app(anyio_backend, database_url: str, clock: FrozenClock) -> AsyncIterator[RunningApp]:
    async with running_app(
        database_url=database_url,
        plugins=[plugin],
        settings={"ledger_fold_size": 3, "ledger_close_after_seconds": 0},
        overrides=Overrides(clock=clock),
    ) as running:
        yield running


async def move(
    app: RunningApp, kind: str, amount: int, *, at: int, who: str = "mer_1", currency: str = "KES"
) -> None:
    """Move an amount to a merchant, or from it where it is negative."""
    account = merchant_account(who, currency)
    other = (
        bank_account(currency) if kind == "Adjustment" else processor_account("sandbox", currency)
    )
    leg = Posting(
        leg="leg",
        debit_account=other if amount > 0 else account,
        credit_account=account if amount > 0 else other,
        amount=Money(amount=abs(amount), currency=currency),
        kind=kind,
        available_on=at,
        subject_id="pay_1",
    )
    (write,) = app.context.services.get(Ledger).postings(
        operation_id=f"op_{next(_operations)}", merchant_id=who, recorded_at=at, legs=[leg]
    )
    await app.context.database.execute(write.statement)


async def report(app: RunningApp, path: str, *, status: int = 200, role: str = AUDITOR, **who: str):
    answer = await app.client.get(f"/v1/ledger/reports/{path}", headers=app.headers(role, **who))
    assert answer.status_code == status, answer.text
    return answer


async def rows(app: RunningApp, path: str) -> dict[tuple[str, str], dict]:
    found = (await report(app, path)).json()["data"]
    return {(one["day"], one["currency"]): one for one in found}


async def november(app: RunningApp, clock: FrozenClock) -> None:
    """Five days of two merchants; each of the first four is closed, and something comes late."""
    closes = app.context.services.get(Closes)
    clock.advance(seconds=1)
    await closes.run()
    for day in range(5):
        at = START + day * DAY + 3_600_000 * (3 + day)
        await move(app, "Settled", 1_000 + day, at=at)
        await move(app, "Fee", -35, at=at)
        await move(app, "Settled", 500, at=at, who="mer_2")
        await move(app, "Settled", 70, at=at, currency="USD")
        if day == 2:
            await move(app, "Refunded", -400, at=at)
            await move(app, "FeeRefund", 12, at=at)
            await move(app, "Adjustment", -5, at=at)
            await move(app, "Settled", 9, at=START + 5)
        if day < 4:
            clock.advance(days=1)
            await closes.run()


async def test_a_merchants_days_say_what_moved_and_what_is_owed(app, clock):
    await november(app, clock)
    found = await rows(app, f"merchant-daily?{ALL}&merchant_id=mer_1")
    assert found[("2026-11-01", "KES")] == {
        "day": "2026-11-01",
        "currency": "KES",
        "is_closed": True,
        "sales": 1,
        "volume": 1_000,
        "refund_count": 0,
        "refunds": 0,
        "fees": 35,
        "fees_returned": 0,
        "other": 0,
        "balance": 965,
    }
    third = found[("2026-11-03", "KES")]
    assert (third["sales"], third["volume"]) == (2, 1_011)
    assert (third["refunds"], third["fees_returned"], third["other"]) == (400, 12, -5)
    assert found[("2026-11-05", "KES")]["balance"] is None
    assert found[("2026-11-05", "USD")]["volume"] == 70


@pytest.mark.parametrize(
    "path", [f"merchant-daily?{ALL}&merchant_id=mer_1", f"platform-daily?{ALL}"]
)
async def test_movements_of_closed_days_are_the_differences_of_their_balances(app, clock, path):
    await november(app, clock)
    found = await rows(app, path)
    balances = {"KES": 0, "USD": 0}
    for (day, currency), one in sorted(found.items()):
        moved = one["volume"] - one["refunds"] - one["fees"] + one["fees_returned"] + one["other"]
        balances[currency] += moved
        if day < "2026-11-05":
            assert one["balance"] == balances[currency], (day, currency)


async def test_every_transfer_is_told_on_one_day_whatever_is_folded_yet(app, clock):
    """What is late is told where its fold is, or will be; a closed day never changes."""
    await november(app, clock)
    before = await rows(app, f"platform-daily?{ALL}")
    await move(app, "Settled", 10_000, at=START + 7)
    waiting = await rows(app, f"platform-daily?{ALL}")
    await app.context.services.get(Closes).run()
    folded = await rows(app, f"platform-daily?{ALL}")
    clock.advance(days=1)
    await app.context.services.get(Closes).run()
    closed = await rows(app, f"platform-daily?{ALL}")
    last = ("2026-11-05", "KES")
    for found in (waiting, folded, closed):
        assert {key: one for key, one in found.items() if key[0] < last[0]} == {
            key: one for key, one in before.items() if key[0] < last[0]
        }
        assert found[last]["volume"] == before[last]["volume"] + 10_000
    assert closed[last]["is_closed"]


async def test_a_day_that_was_passed_over_is_told_without_a_balance(app, clock):
    closes = app.context.services.get(Closes)
    for day in range(3):
        await move(app, "Settled", 100 + day, at=START + day * DAY + 1)
    clock.advance(days=3)
    await closes.run()
    found = await rows(
        app, "merchant-daily?first_day=2026-11-01&last_day=2026-11-03&merchant_id=mer_1"
    )
    assert [(one["volume"], one["balance"]) for _, one in sorted(found.items())] == [
        *((100, None), (101, None), (102, 303))
    ]


async def test_csv_says_the_same_as_json(app, clock):
    await november(app, clock)
    path = f"merchant-daily?{ALL}&merchant_id=mer_1"
    told = (await report(app, path)).json()["data"]
    answer = await report(app, f"{path}&format=csv")
    assert answer.headers["content-type"].startswith("text/csv")
    read = list(csv.DictReader(io.StringIO(answer.text)))
    shown = [
        {name: "" if value is None else str(value) for name, value in one.items()} for one in told
    ]
    assert [{**one, "is_closed": one["is_closed"].title()} for one in read] == shown


async def test_a_merchant_sees_its_own_report_and_no_others(app, clock):
    await november(app, clock)
    mine = await report(app, f"merchant-daily?{ALL}", role=MERCHANT_VIEWER, merchant_id="mer_2")
    assert {one["volume"] for one in mine.json()["data"]} == {0, 500} - {0}
    path = f"merchant-daily?{ALL}&merchant_id=mer_1"
    await report(app, path, status=404, role=MERCHANT_VIEWER, merchant_id="mer_2")
    path = f"platform-daily?{ALL}"
    await report(app, path, status=403, role=MERCHANT_VIEWER, merchant_id="mer_2")
    await report(app, path, status=403, role=PLATFORM_OPERATOR)
    await report(app, f"merchant-daily?{ALL}", status=422)


async def test_an_empty_report_is_whole(app):
    assert (
        await report(app, "platform-daily?first_day=2026-11-01&last_day=2026-11-01")
    ).json() == {"data": []}


@pytest.mark.parametrize(
    "days",
    [
        ("2026-11-02", "2026-11-01"),
        ("2026-07-01", "2026-11-01"),
        ("2026-11-31", "2026-11-31"),
        ("2026-11-01", "2026-11-02"),
        ("9999-12-31", "9999-12-31"),
        ("x", "2026-11-01"),
    ],
)
async def test_days_that_are_none_or_too_many_are_refused(app, days):
    await report(app, f"platform-daily?first_day={days[0]}&last_day={days[1]}", status=422)


def test_no_statement_of_a_report_walks_history():
    """Each way into transfers leads to a part of a day, or to what is late or open."""
    engine = sqlite3.connect(":memory:")
    for migration in MIGRATIONS:
        for sql in migration.statements:
            engine.execute(sql)
    accounts = ("a", "b")
    for merchant_id in (None, "m"):
        statements = [
            report_queries.recorded_within(
                accounts=accounts, begin=1, end=2, fold=fold, merchant_id=merchant_id
            )
            for fold in (None, 3)
        ]
        statements.append(
            report_queries.told_late(accounts=accounts, behind=1, fold=2, merchant_id=merchant_id)
        )
        statements.append(
            report_queries.untold(accounts=accounts, closed_until=1, merchant_id=merchant_id)
        )
        for statement in statements:
            plan = [
                row[3]
                for row in engine.execute(f"EXPLAIN QUERY PLAN {statement.sql}", statement.params)
            ]
            ways = [step for step in plan if re.match(r"(SEARCH|SCAN) [tl]\b", step)]
            assert ways
            assert [step for step in ways if not BOUNDED.match(step)] == []


BOUNDED = re.compile(
    r"SEARCH (t USING INDEX ledger_transfers_(recorded|merchant) \((merchant_id=\? AND )?recorded_at>"
    r"|t USING INDEX ledger_transfers_unfolded \(is_unfolded=\?"
    r"|t USING INDEX sqlite_autoindex_ledger_transfers_1 \(transfer_id=\?"
    r"|l USING (COVERING )?INDEX ledger_fold_lines_prior \(prior_period=\? AND fold>"
    r"|l USING (COVERING )?INDEX sqlite_autoindex_ledger_fold_lines_1 \(entry_key=\?)"
)
