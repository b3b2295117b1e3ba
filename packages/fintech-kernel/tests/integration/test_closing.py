"""What a close waits for, as the kernel sees it: operations, events, the log; and checks that break."""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fintech_dbclient import Database, HttpDatabase, Statement
from fintech_kernel.contracts.closing import ClosePeriod, Obstacle
from fintech_kernel.domain import log_check
from fintech_kernel.domain.checkpoints import Signer
from fintech_kernel.domain.closing import OBSTACLES_MAX, CloseChecks, OperationsCheck
from fintech_kernel.domain.journal import Draft, Stream
from fintech_kernel.domain.log_check import LogCheck
from fintech_kernel.domain.sealing import Sealer
from fintech_kernel.domain.transparency import TransparencyLog
from fintech_kernel.hooks import CloseCheck
from fintech_kernel.infrastructure import queries
from fintech_kernel.testing.clocks import FrozenClock

pytestmark = pytest.mark.anyio

SIGNER = Signer("test.example/audit", Ed25519PrivateKey.from_private_bytes(b"c" * 32))
DAY = 86_400_000
BEGIN = 1_760_000_000_000
PERIOD = ClosePeriod(name="2025-10", begins_at=BEGIN, ends_at=BEGIN + DAY)


async def rows(database: Database, sql: Any, *params: Any) -> list[dict[str, Any]]:
    result = await database.execute(Statement(name="test", sql=sql, params=params))
    return [dict(row) for row in result.rows]


async def write(database: Database, count: int, *, at: int) -> list[str]:
    """Append entries to a new stream."""
    stream = Stream(f"mer_test/{uuid.uuid4().hex[:12]}")
    entries = stream.next_entries(
        [Draft(type="thing.done", data={"number": number}) for number in range(count)],
        step_key=f"op_{uuid.uuid4().hex}:decide",
        actor={"subject": "tester", "roles": ["system"], "merchant_id": ""},
        request_id="",
        occurred_at=at,
    )
    await database.execute(queries.append_entries([one.columns() for one in entries]))
    return [entry.entry_id for entry in entries]


@pytest.fixture
async def fresh(database: HttpDatabase) -> HttpDatabase:
    """An empty journal and log, and no operation."""
    tables = ("audit_log", "audit_nodes", "tree_heads", "journal", "deliveries", "operations")
    for table in tables:
        await rows(database, f"DELETE FROM {table}")  # noqa: S608 - a name of ours
    return database


