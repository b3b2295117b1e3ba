"""``fintech settlements``: as an operator runs it, against a real database service."""

import asyncio
import re
from pathlib import Path

import pytest
from fintech_kernel.host import PluginHost
from fintech_kernel.testing.apps import SETTINGS, RunningApp
from fintech_settlements import plugin as settlements_plugin
from fintech_settlements.commands import app
from typer.testing import CliRunner

PAST = "2025-10-10T09:00:00Z"


@pytest.fixture
def fintech(sqlite_service, doubles, monkeypatch):
    """Run a command in a deployment whose ledger and merchants are the doubles."""
    monkeypatch.setattr(
        PluginHost,
        "installed",
        lambda: PluginHost.of([settlements_plugin, doubles]),
    )

    def run(*arguments: str, **settings: object):
        given = {**SETTINGS, "db_base_url": sqlite_service, **settings}
        return CliRunner().invoke(app, arguments, obj=given)

    return run


@pytest.fixture
def owed(sqlite_service, run_world):
    """A merchant that earned something on 2025-10-09."""

    async def earn() -> str:
        async with run_world(sqlite_service) as world:
            await world.owe(1_000, 234)
            return world.merchant_id

    return asyncio.run(earn())


@pytest.fixture
def listed(sqlite_service, run_app):
    """Return what the API lists of a merchant's settlements."""

    async def read(merchant_id: str):
        async with run_app(sqlite_service) as running:
            assert isinstance(running, RunningApp)
            found = await running.client.get(
                f"/v1/settlements?merchant_id={merchant_id}", headers=running.headers()
            )
            return found.json()["data"]

    return lambda merchant_id: asyncio.run(read(merchant_id))


def test_a_dry_run_tells_and_a_run_settles_and_another_finds_nothing(fintech, owed, listed):
    looked = fintech("run", "--cutoff", PAST, "--dry-run")
    assert f"{owed} KES: 2 lines, 1234 minor units" in looked.output
    assert listed(owed) == []
    done = fintech("run", "--cutoff", PAST)
    assert done.exit_code == 0, done.output
    assert re.search(r"accounts: [1-9]\d* settlements opened", done.output)
    (settlement,) = listed(owed)
    assert settlement["opened_by"].startswith("command:")
    again = fintech("run", "--cutoff", PAST)
    assert again.exit_code == 0
    assert "0 settlements opened" in again.output
    assert listed(owed) == [settlement]


@pytest.mark.parametrize("cutoff", ["yesterday", "2025-10-10T09:00:00"])
def test_a_cutoff_that_is_no_moment_is_told(fintech, cutoff):
    done = fintech("run", "--cutoff", cutoff)
    assert done.exit_code == 1
    assert "write it as 2026-11-30T00:00:00Z" in done.output


def test_a_cutoff_in_the_future_is_told(fintech):
    done = fintech("run", "--cutoff", "2999-01-01T00:00:00Z")
    assert (done.exit_code, "lies in the future" in done.output) == (1, True)


def test_what_keeps_a_file_from_being_written_is_told(fintech, tmp_path: Path):
    output = tmp_path / "payouts.csv"
    assert "writes no files" in fintech("file", "--rail", "manual", "--output", str(output)).output
    unset = fintech("file", "--rail", "sepa_file", "--output", str(output))
    assert "SETTLEMENTS_SEPA_DEBTOR_NAME" in unset.output
    none = fintech("file", "--rail", "csv_file", "--output", str(output))
    assert (none.exit_code, "waits for a file" in none.output) == (0, True)
    absent = fintech("file", "--rail", "csv_file", "--output", str(output), "--again", "POF7Z")
    assert (absent.exit_code, "there is no file POF7Z" in absent.output) == (1, True)
    assert not output.exists()
    output.write_text("mine")
    taken = fintech("file", "--rail", "csv_file", "--output", str(output))
    assert (taken.exit_code, output.read_text()) == (1, "mine")
