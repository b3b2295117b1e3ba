"""Denials: thousands of them are a few rows, none is lost, and the trail shows them."""

from types import ModuleType

import pytest
from fintech_dbclient import DatabaseError, HttpDatabase, Statement
from fintech_kernel.contracts.credentials import CredentialDirectory
from fintech_kernel.domain.denials import (
    COUNTS_MAX,
    DENIALS_COUNTED,
    JOB_NAME,
    OTHER,
    STREAM_ENTRIES_MAX,
    Denial,
    Denials,
)
from fintech_kernel.domain.journal import Entry, Journal
from fintech_kernel.hooks import PluginManifest, ServiceProvider, hookimpl
from fintech_kernel.identifiers import RandomIdentifiers
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.testing.faults import Fault, FaultyDatabase

pytestmark = pytest.mark.anyio

REFUSED = 10_000
ROWS_MAX = 10


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def denials(database: HttpDatabase, clock: FrozenClock) -> Denials:
    return Denials(database=database, clock=clock, identifiers=RandomIdentifiers(clock))


def denial(number: int = 0, reason: str = "forbidden") -> Denial:
    return Denial(reason=reason, route="/v1/things", subject=f"usr_{number}", merchant_id="mer_1")


async def written(database: HttpDatabase) -> list[Entry]:
    result = await database.execute(
        Statement(
            name="test.denials",
            sql="SELECT entry_id, step_key, stream_id, seq, type, data, actor, request_id,"
            " occurred_at, previous_hash, hash FROM journal WHERE type = ?",
            params=(DENIALS_COUNTED,),
        )
    )
    return [Entry.from_row(row) for row in result.rows]


async def written_since(database: HttpDatabase, before: list[Entry]) -> list[Entry]:
    known = {entry.entry_id for entry in before}
    return [entry for entry in await written(database) if entry.entry_id not in known]


def counted(entries: list[Entry]) -> int:
    return sum(one["count"] for entry in entries for one in entry.data["counts"])


async def test_ten_thousand_refused_requests_are_a_few_rows_and_all_are_counted(
    database_url: str, database: HttpDatabase
) -> None:
    before = await written(database)
    settings = {"app_jobs": True, "rate_limit_address": "1/hour"}
    async with running_app(database_url=database_url, plugins=[], settings=settings) as app:
        await app.client.get("/v1/none")
        for _ in range(REFUSED):
            assert (await app.client.get("/v1/operations/op_1")).status_code == 429
    entries = await written_since(database, before)
    assert 1 <= len(entries) <= ROWS_MAX
    assert counted(entries) == REFUSED
    assert {(one["reason"], one["address"]) for one in entries[0].data["counts"]} == {
        ("rate_limited", "127.0.0.1")
    }


async def test_ten_thousand_principals_are_a_few_rows_too(
    denials: Denials, database: HttpDatabase, clock: FrozenClock
) -> None:
    before = await written(database)
    for number in range(REFUSED):
        denials.note(denial(number))
    await denials.write()
    (entry,) = await written_since(database, before)
    assert counted([entry]) == REFUSED
    assert len(entry.data["counts"]) == COUNTS_MAX + 1
    assert entry.data["counts"][-1] == {
        "reason": "forbidden",
        "route": OTHER,
        "subject": OTHER,
        "count": REFUSED - COUNTS_MAX,
    }


async def test_the_first_of_a_reason_in_a_minute_is_written_at_once(
    denials: Denials, clock: FrozenClock
) -> None:
    woken: list[str] = []
    denials.use_waker(woken.append)
    for reason in ("forbidden", "forbidden", "rate_limited", "forbidden", "rate_limited"):
        denials.note(denial(reason=reason))
    assert woken == [JOB_NAME] * 2
    clock.advance(seconds=59)
    denials.note(denial())
    assert woken == [JOB_NAME] * 2
    clock.advance(seconds=1)
    denials.note(denial())
    assert woken == [JOB_NAME] * 3


