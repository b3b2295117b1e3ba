"""Months are closed by people, over the close of their last day, and refused with every reason."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence

import pytest
from fintech_dbclient import Statement
from fintech_kernel.contracts.accounts import bank_account, merchant_account, processor_account
from fintech_kernel.contracts.closing import ClosePeriod, Obstacle
from fintech_kernel.contracts.ledger import Ledger, Posting
from fintech_kernel.domain.permissions import AUDITOR, PLATFORM_FINANCE, PLATFORM_OPERATOR
from fintech_kernel.hooks import CloseCheck
from fintech_kernel.money import Money
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.testing.database import database_service
from fintech_kernel.web.app import Overrides
from fintech_ledger import plugin
from fintech_ledger.domain.closes import Closes

pytestmark = pytest.mark.anyio

NOVEMBER = 1_793_491_200_000  # 2026-11-01
DAY_SECONDS = 86_400
DAY = DAY_SECONDS * 1_000
_keys = itertools.count(1)


@pytest.fixture
def database_url(tmp_path):
    """A database of one test's own: periods are one stream."""
    with database_service(f"sqlite:///{tmp_path}/test.db") as url:
        yield url


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOVEMBER)


@pytest.fixture
async def app(anyio_backend, database_url: str, clock: FrozenClock) -> AsyncIterator[RunningApp]:
    async with running_app(
        database_url=database_url,
        plugins=[plugin],
        settings={"ledger_fold_size": 2},
        overrides=Overrides(clock=clock),
    ) as running:
        yield running


async def post(app: RunningApp, operation: str, *, at: int, debit: str = "", kind: str = "Settled"):
    leg = Posting(
        leg="leg",
        debit_account=debit or processor_account("sandbox", "KES"),
        credit_account=bank_account("KES") if debit else merchant_account("mer_1", "KES"),
        amount=Money(amount=100, currency="KES"),
        kind=kind,
        available_on=at,
        subject_id="pay_1",
    )
    (write,) = app.context.services.get(Ledger).postings(
        operation_id=operation, merchant_id="" if debit else "mer_1", recorded_at=at, legs=[leg]
    )
    await app.context.database.execute(write.statement)


async def close(app: RunningApp, period: str, *, role: str = PLATFORM_FINANCE, key: str = ""):
    await app.deliver_events()
    await app.context.sealer.seal()
    return await app.post(
        "/v1/ledger/periods",
        {"period": period},
        key=key or f"key-{next(_keys)}",
        headers=app.headers(role),
    )


async def get(app: RunningApp, path: str):
    return await app.client.get(f"/v1/ledger/{path}", headers=app.headers(AUDITOR))


async def readiness(app: RunningApp, period: str) -> list[str]:
    shown = (await get(app, f"readiness?period={period}")).json()
    assert shown["is_ready"] == (not shown["obstacles"])
    return [one["code"] for one in shown["obstacles"]]


async def test_a_month_is_closed_over_its_last_day_and_shown(app, clock):
    await post(app, "op_1", at=NOVEMBER)
    clock.advance(days=31)
    answer = await close(app, "2026-11")
    assert answer.status_code == 201, answer.text
    shown = answer.json()
    assert (shown["period"], shown["behind_fold"]) == ("2026-11", 0)
    day = (await get(app, "closes/2026-11-30")).json()
    assert (day["fold"], day["until"]) == (shown["fold"], shown["until"])
    assert (await get(app, "periods/2026-11")).json() == shown
    assert (await get(app, "periods")).json() == {"data": [shown], "next_cursor": None}
    assert (await get(app, "periods/2026-10")).status_code == 404


async def test_every_transfer_is_told_by_one_period_also_what_came_late(app, clock):
    """A posting is never refused: what commits behind the close is the next period's, and marked."""
    for number in range(5):
        await post(app, f"op_{number}", at=NOVEMBER + number * DAY)
    clock.advance(days=31)
    november = (await close(app, "2026-11")).json()
    await post(app, "op_late", at=NOVEMBER + 7)
    await post(app, "op_december", at=NOVEMBER + 30 * DAY)
    clock.advance(days=31)
    december = (await close(app, "2026-12")).json()
    assert december["behind_fold"] == november["fold"]
    lines = await app.context.database.execute(
        Statement(
            name="t",
            sql="SELECT entry_key, fold, prior_period FROM ledger_fold_lines WHERE marker = 0",
        )
    )
    told = {
        str(row["entry_key"]): (
            [
                one["period"]
                for one in (november, december)
                if one["behind_fold"] < row["fold"] <= one["fold"]
            ],
            row["prior_period"],
        )
        for row in lines.rows
    }
    assert told == {
        **{f"op_{number}:leg": (["2026-11"], 0) for number in range(5)},
        "op_late:leg": (["2026-12"], 1),
        "op_december:leg": (["2026-12"], 0),
    }


