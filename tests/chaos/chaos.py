"""Chaos on real processes: three servers, a database, a bad network, and ``kill -9``.

::

    python tests/chaos/chaos.py --engine both --kills 200 --restarts 20 --seed 1

Clients take payments, settle and change their minds over HTTP, while a proxy between servers and
database drops, delays, repeats, truncates and refuses requests, and while servers and the database are
killed and started again. Then the faults stop, everything must come to its end within a minute, every
key is sent once more, a sample of old requests arrives again, and the books are checked.

The last line is ``kills=N restarts=N acknowledged=N lost=0 violations=0``; the exit code is 0 if it is.
What does not live here: the faults (``proxy``), the processes (``fleet``), the clients (``clients``,
``workload``), what must hold (``books``, ``verdict``).
"""

import argparse
import asyncio
import json
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import uvloop
from books import count_open, count_running, count_undelivered, read_books
from clients import Clients
from fintech_database.testing import PostgresqlMissing, create_database
from fintech_dbclient import DatabaseError, HttpDatabase
from fleet import (
    ApplicationServer,
    DatabaseService,
    NotStarted,
    Postgresql,
    server_settings,
)
from proxy import FaultProxy
from verdict import CHECKS, lost_answers
from workload import Workload

SERVERS: Final = 3
SHOPS: Final = 16
FINANCE: Final = 2
REPEATS_AT_ONCE: Final = 16

FAULT_PROBABILITY: Final = 0.12
LIFE_SECONDS_MEAN: Final = 3.0
"""How long a server serves before it is killed, on average (exponentially distributed)."""

KILLED_WHILE_STARTING: Final = 0.08
PAUSED: Final = 0.15
PAUSE_SECONDS: Final = (3.5, 7.0)
"""SIGSTOP for longer than a lease, then on with it: an executor that does not know that it is late."""

POSTMASTER_EVERY: Final = 4
"""Every so many restarts of the database service, PostgreSQL itself is killed too."""

SETTLED_SECONDS_MAX: Final = 60.0
PROGRESS_SECONDS: Final = 10.0
SENT_AGAIN_MAX: Final = 2_000
SHOWN_MAX: Final = 20


