"""Endpoints over HTTP: their life, that a secret is told once and stands nowhere, and what is refused."""

import asyncio
import json
import re
import sqlite3

import pytest
from fintech_kernel.testing.apps import running_app
from fintech_kernel.testing.database import database_service
from fintech_webhooks import plugin

pytestmark = pytest.mark.anyio

URL = "https://shop.example.com/hooks"
BODY = {"url": URL, "events": ["order.placed"]}


@pytest.fixture(scope="module")
def database_file(tmp_path_factory):
    return tmp_path_factory.mktemp("webhooks") / "test.db"


@pytest.fixture(scope="module")
def database_url(database_file):
    with database_service(f"sqlite:///{database_file}") as url:
        yield url


async def test_an_endpoint_is_made_read_changed_and_removed(shop):
    made = await shop.endpoint(URL)
    assert (made["status"], made["events"], made["disabled_because"]) == (
        "enabled",
        ["order.*"],
        None,
    )
    one = f"/endpoints/{made['endpoint_id']}"

    changed = await shop.ask("PATCH", one, {"events": ["*"], "description": "new"})
    assert (changed.json()["events"], changed.json()["url"]) == (["*"], URL)
    assert (await shop.ask("GET", one)).json() == changed.json()
    disabled = await shop.act(made, "disable")
    assert (disabled["status"], disabled["disabled_because"]) == ("disabled", "requested")
    assert (await shop.act(made, "enable"))["disabled_because"] is None
    await shop.act(made, "remove")
    refused = await shop.ask("POST", f"{one}/enable", {})
    assert (refused.status_code, refused.json()["facts"]["status"]) == (409, "removed")


async def test_a_secret_is_in_the_first_answer_and_no_other(shop):
    path = "/endpoints"
    first = await shop.ask("POST", path, BODY, key="once")
    again = await shop.ask("POST", path, BODY, key="once")

    assert re.fullmatch("whsec_[A-Za-z0-9+/]{43}=", first.json()["secret"])
    assert first.json()["secret_already_shown"] is False
    assert again.json() == {**first.json(), "secret": None, "secret_already_shown": True}
    assert again.headers["idempotent-replayed"] == "true"
    rotate = f"/endpoints/{first.json()['endpoint_id']}/rotate-secret"
    rotated = await shop.ask("POST", rotate, {}, key="rotate")
    repeated = await shop.ask("POST", rotate, {}, key="rotate")
    assert rotated.json()["secret"] not in {None, first.json()["secret"]}
    assert repeated.json() == {**rotated.json(), "secret": None, "secret_already_shown": True}
    shown = await shop.shown(first.json())
    assert "secret" not in shown


async def test_sixteen_identical_creations_make_one_endpoint_and_tell_one_secret(shop):
    answers = await asyncio.gather(
        *(shop.ask("POST", "/endpoints", BODY, key="race") for _ in range(16))
    )
    made = [answer.json() for answer in answers if answer.status_code == 201]
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({one["endpoint_id"] for one in made}) == 1
    assert len([one for one in made if one["secret"] is not None]) == 1


async def test_no_row_of_the_database_holds_a_secret(shop, database_file):
    made = await shop.endpoint(URL)
    rotated = await shop.act(made, "rotate-secret")
    await shop.order()
    with sqlite3.connect(f"file:{database_file}?mode=ro", uri=True) as connection:
        dump = "\n".join(connection.iterdump())
    connection.close()
    assert made["secret_id"] in dump
    for secret in (made["secret"], rotated["secret"]):
        assert secret not in dump
        assert secret.removeprefix("whsec_") not in dump
    assert not any("whsec_" in line for line in shop.app.lines)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"url": "http://shop.example.com/"}, "/url"),
        ({"url": "https://10.0.0.1/"}, "/url"),
        ({"url": "https://user@shop.example.com/"}, "/url"),
        ({"url": ""}, "/url"),
        ({"events": []}, "/events"),
        ({"events": ["order.placed", "order.placed"]}, "/events"),
        ({"events": ["order.unheard_of"]}, "/events/0"),
        ({"events": ["order.placed", "order.noted"]}, "/events/1"),
        ({"events": ["Order.*"]}, "/events/0"),
        ({"description": "a\nb"}, "/description"),
        ({"secret": "whsec_mine"}, "/secret"),
    ],
)
async def test_what_cannot_be_an_endpoint_is_refused_where_it_is_wrong(shop, change, pointer):
    refused = await shop.ask("POST", "/endpoints", {**BODY, **change})
    assert refused.status_code == 422, refused.text
    assert pointer in [one["pointer"] for one in refused.json()["errors"]]


