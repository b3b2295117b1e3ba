"""Messages on their way: real receivers, the official verifier, and everything that goes wrong between."""

import asyncio
import base64
import json

import pytest
from fintech_webhooks import plugin
from fintech_webhooks.domain.courier import LEASE_MARGIN_SECONDS
from fintech_webhooks.infrastructure import delivery_queries
from standardwebhooks import Webhook, WebhookVerificationError

pytestmark = pytest.mark.anyio


def verified(received, secret):
    return Webhook(secret).verify(received.body, received.headers)


def is_refused(body, headers, secret):
    """Whether the official verifier refuses: it raises errors of its parts for what is malformed."""
    try:
        Webhook(secret).verify(body, headers)
    except (WebhookVerificationError, ValueError):
        return True
    return False


async def test_the_official_verifier_accepts_what_is_sent_and_nothing_that_was_tampered_with(
    shop, receiver
):
    made = await shop.endpoint(receiver.url)
    await shop.order()
    await shop.send()

    (got,) = receiver.received
    told = verified(got, made["secret"])
    assert told["type"] == "order.placed"
    assert told["data"] == {
        "total": 1200,
        "merchant_id": shop.merchant_id,
        "object_id": "ord_1",
        "sequence": 1,
    }
    assert got.path == "/hooks?shop=1"
    assert got.headers["content-type"] == "application/json"
    assert is_refused(got.body.replace("1200", "1201"), got.headers, made["secret"])
    other = "whsec_" + base64.b64encode(b"another secret of thirty-two byt").decode()
    assert is_refused(got.body, got.headers, other)
    for name, value in (
        ("webhook-id", "msg_other"),
        ("webhook-timestamp", str(int(got.headers["webhook-timestamp"]) + 1)),
        ("webhook-timestamp", str(int(got.headers["webhook-timestamp"]) - 600)),
        ("webhook-signature", "v1,AAAA"),
        ("webhook-signature", "v2," + got.headers["webhook-signature"].partition(",")[2]),
        ("webhook-signature", "malformed"),
        ("webhook-signature", "v1,###"),
    ):
        assert is_refused(got.body, {**got.headers, name: value}, made["secret"]), value


async def test_both_secrets_verify_while_a_rotation_overlaps_and_the_new_one_alone_afterwards(
    shop, receiver, clock
):
    made = await shop.endpoint(receiver.url)
    rotated = await shop.act(made, "rotate-secret", {"overlap_seconds": 60})
    assert rotated["secret"] not in {None, made["secret"]}

    await shop.order()
    await shop.send()
    clock.advance(seconds=61)
    await shop.order()
    await shop.send()

    during, after = receiver.received
    assert verified(during, made["secret"]) == verified(during, rotated["secret"])
    assert len(during.headers["webhook-signature"].split(" ")) == 2
    assert verified(after, rotated["secret"])
    assert is_refused(after.body, after.headers, made["secret"])


async def test_a_rotation_without_overlap_ends_the_old_secret_at_once(shop, receiver):
    made = await shop.endpoint(receiver.url)
    rotated = await shop.act(made, "rotate-secret", {"overlap_seconds": 0})
    await shop.order()
    await shop.send()

    (got,) = receiver.received
    assert verified(got, rotated["secret"])
    assert is_refused(got.body, got.headers, made["secret"])


async def test_every_endpoint_and_every_attempt_gets_the_same_id_and_the_same_bytes(
    shop, receivers, clock
):
    first, second = await receivers(), await receivers()
    first.answers(500, 503)
    await shop.endpoint(first.url)
    await shop.endpoint(second.url, "order.placed")

    await shop.order()
    for seconds in (0, 6, 70):
        clock.advance(seconds=seconds)
        await shop.send()

    got = [*first.received, *second.received]
    assert (len(first.received), len(second.received)) == (3, 1)
    assert len({(one.headers["webhook-id"], one.body) for one in got}) == 1
    assert len({one.headers["webhook-timestamp"] for one in first.received}) == 3


async def test_only_what_an_endpoint_wants_and_plugins_declare_is_sent(shop, receivers):
    orders, ours, everything = await receivers(), await receivers(), await receivers()
    await shop.endpoint(everything.url, "*")
    await shop.endpoint(orders.url, "order.placed")
    await shop.endpoint(ours.url, "webhook_endpoint.*")

    await shop.order(kind="order.noted")
    await shop.order()
    await shop.send()

    assert orders.types == ["order.placed"]
    assert set(ours.types) == {"webhook_endpoint.created"}
    assert sorted(everything.types) == ["order.placed", *["webhook_endpoint.created"] * 3]
    assert "stays inside" not in "".join(one.body for one in everything.received)


