"""The pricing of merchants over HTTP: versions in time, and fees explained before they are charged."""

from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest
from fintech_kernel.contracts.merchants import MerchantDirectory
from fintech_kernel.domain.permissions import AUDITOR, MERCHANT_VIEWER
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.web.app import Overrides
from fintech_merchants import plugin

pytestmark = pytest.mark.anyio

CARD = {"currency": "KES", "method": "card", "basis_points": 290, "fixed": 60}
ANY = {"currency": "KES", "basis_points": 100, "minimum": 50, "maximum": 1000}

_keys = count(1)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
async def app(anyio_backend, clock, database_url: str) -> AsyncIterator[RunningApp]:
    async with running_app(
        database_url=database_url, plugins=[plugin], overrides=Overrides(clock=clock)
    ) as running:
        yield running


def key() -> str:
    return f"pricing-{next(_keys)}"


async def _onboard(app: RunningApp, *rules: dict[str, Any]) -> str:
    body = {"name": "Duka Safi", "currencies": ["KES"], "pricing": list(rules)}
    answer = await app.post("/v1/merchants", body, key=key(), headers=app.headers())
    return answer.json()["merchant_id"]


async def _price(app: RunningApp, merchant_id: str, basis_points: int, **changes: Any):
    body = {"rules": [{"basis_points": basis_points}], **changes}
    return await app.post(
        f"/v1/merchants/{merchant_id}/pricing", body, key=key(), headers=app.headers()
    )


def _in(clock: FrozenClock, seconds: int) -> str:
    from datetime import UTC, datetime

    moment = clock.now_milliseconds() // 1_000 + seconds
    return datetime.fromtimestamp(moment, UTC).isoformat()


async def test_a_version_waits_for_its_time(app, clock):
    merchant_id = await _onboard(app, CARD)
    planned = await _price(app, merchant_id, 200, effective_from=_in(clock, 60))
    directory = app.context.services.get(MerchantDirectory)
    path = f"/v1/merchants/{merchant_id}"

    async def in_force() -> tuple[int, ...]:
        headers = app.headers()
        priced = await app.client.get(f"{path}/pricing", headers=headers)
        shown = await app.client.get(path, headers=headers)
        listed = await app.client.get("/v1/merchants", params={"limit": 1}, headers=headers)
        profile = await directory.profile(merchant_id)
        assert profile is not None
        return (
            priced.json()["version"],
            shown.json()["pricing"]["version"],
            listed.json()["data"][0]["pricing"]["version"],
            profile.pricing_version,
        )

    assert planned.json()["version"] == 2
    assert await in_force() == (1, 1, 1, 1)
    clock.advance(seconds=61)
    assert await in_force() == (2, 2, 2, 2)


async def test_a_version_does_not_begin_in_the_past(app, clock):
    merchant_id = await _onboard(app)

    answer = await _price(app, merchant_id, 200, effective_from=_in(clock, -60))

    assert answer.status_code == 422
    assert answer.json()["code"] == "pricing_effective_in_past"


@pytest.mark.parametrize(
    "effective_from", ["tomorrow", 1760000000000, "2030-01-01T00:00:00", ""], ids=str
)
async def test_a_time_is_written_out(app, effective_from):
    merchant_id = await _onboard(app)

    answer = await _price(app, merchant_id, 200, effective_from=effective_from)

    assert answer.json()["code"] == "invalid_request"


@pytest.mark.parametrize("owned", ["version", "set_at", "effective_until"])
async def test_what_the_server_owns_is_not_sent(app, owned):
    merchant_id = await _onboard(app)

    answer = await _price(app, merchant_id, 200, **{owned: 1})

    assert answer.status_code == 422


async def test_versions_are_listed_latest_first_in_pages(app):
    merchant_id = await _onboard(app)
    for basis_points in (100, 200, 300):
        await _price(app, merchant_id, basis_points)
    path = f"/v1/merchants/{merchant_id}/pricing/versions"
    headers = app.headers(MERCHANT_VIEWER, merchant_id=merchant_id)

    first = (await app.client.get(path, params={"limit": 2}, headers=headers)).json()
    second = (
        await app.client.get(
            path, params={"limit": 2, "cursor": first["next_cursor"]}, headers=headers
        )
    ).json()

    assert [one["version"] for one in first["data"] + second["data"]] == [3, 2, 1]
    assert second["next_cursor"] is None


async def _preview(app: RunningApp, merchant_id: str, **changes: Any):
    body = {"amount": 10_000, "currency": "KES", "method": "card", **changes}
    return await app.client.post(
        f"/v1/merchants/{merchant_id}/pricing/preview", json=body, headers=app.headers(AUDITOR)
    )


async def test_a_fee_is_explained_before_it_is_charged(app):
    merchant_id = await _onboard(app, CARD, ANY)

    card = (await _preview(app, merchant_id)).json()
    low = (await _preview(app, merchant_id, method="mobile_money", amount=1_000)).json()
    high = (await _preview(app, merchant_id, method="mobile_money", amount=1_000_000)).json()

    assert card["version"] == 1
    assert card["fee"] == {"amount": 350, "currency": "KES"}
    assert card["rule"]["rule_id"] == "v1.1"
    assert card["lines"] == [
        {"part": "basis_points", "amount": 290},
        {"part": "fixed", "amount": 60},
    ]
    assert (low["rule"]["rule_id"], low["fee"]["amount"]) == ("v1.2", 50)
    assert low["lines"][-1] == {"part": "minimum", "amount": 40}
    assert high["fee"]["amount"] == 1_000
    assert high["lines"][-1] == {"part": "maximum", "amount": -9_000}


async def test_without_a_rule_there_is_no_fee(app):
    merchant_id = await _onboard(app)

    found = (await _preview(app, merchant_id)).json()

    assert found == {
        "version": 0,
        "fee": {"amount": 0, "currency": "KES"},
        "rule": None,
        "lines": [],
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 0},
        {"amount": 1.5},
        {"amount": 10**15 + 1},
        {"currency": "USD"},
        {"currency": "XYZ"},
        {"method": "Card!"},
        {"fee": 1},
        {"version": 1},
    ],
    ids=str,
)
async def test_a_fee_of_what_cannot_be_taken_is_not_previewed(app, changes):
    merchant_id = await _onboard(app)

    answer = await _preview(app, merchant_id, **changes)

    assert answer.status_code == 422


async def test_a_preview_of_somebody_elses_fee_is_as_absent_as_none(app):
    mine, other = await _onboard(app), await _onboard(app)
    headers = app.headers(MERCHANT_VIEWER, merchant_id=mine)

    answers = [
        await app.client.post(
            f"/v1/merchants/{merchant_id}/pricing/preview",
            json={"amount": 1, "currency": "KES", "method": "card"},
            headers=headers,
        )
        for merchant_id in (other, "mer_01k9qq3v5kf7wsc0d3jz8y2m4t")
    ]

    assert {answer.status_code for answer in answers} == {404}