@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.LOST_AFTER, Fault.REFUSED])
async def test_a_lost_reply_neither_loses_nor_repeats_a_count(
    database: HttpDatabase, clock: FrozenClock, fault: Fault
) -> None:
    before = await written(database)
    faulty = FaultyDatabase(database, at=0, fault=fault)
    denials = Denials(database=faulty, clock=clock, identifiers=RandomIdentifiers(clock))
    denials.note(denial(1))
    with pytest.raises(DatabaseError):
        await denials.write()
    denials.note(denial(2))
    await denials.write()
    entries = await written_since(database, before)
    assert sorted(one["subject"] for entry in entries for one in entry.data["counts"]) == [
        "usr_1",
        "usr_2",
    ]
    assert counted(entries) == 2


async def test_entries_are_chained_and_a_full_stream_is_followed_by_another(
    denials: Denials, database: HttpDatabase
) -> None:
    before = await written(database)
    for number in range(STREAM_ENTRIES_MAX + 1):
        denials.note(denial(number))
        await denials.write()
    entries = await written_since(database, before)
    streams = {entry.stream_id.removeprefix("/") for entry in entries}
    read = [(await Journal(database).stream("", one)).verified() for one in streams]
    assert sorted(len(stream.entries) for stream in read) == [1, STREAM_ENTRIES_MAX]


async def test_without_denials_nothing_is_written(denials: Denials, database: HttpDatabase) -> None:
    before = await written(database)
    await denials.write()
    assert await written_since(database, before) == []


async def test_auditors_find_them_by_their_type(database_url: str) -> None:
    async with running_app(database_url=database_url, plugins=[]) as app:
        await refused_and_sealed(app)
        response = await app.client.get(
            f"/v1/audit/entries?type={DENIALS_COUNTED}&limit=1", headers=app.headers("auditor")
        )
        (shown,) = response.json()["data"]
    assert shown["actor"]["subject"] == f"job:{JOB_NAME}"
    assert shown["data"]["counts"] == [
        {
            "reason": "unauthenticated",
            "route": "/v1/operations/{operation_id}",
            "address": "127.0.0.1",
            "count": 3,
        }
    ]


async def refused_and_sealed(app: RunningApp) -> None:
    for _ in range(3):
        assert (await app.client.get("/v1/operations/op_1")).status_code == 401
    await app.context.denials.write()
    await app.context.sealer.seal()


class NoKeys:
    """A directory of API keys that holds none."""

    async def authenticate(self, secret: str) -> None:
        del secret

    async def current(self, merchant_id: str, credential_id: str) -> None:
        del merchant_id, credential_id


def keeper_of_keys() -> ModuleType:
    def fintech_plugins() -> list[PluginManifest]:
        return [
            PluginManifest(name="keys", summary="", table_prefix="keys_", route_prefix="/v1/keys")
        ]

    def fintech_services() -> list[ServiceProvider]:
        return [
            ServiceProvider(
                name="keys",
                provides=CredentialDirectory,
                requires=(),
                build=lambda _context: NoKeys(),
            )
        ]

    module = ModuleType("keys")
    for hook in (fintech_plugins, fintech_services):
        setattr(module, hook.__name__, hookimpl(hook))
    return module


async def test_guessing_a_clients_secret_is_stopped_and_stands_in_the_trail(
    database_url: str, database: HttpDatabase
) -> None:
    before = await written(database)
    settings = {"rate_limit_token": "3/hour"}
    plugins = [keeper_of_keys()]
    async with running_app(database_url=database_url, plugins=plugins, settings=settings) as app:
        guesses = [await guess(app, number) for number in range(20)]
    assert guesses == [401] * 3 + [429] * 17
    (entry,) = await written_since(database, before)
    counts = {one["reason"]: one["count"] for one in entry.data["counts"]}
    assert counts == {"invalid_client": 3, "rate_limited": 17}


async def guess(app: RunningApp, number: int) -> int:
    form = {
        "grant_type": "client_credentials",
        "client_id": "key_01k9qq3v5kf7wsc0d3jz8y2m4t",
        "client_secret": f"guess-{number}",
    }
    return (await app.client.post("/v1/auth/token", data=form)).status_code
