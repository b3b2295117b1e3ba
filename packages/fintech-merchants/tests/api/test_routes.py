"""Merchants over HTTP: onboarding, changes, refusals, and who sees what."""

from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest
from fintech_kernel.domain.permissions import (
    AUDITOR,
    MERCHANT_ADMIN,
    MERCHANT_VIEWER,
    PLATFORM_ADMIN,
    PLATFORM_FINANCE,
    PLATFORM_OPERATOR,
)
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.web.openapi import openapi_faults
from fintech_merchants import plugin

pytestmark = pytest.mark.anyio

BODY: dict[str, Any] = {
    "name": "Duka Safi",
    "currencies": ["KES"],
    "settlement": {"delay_days": 0, "minimum": 500},
    "pricing": [{"currency": "KES", "basis_points": 290, "fixed": 60}],
}

_keys = count(1)


def key() -> str:
    return f"key-{next(_keys)}"


@pytest.fixture
async def app(anyio_backend, database_url: str) -> AsyncIterator[RunningApp]:
    async with running_app(database_url=database_url, plugins=[plugin]) as running:
        yield running


async def _onboard(app: RunningApp, **changes: Any) -> str:
    answer = await app.post(
        "/v1/merchants", {**BODY, **changes}, key=key(), headers=app.headers(PLATFORM_OPERATOR)
    )
    assert answer.status_code == 201, answer.text
    return answer.json()["merchant_id"]


async def _verify(app: RunningApp, merchant_id: str, outcome: str = "verified"):
    return await app.post(
        f"/v1/merchants/{merchant_id}/verification",
        {"outcome": outcome, "reference": "kyb-1", "reason": "seen"},
        key=key(),
        headers=app.headers(PLATFORM_OPERATOR),
    )


async def _act(app: RunningApp, merchant_id: str, action: str, reason: str = "because"):
    return await app.post(
        f"/v1/merchants/{merchant_id}/{action}",
        {"reason": reason},
        key=key(),
        headers=app.headers(PLATFORM_OPERATOR),
    )


async def test_a_merchant_is_onboarded_and_shown(app):
    answer = await app.post("/v1/merchants", BODY, key=key(), headers=app.headers())

    assert answer.status_code == 201
    body = answer.json()
    assert body["merchant_id"].startswith("mer_")
    assert body["status"] == "pending"
    assert body["verification"]["status"] == "unverified"
    assert body["settlement"] == {
        "delay_days": 0,
        "schedule": {"interval": "daily", "weekday": None, "day_of_month": None},
        "minimum": 500,
        "bank_account": None,
    }
    assert body["pricing"]["version"] == 1
    assert body["pricing"]["rules"] == [
        {
            "rule_id": "v1.1",
            "currency": "KES",
            "method": None,
            "basis_points": 290,
            "fixed": 60,
            "minimum": 0,
            "maximum": None,
            "refund_policy": "keep",
        }
    ]
    found = await app.client.get(f"/v1/merchants/{body['merchant_id']}", headers=app.headers())
    assert found.json() == body


async def test_pricing_and_settlement_are_optional(app):
    answer = await app.post(
        "/v1/merchants",
        {"name": "Duka", "currencies": ["JPY"]},
        key=key(),
        headers=app.headers(),
    )

    body = answer.json()
    assert body["pricing"] == {"version": 0, "set_at": None, "effective_from": None, "rules": []}
    assert (body["settlement"]["delay_days"], body["settlement"]["minimum"]) == (1, 0)


async def test_the_life_of_a_merchant(app):
    merchant_id = await _onboard(app)
    await _verify(app, merchant_id)

    statuses = [
        (await _act(app, merchant_id, action)).json()["status"]
        for action in ("activate", "suspend", "activate", "suspend", "close")
    ]

    assert statuses == ["active", "suspended", "active", "suspended", "closed"]


async def test_what_the_status_does_not_allow_is_a_recorded_conflict(app):
    merchant_id = await _onboard(app)
    attempt = key()
    headers = app.headers(PLATFORM_OPERATOR)
    path = f"/v1/merchants/{merchant_id}/suspend"

    first = await app.post(path, {"reason": "x"}, key=attempt, headers=headers)
    await _verify(app, merchant_id)
    await _act(app, merchant_id, "activate")
    again = await app.post(path, {"reason": "x"}, key=attempt, headers=headers)

    assert first.status_code == again.status_code == 409
    assert first.json()["code"] == again.json()["code"] == "merchant_transition_refused"
    assert first.json()["facts"] == {
        "merchant_id": merchant_id,
        "status": "pending",
        "action": "suspend",
    }
    assert again.headers["idempotent-replayed"] == "true"


