"""Closed days: by the job of any number of processes, by an operator, and as auditors see them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from fintech_dbclient import HttpDatabase, NotApplied
from fintech_dbclient import OutcomeUnknown as StatementOutcomeUnknown
from fintech_kernel.canonical import sha256_hex
from fintech_kernel.contracts.accounts import bank_account, merchant_account, processor_account
from fintech_kernel.contracts.ledger import Ledger, Posting
from fintech_kernel.domain.actors import PLATFORM, job_actor
from fintech_kernel.domain.execution import OperationState
from fintech_kernel.domain.permissions import AUDITOR, MERCHANT_ADMIN, PLATFORM_OPERATOR
from fintech_kernel.errors import InvalidRequest, OutcomeUnknown
from fintech_kernel.money import Money
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.testing.clocks import START, FrozenClock
from fintech_kernel.testing.database import database_service
from fintech_kernel.testing.faults import Fault, FaultyDatabase, ProcessKilled
from fintech_kernel.web.app import Overrides
from fintech_ledger import plugin
from fintech_ledger.domain.closes import Closes
from fintech_ledger.domain.folding import Folding
from fintech_ledger.domain.folds import period_end

pytestmark = pytest.mark.anyio

DAY_SECONDS = 86_400
MERCHANT = "mer_1"
ACCOUNT = merchant_account(MERCHANT, "KES")
SETTINGS = {"ledger_fold_size": 2, "ledger_close_after_seconds": 900}


@pytest.fixture
def database_url(tmp_path):
    """A database of one test's own: closes are one chain."""
    with database_service(f"sqlite:///{tmp_path}/test.db") as url:
        yield url


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
async def app(anyio_backend, database_url: str, clock: FrozenClock) -> AsyncIterator[RunningApp]:
    async with running_app(
        database_url=database_url,
        plugins=[plugin],
        settings=SETTINGS,
        overrides=Overrides(clock=clock),
    ) as running:
        yield running


async def sell(app: RunningApp, number: int, *, at: int) -> None:
    leg = Posting(
        leg="capture",
        debit_account=processor_account("sandbox", "KES"),
        credit_account=ACCOUNT,
        amount=Money(amount=100, currency="KES"),
        kind="Settled",
        available_on=at,
        subject_id="pay_1",
    )
    (write,) = app.context.services.get(Ledger).postings(
        operation_id=f"op_{number}", merchant_id=MERCHANT, recorded_at=at, legs=[leg]
    )
    await app.context.database.execute(write.statement)


async def get(app: RunningApp, path: str, **params: str) -> Any:
    answer = await app.client.get(f"/v1/ledger/{path}", params=params, headers=app.headers(AUDITOR))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def run_job(app: RunningApp) -> None:
    await app.context.services.get(Closes).run()


async def test_the_job_closes_days_when_their_grace_is_over_and_folds_in_between(app, clock):
    await sell(app, 1, at=START)
    clock.advance(seconds=1)
    await run_job(app)
    first = await get(app, "closes")
    clock.advance(seconds=DAY_SECONDS)
    await sell(app, 2, at=clock.now_milliseconds() - 1)
    await run_job(app)

    closes = (await get(app, "closes"))["data"]

    assert [one["close_id"] for one in first["data"]] == ["2025-10-08"]
    assert [one["close_id"] for one in closes] == ["2025-10-09", "2025-10-08"]
    (kes,) = closes[0]["trial_balance"]
    assert (kes["debits"], kes["credits"], kes["difference"]) == (100, 100, 0)
    assert closes[1]["trial_balance"] == []
    assert (await get(app, f"accounts/{ACCOUNT}"))["balance"] == 200
    assert await get(app, "closes/2025-10-09") == closes[0]


