"""Loyalty over HTTP: what is answered, to whom, and to repeats."""

import pytest
from fintech_kernel.domain.permissions import MERCHANT_VIEWER, PLATFORM_ADMIN
from fintech_kernel.web.openapi import openapi_faults

pytestmark = pytest.mark.anyio

PATH = "/v1/loyalty/customers/c_1"


async def test_points_are_redeemed_and_a_repeat_gets_the_same_answer(shop):
    await shop.pay(10_000)
    await shop.points()
    first = await shop.redeem(40, key="a")
    again = await shop.redeem(40, key="a")

    assert first.status_code == again.status_code == 201
    assert first.json()["redemption_id"].startswith("red_")
    assert (first.json()["points"], first.json()["points_left"]) == (40, 60)
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert await shop.points() == (100, 40, 60)


async def test_a_refusal_stays_the_answer_to_its_key_whatever_is_earned_later(shop):
    refused = await shop.redeem(40, key="a")
    await shop.pay(10_000)
    await shop.points()
    again = await shop.redeem(40, key="a")
    anew = await shop.redeem(40, key="b")

    assert refused.status_code == again.status_code == 409
    assert again.json()["code"] == "not_enough_points"
    assert again.json()["facts"] == {"points_left": 0}
    assert anew.status_code == 201


async def test_the_same_key_for_other_points_or_another_customer_is_refused(shop):
    await shop.pay(10_000)
    await shop.points()
    await shop.redeem(40, key="a")
    other = await shop.post("/v1/loyalty/customers/c_2/redemptions", {"points": 40}, key="a")

    assert (await shop.redeem(41, key="a")).json()["code"] == "idempotency_key_reused"
    assert other.json()["code"] == "idempotency_key_reused"


@pytest.mark.parametrize("points", [0, -1, 1.5, "40", True, 10**12 + 1, None])
async def test_points_are_a_whole_number_above_zero(shop, points):
    answer = await shop.post(f"{PATH}/redemptions", {"points": points})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/points"


@pytest.mark.parametrize("customer_id", ["C1", "c-1", "c" * 41])
async def test_a_customer_has_a_name_that_fits_into_a_key(shop, customer_id):
    path = f"/v1/loyalty/customers/{customer_id}"
    answer = await shop.app.client.get(path, headers=shop.headers())

    assert answer.status_code == 422


async def test_a_viewer_sees_points_and_redeems_none(shop, app):
    viewer = shop.headers(MERCHANT_VIEWER)
    seen = await app.client.get(PATH, headers=viewer)
    redeemed = await app.post(f"{PATH}/redemptions", {"points": 10}, key="a", headers=viewer)

    assert seen.status_code == 200
    assert redeemed.status_code == 403


async def test_staff_of_the_platform_has_no_customers(shop, app):
    staff = app.headers(PLATFORM_ADMIN)

    assert (await app.client.get(PATH, headers=staff)).status_code == 403


async def test_a_redemption_without_a_key_is_refused(shop, app):
    answer = await app.client.post(
        f"{PATH}/redemptions", json={"points": 10}, headers=shop.headers()
    )

    assert answer.json()["code"] == "idempotency_key_missing"


async def test_every_redemption_is_told_to_the_log_and_no_number_of_it(shop, app):
    await shop.pay(10_000)
    await shop.points()
    await shop.redeem(40)
    await shop.redeem(6_789)
    await app.deliver_events()

    told = [
        line for line in app.lines if '"message":"points re' in line and shop.merchant_id in line
    ]
    assert ["redeemed" in line for line in told] == [True, False]
    assert not any("6789" in line for line in told)


async def test_the_api_document_is_complete(app):
    assert openapi_faults(app.app.openapi()) == []
