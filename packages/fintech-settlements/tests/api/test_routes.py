"""Settlements over HTTP: who may do what, what is refused, and what is shown."""

import csv
import io

import pytest
from fintech_kernel.errors import InvariantBroken
from fintech_kernel.web.openapi import openapi_faults
from fintech_settlements.api.statements import csv_statement, json_statement
from fintech_settlements.domain import service

pytestmark = pytest.mark.anyio

ABSENT = "stl_01k9qq3v5kf7wsc0d3jz8y2m4t"
ROLES = {
    "platform_admin": "",
    "platform_finance": "",
    "platform_operator": "",
    "auditor": "",
    "merchant_admin": "own",
    "merchant_operator": "own",
    "merchant_viewer": "own",
}
FINANCE = {"platform_admin", "platform_finance"}


def without_request(body: dict) -> dict:
    return {name: value for name, value in body.items() if name not in {"request_id", "instance"}}


async def test_a_settlement_is_shown_with_everything_that_happened_to_it(world):
    settlement = await world.approved(6_700, by="ann")
    answer = await world.post(f"/{settlement['settlement_id']}/pay", {}, by="ben")
    assert answer.json() == {
        "settlement_id": settlement["settlement_id"],
        "merchant_id": world.merchant_id,
        "status": "paid",
        "currency": "KES",
        "total": 6_700,
        "line_count": 1,
        "carried": 0,
        "minimum": 0,
        "cutoff": world.clock.now_milliseconds(),
        "batch_number": settlement["settlement_id"].replace("_", "").upper(),
        "created_at": world.clock.now_milliseconds(),
        "opened_by": "ann",
        "approved_by": "ann",
        "paid_by": "ben",
        "close_reason": None,
        "rail": "sandbox",
        "rail_reference": answer.json()["rail_reference"],
        "failure_code": None,
        "lines_hash": settlement["lines_hash"],
        "payout_outcome": "known",
        "confirmed_by": None,
        "failure_requested_by": None,
        "failure_approvable_at": None,
        "failed_by": None,
        "return_code": None,
        "paid_after_failure": False,
    }
    assert (await world.get(f"/{settlement['settlement_id']}")).json() == answer.json()


@pytest.mark.parametrize("role", ROLES)
async def test_only_finance_settles_and_merchants_only_read_their_own(world, role):
    settlement = await world.opened(1_000)
    other = world.new_merchant()
    path = f"/v1/settlements/{settlement['settlement_id']}"
    own = world.app.headers(role, merchant_id=world.merchant_id if ROLES[role] else "")
    foreign = world.app.headers(role, merchant_id=other if ROLES[role] else "")
    for suffix in ("", "/lines", "/statement"):
        assert (await world.app.client.get(path + suffix, headers=own)).status_code == 200
        seen = await world.app.client.get(path + suffix, headers=foreign)
        if not ROLES[role]:
            assert seen.status_code == 200
            continue
        absent = await world.app.client.get(f"/v1/settlements/{ABSENT}{suffix}", headers=foreign)
        assert (seen.status_code, absent.status_code) == (404, 404)
        assert without_request(seen.json()) == without_request(absent.json())
    body = {"merchant_id": world.merchant_id, "currency": "KES"}
    verbs = (("/approve", {}), ("/pay", {}), ("/cancel", {}))
    requests = [("/v1/settlements", body), *((path + suffix, empty) for suffix, empty in verbs)]
    for number, (url, sent) in enumerate(requests):
        key = f"{world.merchant_id}-{role}-{number}"
        answer = await world.app.post(url, sent, key=key, headers=own)
        assert (answer.status_code == 403) is (role not in FINANCE)


async def test_lists_show_a_merchant_its_own_settlements_and_staff_all(world):
    mine = await world.opened(1_000)
    first = world.merchant_id
    world.merchant_id = world.new_merchant()
    await world.opened(500)
    headers = world.app.headers("merchant_viewer", merchant_id=first)
    seen = await world.app.client.get("/v1/settlements", headers=headers)
    assert [one["settlement_id"] for one in seen.json()["data"]] == [mine["settlement_id"]]
    other = await world.app.client.get(
        f"/v1/settlements?merchant_id={world.merchant_id}", headers=headers
    )
    assert other.status_code == 404
    everybody = (await world.get("?limit=2")).json()
    assert len({one["merchant_id"] for one in everybody["data"]}) == 2


async def test_lists_come_newest_first_in_pages_and_narrowed(world):
    created = []
    for amount in (100, 200, -900):
        world.clock.advance(seconds=1)
        created.append((await world.opened(amount))["settlement_id"])
    scope = f"?merchant_id={world.merchant_id}"
    seen, cursor = [], ""
    for _ in created:
        page = (await world.get(f"{scope}&limit=1{cursor}")).json()
        seen += [one["settlement_id"] for one in page["data"]]
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == created[::-1]
    assert page["next_cursor"] is None
    for filters, found in (
        ("&status=closed", created[2:]),
        ("&currency=KES", created[::-1]),
        ("&currency=USD", []),
        ("&created_from=2999-01-01T00:00:00Z", []),
        ("&created_until=2999-01-01T00:00:00Z", created[::-1]),
    ):
        listed = (await world.get(scope + filters)).json()["data"]
        assert [one["settlement_id"] for one in listed] == found


