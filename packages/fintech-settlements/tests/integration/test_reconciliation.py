"""The bank's lines meet payouts: once, whoever brings them; differences stand in suspense until explained."""

import asyncio
import itertools
import json

import pytest
from fintech_kernel.contracts.closing import ClosePeriod
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.permissions import AUDITOR, PLATFORM_OPERATOR
from fintech_settlements.domain.bank_lines import BankLine
from fintech_settlements.domain.close_check import SettlementsCheck
from fintech_settlements.domain.reconciling import Reconciling

pytestmark = pytest.mark.anyio

_ids = itertools.count(1)
SUSPENSE, BANK, FEES = "suspense:reconciliation:KES", "assets:bank:KES", "income:fees:KES"


async def paid(world, *amounts: int) -> dict:
    """Return a settlement that the rail paid, and that the bank is expected to tell of."""
    settlement = await world.approved(*amounts)
    answer = await world.post(f"/{settlement['settlement_id']}/pay", {}, by="ben")
    assert answer.json()["status"] == "paid", answer.text
    await world.app.deliver_events()
    return answer.json()


def bank_line(amount: int, reference: str, **changes) -> dict:
    return {
        "bank_id": f"FT{next(_ids)}",
        "booked_on": "2025-10-10",
        "amount": amount,
        "currency": "KES",
        "reference": reference,
        **changes,
    }


async def imported(world, *lines: dict, by: str = "ann", key: str = "") -> list[dict]:
    answer = await world.post(
        "/reconciliations/lines", {"bank_account": "main", "lines": list(lines)}, by=by, key=key
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["lines"]


async def shown(world, settlement: dict) -> dict:
    suffix = settlement["settlement_id"].partition("_")[2]
    return (await world.get(f"/reconciliations/rec_{suffix}")).json()


async def lines_recorded(world) -> int:
    found = await world.books.rows(
        "SELECT COUNT(*) AS n FROM journal WHERE type = 'reconciliation.line_recorded'"
    )
    return found[0]["n"]


async def moved(world, before: dict[str, int]) -> dict[str, int]:
    """Return what accounts lost (debits less credits) since a look."""
    now = await balances(world)
    return {name: now[name] - before[name] for name in now if now[name] != before[name]}


async def balances(world) -> dict[str, int]:
    return {name: -await world.books.balance(name) for name in (SUSPENSE, BANK, FEES)}


async def test_a_payout_is_expected_and_its_line_matches_it_to_the_cent(world):
    settlement = await paid(world, 10_000, -300)
    before = await balances(world)
    waiting = await shown(world, settlement)
    assert (waiting["status"], waiting["expected"], waiting["line_count"]) == ("expected", 9_700, 0)
    (told,) = await imported(world, bank_line(-9_700, f"/PAYOUT/{settlement['batch_number']}"))
    assert (told["status"], told["why"], told["is_other"]) == ("matched", None, False)
    assert (await shown(world, settlement))["status"] == "matched"
    assert await moved(world, before) == {}


async def test_an_import_that_is_repeated_or_races_changes_nothing(world):
    settlement = await paid(world, 10_000)
    before = await balances(world)
    lines = [bank_line(-10_500, settlement["batch_number"]), bank_line(-70, "card fees")]
    first = await imported(world, *lines)
    recorded = await lines_recorded(world)
    again = await imported(world, *lines, by="cleo")
    rest = await asyncio.gather(*(imported(world, *lines, by=f"u{one}") for one in range(4)))
    assert [again, *rest] == [first] * 5
    assert await lines_recorded(world) == recorded
    assert await moved(world, before) == {SUSPENSE: 570, BANK: -570}


async def test_many_who_import_a_new_line_at_once_record_it_once(world):
    settlement = await paid(world, 10_000)
    line = bank_line(-10_000, settlement["batch_number"])
    told = await asyncio.gather(*(imported(world, line, by=f"u{one}") for one in range(6)))
    assert {one["status"] for (one,) in told} == {"matched"}
    assert (await shown(world, settlement))["line_count"] == 1


async def test_a_line_that_comes_before_our_own_news_waits_in_suspense_and_then_matches(world):
    settlement = await world.approved(10_000)
    before = await balances(world)
    (told,) = await imported(world, bank_line(-10_000, settlement["batch_number"]))
    assert told["status"] == "over"
    assert await moved(world, before) == {SUSPENSE: 10_000, BANK: -10_000}
    await world.post(f"/{settlement['settlement_id']}/pay", {}, by="ben")
    await world.app.deliver_events()
    assert (await shown(world, settlement))["status"] == "matched"
    assert await moved(world, before) == {BANK: -10_000}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"reference": "salary"}, "no_batch_number"),
        ({"reference": "STL01K9QQ3V5KF7WSC0D3JZ8Y2M4T"}, "no_such_batch"),
        ({"currency": "USD"}, "other_currency"),
        ({"booked_on": "2025-10-07"}, "before_the_settlement"),
    ],
    ids=str,
)
async def test_a_line_that_can_be_no_payout_of_ours_is_unknown_and_says_why(world, changes, why):
    settlement = await paid(world, 10_000)
    line = {**bank_line(-10_000, settlement["batch_number"]), **changes}
    (told,) = await imported(world, line)
    assert (told["status"], told["why"]) == ("unknown", why)
    found = (await world.get(f"/reconciliations/{told['reconciliation_id']}")).json()
    assert (found["in_suspense"], found["settlement_id"]) == (10_000, None)
    assert (await shown(world, settlement))["status"] == "expected"