@pytest.mark.parametrize("change", [{}, {"url": None}, {"events": None}])
async def test_a_change_of_nothing_is_refused(shop, change):
    made = await shop.endpoint(URL)
    refused = await shop.ask("PATCH", f"/endpoints/{made['endpoint_id']}", change)
    assert refused.status_code == 422


async def test_a_merchant_has_sixteen_endpoints_and_no_more(shop):
    made = [await shop.endpoint(URL) for _ in range(16)]
    refused = await shop.ask("POST", "/endpoints", BODY)
    assert (refused.status_code, refused.json()["code"]) == (409, "webhook_endpoint_limit_reached")
    await shop.act(made[0], "remove")
    await shop.endpoint(URL)
    first = (await shop.ask("GET", "/endpoints?limit=10")).json()
    second = (await shop.ask("GET", f"/endpoints?limit=10&cursor={first['next_cursor']}")).json()
    assert (len(first["data"]), len(second["data"]), second["next_cursor"]) == (10, 7, None)
    removed = (await shop.ask("GET", "/endpoints?status=removed")).json()["data"]
    assert [one["endpoint_id"] for one in removed] == [made[0]["endpoint_id"]]


async def test_the_events_that_can_be_taken_are_listed_with_their_fields(shop):
    answer = await shop.app.client.get(
        "/v1/webhooks/event-types", headers=shop.app.headers(merchant_id=shop.merchant_id)
    )
    listed = {one["name"]: one for one in answer.json()["data"]}
    assert listed["order.placed"] == {
        "name": "order.placed",
        "summary": "Placed.",
        "fields": ["total"],
    }
    assert "order.noted" not in listed


async def test_deliveries_are_listed_by_endpoint_and_status(shop, clock):
    first, second = await shop.endpoint(URL), await shop.endpoint(URL)
    await shop.order("ord_1")
    clock.advance(seconds=1)
    await shop.act(second, "disable")
    await shop.order("ord_2")

    assert len(await shop.deliveries()) == 4
    of_first = await shop.deliveries(f"?endpoint_id={first['endpoint_id']}")
    assert [one["object_id"] for one in of_first] == ["ord_1", "ord_2"]
    (skipped,) = await shop.deliveries("?status=skipped")
    assert (skipped["endpoint_id"], skipped["object_id"]) == (second["endpoint_id"], "ord_2")
    page = (await shop.ask("GET", "/deliveries?limit=3")).json()
    rest = (await shop.ask("GET", f"/deliveries?limit=3&cursor={page['next_cursor']}")).json()
    assert (len(page["data"]), len(rest["data"])) == (3, 1)


async def test_another_merchants_endpoints_and_deliveries_are_not_there(shop):
    made = await shop.endpoint(URL)
    await shop.order()
    (delivery,) = await shop.deliveries()
    headers = shop.app.headers(merchant_id="mer_other")
    for path in (
        f"/{shop.merchant_id}/endpoints/{made['endpoint_id']}",
        f"/mer_other/endpoints/{made['endpoint_id']}",
        f"/mer_other/deliveries/{delivery['delivery_id']}",
        f"/{shop.merchant_id}/deliveries",
    ):
        answer = await shop.app.client.get(f"/v1/webhooks{path}", headers=headers)
        assert answer.status_code == 404, path


async def test_a_message_is_no_larger_than_what_is_declared(shop):
    await shop.endpoint(URL)
    await shop.order()
    (delivery,) = await shop.deliveries()
    full = (await shop.ask("GET", f"/deliveries/{delivery['delivery_id']}")).json()
    assert set(json.loads(full["body"])["data"]) == {
        "total",
        "merchant_id",
        "object_id",
        "sequence",
    }


async def test_loopback_is_refused_where_urls_are_real(database_url):
    settings = {"app_env": "staging", "webhooks_allow_loopback": True}
    from fintech_kernel.errors import StartupFault

    with pytest.raises(StartupFault, match="WEBHOOKS_ALLOW_LOOPBACK"):
        async with running_app(database_url=database_url, plugins=[plugin], settings=settings):
            pass
