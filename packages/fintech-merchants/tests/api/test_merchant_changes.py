"""Merchants over HTTP: what is known of them changes, is found by it, and is told in their timeline."""

from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import httpx
import pytest
from fintech_kernel.domain.permissions import (
    AUDITOR,
    MERCHANT_ADMIN,
    MERCHANT_OPERATOR,
    MERCHANT_VIEWER,
    PLATFORM_OPERATOR,
)
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_merchants import plugin

pytestmark = pytest.mark.anyio

KENYAN = {
    "holder": "Duka Safi Ltd",
    "kenyan_bank": {"bank_code": "68", "branch_code": "001", "account_number": "0180-290123456"},
}
IBAN = {"holder": "Duka Safi Ltd", "iban": "GB33BUKB20201555555555"}
WALLET = {
    "holder": "Duka Safi",
    "mobile_wallet": {"provider": "mpesa", "msisdn": "+254712345678", "country": "KE"},
}

_keys = count(1)


@pytest.fixture
async def app(anyio_backend, database_url: str) -> AsyncIterator[RunningApp]:
    async with running_app(database_url=database_url, plugins=[plugin]) as running:
        yield running


def key() -> str:
    return f"change-{next(_keys)}"


async def _onboard(app: RunningApp, **changes: Any) -> str:
    body = {"name": "Duka Safi", "currencies": ["KES"], **changes}
    answer = await app.post("/v1/merchants", body, key=key(), headers=app.headers())
    assert answer.status_code == 201, answer.text
    return answer.json()["merchant_id"]


async def _patch(
    app: RunningApp,
    merchant_id: str,
    body: dict[str, Any],
    *,
    headers: dict[str, str] | None = None,
    attempt: str = "",
) -> httpx.Response:
    sent = {**(headers or app.headers(PLATFORM_OPERATOR)), "Idempotency-Key": attempt or key()}
    return await app.client.patch(f"/v1/merchants/{merchant_id}", json=body, headers=sent)


async def test_what_is_sent_changes_and_the_rest_stays(app):
    merchant_id = await _onboard(
        app, contact={"email": "a@duka.example"}, metadata={"crm": "1", "till": "2"}
    )

    answer = await _patch(
        app,
        merchant_id,
        {
            "name": "Duka Mpya",
            "currencies": ["KES", "UGX"],
            "contact": {"phone": "+254712345678", "address": {"city": "Nairobi", "country": "KE"}},
            "metadata": {"crm": None, "shop": "3"},
            "settlement": {"schedule": {"interval": "weekly", "weekday": "friday"}},
        },
    )

    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["name"], found["currencies"]) == ("Duka Mpya", ["KES", "UGX"])
    assert found["contact"]["email"] == "a@duka.example"
    assert found["contact"]["phone"] == "+254712345678"
    assert found["contact"]["address"]["city"] == "Nairobi"
    assert found["metadata"] == {"till": "2", "shop": "3"}
    assert found["settlement"]["schedule"]["weekday"] == "friday"
    assert found["settlement"]["delay_days"] == 1
    shown = await app.client.get(f"/v1/merchants/{merchant_id}", headers=app.headers(AUDITOR))
    assert shown.json() == found


async def test_null_clears_what_may_be_missing(app):
    contact = {"email": "a@duka.example", "address": {"city": "Nairobi", "country": "KE"}}
    merchant_id = await _onboard(
        app, contact=contact, metadata={"crm": "1"}, settlement={"bank_account": WALLET}
    )

    part = await _patch(app, merchant_id, {"contact": {"address": {"city": None}}})
    address = await _patch(app, merchant_id, {"contact": {"address": None}})
    everything = await _patch(
        app, merchant_id, {"contact": None, "metadata": None, "settlement": {"bank_account": None}}
    )

    assert part.json()["contact"]["address"]["city"] is None
    assert part.json()["contact"]["address"]["country"] == "KE"
    assert set(address.json()["contact"]["address"].values()) == {None}
    assert address.json()["contact"]["email"] == "a@duka.example"
    assert everything.json()["contact"]["email"] is None
    assert everything.json()["metadata"] == {}
    assert everything.json()["settlement"]["bank_account"] is None


async def test_a_repeated_change_is_a_replay(app):
    merchant_id = await _onboard(app)
    first = await _patch(app, merchant_id, {"settlement": {"bank_account": IBAN}}, attempt="once")
    again = await _patch(app, merchant_id, {"settlement": {"bank_account": IBAN}}, attempt="once")
    other = await _patch(app, merchant_id, {"name": "Other"}, attempt="once")

    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert other.json()["code"] == "idempotency_key_reused"


