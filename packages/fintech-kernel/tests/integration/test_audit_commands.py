"""``fintech audit`` and ``fintech events`` as an operator runs them, on a real database."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from fintech_dbclient import HttpDatabase, Statement, migrate
from fintech_kernel.commands import audit, events
from fintech_kernel.domain.events import Events
from fintech_kernel.domain.journal import Draft, Entry, Stream
from fintech_kernel.hooks import EventHandler
from fintech_kernel.identifiers import RandomIdentifiers
from fintech_kernel.infrastructure import queries
from fintech_kernel.infrastructure.tables import MIGRATIONS
from fintech_kernel.testing.apps import SETTINGS
from fintech_kernel.testing.clocks import FrozenClock
from typer import Typer
from typer.testing import CliRunner, Result

Run = Callable[..., Result]


@pytest.fixture
def run(database_url: str) -> Run:
    def invoke(app: Typer, *arguments: str) -> Result:
        settings = {**SETTINGS, "db_base_url": database_url}
        return CliRunner().invoke(app, arguments, obj=settings)

    return invoke


@pytest.fixture
def on_database(database_url: str) -> Callable[..., Any]:
    def run_on(work: Callable[[HttpDatabase], Awaitable[Any]]) -> Any:
        async def opened() -> Any:
            database = HttpDatabase(database_url)
            try:
                await migrate(database, "fintech-kernel", MIGRATIONS)
                return await work(database)
            finally:
                await database.close()

        return asyncio.run(opened())

    return run_on


@pytest.fixture
def entry_id(on_database: Callable[..., Any]) -> str:
    """An entry that waits to be sealed."""

    async def write(database: HttpDatabase) -> str:
        (entry,) = Stream(f"mer_test/{uuid.uuid4().hex[:12]}").next_entries(
            [Draft(type="thing.done", data={})],
            step_key=f"op_{uuid.uuid4().hex}:decide",
            actor={"subject": "tester", "roles": [], "merchant_id": ""},
            request_id="",
            occurred_at=1_760_000_000_000,
        )
        await database.execute(queries.append_entries([entry.columns()]))
        return entry.entry_id

    return str(on_database(write))


def execute(sql: Any, *params: Any) -> Callable[[HttpDatabase], Awaitable[Any]]:
    return lambda database: database.execute(Statement(name="test", sql=sql, params=params))


def test_a_log_is_sealed_exported_and_verified_with_its_public_key_alone(
    run: Run, entry_id: str, tmp_path: Path
) -> None:
    assert "under a signed tree head" in run(audit.app, "seal").output
    key = run(audit.app, "key").output.strip()
    file, pinned = tmp_path / "log.jsonl", tmp_path / "head"
    assert run(audit.app, "export", str(file)).exit_code == 0
    pinned.write_text(run(audit.app, "head").output)
    without_database = CliRunner().invoke(
        audit.app,
        ["verify", "--file", str(file), "--key", key, "--head", str(pinned)],
        env={"DB_BASE_URL": "", "APP_SECRET": ""},
    )
    assert without_database.output.startswith("verified: ")
    assert without_database.exit_code == 0
    assert entry_id in file.read_text()


def test_a_changed_file_fails_and_its_first_bad_entry_is_named(
    run: Run, entry_id: str, tmp_path: Path
) -> None:
    run(audit.app, "seal")
    key = run(audit.app, "key").output.strip()
    file = tmp_path / "log.jsonl"
    run(audit.app, "export", str(file))
    changed = file.read_text().splitlines()
    at = next(n for n, line in enumerate(changed) if entry_id in line)
    changed[at] = changed[at].replace("thing.done", "thing.gone", 1)
    file.write_text("\n".join(changed))
    found = run(audit.app, "verify", "--file", str(file), "--key", key)
    assert found.exit_code == 1
    assert f"not verified: entry {entry_id} at position" in found.output
    assert "is not what was sealed there" in found.output

    changed[at] = '{"position": 1, "position": 2, "leaf_hash": "", "entry": {}}'
    file.write_text("\n".join(changed))
    found = run(audit.app, "verify", "--file", str(file), "--key", key)
    assert f"line {at + 1} is no line of an export" in found.output


def test_the_database_is_verified_and_says_what_waits(run: Run, entry_id: str) -> None:
    run(audit.app, "seal")
    found = run(audit.app, "verify")
    assert (found.exit_code, found.output.startswith("verified: ")) == (0, True)
    assert "wait to be sealed" not in found.output


def test_a_changed_database_fails_verification(
    run: Run, entry_id: str, on_database: Callable[..., Any]
) -> None:
    run(audit.app, "seal")
    on_database(execute("UPDATE journal SET request_id = 'forged' WHERE entry_id = ?", entry_id))
    found = run(audit.app, "verify")
    assert found.exit_code == 1
    assert f"entry {entry_id} at position" in found.output
    on_database(execute("UPDATE journal SET request_id = '' WHERE entry_id = ?", entry_id))
    assert run(audit.app, "verify").exit_code == 0


def test_proofs_are_checked_with_a_public_key_alone(
    run: Run, entry_id: str, tmp_path: Path
) -> None:
    first = run(audit.app, "seal").output.split()[0]
    run(audit.app, "export", "-")  # writes an entry of its own
    second = run(audit.app, "seal").output.split()[0]
    key = run(audit.app, "key").output.strip()
    file = tmp_path / "proof.json"
    file.write_text(run(audit.app, "prove", entry_id).output)
    checked = run(audit.app, "verify", "--proof", str(file), "--key", key)
    assert checked.output.startswith(f"proved: entry {entry_id} is number")

    proof = json.loads(file.read_text())
    proof["entry"]["type"] = "thing.gone"
    file.write_text(json.dumps(proof))
    assert run(audit.app, "verify", "--proof", str(file), "--key", key).exit_code == 1

    file.write_text(run(audit.app, "prove", "--from", first, "--to", second).output)
    checked = run(audit.app, "verify", "--proof", str(file), "--key", key)
    assert checked.output == f"proved: the log of {second} entries continues that of {first}\n"
    file.write_text("{}")
    assert run(audit.app, "verify", "--proof", str(file), "--key", key).exit_code == 1


def test_what_cannot_be_done_is_said_in_a_line(run: Run, tmp_path: Path) -> None:
    for arguments, told in (
        (["prove", "mer_test/nothing:1"], "no such entry"),
        (["prove"], "name an entry"),
        (["verify", "--file", "log.jsonl"], "--key"),
        (["verify", "--file", str(tmp_path / "none"), "--key", "x"], "not verified"),
        (["export", str(tmp_path)], "cannot be written"),
    ):
        found = run(audit.app, *arguments)
        assert (found.exit_code, told in found.output) == (1, True), found.output


def test_an_export_is_itself_in_the_trail(run: Run, on_database: Callable[..., Any]) -> None:
    run(audit.app, "export", "-")
    found = on_database(execute("SELECT actor, data FROM journal WHERE type = 'audit.exported'"))
    assert json.loads(found.rows[-1]["actor"])["subject"].startswith("command:")
    assert json.loads(found.rows[-1]["data"])["what"] == "export"


def test_dead_letters_are_listed_and_delivered_again_in_order(
    run: Run, on_database: Callable[..., Any]
) -> None:
    stream = f"mer_test/{uuid.uuid4().hex[:12]}"
    name, seen, broken = f"billing.{uuid.uuid4().hex[:6]}", [], [True]
    clock = FrozenClock(4_000_000_000_000)  # the commands have the machine's clock, long before it

    async def handle(entry: Entry) -> None:
        if entry.stream_id == stream:
            if broken[0]:
                raise ValueError("down")
            seen.append(entry.seq)

    def of(database: HttpDatabase) -> Events:
        made = Events(database=database, clock=clock, identifiers=RandomIdentifiers(clock))
        handler = EventHandler(name=name, event="paper.*", handle=handle, attempts_max=1)
        made.subscribe([handler], [])
        return made

    async def fail(database: HttpDatabase) -> None:
        drafts = [Draft(type="paper.sent", data={}) for _ in range(3)]
        entries = Stream(stream).next_entries(
            drafts, step_key=f"op_{uuid.uuid4().hex}:decide", actor={}, request_id="", occurred_at=1
        )
        made = of(database)
        await made.announce()
        await database.execute(queries.append_entries([one.columns() for one in entries]))
        await made.dispatch()
        await made.deliver(name)

    async def deliver(database: HttpDatabase) -> None:
        await of(database).deliver(name)

    on_database(fail)
    listed = run(events.app, "dead", "--handler", name).output.splitlines()
    assert [line.split("\t")[:4] for line in listed] == [
        [name, f"{stream}:{seq}", "1", "ValueError"] for seq in (1, 2, 3)
    ]
    broken[0] = False
    last = listed[2].split("\t")[4]
    assert run(events.app, "retry", last).output == "1 to be delivered again\n"
    on_database(deliver)
    assert seen == [3]
    assert run(events.app, "retry", "--handler", name).output == "2 to be delivered again\n"
    on_database(deliver)
    assert seen == [3, 1, 2]
    assert run(events.app, "dead", "--handler", name).output == "no dead letters\n"
    assert run(events.app, "retry", last).exit_code == 1
    assert run(events.app, "retry").exit_code == 1
