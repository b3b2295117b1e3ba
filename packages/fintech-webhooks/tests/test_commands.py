"""``fintech webhooks reseal``: as an operator runs it, against a real database service."""

import asyncio
import time

import pytest
from fintech_dbclient import HttpDatabase, Statement
from fintech_kernel.testing.apps import SETTINGS, running_app
from fintech_webhooks import plugin
from fintech_webhooks.commands import app
from standardwebhooks import Webhook
from typer.testing import CliRunner

BEFORE = str(SETTINGS["app_secret"])
ROTATED = {
    "app_secret": BEFORE[::-1],
    "app_secret_id": "k2",
    "app_secrets_previous": {"k1": BEFORE},
}
LOOPBACK = {"webhooks_allow_loopback": True}


@pytest.fixture(scope="module")
def made(database_url):
    """An endpoint whose secret was sealed under the secret before."""

    async def make():
        settings = {**LOOPBACK, "app_secret_id": "k1"}
        async with running_app(
            database_url=database_url, plugins=[plugin], settings=settings
        ) as running:
            return (
                await running.post(
                    "/v1/webhooks/mer_1/endpoints",
                    {"url": "http://127.0.0.1:9/", "events": ["*"]},
                    key="a",
                    headers=running.headers(),
                )
            ).json()

    return asyncio.run(make())


def fintech(url, **settings):
    return CliRunner().invoke(app, ["reseal"], obj={**SETTINGS, "db_base_url": url, **settings})


def key_ids(url):
    async def read():
        async with HttpDatabase(url) as database:
            found = await database.execute(
                Statement(name="test.keys", sql="SELECT key_id, sealed FROM webhooks_secrets")
            )
            return [row["key_id"] for row in found.rows]

    return asyncio.run(read())


def test_secrets_are_sealed_anew_and_sign_as_before(made, database_url):
    left = fintech(database_url, app_secret=BEFORE[::-1], app_secret_id="k2")
    assert left.exit_code == 1
    assert "add it to APP_SECRETS_PREVIOUS" in left.output
    assert key_ids(database_url) == ["k1"]

    done = fintech(database_url, **ROTATED)
    again = fintech(database_url, **ROTATED)

    assert (done.exit_code, again.exit_code) == (0, 0), done.output
    assert "1 secrets sealed anew; all are under k2" in done.output
    assert "0 secrets sealed anew" in again.output
    assert key_ids(database_url) == ["k2"]

    async def opened():
        from fintech_webhooks.domain.secrets import SigningSecrets
        from fintech_webhooks.infrastructure import queries
        from fintech_webhooks.infrastructure.queries import EndpointRow, SecretRow

        settings = {**LOOPBACK, "app_secret": BEFORE[::-1], "app_secret_id": "k2"}
        async with running_app(
            database_url=database_url, plugins=[plugin], settings=settings
        ) as running:
            context = running.context
            rows = await context.database.execute(
                queries.endpoint_by_id("mer_1", made["endpoint_id"])
            )
            secrets = await context.database.execute(
                queries.secret_by_id("mer_1", made["secret_id"])
            )
            return context.services.get(SigningSecrets).signing(
                EndpointRow.from_row(rows.rows[0]),
                [SecretRow.from_row(one) for one in secrets.rows],
                now=int(time.time() * 1000),
            )

    assert asyncio.run(opened()) == (made["secret"],)
    assert Webhook(made["secret"])