class Log:
    """A journal that is sealed as time goes on, and its check."""

    def __init__(self, database: HttpDatabase) -> None:
        self.database = database
        self.clock = FrozenClock(BEGIN - DAY)
        self.sealer = Sealer(database=database, clock=self.clock, signer=SIGNER)
        self.check = self.new_check()

    def new_check(self) -> LogCheck:
        return LogCheck(
            database=self.database,
            log=TransparencyLog(self.database),
            clock=self.clock,
            keys=[SIGNER.verification_key],
        )

    async def day(self, count: int) -> list[str]:
        """Write and seal a day's entries, in three parts."""
        written: list[str] = []
        for _ in range(3):
            written += await write(self.database, count // 3, at=self.clock.now_milliseconds())
            await self.sealer.seal()
            self.clock.advance(seconds=60)
        self.clock.advance(days=1, seconds=-180)
        return written

    async def codes(self) -> list[str]:
        return [one.code for one in await self.check.check(PERIOD)]


@pytest.fixture
async def log(fresh: HttpDatabase) -> Log:
    return Log(fresh)


async def changed(log: Log, entry_id: str) -> None:
    await rows(
        log.database, "UPDATE journal SET data = '{\"number\":99}' WHERE entry_id = ?", entry_id
    )


async def test_an_empty_log_is_in_nobodys_way(log):
    assert await log.codes() == []


async def test_a_changed_entry_of_the_period_stops_its_close(log):
    await log.day(9)
    ids = await log.day(9)
    assert await log.codes() == []
    log.check = log.new_check()
    await changed(log, ids[4])
    (obstacle,) = await log.check.check(PERIOD)
    assert obstacle.code == "audit_broken"
    assert ids[4] in obstacle.detail


async def test_the_period_is_read_from_the_last_head_before_it_and_what_came_before_is_not(log):
    """A head vouches for what it covers; `fintech audit verify` is who reads it again."""
    before = await log.day(9)
    await log.day(9)
    await changed(log, before[0])
    assert await log.codes() == []
    await rows(log.database, "UPDATE audit_log SET leaf_hash = ? WHERE position = 0", "0" * 64)
    log.check = log.new_check()
    assert await log.codes() == ["audit_broken"]


async def test_entries_of_the_period_without_a_position_are_waited_for(log):
    await log.day(9)
    await write(log.database, 1, at=PERIOD.ends_at - 1)
    assert await log.codes() == ["audit_not_sealed"]
    await log.sealer.seal()
    assert await log.codes() == []
    await write(log.database, 1, at=PERIOD.ends_at)
    assert await log.codes() == []


async def test_a_long_log_is_verified_part_by_part(log, monkeypatch):
    monkeypatch.setattr(log_check, "PAGES_PER_CALL_MAX", 1)
    for _ in range(2):
        await log.day(3 * 300)
    ids = await log.day(3 * 300)
    period = ClosePeriod(name="all", begins_at=0, ends_at=BEGIN + 3 * DAY)
    first = [one.code for one in await log.check.check(period)]
    seen = [first]
    while seen[-1]:
        assert seen[-1] == ["audit_not_verified"]
        seen.append([one.code for one in await log.check.check(period)])
    assert len(seen) == 6
    await changed(log, ids[0])
    assert await log.check.check(period) == ()
    log.clock.advance(seconds=log_check.VALID_SECONDS)
    found = [[one.code for one in await log.check.check(period)] for _ in range(4)]
    assert found == [["audit_not_verified"]] * 3 + [["audit_broken"]]


async def test_operations_and_events_of_the_period_are_waited_for(fresh):
    check = OperationsCheck(fresh)
    assert list(await check.check(PERIOD)) == []
    ids = await write(fresh, 2, at=BEGIN)
    late = await write(fresh, 1, at=PERIOD.ends_at)
    for entry_id, state in ((ids[0], "pending"), (ids[1], "dead"), (late[0], "pending")):
        await rows(
            fresh,
            "INSERT INTO deliveries (delivery_id, entry_id, handler, stream_id, seq, state, nonce,"
            " lease_until, attempts, next_run_at, error) VALUES (?, ?, 'h', 's', 1, ?, ?, 0, 0, 0, '')",
            entry_id,
            entry_id,
            state,
            entry_id,
        )
    for number, (created_at, state) in enumerate(
        [(BEGIN, "running"), (BEGIN, "succeeded"), (PERIOD.ends_at, "running")]
    ):
        await rows(
            fresh,
            "INSERT INTO operations (operation_id, kind, version, merchant_id, fingerprint, request,"
            " state, nonce, lease_until, attempts, next_run_at, created_at)"
            " VALUES (?, 'thing.do', 1, '', '', '{}', ?, ?, 0, 0, 0, ?)",
            f"op_{number}",
            state,
            f"n{number}",
            created_at,
        )
    found = await check.check(PERIOD)
    assert [(one.code, one.subject) for one in found] == [
        ("operations_unfinished", "thing.do"),
        ("events_undelivered", "h"),
        ("events_undelivered", "h"),
        ("events_undelivered", ""),
    ]
    assert found[0].detail.startswith("1 operations")


async def test_a_check_that_raises_or_hangs_is_an_obstacle_itself():
    async def raises(_period: ClosePeriod) -> Sequence[Obstacle]:
        raise RuntimeError("secret of the database")

    async def hangs(_period: ClosePeriod) -> Sequence[Obstacle]:
        await asyncio.sleep(3_600)
        return []

    async def finds(period: ClosePeriod) -> Sequence[Obstacle]:
        return [Obstacle(code="found", subject=period.name, detail="look")] * OBSTACLES_MAX

    checks = CloseChecks()
    assert await checks.obstacles(PERIOD) == ()
    checks.use(
        [
            CloseCheck(name="c.finds", check=finds),
            CloseCheck(name="a.raises", check=raises),
            CloseCheck(name="b.hangs", check=hangs, timeout_seconds=0.01),
        ]
    )
    found = await checks.obstacles(PERIOD)
    assert [(one.code, one.subject) for one in found[:3]] == [
        ("check_failed", "a.raises"),
        ("check_failed", "b.hangs"),
        ("found", "2025-10"),
    ]
    assert len(found) == OBSTACLES_MAX
    assert "secret" not in str(found)