async def test_lines_come_in_pages_and_each_once(world):
    settlement = await world.opened(*range(1, 8))
    path = f"/{settlement['settlement_id']}/lines?limit=3"
    seen, cursor = [], ""
    while True:
        page = (await world.get(path + cursor)).json()
        seen += [line["transfer_id"] for line in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert len(seen) == len(set(seen)) == 7
    assert seen == sorted(seen)


async def test_a_statement_in_json_sums_to_the_total(world):
    await world.owe(-35, kind="Fee")
    settlement = await world.opened(1_000, -300)
    statement = (await world.get(f"/{settlement['settlement_id']}/statement")).json()
    assert statement["settlement"] == settlement
    assert (statement["line_count"], statement["total"]) == (3, 665)
    assert sum(line["net_credit"] - line["net_debit"] for line in statement["lines"]) == 665
    assert statement["totals"] == [
        {"type": "Fee", "count": 1, "debit": 35, "credit": 0},
        {"type": "Settled", "count": 2, "debit": 300, "credit": 1_000},
    ]
    (fee,) = (line for line in statement["lines"] if line["type"] == "Fee")
    assert (fee["gross_debit"], fee["fee_debit"], fee["net_debit"]) == (0, 35, 35)


async def test_a_statement_in_csv_has_the_same_lines(world):
    settlement = await world.opened(1_000, -300)
    path = f"/{settlement['settlement_id']}/statement"
    lines = (await world.get(f"/{settlement['settlement_id']}/lines")).json()["data"]
    asked, accepted = (
        await world.get(f"{path}?format=csv"),
        await world.get(path, accept="text/csv"),
    )
    assert asked.content == accepted.content
    assert asked.headers["content-type"].startswith("text/csv")
    assert settlement["batch_number"] in asked.headers["content-disposition"]
    all_rows = list(csv.DictReader(io.StringIO(asked.text)))
    rows = [row for row in all_rows if row["line"]]
    assert [row["type"] for row in all_rows if not row["line"]] == [
        *("OpeningBalance", "Total:Settled", "Total", "ClosingBalance", "Signature")
    ]
    assert [row["transfer_id"] for row in rows] == [line["transfer_id"] for line in lines]
    assert [int(row["net_credit"]) - int(row["net_debit"]) for row in rows] == [1_000, -300]
    assert {row["batch_number"] for row in rows} == {settlement["batch_number"]}
    assert rows[0]["created"].endswith("Z")
    assert (await world.get(f"{path}?format=json", accept="text/csv")).json()["total"] == 700


async def tampered(world) -> str:
    settlement = await world.opened(1_000, 500, 20)
    await world.books.rows(
        "UPDATE books_lines SET amount = 501 WHERE settlement_id = ? AND amount = 500",
        settlement["settlement_id"],
    )
    return f"/{settlement['settlement_id']}/statement"


@pytest.mark.parametrize("form", ["json", "csv"])
async def test_a_statement_whose_lines_do_not_add_up_is_not_served(world, form):
    answer = await world.get(f"{await tampered(world)}?format={form}")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")


@pytest.mark.parametrize("make", [json_statement, csv_statement])
async def test_a_long_statement_whose_lines_do_not_add_up_breaks_off(world, monkeypatch, make):
    monkeypatch.setattr(service, "STATEMENT_PAGE_LINES", 1)
    settlement_id = (await tampered(world)).split("/")[1]
    settlements = world.app.context.services.get(service.Settlements)
    settlement = await settlements.get(world.merchant_id, settlement_id)
    stream = make(settlements, settlement)
    parts = [await anext(stream) for _ in range(4)]
    with pytest.raises(InvariantBroken):
        await anext(stream)
    assert b'"totals"' not in b"".join(parts)


async def test_a_repeat_gets_the_same_settlement_and_says_so(world):
    await world.owe(1_000)
    key = f"again-{world.merchant_id}"
    first, second = await world.create(key=key), await world.create(key=key)
    assert first.json() == second.json()
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    other = await world.create(key=key, cutoff="2025-01-01T00:00:00Z")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_key_is_required(world):
    body = {"merchant_id": world.merchant_id, "currency": "KES"}
    answer = await world.app.client.post("/v1/settlements", json=body, headers=world.staff())
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")


@pytest.mark.parametrize(
    "change",
    [
        {"status": "paid"},
        {"total": 1},
        {"settlement_id": ABSENT},
        {"batch_number": "X"},
        {"currency": "XXX"},
        {"currency": 404},
        {"merchant_id": "mer/../1"},
        {"cutoff": 1_760_000_000_000},
        {"cutoff": "2025-10-09T08:53:20"},
        {"chunk_size": 1},
    ],
    ids=str,
)
async def test_what_is_not_the_clients_to_say_is_refused(world, change):
    answer = await world.create(**change)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_an_unknown_merchant_is_absent(world):
    answer = await world.create(merchant_id="mer_nobody")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("verb", ["approve", "pay", "cancel"])
async def test_steps_of_an_absent_settlement_are_not_found(world, verb):
    answer = await world.post(f"/{ABSENT}/{verb}", {})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    malformed = await world.post(f"/pay_01k9qq3v5kf7wsc0d3jz8y2m4t/{verb}", {})
    assert malformed.status_code == 422


async def test_every_operation_is_documented_whole(world):
    document = world.app.app.openapi()
    assert openapi_faults(document) == []
    settlements = {path for path in document["paths"] if path.startswith("/v1/settlements")}
    assert len(settlements) == 20
