"""The whole way of a message on PostgreSQL: every statement of the package, as that engine reads it."""

from collections.abc import Iterator

import pytest
from fintech_database.testing import (
    PostgresqlMissing,
    create_database,
    start_postgresql,
    start_service,
)
from fintech_kernel.identifiers import RandomIdentifiers
from fintech_kernel.security.sealed_fields import FieldSealer
from fintech_webhooks.domain.gauges import delivery_gauges
from fintech_webhooks.domain.secrets import PURPOSE, reseal
from fintech_webhooks.infrastructure import queries
from standardwebhooks import Webhook

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    try:
        with start_postgresql() as server, start_service(create_database(server)) as url:
            yield url
    except PostgresqlMissing as error:
        pytest.skip(str(error))


async def test_a_message_is_tried_again_taken_listed_made_again_and_refused_for_good(
    shop, receiver, clock
):
    receiver.answers(500, 204, 204, 410)
    endpoint = await shop.endpoint(receiver.url)
    await shop.act(endpoint, "rotate-secret", {"overlap_seconds": 600})
    for seconds in (0, 6):
        clock.advance(seconds=seconds)
        await shop.order("ord_1")
        await shop.send()
    waiting = {one.gauge: one.value for one in await _gauges(shop).read()}
    await shop.act(endpoint, "redeliver", {"since": "2020-01-01T00:00:00Z", "status": "delivered"})
    await shop.send()

    shown = await shop.shown(endpoint)
    assert (shown["status"], shown["disabled_because"]) == ("disabled", "gone")
    assert Webhook(endpoint["secret"]).verify(
        receiver.received[-1].body, receiver.received[-1].headers
    )
    listed = await shop.deliveries(f"?endpoint_id={endpoint['endpoint_id']}")
    assert sorted(one["status"] for one in listed)[:3] == ["delivered", "delivered", "failed"]
    (failed,) = [one for one in listed if one["last_response_status"] == 410]
    log = (await shop.ask("GET", f"/deliveries/{failed['delivery_id']}")).json()["attempt_log"]
    assert [one["response_status"] for one in log] == [410]
    assert waiting["fintech_webhooks_pending"] == 0
    page = await shop.ask("GET", "/endpoints?status=disabled&limit=1")
    assert [one["endpoint_id"] for one in page.json()["data"]] == [endpoint["endpoint_id"]]


def _gauges(shop):
    return delivery_gauges(shop.app.context.database, shop.app.context.clock)


async def test_secrets_are_sealed_anew(shop, clock):
    made = await shop.endpoint("https://shop.example.com/")
    context = shop.app.context
    sealer = FieldSealer(context.keyring, purpose=PURPOSE)
    row = (
        await context.database.execute(queries.secret_by_id(shop.merchant_id, made["secret_id"]))
    ).rows[0]
    statement = queries.reseal_secret(
        shop.merchant_id,
        made["secret_id"],
        key_id_before=str(row["key_id"]),
        key_id="lost",
        sealed=str(row["sealed"]),
    )
    await context.database.execute(statement)

    (progress,) = [one async for one in reseal(context.database, sealer, RandomIdentifiers(clock))]

    assert progress.left == {"lost": 1}
