"""Runs over every merchant that is due."""

import asyncio

import pytest
from fintech_kernel.contracts.merchants import (
    MerchantStatus,
    SettlementInterval,
    SettlementSchedule,
    Weekday,
)
from fintech_settlements.domain.runs import Runs, Verdict

pytestmark = pytest.mark.anyio

DAY = 86_400
FRIDAYS = SettlementSchedule(interval=SettlementInterval.WEEKLY, weekday=Weekday.FRIDAY)


@pytest.fixture
async def morning(world):
    """A world in the morning after its merchants earned something: Friday, 2025-10-10."""
    world.merchants = [world.merchant_id, world.new_merchant(), world.new_merchant()]
    for number, merchant_id in enumerate(world.merchants):
        await world.owe(1_000, 500 + number, merchant_id=merchant_id)
    world.clock.advance(seconds=DAY)
    return world


def runs(world) -> Runs:
    return world.app.context.services.get(Runs)


async def run(world, **values):
    """Run as of now; return what became of this world's accounts (the database holds others', too)."""
    told = {}
    await runs(world).run(
        at=world.clock.now_milliseconds(),
        started_by="command:ann",
        on_account=lambda account: told.update({account.merchant_id: account}),
        **values,
    )
    return {one: told.get(one) for one in world.merchants}


async def settlements_of(world, merchant_id):
    listed = await world.get(f"?merchant_id={merchant_id}")
    return listed.json()["data"]


async def test_every_merchant_that_is_due_gets_one_settlement_up_to_midnight(morning):
    await morning.owe(7, merchant_id=morning.merchants[0])  # earned today: the next day's
    done = await run(morning)
    assert {account.verdict for account in done.values()} == {Verdict.OPENED}
    assert [account.total for account in done.values()] == [1_500, 1_501, 1_502]
    for merchant_id in morning.merchants:
        (settlement,) = await settlements_of(morning, merchant_id)
        assert (settlement["opened_by"], settlement["line_count"]) == ("command:ann", 2)
        assert settlement["cutoff"] == 1_760_054_400_000  # 2025-10-10T00:00:00Z


async def test_a_run_that_is_started_again_settles_nothing_twice(morning):
    first = await run(morning)
    await morning.owe(9, merchant_id=morning.merchants[0])
    again = await run(morning)
    assert again[morning.merchants[1]] is None  # nothing is due at all
    assert again[morning.merchants[0]].verdict is Verdict.NOT_DUE
    for merchant_id in morning.merchants:
        (settlement,) = await settlements_of(morning, merchant_id)
        assert settlement["settlement_id"] == first[merchant_id].settlement_id


async def test_two_operators_and_the_job_at_once_end_in_one_set_of_settlements(morning):
    await asyncio.gather(run(morning), run(morning), morning.run_job("run"))
    await run(morning)
    for number, merchant_id in enumerate(morning.merchants):
        (settlement,) = await settlements_of(morning, merchant_id)
        assert settlement["total"] == 1_500 + number


async def test_what_commits_behind_its_day_waits_for_the_next(morning):
    merchant_id = morning.merchants[0]
    await run(morning)
    morning.clock.advance(seconds=-DAY)
    await morning.owe(40, merchant_id=merchant_id)  # available yesterday, committed today
    morning.clock.advance(seconds=DAY)
    again = await run(morning)
    assert again[merchant_id].verdict is Verdict.SETTLED_BEFORE
    morning.clock.advance(seconds=DAY)
    following = await run(morning)
    assert (following[merchant_id].verdict, following[merchant_id].total) == ("opened", 40)


async def test_a_weekly_merchant_waits_for_its_day(morning):
    merchant_id = morning.merchants[0]
    morning.merchant_id = merchant_id
    morning.change_merchant(
        settlement_schedule=SettlementSchedule(
            interval=SettlementInterval.WEEKLY, weekday=Weekday.SATURDAY
        )
    )
    assert (await run(morning))[merchant_id].verdict is Verdict.NOT_DUE
    morning.change_merchant(settlement_schedule=FRIDAYS)
    assert (await run(morning))[merchant_id].verdict is Verdict.OPENED


@pytest.mark.parametrize("status", [MerchantStatus.PENDING, MerchantStatus.SUSPENDED])
async def test_a_held_merchant_is_left_out_and_settled_once_it_is_active(morning, status):
    merchant_id = morning.merchant_id
    morning.change_merchant(status=status)
    assert (await run(morning))[merchant_id].verdict is Verdict.HELD
    morning.change_merchant(status=MerchantStatus.ACTIVE)
    assert (await run(morning))[merchant_id].verdict is Verdict.OPENED


async def test_a_lone_carry_over_is_not_settled_day_after_day(morning):
    merchant_id = morning.merchant_id
    morning.change_merchant(settlement_minimum=10_000)
    assert (await run(morning))[merchant_id].total == 1_500
    for _ in range(2):
        morning.clock.advance(seconds=DAY)
        assert (await run(morning))[merchant_id] is None
    (settlement,) = await settlements_of(morning, merchant_id)
    assert settlement["close_reason"] == "carried_forward"


async def test_a_dry_run_tells_what_would_be_settled_and_writes_nothing(morning):
    wanted = dict.fromkeys(morning.merchants)
    after = ""
    while True:
        page = (await morning.get(f"/runs/due?limit=2{after}")).json()
        wanted.update(
            {row["merchant_id"]: row for row in page["data"] if row["merchant_id"] in wanted}
        )
        if page["next_cursor"] is None:
            break
        after = f"&cursor={page['next_cursor']}"
    assert [row["total"] for row in wanted.values()] == [1_500, 1_501, 1_502]
    assert {row["verdict"] for row in wanted.values()} == {"due"}
    for merchant_id in morning.merchants:
        assert await settlements_of(morning, merchant_id) == []


async def test_a_run_that_is_asked_for_is_recorded_at_once_and_done_by_the_job(morning):
    asked = await morning.post("/runs", {}, by="ann", key=f"run-{morning.merchant_id}")
    body = asked.json()
    assert (asked.status_code, body["status"], body["requested_by"]) == (202, "requested", "ann")
    repeated = await morning.post("/runs", {}, by="ann", key=f"run-{morning.merchant_id}")
    assert repeated.json() == body
    await asyncio.gather(morning.run_job("run"), morning.run_job("run"))
    done = (await morning.get(f"/runs/{body['run_id']}")).json()
    assert done["status"] == "finished"
    for merchant_id in morning.merchants:
        assert len(await settlements_of(morning, merchant_id)) == 1


async def test_runs_are_listed_newest_first_in_pages(morning):
    keys = [f"list-{morning.merchant_id}-{number}" for number in range(3)]
    made = [(await morning.post("/runs", {}, key=key)).json()["run_id"] for key in keys]

    listed: list[str] = []
    after = ""
    while after is not None:
        page = (await morning.get(f"/runs?limit=2{after and f'&cursor={after}'}")).json()
        listed += [one["run_id"] for one in page["data"]]
        after = page["next_cursor"]

    assert set(made) <= set(listed)
    assert listed == sorted(listed, reverse=True)


async def test_a_run_of_the_future_is_refused(morning):
    refused = await morning.post("/runs", {"cutoff": "2999-01-01T00:00:00Z"})
    assert (refused.status_code, refused.json()["code"]) == (422, "cutoff_in_future")


async def test_a_run_that_nobody_asked_for_is_absent(morning):
    absent = await morning.get("/runs/run_7zzzzzzzzzabsentzzzzzzzzzz")
    assert absent.status_code == 404