@dataclass(slots=True)
class Counts:
    """What was done to the processes."""

    kills: int = 0
    kills_while_starting: int = 0
    pauses: int = 0
    starts_failed: int = 0
    restarts: int = 0
    postmaster_kills: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was asked for on the command line."""

    kills: int
    restarts: int
    seed: int
    seconds_max: float
    keep: bool


@dataclass(slots=True, kw_only=True)
class Report:
    """The outcome on one engine."""

    engine: str
    counts: Counts = field(default_factory=Counts)
    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """Return the line that says it all."""
        return (
            f"kills={self.counts.kills} restarts={self.counts.restarts}"
            f" acknowledged={self.acknowledged} lost={len(self.lost)}"
            f" violations={len(self.violations)}"
        )


class Chaos:
    """One run on one engine."""

    def __init__(self, engine: str, plan: Plan, folder: Path) -> None:
        self.report = Report(engine=engine)
        self._engine = engine
        self._plan = plan
        self._folder = folder
        self._counts = self.report.counts
        self._random = Random(f"{plan.seed}:{engine}")
        self._began_at = time.monotonic()
        self._is_calm = False
        self._calm_since = float("inf")
        self._database_is_down = False

    async def run(self) -> Report:
        """Build the world, torment it, let it rest, judge it; leave nothing running."""
        postgresql = Postgresql(self._folder) if self._engine == "postgresql" else None
        url = f"sqlite:///{self._folder / 'chaos.db'}"
        if postgresql is not None:
            await postgresql.start()
            url = create_database(postgresql.url)
            self.report.facts["postgresql"] = postgresql.version()
        service = DatabaseService(url, folder=self._folder)
        proxy = FaultProxy(port=service.port, random=self._fork("proxy"), keep=SENT_AGAIN_MAX)
        await proxy.start()
        settings = server_settings(proxy.url)
        servers = [
            ApplicationServer(number, folder=self._folder, settings=settings)
            for number in range(1, SERVERS + 1)
        ]
        clients = Clients([one.base_url for one in servers], settings, self._fork("clients"))
        try:
            await service.start()
            await asyncio.gather(*(server.start() for server in servers))
            await self._play(postgresql, service, proxy, servers, clients)
        finally:
            for process in (*servers, service):
                await process.kill()
            await clients.close()
            await proxy.stop()
            if postgresql is not None:
                await postgresql.stop()
        return self.report

    async def _play(
        self,
        postgresql: Postgresql | None,
        service: DatabaseService,
        proxy: FaultProxy,
        servers: list[ApplicationServer],
        clients: Clients,
    ) -> None:
        workload = Workload(
            clients=clients,
            random=self._fork("workload"),
            is_over=lambda: self._is_calm,
            patience_over=self._patience_is_over,
        )
        await workload.onboard()
        self._say(f"began: {SHOPS} shops, seed {self._plan.seed}")
        work = asyncio.create_task(workload.run(shops=SHOPS, finance=FINANCE))
        watch = asyncio.create_task(self._watch(workload, clients, proxy))
        proxy.probability = FAULT_PROBABILITY
        try:
            async with asyncio.TaskGroup() as group:
                for server in servers:
                    group.create_task(self._torment(server, self._fork(server.name)))
                group.create_task(self._restart_database(service, postgresql))
            await self._calm_down(servers, proxy)
            async with HttpDatabase(service.base_url, timeout_seconds=20) as database:
                await self._settle(database, work)
                await self._repeat(database, workload, proxy)
                await self._judge(database, clients)
        finally:
            watch.cancel()
            work.cancel()
            await asyncio.gather(watch, work, return_exceptions=True)
        self.report.facts |= {
            "seconds": round(time.monotonic() - self._began_at),
            "scenarios": workload.scenarios,
            "attempts": clients.attempts,
            "abandoned": len(clients.memory.abandoned),
            "requests to the database": proxy.requests,
            "faults": {fault.name.lower(): n for fault, n in sorted(proxy.faults.items())},
            "answers": dict(clients.memory.seen.most_common()),
            "logged errors": self._logged_errors(servers),
        }

    # --- the faults

    async def _torment(self, server: ApplicationServer, random: Random) -> None:
        """Let a server live a while and kill it, until there were enough kills."""
        while not self._is_enough():
            await asyncio.sleep(random.expovariate(1 / LIFE_SECONDS_MEAN))
            if random.random() < PAUSED:
                self._counts.pauses += 1
                server.signal(signal.SIGSTOP)
                await asyncio.sleep(random.uniform(*PAUSE_SECONDS))
                server.signal(signal.SIGCONT)
                await asyncio.sleep(random.uniform(0.0, 1.0))
            await server.kill()
            self._counts.kills += 1
            if random.random() < KILLED_WHILE_STARTING:
                server.launch()
                await asyncio.sleep(random.uniform(0.2, 2.0))
                await server.kill()
                self._counts.kills_while_starting += 1
            await self._start(server)

    async def _start(self, server: ApplicationServer) -> None:
        """Start a server again and again until it is up, as a supervisor would."""
        while not server.is_up:
            try:
                await server.start()
            except NotStarted:
                self._counts.starts_failed += 1
                if self._is_too_late():
                    return
                await asyncio.sleep(0.2)

    async def _restart_database(
        self, service: DatabaseService, postgresql: Postgresql | None
    ) -> None:
        """Kill the database now and then, evenly over the kills of servers."""
        plan, random = self._plan, self._fork("database")
        for number in range(plan.restarts):
            at = (number + random.random()) * plan.kills / max(1, plan.restarts)
            while self._counts.kills < at and not self._is_too_late():  # noqa: ASYNC110 - as cheap
                await asyncio.sleep(0.05)
            if postgresql is not None and number % POSTMASTER_EVERY == POSTMASTER_EVERY - 1:
                await postgresql.kill()
                self._counts.postmaster_kills += 1
                await asyncio.sleep(random.uniform(0.0, 1.0))
                await postgresql.start()
            await service.kill()
            await asyncio.sleep(random.uniform(0.0, 1.5))
            await self._start_service(service)
            self._counts.restarts += 1

    async def _start_service(self, service: DatabaseService) -> None:
        """Start the database service; PostgreSQL may still be recovering."""
        give_up_at = time.monotonic() + SETTLED_SECONDS_MAX
        while True:
            try:
                await service.start()
            except NotStarted:
                if time.monotonic() > give_up_at:
                    raise
                await asyncio.sleep(0.2)
            else:
                return

    def _is_enough(self) -> bool:
        done = self._counts.kills >= self._plan.kills
        return (done and self._counts.restarts >= self._plan.restarts) or self._is_too_late()

    def _is_too_late(self) -> bool:
        return time.monotonic() - self._began_at > self._plan.seconds_max

    # --- the rest

    async def _calm_down(self, servers: list[ApplicationServer], proxy: FaultProxy) -> None:
        """Stop every fault: what was held back is delivered, all servers are up."""
        self._is_calm = True
        await proxy.calm()
        for server in servers:
            if not server.is_up:
                await server.start()
        self._calm_since = time.monotonic()
        counts = self._counts
        if (counts.kills, counts.restarts) < (self._plan.kills, self._plan.restarts):
            self.report.violations.append(
                f"time was over after {counts.kills} kills and {counts.restarts} restarts"
            )
        self._say(f"the faults are over: kills={counts.kills} restarts={counts.restarts}")

    async def _settle(self, database: HttpDatabase, work: "asyncio.Task[None]") -> None:
        """Everything comes to its end by itself within a minute of the last fault."""
        await asyncio.wait([work], timeout=SETTLED_SECONDS_MAX)
        if not work.done():
            self.report.violations.append("clients still wait for answers after a minute")
        for name, count in (
            ("operations", count_running),
            ("open outcomes", count_open),
            ("events", count_undelivered),
        ):
            self.report.facts[f"seconds until no {name}"] = await self._until_none(
                name, lambda count=count: count(database)
            )

    async def _until_none(self, name: str, count: Callable[[], Awaitable[int]]) -> float:
        """Return the seconds after the last fault at which none was left."""
        found = -1
        while time.monotonic() < self._calm_since + SETTLED_SECONDS_MAX:
            try:
                found = await count()
            except DatabaseError:
                found = -1
            if found == 0:
                return round(time.monotonic() - self._calm_since, 1)
            await asyncio.sleep(0.25)
        self.report.violations.append(f"{found} {name} left a minute after the last fault")
        return float("inf")

    async def _repeat(self, database: HttpDatabase, workload: Workload, proxy: FaultProxy) -> None:
        """Send every key again, and let old requests arrive once more; then it must be quiet again."""
        self._calm_since = time.monotonic()
        late = await proxy.send_again()
        self._calm_since = time.monotonic() + 120  # every key takes its time; nothing is faulty
        repeated = await workload.repeat_everything(at_once=REPEATS_AT_ONCE)
        self._say(f"{late} old requests arrived again, {repeated} keys were repeated")
        self.report.facts |= {"old requests sent again": late, "keys repeated": repeated}
        self._calm_since = time.monotonic()
        await self._until_none("operations", lambda: count_running(database))
        await self._until_none("open outcomes", lambda: count_open(database))
        await self._until_none("events", lambda: count_undelivered(database))

    async def _judge(self, database: HttpDatabase, clients: Clients) -> None:
        """Read everything and hold it against every invariant."""
        books = await read_books(database)
        report, memory = self.report, clients.memory
        report.acknowledged = len(memory.answers)
        report.lost += lost_answers(memory, books)
        for check in CHECKS:
            found = list(check(memory, books))
            report.violations += [f"{check.__name__}: {text}" for text in found]
        report.facts |= {
            "operations": len(books.operations),
            "operations by kind": dict(Counter(r["kind"] for r in books.operations.values())),
            "operations by attempts": dict(
                sorted(Counter(r["attempts"] for r in books.operations.values()).items())
            ),
            "journal entries": sum(len(entries) for entries in books.streams.values()),
            "outcomes learned later": sum(
                entry.type == "payment.outcome_closed"
                for entries in books.streams.values()
                for entry in entries
            ),
            "transfers": len(books.transfers),
            "settlements": len(books.settlements),
            "payouts": len(books.payouts),
        }

    # --- small change

    def _patience_is_over(self) -> bool:
        return time.monotonic() > self._calm_since + SETTLED_SECONDS_MAX

    def _fork(self, name: str) -> Random:
        return Random(f"{self._plan.seed}:{self._engine}:{name}")

    def _say(self, text: str) -> None:
        seconds = time.monotonic() - self._began_at
        say(f"[{self._engine} {seconds:5.0f} s] {text}")

    async def _watch(self, workload: Workload, clients: Clients, proxy: FaultProxy) -> None:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            counts, memory = self._counts, clients.memory
            self._say(
                f"kills={counts.kills} restarts={counts.restarts} pauses={counts.pauses}"
                f" acknowledged={len(memory.answers)} scenarios={workload.scenarios}"
                f" faults={proxy.faults.total()}/{proxy.requests}"
                f" contradictions={len(memory.contradictions)} unexpected={len(memory.unexpected)}"
            )

    def _logged_errors(self, servers: list[ApplicationServer]) -> dict[str, int]:
        """Count what servers logged as errors, and hold broken invariants against them."""
        found: Counter[str] = Counter()
        for server in servers:
            for line in server.log.read_text(errors="replace").splitlines():
                if "InvariantBroken" in line or "ClaimBroken" in line:
                    self.report.violations.append(f"{server.name} logged: {line[:600]}")
                found.update(_error_of(line))
        return dict(found.most_common(30))


def _error_of(line: str) -> list[str]:
    """Return what a line of a server's log says, if it is an error."""
    try:
        entry = json.loads(line)
    except ValueError:
        return []
    if not isinstance(entry, dict) or entry.get("level") not in {"ERROR", "CRITICAL"}:
        return []
    return [f"{entry.get('message', entry.get('event'))} {entry.get('reason', '')}".strip()]


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def tell(report: Report) -> None:
    """Print what happened on one engine, failures first."""
    for name, found in (("LOST", report.lost), ("VIOLATION", report.violations)):
        for text in found[:SHOWN_MAX]:
            say(f"{name} {text}")
        if len(found) > SHOWN_MAX:
            say(f"{name} ... and {len(found) - SHOWN_MAX} more")
    counts = report.counts
    say(f"--- {report.engine}")
    for name in ("kills_while_starting", "pauses", "starts_failed", "postmaster_kills"):
        say(f"{name.replace('_', ' ')}: {getattr(counts, name)}")
    for name, fact in report.facts.items():
        say(f"{name}: {json.dumps(fact) if isinstance(fact, dict) else fact}")
    say(f"{report.engine}: {report.line()}")