async def test_a_difference_is_resolved_by_two_people_with_a_reason(world):
    settlement = await paid(world, 10_000)
    before = await balances(world)
    (told,) = await imported(world, bank_line(-10_300, settlement["batch_number"]))
    path = f"/reconciliations/{told['reconciliation_id']}"
    lacking = await world.post(f"{path}/resolve", {"account": FEES})
    assert lacking.status_code == 422
    nowhere = await world.post(f"{path}/resolve", {"reason": "bank fee"})
    assert (nowhere.status_code, nowhere.json()["code"]) == (422, "resolution_account_required")
    proposed = await world.post(f"{path}/resolve", {"reason": "bank fee", "account": FEES})
    assert proposed.json()["proposal"]["amount"] == 300
    alone = await world.post(f"{path}/approve", {})
    assert (alone.status_code, alone.json()["code"]) == (403, "resolution_same_person")
    assert await moved(world, before) == {SUSPENSE: 300, BANK: -300}
    done = (await world.post(f"{path}/approve", {}, by="ben")).json()
    assert (done["status"], done["in_suspense"], done["reason"]) == ("resolved", 0, "bank fee")
    assert await moved(world, before) == {FEES: 300, BANK: -300}
    again = await world.post(f"{path}/approve", {}, by="cleo")
    assert (again.status_code, again.json()["code"]) == (409, "resolution_not_proposed")


async def test_a_stray_credit_is_given_to_its_merchant_or_to_nobody_unknown(world):
    (told,) = await imported(world, bank_line(5_000, "returned by mistake"))
    path = f"/reconciliations/{told['reconciliation_id']}"
    reason = {"reason": "their money"}
    absent = await world.post(
        f"{path}/resolve", {**reason, "account": "liabilities:merchant:mer_none:KES"}
    )
    assert absent.status_code == 404
    before = await world.books.balance(world.account)
    await world.post(f"{path}/resolve", {**reason, "account": world.account})
    rejected = await world.post(f"{path}/reject", {}, by="ben")
    assert (rejected.json()["status"], rejected.json()["proposal"]) == ("unknown", None)
    await world.post(f"{path}/resolve", {**reason, "account": world.account})
    done = await world.post(f"{path}/approve", {}, by="ben")
    assert done.json()["status"] == "resolved"
    assert await world.books.balance(world.account) - before == 5_000


async def test_what_the_bank_corrected_under_a_known_id_stands_as_it_was_and_is_told(world):
    line = bank_line(-100, "fee")
    await imported(world, line)
    (told,) = await imported(world, {**line, "amount": -200})
    assert told["is_other"]
    found = (await world.get(f"/reconciliations/{told['reconciliation_id']}")).json()
    assert found["received"] == 100