async def test_a_change_needs_a_key(app):
    merchant_id = await _onboard(app)

    answer = await app.client.patch(
        f"/v1/merchants/{merchant_id}", json={"name": "New"}, headers=app.headers()
    )

    assert answer.json()["code"] == "idempotency_key_missing"


async def test_a_currency_is_not_taken_away(app):
    merchant_id = await _onboard(app, currencies=["KES", "UGX"])

    answer = await _patch(app, merchant_id, {"currencies": ["KES"]})

    assert answer.status_code == 422
    assert answer.json()["code"] == "currency_not_removable"
    assert answer.json()["facts"] == {"currency": "UGX"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"contact": {}},
        {"contact": {"address": {}}},
        {"metadata": {}},
        {"settlement": {}},
        {"name": None},
        {"name": ""},
        {"currencies": None},
        {"currencies": []},
        {"currencies": ["KES", "KES"]},
        {"settlement": None},
        {"settlement": {"delay_days": None}},
        {"settlement": {"delay_days": "2"}},
        {"settlement": {"minimum": -1}},
        {"settlement": {"schedule": None}},
        {"settlement": {"schedule": {"interval": "weekly"}}},
        {"settlement": {"bank_account": {"holder": "Duka", "account_id": "ba_1"}}},
        {"settlement": {"bank_account": {**IBAN, **WALLET}}},
        {"settlement": {"bank_account": {**IBAN, "iban": "GB33BUKB20201555555556"}}},
        {"settlement": {"bank_account": {**IBAN, "iban": "GB33 BUKB 2020 1555 5555 55"}}},
        {"settlement": {"bank_account": {**IBAN, "masked": "****1"}}},
        {"contact": {"email": "a@b@c.example"}},
        {"contact": {"phone": "+0712"}},
        {"contact": {"address": {"country": "ke"}}},
        {"metadata": {"a b": "v"}},
        {"metadata": {f"k{n}": "v" for n in range(21)}},
        {"status": "active"},
        {"verification": {"status": "verified"}},
        {"merchant_id": "mer_1"},
        {"pricing": []},
        {"created_at": 1},
        {"updated_at": 1},
        {"status_reason": "mine"},
    ],
    ids=str,
)
async def test_a_malformed_change_is_refused_before_anything_is_recorded(app, body):
    merchant_id = await _onboard(app)
    attempt = key()

    answer = await _patch(app, merchant_id, body, attempt=attempt)
    repaired = await _patch(app, merchant_id, {"name": "New"}, attempt=attempt)

    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] == "invalid_request"
    assert "idempotent-replayed" not in repaired.headers


@pytest.mark.parametrize(
    ("body", "permitted"),
    [
        ({"contact": {"phone": "+254712345678"}}, True),
        ({"metadata": {"crm": "2"}}, True),
        ({"name": "Mine"}, False),
        ({"currencies": ["KES", "USD"]}, False),
        ({"settlement": {"bank_account": IBAN}}, False),
        ({"metadata": {"crm": "2"}, "settlement": {"delay_days": 0}}, False),
    ],
    ids=str,
)
async def test_a_merchant_changes_how_it_is_reached_and_not_how_it_is_paid(app, body, permitted):
    merchant_id = await _onboard(app)
    admin = app.headers(MERCHANT_ADMIN, merchant_id=merchant_id)

    assert (await _patch(app, merchant_id, body, headers=admin)).status_code == (
        200 if permitted else 403
    )
    for role in (MERCHANT_OPERATOR, MERCHANT_VIEWER):
        other = app.headers(role, merchant_id=merchant_id)
        assert (await _patch(app, merchant_id, body, headers=other)).status_code == 403
    assert (await _patch(app, merchant_id, body, headers=app.headers(AUDITOR))).status_code == 403


async def test_somebody_elses_merchant_is_as_absent_as_none(app):
    mine, other = await _onboard(app), await _onboard(app)
    headers = app.headers(MERCHANT_ADMIN, merchant_id=mine)

    answers = [
        await _patch(app, merchant_id, {"metadata": {"k": "v"}}, headers=headers)
        for merchant_id in (other, "mer_01k9qq3v5kf7wsc0d3jz8y2m4t")
    ]

    assert {answer.status_code for answer in answers} == {404}


