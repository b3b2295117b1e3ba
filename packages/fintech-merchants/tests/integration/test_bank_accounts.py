"""Bank accounts: nothing readable is at rest, and a new secret reaches every one of them."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fintech_dbclient import HttpDatabase, Statement
from fintech_kernel.contracts.merchants import PayoutAccounts
from fintech_kernel.identifiers import RandomIdentifiers
from fintech_kernel.security.sealed_fields import FieldSealer, SealedField
from fintech_kernel.security.secrets import KeyRing
from fintech_kernel.testing.apps import SETTINGS, RunningApp, running_app
from fintech_kernel.testing.database import database_service
from fintech_merchants import plugin
from fintech_merchants.commands import app as commands
from fintech_merchants.domain import bank_accounts
from fintech_merchants.domain.bank_accounts import PURPOSE, Resealed, reseal
from typer.testing import CliRunner

pytestmark = pytest.mark.anyio

IBAN = "GB33BUKB20201555555555"
NUMBER = "0180290123456"
MSISDN = "+254712345678"
HOLDER = "Holder Canary Ltd"
ACCOUNTS: tuple[dict[str, Any], ...] = (
    {"holder": HOLDER, "iban": IBAN},
    {
        "holder": HOLDER,
        "kenyan_bank": {
            "bank_code": "68",
            "branch_code": "001",
            "account_number": "0180-290123456",
        },
    },
    {
        "holder": HOLDER,
        "mobile_wallet": {"provider": "mpesa", "msisdn": MSISDN, "country": "KE"},
    },
)
CANARIES = (IBAN, NUMBER, "0180-290123456", MSISDN, MSISDN[1:], HOLDER)
NEW_SECRET = {
    "app_secret": "n" * 48,
    "app_secret_id": "k2",
    "app_secrets_previous": {"k1": SETTINGS["app_secret"]},
}
TABLES = (
    "operations",
    "journal",
    "deliveries",
    "merchants_merchants",
    "merchants_metadata",
    "merchants_bank_accounts",
)


@pytest.fixture
def url(tmp_path) -> Any:
    with database_service(f"sqlite:///{tmp_path}/accounts.db") as served:
        yield served


@pytest.fixture
async def app(anyio_backend, url: str) -> AsyncIterator[RunningApp]:
    async with running_app(database_url=url, plugins=[plugin]) as running:
        yield running


async def _onboard(app: RunningApp, number: int) -> str:
    body = {
        "name": "Duka",
        "currencies": ["KES"],
        "settlement": {"bank_account": ACCOUNTS[number % len(ACCOUNTS)]},
    }
    answer = await app.post("/v1/merchants", body, key=f"a-{number}", headers=app.headers())
    assert answer.status_code == 201, answer.text
    assert all(canary not in answer.text for canary in CANARIES)
    return answer.json()["merchant_id"]


async def _rows(app: RunningApp, table: str) -> list[Any]:
    found = await app.context.database.execute(
        Statement(name="test.dump", sql=f"SELECT * FROM {table}")  # noqa: S608 - a test's own tables
    )
    return [dict(row) for row in found.rows]


def _opened(app: RunningApp, row: Any) -> dict[str, str]:
    sealer = FieldSealer(app.context.keyring, purpose=PURPOSE)
    sealed = SealedField(key_id=row["key_id"], text=row["sealed"])
    place = f"{row['merchant_id']}/{row['account_id']}"
    return json.loads(sealer.open(sealed, bound_to=place))


async def test_nothing_readable_of_an_account_is_at_rest_and_all_of_it_can_be_opened(app, capfd):
    for number in range(3):
        merchant_id = await _onboard(app, number)
        await app.client.get(f"/v1/merchants/{merchant_id}/timeline", headers=app.headers())
    await app.deliver_events()

    dump = json.dumps([await _rows(app, table) for table in TABLES])
    assert [canary for canary in CANARIES if canary in dump] == []
    output = "".join(capfd.readouterr())
    assert [canary for canary in CANARIES if canary in output] == []
    opened = [_opened(app, row) for row in await _rows(app, "merchants_bank_accounts")]
    assert [one["holder"] for one in opened] == [HOLDER] * 3
    assert {one.get("iban") or one.get("account_number") or one["msisdn"] for one in opened} == {
        IBAN,
        NUMBER,
        MSISDN,
    }


async def test_an_account_is_opened_for_a_payout_to_its_merchant_and_to_nobody_else(app):
    accounts = app.context.services.get(PayoutAccounts)
    merchant_id, other_id = await _onboard(app, 0), await _onboard(app, 1)
    rows = await _rows(app, "merchants_bank_accounts")
    mine = next(row["account_id"] for row in rows if row["merchant_id"] == merchant_id)
    opened = await accounts.open(merchant_id=merchant_id, account_id=mine)
    assert (opened.kind, opened.details) == ("iban", {"holder": HOLDER, "iban": IBAN})
    assert IBAN not in repr(opened)
    assert await accounts.open(merchant_id=other_id, account_id=mine) is None


async def test_a_refused_onboarding_keeps_no_account(app):
    body = {
        "name": "Duka",
        "currencies": ["KES"],
        "settlement": {"bank_account": ACCOUNTS[0]},
        "pricing": [{"currency": "USD", "basis_points": 1}],
    }

    answer = await app.post("/v1/merchants", body, key="refused", headers=app.headers())

    assert answer.status_code == 422
    assert await _rows(app, "merchants_bank_accounts") == []


def _sealer(settings: dict[str, Any]) -> FieldSealer:
    from fintech_kernel.settings import KernelSettings

    return FieldSealer(KeyRing(KernelSettings(**{**SETTINGS, **settings})), purpose=PURPOSE)


async def test_a_new_secret_reaches_every_account_also_when_interrupted(app, url, monkeypatch):
    for number in range(5):
        await _onboard(app, number)
    before = {
        row["account_id"]: _opened(app, row) for row in await _rows(app, "merchants_bank_accounts")
    }
    monkeypatch.setattr(bank_accounts, "RESEAL_BATCH", 2)
    sealer = _sealer({**NEW_SECRET, "db_base_url": url})
    identifiers = RandomIdentifiers(app.context.clock)

    async for progress in reseal(app.context.database, sealer, identifiers):
        assert progress == Resealed(done=2)
        break
    rest = [one async for one in reseal(app.context.database, sealer, identifiers)]
    again = [one async for one in reseal(app.context.database, sealer, identifiers)]

    assert (rest[-1], again) == (Resealed(done=3), [])
    rows = await _rows(app, "merchants_bank_accounts")
    assert {row["key_id"] for row in rows} == {"k2"}
    async with running_app(database_url=url, plugins=[plugin], settings=NEW_SECRET) as later:
        assert {row["account_id"]: _opened(later, row) for row in rows} == before


async def test_accounts_of_a_secret_that_is_gone_are_counted_and_left(app, url):
    await _onboard(app, 0)
    forgetful = _sealer({**NEW_SECRET, "app_secrets_previous": {}, "db_base_url": url})

    told = [
        one
        async for one in reseal(
            app.context.database, forgetful, RandomIdentifiers(app.context.clock)
        )
    ]

    assert told[-1] == Resealed(done=0, left={"k1": 1})
    assert {row["key_id"] for row in await _rows(app, "merchants_bank_accounts")} == {"k1"}


async def test_a_late_replay_of_sealing_anew_changes_nothing(app, url):
    from fintech_merchants.infrastructure import queries

    await _onboard(app, 0)
    (row,) = await _rows(app, "merchants_bank_accounts")
    late = queries.reseal_bank_account(
        row["merchant_id"], row["account_id"], key_id_before="k1", key_id="k2", sealed="once"
    )
    async with HttpDatabase(url) as database:
        await database.execute(late)
        third = queries.reseal_bank_account(
            row["merchant_id"], row["account_id"], key_id_before="k2", key_id="k3", sealed="then"
        )
        await database.execute(third)
        await database.execute(late)

    (row,) = await _rows(app, "merchants_bank_accounts")
    assert (row["key_id"], row["sealed"]) == ("k3", "then")


async def test_the_command_seals_anew_and_says_so(app, url):
    import asyncio

    await _onboard(app, 0)

    def invoke(settings: dict[str, Any]) -> Any:
        given = {**SETTINGS, **settings, "db_base_url": url}
        return CliRunner().invoke(commands, ["reseal"], obj=given)

    forgetful = await asyncio.to_thread(invoke, {**NEW_SECRET, "app_secrets_previous": {}})
    done = await asyncio.to_thread(invoke, NEW_SECRET)
    again = await asyncio.to_thread(invoke, NEW_SECRET)

    assert forgetful.exit_code == 1
    assert "1 accounts are sealed under k1" in forgetful.output
    assert done.exit_code == again.exit_code == 0, done.output
    assert "1 accounts sealed anew; all are under k2" in done.output
    assert "0 accounts sealed anew; all are under k2" in again.output