async def test_what_is_in_suspense_stops_a_close_until_it_is_explained(app, clock):
    await post(app, "op_1", at=NOVEMBER, debit="suspense:reconciliation:KES", kind="Adjustment")
    clock.advance(days=30)
    refused = await close(app, "2026-11")
    assert (refused.status_code, refused.json()["code"]) == (409, "period_not_ready")
    (reason,) = refused.json()["facts"]["reasons"]
    assert reason.startswith("suspense_not_zero KES: suspense:reconciliation:KES holds 100")
    assert await readiness(app, "2026-11") == ["suspense_not_zero"]
    leg = Posting(
        leg="leg",
        debit_account=bank_account("KES"),
        credit_account="suspense:reconciliation:KES",
        amount=Money(amount=100, currency="KES"),
        kind="Adjustment",
        available_on=0,
        subject_id="x",
    )
    (write,) = app.context.services.get(Ledger).postings(
        operation_id="op_2", merchant_id="", recorded_at=clock.now_milliseconds(), legs=[leg]
    )
    await app.context.database.execute(write.statement)
    assert await readiness(app, "2026-11") == []
    assert (await close(app, "2026-11")).status_code == 201


async def test_a_refusal_stays_the_answer_to_its_key(app, clock):
    await post(app, "op_1", at=NOVEMBER, debit="suspense:reconciliation:KES", kind="Adjustment")
    clock.advance(days=30)
    first = await close(app, "2026-11", key="same")
    again = await close(app, "2026-11", key="same")
    assert again.json()["facts"] == first.json()["facts"]
    assert again.headers["Idempotent-Replayed"] == "true"


async def test_every_plugins_reasons_are_told_at_once(app, clock, monkeypatch):
    async def finds(period: ClosePeriod) -> Sequence[Obstacle]:
        return [Obstacle(code="open_thing", subject=period.name, detail="end it")]

    async def raises(_period: ClosePeriod) -> Sequence[Obstacle]:
        raise RuntimeError

    app.context.close_checks.use(
        [CloseCheck(name="a.finds", check=finds), CloseCheck(name="b.raises", check=raises)]
    )
    clock.advance(days=30)
    refused = (await close(app, "2026-11")).json()
    assert [one.partition(":")[0] for one in refused["facts"]["reasons"]] == [
        "open_thing 2026-11",
        "check_failed b.raises",
    ]


async def test_a_log_that_does_not_verify_stops_a_close(app, clock):
    await app.context.services.get(Closes).run()
    await app.context.sealer.seal()
    await app.context.database.execute(
        Statement(name="t", sql="UPDATE journal SET actor = '{}' WHERE seq = 1")
    )
    clock.advance(days=30)
    refused = (await close(app, "2026-11")).json()
    assert refused["code"] == "period_not_ready"
    assert any(one.startswith("audit_broken") for one in refused["facts"]["reasons"])


async def test_a_month_is_closed_once_and_in_order(app, clock):
    clock.advance(days=62)
    both = await asyncio.gather(close(app, "2026-12"), close(app, "2026-12"))
    assert sorted(one.status_code for one in both) == [201, 409]
    again, earlier = await close(app, "2026-12"), await close(app, "2026-11")
    assert (again.status_code, again.json()["code"]) == (409, "period_already_closed")
    assert (earlier.status_code, earlier.json()["code"]) in {
        (409, "period_out_of_order"),
        (409, "period_passed"),
    }
    assert len((await get(app, "periods")).json()["data"]) == 1


@pytest.mark.parametrize(
    "period", ["2026-13", "2026-11", "9999-12", "2026-1", "2026-11-30", 202611]
)
async def test_only_a_month_that_has_ended_is_closed(app, period):
    answer = await app.post(
        "/v1/ledger/periods", {"period": period}, key="k", headers=app.headers(PLATFORM_FINANCE)
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_only_finance_closes(app):
    for role in (AUDITOR, PLATFORM_OPERATOR):
        assert (await close(app, "2026-11", role=role)).status_code == 403


async def test_periods_are_listed_in_pages(app, clock):
    for name in ("2026-11", "2026-12", "2027-01"):
        clock.advance(days=31)
        clock.advance(seconds=DAY_SECONDS)
        assert (await close(app, name)).status_code == 201
    first = (await get(app, "periods?limit=2")).json()
    rest = (await get(app, f"periods?limit=2&cursor={first['next_cursor']}")).json()
    assert [one["period"] for one in (*first["data"], *rest["data"])] == [
        *("2027-01", "2026-12", "2026-11")
    ]
    assert rest["next_cursor"] is None