async def test_lists_show_what_is_open_and_what_is_missing(world):
    settlement = await paid(world, 7_000)
    suffix = settlement["settlement_id"].partition("_")[2]
    assert suffix not in (await world.get("/reconciliations?status=missing&limit=200")).text
    world.clock.advance(days=4)
    missing = (await world.get("/reconciliations?status=missing&limit=200")).json()["data"]
    assert [one["status"] for one in missing if suffix in one["reconciliation_id"]] == ["missing"]
    page = (await world.get("/reconciliations?limit=1")).json()
    assert (len(page["data"]), page["next_cursor"] is not None) == (1, True)
    waived = await world.post(
        f"/reconciliations/rec_{suffix}/resolve", {"reason": "paper statement of 12 October"}
    )
    assert waived.json()["status"] == "resolved"
    assert suffix not in (await world.get("/reconciliations?status=missing&limit=200")).text


async def test_a_close_waits_for_missing_lines_differences_and_open_settlements(alone):
    world = alone
    check = SettlementsCheck(database=world.app.context.database, clock=world.clock)

    async def codes() -> list[tuple[str, str]]:
        end = world.clock.now_milliseconds() + 1
        period = ClosePeriod(name="2025-10", begins_at=0, ends_at=end)
        return [(one.code, one.subject) for one in await check.check(period)]

    assert await codes() == []
    settlement = await paid(world, 7_000)
    other = await world.opened(50)
    assert await codes() == [("settlements_open", "open")]
    await world.post(f"/{other['settlement_id']}/cancel", {})
    world.clock.advance(days=4)
    await imported(world, bank_line(-1, "fee"))
    assert await codes() == [("payouts_missing", "KES"), ("differences_open", "KES")]
    await imported(world, bank_line(-7_000, settlement["batch_number"]))
    assert await codes() == [("differences_open", "KES")]
    assert "settlements.open" in {one.name for one in world.app.context.close_checks.checks}


async def test_only_staff_reads_and_only_finance_acts(world):
    body = {"bank_account": "main", "lines": [bank_line(-1, "x")]}
    for role, reads in ((AUDITOR, 200), (PLATFORM_OPERATOR, 200)):
        headers = world.app.headers(role)
        seen = await world.app.client.get("/v1/settlements/reconciliations", headers=headers)
        assert seen.status_code == reads
        sent = await world.app.post(
            "/v1/settlements/reconciliations/lines", body, key="k", headers=headers
        )
        assert sent.status_code == 403
    merchant = world.app.headers(merchant_id=world.merchant_id)
    seen = await world.app.client.get("/v1/settlements/reconciliations", headers=merchant)
    assert seen.status_code == 403


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 0},
        {"amount": 1.5},
        {"amount": 10**15 + 1},
        {"booked_on": "2025-02-30"},
        {"booked_on": "10.10.2025"},
        {"currency": "XXX"},
        {"reference": "x" * 141},
        {"reference": "4111111111111111"},
        {"status": "matched"},
    ],
    ids=str,
)
async def test_a_line_that_is_none_is_refused(world, change):
    line = {**bank_line(-1, "x"), **change}
    answer = await world.post("/reconciliations/lines", {"bank_account": "main", "lines": [line]})
    assert answer.status_code == 422


async def test_a_part_of_a_hundred_lines_fits_a_body_and_one_more_is_refused(world):
    lines = [bank_line(-1, "r" * 140, bank_id=f"{one:064}") for one in range(101)]
    body = {"bank_account": "a" * 32, "lines": lines[:100]}
    assert len(json.dumps(body)) < 64 * 1_024
    assert len(await imported(world, *lines[:100])) == 100
    refused = await world.post("/reconciliations/lines", {**body, "lines": lines})
    assert refused.status_code == 422


async def test_a_file_is_imported_in_parts_that_are_not_done_twice(world):
    lines = [
        BankLine(
            bank_account="file",
            bank_id=f"FT-file-{world.merchant_id}-{number}",
            booked_on="2025-10-10",
            amount=-number,
            currency="KES",
            reference="fee",
        )
        for number in range(1, 121)
    ]
    reconciling = world.app.context.services.get(Reconciling)

    async def parts(by: str) -> list[list[dict]]:
        actor = Actor(subject=by, roles=("platform_finance",))
        return [part async for part in reconciling.import_file(lines, actor=actor)]

    first = await parts("ann")
    recorded = await lines_recorded(world)
    assert [len(part) for part in first] == [100, 20]
    assert await parts("ann") == await parts("ben") == first
    assert await lines_recorded(world) == recorded