@pytest.mark.parametrize(
    ("account", "shown"),
    [
        (KENYAN, {"kind": "kenyan_bank", "country": "KE", "bank_code": "68", "masked": "****3456"}),
        (IBAN, {"kind": "iban", "country": "GB", "bank_code": "BUKB", "masked": "****5555"}),
        (
            WALLET,
            {"kind": "mobile_wallet", "country": "KE", "bank_code": "mpesa", "masked": "****5678"},
        ),
    ],
    ids=["kenyan bank", "iban", "wallet"],
)
async def test_a_bank_account_is_shown_masked(app, account, shown):
    merchant_id = await _onboard(app)

    answer = await _patch(app, merchant_id, {"settlement": {"bank_account": account}})

    found = answer.json()["settlement"]["bank_account"]
    assert found.pop("account_id").startswith("ba_")
    assert found == shown


# --- lists


async def test_merchants_are_found_by_what_is_known_of_them(app):
    shop = f"shop-{key()}"
    ids = [
        await _onboard(app, currencies=["KES", "RWF"], metadata={"shop": shop}),
        await _onboard(app, currencies=["RWF"], metadata={"shop": shop}),
        await _onboard(app, metadata={"shop": f"{shop}x"}),
    ]
    await app.post(
        f"/v1/merchants/{ids[0]}/verification",
        {"outcome": "verified", "reference": "kyb-1"},
        key=key(),
        headers=app.headers(),
    )
    headers = app.headers(AUDITOR)

    async def found(**params: str) -> list[str]:
        answer = await app.client.get("/v1/merchants", params=params, headers=headers)
        assert answer.status_code == 200, answer.text
        return [one["merchant_id"] for one in answer.json()["data"]]

    assert await found(metadata=f"shop:{shop}") == [ids[1], ids[0]]
    assert await found(metadata=f"shop:{shop}", currency="KES") == [ids[0]]
    assert await found(metadata=f"shop:{shop}", verification="verified") == [ids[0]]
    assert await found(metadata=f"shop:{shop}", created_until="2020-01-01T00:00:00Z") == []
    since = await found(metadata=f"shop:{shop}", created_from="2020-01-01T00:00:00Z", limit="1")
    assert since == [ids[1]]
    await _patch(app, ids[1], {"metadata": {"shop": None}})
    assert await found(metadata=f"shop:{shop}") == [ids[0]]


async def test_a_merchants_principal_finds_its_own_by_metadata_and_nobody_elses(app):
    mine = await _onboard(app, metadata={"side": "same"})
    await _onboard(app, metadata={"side": "same"})

    answer = await app.client.get(
        "/v1/merchants",
        params={"metadata": "side:same"},
        headers=app.headers(MERCHANT_VIEWER, merchant_id=mine),
    )

    assert [one["merchant_id"] for one in answer.json()["data"]] == [mine]


@pytest.mark.parametrize(
    "params",
    [
        {"metadata": "no colon"},
        {"metadata": ":value"},
        {"currency": "kes"},
        {"verification": "maybe"},
        {"created_from": "yesterday"},
    ],
    ids=str,
)
async def test_filters_that_mean_nothing_are_refused(app, params):
    answer = await app.client.get("/v1/merchants", params=params, headers=app.headers())

    assert answer.status_code == 422


# --- timeline


async def test_the_timeline_tells_what_happened_newest_first(app):
    merchant_id = await _onboard(app)
    operator = app.headers(PLATFORM_OPERATOR, subject="ada")
    await app.post(
        f"/v1/merchants/{merchant_id}/activate", {"reason": "x"}, key=key(), headers=operator
    )
    await _patch(app, merchant_id, {"settlement": {"bank_account": IBAN}}, headers=operator)
    path = f"/v1/merchants/{merchant_id}/timeline"

    first = (await app.client.get(path, params={"limit": 2}, headers=app.headers())).json()
    second = (
        await app.client.get(
            path, params={"limit": 2, "cursor": first["next_cursor"]}, headers=app.headers()
        )
    ).json()

    told = first["data"] + second["data"]
    assert [one["type"] for one in told] == [
        "merchant.updated",
        "operation.refused",
        "merchant.created",
    ]
    assert (told[0]["actor"], told[0]["seq"]) == ("ada", 3)
    assert told[0]["changes"]["settlement"]["bank_account"]["masked"] == "****5555"
    assert told[1]["changes"]["code"] == "merchant_not_verified"
    assert told[2]["changes"]["name"] == "Duka Safi"
    assert first["pending"] == []
    assert second["next_cursor"] is None


async def test_a_merchant_is_not_told_who_of_the_staff_acted(app):
    merchant_id = await _onboard(app)
    admin = app.headers(MERCHANT_ADMIN, merchant_id=merchant_id, subject="owner")
    await _patch(app, merchant_id, {"metadata": {"k": "v"}}, headers=admin)

    answer = await app.client.get(f"/v1/merchants/{merchant_id}/timeline", headers=admin)

    assert [one["actor"] for one in answer.json()["data"]] == ["owner", "platform"]
