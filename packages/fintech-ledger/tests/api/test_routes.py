"""The books over HTTP: who sees what, in which form."""

from collections.abc import AsyncIterator

import pytest
from fintech_kernel.contracts.accounts import fees_account, merchant_account, processor_account
from fintech_kernel.contracts.ledger import Ledger, Posting
from fintech_kernel.domain.permissions import (
    AUDITOR,
    MERCHANT_ADMIN,
    MERCHANT_VIEWER,
    PLATFORM_FINANCE,
    PLATFORM_OPERATOR,
)
from fintech_kernel.money import Money
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.web.openapi import openapi_faults
from fintech_ledger import plugin

pytestmark = pytest.mark.anyio

MINE = "mer_mine"
OTHER = "mer_other"


@pytest.fixture
async def app(anyio_backend, database_url: str) -> AsyncIterator[RunningApp]:
    async with running_app(database_url=database_url, plugins=[plugin]) as running:
        for merchant_id in (MINE, OTHER):
            for number in range(3):
                await _sale(running, merchant_id, f"op_{merchant_id}_{number}")
        yield running


async def _sale(app: RunningApp, merchant_id: str, operation_id: str) -> None:
    account = merchant_account(merchant_id, "KES")
    legs = [
        _posting("capture", processor_account("sandbox", "KES"), account, 10000, "Settled"),
        _posting("fee", account, fees_account("KES"), 350, "Fee"),
    ]
    found = await app.context.services.get(Ledger).lines(
        settlement_id="none", merchant_id=merchant_id, after="", limit=1
    )
    assert found == ()
    (write,) = app.context.services.get(Ledger).postings(
        operation_id=operation_id, merchant_id=merchant_id, recorded_at=1000, legs=legs
    )
    (result,) = await app.context.database.run([write.statement])
    assert result.error is None or (await app.context.database.execute(write.confirm)).rows


def _posting(leg: str, debit: str, credit: str, amount: int, kind: str) -> Posting:
    return Posting(
        leg=leg,
        debit_account=debit,
        credit_account=credit,
        amount=Money(amount=amount, currency="KES"),
        kind=kind,
        available_on=0,
        subject_id="pay_1",
    )


async def test_a_merchant_sees_its_own_account(app):
    account = merchant_account(MINE, "KES")

    answer = await app.client.get(
        f"/v1/ledger/accounts/{account}", headers=app.headers(MERCHANT_VIEWER, merchant_id=MINE)
    )

    assert answer.status_code == 200
    assert answer.json() == {
        "account": account,
        "type": "liabilities",
        "normal_side": "credit",
        "currency": "KES",
        "debits": 1050,
        "credits": 30000,
        "balance": 28950,
        "pending": 0,
        "available": 28950,
        "in_settlement": 0,
        "at": None,
    }


async def test_foreign_absent_and_platform_accounts_look_alike_to_a_merchant(app):
    headers = app.headers(MERCHANT_ADMIN, merchant_id=MINE)
    bodies = []
    for account in (
        merchant_account(OTHER, "KES"),
        merchant_account("mer_nobody", "KES"),
        fees_account("KES"),
    ):
        answer = await app.client.get(f"/v1/ledger/accounts/{account}", headers=headers)
        assert answer.status_code == 404
        body = answer.json()
        del body["instance"], body["request_id"]
        bodies.append(body)

    assert bodies[0] == bodies[1] == bodies[2]


async def test_a_merchants_lists_hold_nothing_of_others(app):
    headers = app.headers(MERCHANT_ADMIN, merchant_id=MINE)

    accounts = (await app.client.get("/v1/ledger/accounts", headers=headers)).json()["data"]
    transfers = (await app.client.get("/v1/ledger/transfers", headers=headers)).json()["data"]

    assert [one["account"] for one in accounts] == [merchant_account(MINE, "KES")]
    assert len(transfers) == 6
    assert {one["merchant_id"] for one in transfers} == {MINE}