async def test_nothing_behind_midnight_is_folded_before_the_day_is_closed(app, clock):
    clock.advance(seconds=1)
    await run_job(app)
    midnight = period_end("2025-10-09")
    clock.advance(seconds=(midnight - clock.now_milliseconds()) // 1_000 + 60)
    await sell(app, 1, at=midnight - 1)
    await sell(app, 2, at=midnight + 1)

    await run_job(app)
    during = (await app.context.services.get(Folding).last()).cutoff
    clock.advance(seconds=900)
    await run_job(app)

    assert during == midnight
    assert (await get(app, f"accounts/{ACCOUNT}", at="2025-10-09"))["balance"] == 100
    assert (await get(app, f"accounts/{ACCOUNT}"))["balance"] == 200


async def test_after_days_without_a_server_each_day_is_closed(app, clock):
    clock.advance(seconds=1)
    await run_job(app)
    clock.advance(days=4)

    await run_job(app)

    closes = (await get(app, "closes"))["data"]
    assert [one["close_id"] for one in closes] == [f"2025-10-{day:02}" for day in range(12, 7, -1)]


async def test_jobs_of_many_processes_close_a_day_once(app, clock):
    for number in range(7):
        await sell(app, number, at=START)
    clock.advance(days=1)

    await asyncio.gather(*(run_job(app) for _ in range(5)))

    assert [one["close_id"] for one in (await get(app, "closes"))["data"]] == ["2025-10-09"]
    stream = await app.context.journal.stream(PLATFORM, "close_20251009")
    assert [entry.type for entry in stream.entries] == ["ledger.closed"]


async def test_a_close_is_in_the_journal_with_the_hash_of_its_trial_balance(app, clock):
    await sell(app, 1, at=START)
    clock.advance(days=1)
    await run_job(app)

    stream = await app.context.journal.stream(PLATFORM, "close_20251009")
    close = await app.context.services.get(Closes).get("2025-10-09")

    (entry,) = stream.entries
    assert entry.data == {
        "period": "2025-10-09",
        "until": period_end("2025-10-09"),
        "fold": close.fold,
        "totals_hash": sha256_hex(close.totals),
    }
    assert json.loads(close.totals)


async def test_a_period_of_many_days_is_closed_by_its_last(app, clock):
    await sell(app, 1, at=START)
    clock.advance(days=20)
    closes = app.context.services.get(Closes)

    answer = await closes.close("2025-10-20", actor=job_actor("test"))
    again = await closes.close("2025-10-20", actor=job_actor("test"))
    late = await closes.close("2025-10-10", actor=job_actor("test"))

    assert (answer.state, answer.result["period"]) == (OperationState.SUCCEEDED, "2025-10-20")
    assert (again.result, again.replayed) == (answer.result, True)
    assert (late.state, late.result["code"]) == (OperationState.REFUSED, "period_passed")
    found = await get(app, f"accounts/{ACCOUNT}", at="2025-10-10")
    assert (found["balance"], found["at"]) == (100, {"day": "2025-10-10", "is_closed": False})


@pytest.mark.parametrize("period", ["2025-10-09", "2025-13-01", "soon"])
async def test_only_a_day_that_has_ended_can_be_closed(app, period):
    with pytest.raises(InvalidRequest):
        await app.context.services.get(Closes).close(period, actor=job_actor("test"))


async def test_a_balance_of_the_past_says_of_when_it_is(app, clock):
    await sell(app, 1, at=START)
    clock.advance(days=1)
    await run_job(app)

    found = await get(app, f"accounts/{ACCOUNT}", at="2025-10-09")

    assert found["at"] == {"day": "2025-10-09", "is_closed": True}
    assert (found["balance"], found["available"], found["in_settlement"]) == (100, 100, 0)


@pytest.mark.parametrize("at", ["2025-10-09", "2025-02-30", "yesterday", "2025-10-9"])
async def test_a_day_that_has_not_ended_has_no_balance(app, at):
    answer = await app.client.get(
        f"/v1/ledger/accounts/{ACCOUNT}", params={"at": at}, headers=app.headers(AUDITOR)
    )

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_closes_page_by_cursor_and_are_not_everybodys(app, clock):
    clock.advance(days=1)
    await run_job(app)
    clock.advance(days=2)
    await run_job(app)

    first = await get(app, "closes", limit="2")
    rest = await get(app, "closes", limit="2", cursor=first["next_cursor"])

    assert [one["close_id"] for one in first["data"] + rest["data"]] == [
        "2025-10-11",
        "2025-10-10",
        "2025-10-09",
    ]
    for headers in (
        app.headers(PLATFORM_OPERATOR),
        app.headers(MERCHANT_ADMIN, merchant_id=MERCHANT),
    ):
        assert (await app.client.get("/v1/ledger/closes", headers=headers)).status_code == 403
    absent = await app.client.get("/v1/ledger/closes/2025-01-01", headers=app.headers(AUDITOR))
    assert absent.status_code == 404


async def test_past_accounts_of_others_look_absent_to_a_merchant(app, clock):
    await sell(app, 1, at=START)
    clock.advance(days=1)
    await run_job(app)

    async def status(account: str) -> int:
        answer = await app.client.get(
            f"/v1/ledger/accounts/{account}",
            params={"at": "2025-10-09"},
            headers=app.headers(MERCHANT_ADMIN, merchant_id="mer_other"),
        )
        return answer.status_code

    assert await status(ACCOUNT) == 404
    assert await status(bank_account("KES")) == 404


CALLS_MAX = 40


@pytest.mark.parametrize("fault", list(Fault))
async def test_one_fault_at_any_call_of_a_close_closes_the_day_once(
    app, database_url, clock, fault
):
    number = 0
    for at in range(CALLS_MAX):
        for _ in range(3):
            number += 1
            await sell(app, number, at=clock.now_milliseconds())
        clock.advance(days=1)
        calls = await _struck(database_url, clock, at, fault)

        clock.advance(seconds=3_600)
        await app.context.operations.recover()
        await run_job(app)

        (close, *_) = (await get(app, "closes", limit="1"))["data"]
        (kes,) = close["trial_balance"]
        assert close["until"] == clock.now_milliseconds() // 86_400_000 * 86_400_000
        assert kes["debits"] == kes["credits"] == 100 * number
        assert (await get(app, f"accounts/{ACCOUNT}"))["balance"] == 100 * number
        if calls <= at:
            return
    pytest.fail("a close takes more calls than this test covers")


async def _struck(database_url: str, clock: FrozenClock, at: int, fault: Fault) -> int:
    """Run the job of a process of its own whose call ``at`` suffers; return how many it made."""
    async with HttpDatabase(database_url) as real:
        port = FaultyDatabase(real)
        began = 0
        with suppress(OutcomeUnknown, NotApplied, ProcessKilled, StatementOutcomeUnknown):
            async with running_app(
                database_url=database_url,
                plugins=[plugin],
                settings={**SETTINGS, "app_migrate_on_start": False},
                overrides=Overrides(clock=clock, database=port),
            ) as struck:
                began = len(port.calls)
                port._at, port._fault = began + at, fault
                await run_job(struck)
        return len(port.calls) - began