def run_engine(engine: str, plan: Plan) -> Report:
    """Run on one engine in a folder of its own, which is kept where something went wrong."""
    folder = Path(tempfile.mkdtemp(prefix=f"fintech-chaos-{engine}-"))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(Chaos(engine, plan, folder).run())
    tell(report)
    if plan.keep or report.lost or report.violations:
        say(f"logs and data are kept in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return report


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--engine", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--kills", type=int, default=200, help="SIGKILLs of servers, per engine")
    parser.add_argument("--restarts", type=int, default=20, help="of the database, per engine")
    parser.add_argument("--seed", type=int, default=1, help="of every choice but the scheduler's")
    parser.add_argument("--seconds-max", type=float, default=720, help="of faults, per engine")
    parser.add_argument("--keep", action="store_true", help="keep logs and data in any case")
    given = parser.parse_args()
    plan = Plan(
        kills=given.kills,
        restarts=given.restarts,
        seed=given.seed,
        seconds_max=given.seconds_max,
        keep=given.keep,
    )
    engines = ("sqlite", "postgresql") if given.engine == "both" else (given.engine,)
    try:
        reports = [run_engine(engine, plan) for engine in engines]
    except PostgresqlMissing as error:
        parser.error(str(error))
    total = Report(engine="all")
    for report in reports:
        total.counts.kills += report.counts.kills
        total.counts.restarts += report.counts.restarts
        total.acknowledged += report.acknowledged
        total.lost += report.lost
        total.violations += report.violations
    say(total.line())
    return 1 if total.lost or total.violations else 0


if __name__ == "__main__":
    sys.exit(main())