@pytest.mark.parametrize("path", ["accounts", "transfers"])
async def test_a_merchant_that_asks_for_another_finds_nothing(app, path):
    answer = await app.client.get(
        f"/v1/ledger/{path}",
        params={"merchant_id": OTHER},
        headers=app.headers(MERCHANT_ADMIN, merchant_id=MINE),
    )

    assert answer.status_code == 404


async def test_platform_staff_see_all_and_may_name_a_merchant(app):
    headers = app.headers(PLATFORM_OPERATOR)

    everything = (await app.client.get("/v1/ledger/accounts", headers=headers)).json()["data"]
    one = await app.client.get(
        "/v1/ledger/transfers", params={"merchant_id": OTHER}, headers=headers
    )

    assert {fees_account("KES"), merchant_account(MINE, "KES")} <= {
        found["account"] for found in everything
    }
    assert {found["merchant_id"] for found in one.json()["data"]} == {OTHER}


async def test_pages_follow_one_another_by_cursor(app):
    headers = app.headers(MERCHANT_ADMIN, merchant_id=MINE)
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(4):
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        body = (await app.client.get("/v1/ledger/transfers", params=params, headers=headers)).json()
        seen += [one["transfer_id"] for one in body["data"]]
        cursor = body["next_cursor"]
        if cursor is None:
            break

    assert len(seen) == len(set(seen)) == 6
    assert cursor is None


async def test_accounts_page_by_cursor_too(app):
    headers = app.headers(AUDITOR)
    whole = (await app.client.get("/v1/ledger/accounts", headers=headers)).json()["data"]

    first = (
        await app.client.get("/v1/ledger/accounts", params={"limit": 2}, headers=headers)
    ).json()
    second = (
        await app.client.get(
            "/v1/ledger/accounts",
            params={"limit": 2, "cursor": first["next_cursor"]},
            headers=headers,
        )
    ).json()

    assert first["data"] + second["data"] == whole[:4]


async def test_the_trial_balance_is_shown_to_auditors_and_finance_alone(app):
    for role in (AUDITOR, PLATFORM_FINANCE):
        answer = await app.client.get("/v1/ledger/trial-balance", headers=app.headers(role))
        (kes,) = answer.json()["data"]
        assert kes["difference"] == 0
        assert kes["debits"] == kes["credits"] == 2 * 3 * 10350
    for headers in (
        app.headers(PLATFORM_OPERATOR),
        app.headers(MERCHANT_ADMIN, merchant_id=MINE),
    ):
        answer = await app.client.get("/v1/ledger/trial-balance", headers=headers)
        assert answer.status_code == 403


@pytest.mark.parametrize(
    "path",
    ["/v1/ledger/accounts", "/v1/ledger/transfers", "/v1/ledger/trial-balance"],
)
async def test_without_a_token_nothing_is_shown(app, path):
    assert (await app.client.get(path)).status_code == 401


@pytest.mark.parametrize(
    "params",
    [
        {"account": "x'; DROP TABLE ledger_transfers; --"},
        {"kind": "Fee'"},
        {"currency": "kes"},
        {"recorded_from": "yesterday"},
        {"recorded_from": "2026-01-01T00:00:00"},
        {"recorded_from": "1700000000"},
        {"recorded_before": "2026-01-01T00:00Z"},
        {"limit": "0"},
        {"cursor": "AAAA"},
    ],
)
async def test_malformed_conditions_are_refused(app, params):
    answer = await app.client.get(
        "/v1/ledger/transfers", params=params, headers=app.headers(AUDITOR)
    )

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_time_range_is_half_open(app):
    async def count(**params: str) -> int:
        answer = await app.client.get(
            "/v1/ledger/transfers", params=params, headers=app.headers(AUDITOR)
        )
        return len(answer.json()["data"])

    assert await count(recorded_from="1970-01-01T00:00:01Z") == 12
    assert await count(recorded_before="1970-01-01T00:00:01Z") == 0
    assert await count(recorded_before="1970-01-01T00:00:01.001Z") == 12


async def test_the_document_of_the_api_lacks_nothing(app):
    assert openapi_faults(app.app.openapi()) == []