async def test_another_merchants_endpoint_hears_nothing(shop, receivers):
    mine, theirs = await receivers(), await receivers()
    await shop.endpoint(mine.url)
    other = type(shop)(app=shop.app, merchant_id=shop.merchant_id + "x")
    await other.endpoint(theirs.url, "*")

    await shop.order()
    await shop.send()

    assert mine.types == ["order.placed"]
    assert "order.placed" not in theirs.types


async def test_a_failed_attempt_is_made_again_on_the_published_schedule(shop, receiver, clock):
    receiver.answers(500, 302, 404)
    await shop.endpoint(receiver.url)
    await shop.order()

    pauses = []
    for seconds in (0, 6, 67, 661):
        clock.advance(seconds=seconds)
        await shop.send()
        await shop.send()  # nothing is due yet
        (delivery,) = await shop.deliveries()
        if delivery["status"] == "pending":
            pauses.append((delivery["next_attempt_at"] - clock.now_milliseconds()) / 1000)

    assert [one.headers["webhook-id"] for one in receiver.received] == [delivery["message_id"]] * 4
    assert (delivery["status"], delivery["attempts"]) == ("delivered", 4)
    assert [5 <= pauses[0] <= 5.5, 60 <= pauses[1] <= 66, 600 <= pauses[2] <= 660] == [True] * 3
    (full,) = [(await shop.ask("GET", f"/deliveries/{delivery['delivery_id']}")).json()]
    assert [one["response_status"] for one in full["attempt_log"]] == [500, 302, 404, 204]
    assert [one["succeeded"] for one in full["attempt_log"]] == [False, False, False, True]
    assert full["body"] == receiver.received[0].body


async def test_a_redirection_is_a_failure_and_is_not_followed(shop, receivers):
    first, second = await receivers(), await receivers()

    async def redirect(_received):
        return f"HTTP/1.1 307 Go\r\nLocation: {second.url}\r\nContent-Length: 0\r\n\r\n".encode()

    first.answer = redirect
    await shop.endpoint(first.url)
    await shop.order()
    await shop.send()

    (delivery,) = await shop.deliveries()
    assert (delivery["status"], delivery["last_response_status"]) == ("pending", 307)
    assert second.received == []


async def test_events_of_an_object_come_in_order_and_objects_do_not_wait_for_one_another(
    shop, receiver, clock
):
    receiver.answers(500)
    await shop.endpoint(receiver.url)
    for order_id in ("ord_1", "ord_1", "ord_2"):
        await shop.order(order_id)
        await shop.send()
    told = [json.loads(one.body)["data"] for one in receiver.received]
    assert [(one["object_id"], one["sequence"]) for one in told] == [("ord_1", 1), ("ord_2", 1)]

    clock.advance(seconds=6)
    await shop.send()

    told = [json.loads(one.body)["data"] for one in receiver.received[2:]]
    assert [(one["object_id"], one["sequence"]) for one in told] == [("ord_1", 1), ("ord_1", 2)]


async def test_a_slow_endpoint_delays_nobody_else(shop, receivers):
    slow, fast = await receivers(), await receivers()
    is_released = asyncio.Event()

    async def hang(_received):
        await is_released.wait()
        return b"HTTP/1.1 204 Late\r\n\r\n"

    slow.answer = hang
    await shop.endpoint(slow.url)
    for index in range(12):
        await shop.order(f"ord_{index}")
    sending = asyncio.create_task(shop.send())
    async with asyncio.timeout(60):
        await slow.arrived.wait()
    await shop.endpoint(fast.url)
    await shop.order("ord_late")  # while the slow one holds its slots, in the same pass
    async with asyncio.timeout(60):
        await fast.arrived.wait()
        assert not sending.done()
        is_released.set()
        await sending

    assert len(slow.received) == 13
    assert {one["status"] for one in await shop.deliveries()} == {"delivered"}