async def test_a_repeat_is_a_replay(app):
    attempt = key()
    first = await app.post("/v1/merchants", BODY, key=attempt, headers=app.headers())
    again = await app.post("/v1/merchants", BODY, key=attempt, headers=app.headers())
    other = await app.post(
        "/v1/merchants", {**BODY, "name": "Other"}, key=attempt, headers=app.headers()
    )

    assert first.json() == again.json()
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert other.status_code == 422
    assert other.json()["code"] == "idempotency_key_reused"


async def test_pricing_is_replaced_in_versions(app):
    merchant_id = await _onboard(app)
    path = f"/v1/merchants/{merchant_id}/pricing"
    rules = [{"currency": "KES", "method": "card", "basis_points": 100, "refund_policy": "return"}]

    answer = await app.post(path, {"rules": rules}, key=key(), headers=app.headers(PLATFORM_ADMIN))
    shown = await app.client.get(path, headers=app.headers(AUDITOR))

    assert answer.status_code == 200
    assert answer.json()["version"] == 2
    assert answer.json()["rules"][0]["rule_id"] == "v2.1"
    assert shown.json() == answer.json()


async def test_refused_pricing_names_the_rule(app):
    merchant_id = await _onboard(app)

    answer = await app.post(
        f"/v1/merchants/{merchant_id}/pricing",
        {"rules": [{"basis_points": 5}, {"currency": "KES"}]},
        key=key(),
        headers=app.headers(PLATFORM_ADMIN),
    )

    assert answer.status_code == 422
    assert answer.json()["code"] == "pricing_rule_unreachable"
    assert answer.json()["facts"] == {"rule": 2, "earlier_rule": 1}


@pytest.mark.parametrize(
    ("path", "permitted"),
    [
        ("", {PLATFORM_ADMIN, PLATFORM_OPERATOR}),
        ("/{id}/verification", {PLATFORM_ADMIN, PLATFORM_OPERATOR}),
        ("/{id}/activate", {PLATFORM_ADMIN, PLATFORM_OPERATOR}),
        ("/{id}/suspend", {PLATFORM_ADMIN, PLATFORM_OPERATOR}),
        ("/{id}/close", {PLATFORM_ADMIN, PLATFORM_OPERATOR}),
        ("/{id}/pricing", {PLATFORM_ADMIN}),
    ],
)
async def test_only_those_who_may_change_merchants_do(app, path, permitted):
    merchant_id = await _onboard(app)
    for role in (PLATFORM_ADMIN, PLATFORM_OPERATOR, PLATFORM_FINANCE, AUDITOR, MERCHANT_ADMIN):
        headers = app.headers(role, merchant_id=merchant_id if role == MERCHANT_ADMIN else "")
        answer = await app.post(
            "/v1/merchants" + path.format(id=merchant_id), {}, key=key(), headers=headers
        )
        assert (answer.status_code != 403) == (role in permitted), role


async def test_a_merchants_principals_see_their_own_alone(app):
    mine, other = await _onboard(app), await _onboard(app)
    headers = app.headers(MERCHANT_VIEWER, merchant_id=mine)

    own = await app.client.get(f"/v1/merchants/{mine}", headers=headers)
    listed = await app.client.get("/v1/merchants", headers=headers)
    foreign = [
        await app.client.get(path, headers=headers)
        for merchant_id in (other, "mer_01k9qq3v5kf7wsc0d3jz8y2m4t")
        for path in (
            f"/v1/merchants/{merchant_id}",
            f"/v1/merchants/{merchant_id}/timeline",
            f"/v1/merchants/{merchant_id}/pricing",
            f"/v1/merchants/{merchant_id}/pricing/versions",
        )
    ]

    assert own.status_code == 200
    assert [one["merchant_id"] for one in listed.json()["data"]] == [mine]
    bodies = [answer.json() for answer in foreign]
    for body in bodies:
        del body["instance"], body["request_id"]
    assert {answer.status_code for answer in foreign} == {404}
    assert all(body == bodies[0] for body in bodies)


