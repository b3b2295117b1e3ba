"""A run of settlements is killed in its middle, with another beside it: as if it had been a quiet one."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fintech_kernel.contracts.accounts import fees_account, merchant_account, processor_account
from fintech_kernel.contracts.merchants import MerchantStatus
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.testing.database import database_service
from fintech_ledger.infrastructure import queries

MERCHANTS = 12
SALES = 40
CURRENCY = "KES"
CUTOFF = "2026-01-10T09:00:00Z"
AVAILABLE = 1_767_952_800_000
"""2026-01-09T10:00:00Z: due on the tenth."""

SECONDS_MAX = 120.0
RUN = (sys.executable, "-m", "fintech_server", "settlements", "run", "--cutoff", CUTOFF)


async def earned(url: str, cutoff_day: str) -> None:
    """Make merchants and what they are due, the same in every database but for their ids."""
    async with running_app(database_url=url, plugins=None) as app:
        for number in range(MERCHANTS):
            merchant_id = await active(app, f"{cutoff_day}-{number}")
            account = merchant_account(merchant_id, CURRENCY)
            rows = []
            for sale in range(SALES):
                operation = f"op_{number}_{sale}"
                for leg, sides, kind, amount in (
                    (
                        "capture",
                        (processor_account("p", CURRENCY), account),
                        "Settled",
                        1_000 + sale,
                    ),
                    ("fee", (account, fees_account(CURRENCY)), "Fee", 30 + number),
                ):
                    names = (f"{operation}:{leg}", operation, merchant_id, *sides)
                    rest = (AVAILABLE, f"pay_{number}_{sale}", f"order-{sale}", AVAILABLE, 1)
                    rows.append((*names, amount, CURRENCY, kind, *rest))
            await app.context.database.execute(queries.insert_transfers(rows))


async def active(app: RunningApp, name: str) -> str:
    made = await app.post(
        "/v1/merchants",
        {
            "name": name,
            "currencies": [CURRENCY],
            "settlement": {"delay_days": 0},
            "pricing": [{"currency": CURRENCY, "basis_points": 290}],
        },
        key=f"make-{name}",
        headers=app.headers(),
    )
    merchant_id = str(made.json()["merchant_id"])
    for step, body in (
        ("verification", {"outcome": "verified", "reference": "kyb", "reason": "test"}),
        ("activate", {"reason": "test"}),
    ):
        done = await app.post(
            f"/v1/merchants/{merchant_id}/{step}", body, key=f"{step}-{name}", headers=app.headers()
        )
        assert done.is_success, done.text
    assert done.json()["status"] == MerchantStatus.ACTIVE
    return merchant_id


async def books(url: str) -> list[tuple[Any, ...]]:
    """Return what stands of every settlement, by merchant's name; nothing may be left due."""
    async with running_app(database_url=url, plugins=None) as app:
        await app.context.operations.recover()
        merchants = (await app.client.get("/v1/merchants?limit=200", headers=app.headers())).json()
        names = {one["merchant_id"]: one["name"] for one in merchants["data"]}
        path = "/v1/settlements?limit=200"
        listed = (await app.client.get(path, headers=app.headers())).json()["data"]
        due = await app.client.get(
            f"/v1/settlements/runs/due?cutoff={CUTOFF}", headers=app.headers()
        )
        assert due.json()["data"] == []
        trial = await app.client.get("/v1/ledger/trial-balance", headers=app.headers())
        assert trial.is_success
        return sorted(
            (
                names[one["merchant_id"]],
                one["total"],
                one["line_count"],
                one["cutoff"],
                one["status"],
            )
            for one in listed
        )


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Any]:
    with (
        database_service(f"sqlite:///{tmp_path / 'quiet.db'}") as quiet,
        database_service(f"sqlite:///{tmp_path / 'killed.db'}") as killed,
    ):
        yield quiet, killed


def started(environment: dict[str, str], url: str) -> "subprocess.Popen[bytes]":
    given = {**environment, "DB_BASE_URL": url}
    return subprocess.Popen(RUN, env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def settlements_begun(url: str) -> int:
    from fintech_dbclient import HttpDatabase, Statement

    async def count() -> int:
        async with HttpDatabase(url) as client:
            found = await client.execute(
                Statement(
                    name="test.begun",
                    sql="SELECT COUNT(*) AS n FROM operations WHERE kind = ?",
                    params=("settlements.create",),
                )
            )
            return int(str(found.rows[0]["n"]))

    return asyncio.run(count())


def test_two_runs_and_a_kill_in_their_middle_end_in_the_books_of_a_quiet_run(
    database: tuple[str, str], environment: dict[str, str]
) -> None:
    quiet, killed = database
    for url in database:
        asyncio.run(earned(url, "due"))
    with started(environment, quiet) as calm:
        assert calm.wait(SECONDS_MAX) == 0, calm.stderr and calm.stderr.read()

    with started(environment, killed) as first, started(environment, killed) as second:
        until = time.monotonic() + SECONDS_MAX
        while not settlements_begun(killed) and time.monotonic() < until:
            assert first.poll() is None
        first.send_signal(signal.SIGKILL)
        second.wait(SECONDS_MAX)
    with started(environment, killed) as last:
        assert last.wait(SECONDS_MAX) == 0, last.stderr and last.stderr.read()

    expected = asyncio.run(books(quiet))
    assert len(expected) == MERCHANTS
    assert asyncio.run(books(killed)) == expected