async def test_an_endless_answer_is_cut_off_and_its_status_counts(shop, receiver):
    async def endless(_received):
        return b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 200_000

    receiver.answer = endless
    await shop.endpoint(receiver.url)
    await shop.order()
    await shop.send()

    (delivery,) = await shop.deliveries()
    assert (delivery["status"], delivery["last_response_status"]) == ("delivered", 200)


async def test_an_answer_that_is_no_http_is_a_failure(shop, receiver):
    async def nonsense(_received):
        return b"hello\r\n\r\n"

    receiver.answer = nonsense
    await shop.endpoint(receiver.url)
    await shop.order()
    await shop.send()

    (delivery,) = await shop.deliveries()
    assert (delivery["status"], delivery["last_error"]) == ("pending", "connection_lost")


async def test_gone_disables_an_endpoint_and_its_merchant_is_told(shop, receivers):
    gone, other = await receivers(), await receivers()
    gone.answers(then=410)
    endpoint = await shop.endpoint(gone.url)
    await shop.endpoint(other.url, "webhook_endpoint.disabled")
    await shop.order("ord_1")
    await shop.send()
    await shop.order("ord_2")
    await shop.app.deliver_events()
    await shop.send()

    shown = await shop.shown(endpoint)
    assert (shown["status"], shown["disabled_because"]) == ("disabled", "gone")
    (told,) = other.received
    assert json.loads(told.body)["data"]["reason"] == "gone"
    assert len(gone.received) == 1
    (skipped,) = await shop.deliveries("?status=skipped")
    assert skipped["object_id"] == "ord_2"


async def test_failures_in_a_row_disable_an_endpoint_when_a_delivery_is_given_up(
    shop, receiver, clock
):
    receiver.answers(then=500)
    endpoint = await shop.endpoint(receiver.url)
    await shop.order()
    for seconds in (0, 6, 67):
        clock.advance(seconds=seconds)
        await shop.send()
    assert (await shop.shown(endpoint))["status"] == "enabled"

    clock.advance(seconds=661)
    await shop.send()

    shown = await shop.shown(endpoint)
    assert (shown["status"], shown["disabled_because"]) == ("disabled", "failing")
    (delivery,) = await shop.deliveries()
    assert (delivery["status"], delivery["attempts"]) == ("failed", 4)


async def test_one_message_that_a_receiver_cannot_take_does_not_disable_it(shop, receiver, clock):
    async def dislikes_the_first(received):
        is_first = json.loads(received.body)["data"]["object_id"] == "ord_bad"
        return b"HTTP/1.1 500 No\r\n\r\n" if is_first else b"HTTP/1.1 204 Yes\r\n\r\n"

    receiver.answer = dislikes_the_first
    endpoint = await shop.endpoint(receiver.url)
    await shop.order("ord_bad")
    for index, seconds in enumerate((0, 6, 67, 661)):
        clock.advance(seconds=seconds)
        await shop.send()
        await shop.order(f"ord_{index}")
        await shop.send()

    assert (await shop.shown(endpoint))["status"] == "enabled"
    (failed,) = await shop.deliveries("?status=failed")
    assert failed["object_id"] == "ord_bad"


async def test_an_endpoint_that_was_enabled_again_is_judged_anew(shop, receiver, clock):
    receiver.answers(then=410)
    endpoint = await shop.endpoint(receiver.url)
    await shop.order("ord_1")
    await shop.send()
    receiver.answers()
    clock.advance(seconds=1)
    await shop.act(endpoint, "enable")
    await shop.order("ord_2")
    await shop.send()

    assert (await shop.shown(endpoint))["status"] == "enabled"
    assert [one["status"] for one in await shop.deliveries()] == ["failed", "delivered"]
    receiver.answers(then=410)
    await shop.order("ord_3")
    await shop.send()
    assert (await shop.shown(endpoint))["status"] == "disabled"


async def test_what_a_disabled_endpoint_missed_is_sent_on_request(shop, receiver, clock):
    endpoint = await shop.endpoint(receiver.url)
    since = "2020-01-01T00:00:00Z"
    await shop.order("ord_1")
    await shop.send()
    await shop.act(endpoint, "disable")
    await shop.order("ord_2")
    await shop.send()
    clock.advance(seconds=1)
    refused = await shop.ask(
        "POST", f"/endpoints/{endpoint['endpoint_id']}/redeliver", {"since": since}
    )
    assert (refused.status_code, refused.json()["code"]) == (
        409, "webhook_endpoint_transition_refused",
    )  # fmt: skip

    await shop.act(endpoint, "enable")
    made = await shop.act(endpoint, "redeliver", {"since": since, "status": "skipped"})
    await shop.send()

    assert (len(made["deliveries"]), made["more"]) == (1, False)
    objects = [json.loads(one.body)["data"]["object_id"] for one in receiver.received]
    assert objects == ["ord_1", "ord_2"]
    again = await shop.act(endpoint, "redeliver", {"since": since})
    await shop.send()
    assert len(again["deliveries"]) == 2, "each message once"
    ids = [one.headers["webhook-id"] for one in receiver.received]
    assert sorted(ids[2:]) == sorted(ids[:2])