async def test_merchants_are_listed_newest_first_in_pages_and_by_status(app):
    ids = [await _onboard(app) for _ in range(4)]
    await _verify(app, ids[0])
    await _act(app, ids[0], "activate")
    headers = app.headers(AUDITOR)

    first = (await app.client.get("/v1/merchants", params={"limit": 3}, headers=headers)).json()
    second = (
        await app.client.get(
            "/v1/merchants", params={"limit": 1, "cursor": first["next_cursor"]}, headers=headers
        )
    ).json()
    active = await app.client.get(
        "/v1/merchants", params={"status": "active", "limit": 1}, headers=headers
    )

    newest = [one["merchant_id"] for one in first["data"] + second["data"]]
    assert newest == ids[::-1]
    assert active.json()["data"][0]["merchant_id"] == ids[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "x" * 121},
        {"name": "bell\u0007"},
        {"currencies": []},
        {"currencies": ["KES", "KES"]},
        {"currencies": ["XYZ"]},
        {"currencies": "KES"},
        {"status": "active"},
        {"merchant_id": "mer_1"},
        {"verification": {"status": "verified"}},
        {"created_at": 1},
        {"updated_at": 1},
        {"status_reason": "mine"},
        {"settlement": {"schedule": {"interval": "weekly"}}},
        {"settlement": {"schedule": {"interval": "daily", "weekday": "monday"}}},
        {"settlement": {"schedule": {"interval": "monthly", "day_of_month": 29}}},
        {"settlement": {"bank_account": {"holder": "Duka"}}},
        {"settlement": {"bank_account": {"account_id": "ba_1"}}},
        {"contact": {"phone": "0712345678"}},
        {"contact": {"email": "duka"}},
        {"contact": {"website": "http://duka.example"}},
        {"contact": {"address": {"country": "XX"}}},
        {"metadata": {"k": None}},
        {"metadata": {"a b": "v"}},
        {"settlement": {"delay_days": -1}},
        {"settlement": {"delay_days": 1.0}},
        {"settlement": {"delay_days": 366}},
        {"pricing": [{"basis_points": 10001}]},
        {"pricing": [{"basis_points": True}]},
        {"pricing": [{"rule_id": "mine"}]},
        {"pricing": [{"fixed": 10**15 + 1, "currency": "KES"}]},
        {"pricing": [{"refund_policy": "maybe"}]},
        {"pricing": [{}] * 101},
    ],
    ids=str,
)
async def test_malformed_merchants_are_refused_before_anything_is_recorded(app, changes):
    attempt = key()

    answer = await app.post(
        "/v1/merchants", {**BODY, **changes}, key=attempt, headers=app.headers()
    )
    repaired = await app.post("/v1/merchants", BODY, key=attempt, headers=app.headers())

    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_request"
    assert repaired.status_code == 201
    assert "idempotent-replayed" not in repaired.headers


async def test_a_merchant_that_nobody_verified_is_not_activated(app):
    merchant_id = await _onboard(app)

    early = await _act(app, merchant_id, "activate")
    rejected = await _verify(app, merchant_id, "rejected")
    still = await _act(app, merchant_id, "activate")
    verified = await _verify(app, merchant_id)
    late = await _act(app, merchant_id, "activate")

    assert early.status_code == still.status_code == 409
    assert early.json()["code"] == still.json()["code"] == "merchant_not_verified"
    assert still.json()["facts"] == {"merchant_id": merchant_id, "verification": "rejected"}
    assert rejected.json()["verification"]["status"] == "rejected"
    shown = verified.json()["verification"]
    assert (shown["status"], shown["reference"], shown["reason"]) == ("verified", "kyb-1", "seen")
    assert late.json()["status"] == "active"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"outcome": "verified"},
        {"outcome": "maybe", "reference": "kyb-1"},
        {"outcome": "rejected", "reference": "kyb-1"},
        {"outcome": "verified", "reference": "a b"},
        {"outcome": "verified", "reference": "x" * 65},
        {"outcome": "verified", "reference": "kyb-1", "at": 1},
        {"outcome": "verified", "reference": "kyb-1", "status": "active"},
    ],
    ids=str,
)
async def test_a_malformed_verification_is_refused(app, body):
    merchant_id = await _onboard(app)

    answer = await app.post(
        f"/v1/merchants/{merchant_id}/verification", body, key=key(), headers=app.headers()
    )

    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_request"


@pytest.mark.parametrize("action", ["suspend", "close"])
async def test_stopping_a_merchant_needs_a_reason(app, action):
    merchant_id = await _onboard(app)

    assert (await _act(app, merchant_id, action, "")).status_code == 422


async def test_a_change_needs_a_key(app):
    answer = await app.client.post("/v1/merchants", json=BODY, headers=app.headers())

    assert answer.status_code == 400
    assert answer.json()["code"] == "idempotency_key_missing"


async def test_the_document_of_the_api_lacks_nothing(app):
    assert openapi_faults(app.app.openapi()) == []