async def test_a_delivery_is_made_again_with_its_message_once_it_has_ended(shop, receiver, clock):
    receiver.answers(500)
    await shop.endpoint(receiver.url)
    await shop.order()
    await shop.send()
    (delivery,) = await shop.deliveries()
    path = f"/deliveries/{delivery['delivery_id']}/redeliver"
    early = await shop.ask("POST", path, {})
    assert (early.status_code, early.json()["code"]) == (409, "webhook_delivery_under_way")

    clock.advance(seconds=6)
    await shop.send()
    first = await shop.ask("POST", path, {}, key="once")
    repeated = await shop.ask("POST", path, {}, key="once")
    await shop.send()

    assert first.json() == repeated.json()
    _, again = await shop.deliveries()
    assert [again["delivery_id"]] == first.json()["deliveries"]
    assert (again["repeats"], again["status"]) == (delivery["delivery_id"], "delivered")
    assert len({one.headers["webhook-id"] for one in receiver.received}) == 1


async def test_a_ping_is_sent_once_also_to_a_disabled_endpoint(shop, receiver):
    receiver.answers(500)
    endpoint = await shop.endpoint(receiver.url)
    await shop.act(endpoint, "disable")
    failed = await shop.act(endpoint, "ping")
    await shop.send()
    await shop.act(endpoint, "ping")
    await shop.send()

    assert receiver.types == ["webhook.ping", "webhook.ping"]
    assert (
        verified(receiver.received[1], endpoint["secret"])["data"]["endpoint_id"]
        == (endpoint["endpoint_id"])
    )
    first = (await shop.ask("GET", f"/deliveries/{failed['delivery_id']}")).json()
    assert (first["status"], first["last_response_status"]) == ("failed", 500)


async def test_a_process_that_dies_with_a_lease_leaves_the_delivery_to_the_next(
    shop, receiver, clock
):
    await shop.endpoint(receiver.url)
    await shop.order()
    database = shop.app.context.database
    now = clock.now_milliseconds()
    (waiting,) = (
        await database.execute(delivery_queries.due_endpoints(now=now, after="", limit=200))
    ).rows[-1:]
    rows = await database.execute(
        delivery_queries.due_deliveries(
            shop.merchant_id, str(waiting["endpoint_id"]), now=now, limit=5
        )
    )
    (row,) = rows.rows
    lease_until = now + int((21 + LEASE_MARGIN_SECONDS) * 1000)
    await database.execute(
        delivery_queries.take_delivery(
            shop.merchant_id,
            held_nonce=str(row["nonce"]),
            nonce="dead",
            lease_until=lease_until,
            attempts=1,
        )
    )
    await shop.send()
    assert receiver.received == []

    clock.advance(seconds=40)
    await shop.send()

    (delivery,) = await shop.deliveries()
    assert (delivery["status"], delivery["attempts"]) == ("delivered", 2)


async def test_fan_out_that_is_repeated_adds_what_is_missing_and_nothing_else(shop, receivers):
    first, second = await receivers(), await receivers()
    await shop.endpoint(first.url)
    await shop.order()
    (entry,) = (await shop.app.context.journal.stream(shop.merchant_id, "ord_1")).entries
    (handler,) = plugin.fintech_event_handlers(shop.app.context)
    await shop.endpoint(second.url)

    for _ in range(2):
        await handler.handle(entry)
    await shop.send()

    assert (len(first.received), len(second.received)) == (1, 1)


async def test_two_couriers_at_once_send_once(shop, receiver):
    await shop.endpoint(receiver.url)
    for index in range(5):
        await shop.order(f"ord_{index}")

    await asyncio.gather(shop.send(), shop.send(), shop.send())

    assert len(receiver.received) == 5
