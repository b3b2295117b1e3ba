"""The real application, built once per worker and used by every schedule.

Building contexts costs more than running a schedule, so they are kept and each schedule points their
ports to its own world. Whatever the contexts remember (tasks under way) ends with the schedule.
"""

import random
import re
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Final

from fintech_dbclient import Statement
from loguru import logger

from fintech_kernel.context import AppContext
from fintech_kernel.domain import events
from fintech_kernel.hooks import Job
from fintech_kernel.host import PluginHost
from fintech_kernel.identifiers import RandomIdentifiers
from fintech_kernel.simulation import revocations
from fintech_kernel.simulation.database import SimulatedDatabase
from fintech_kernel.simulation.infrastructure.model_database import ModelDatabase
from fintech_kernel.simulation.loop import SimulatedLoop
from fintech_kernel.simulation.outside import SimulationPlugin
from fintech_kernel.simulation.processes import adopt, current_incarnation
from fintech_kernel.simulation.processor import SimulatedProcessor
from fintech_kernel.simulation.rail import SimulatedRail
from fintech_kernel.simulation.workload import Workload, workloads_of
from fintech_kernel.simulation.world import World
from fintech_kernel.web.app import Overrides, build_context, migrations

PROCESSES: Final = 3

DISPATCH_BATCH: Final = 3
"""Entries of one dispatch pass: few, so that a pass does not see all that waits."""

CANARY: Final = "c4nary0f6b1f0c8a5e4d3c9b7a6958473625140f6b1f0c"
"""A secret of the simulated deployment: it must turn up nowhere."""

SETTINGS: Final[Mapping[str, object]] = {
    "app_env": "test",
    "app_secret": CANARY,
    "jwt_secret": CANARY[::-1],
    "app_jobs": False,
    "db_base_url": "http://127.0.0.1:1",
}

KERNEL_PLATFORM_STATEMENTS: Final = frozenset(
    {
        "operations.overdue",
        "operations.overdue_kinds",
        "journal.undispatched",
        "journal.mark_dispatched",
        "deliveries.due",
        "journal.unsealed",
        "journal.mark_sealed",
        "audit.positions.of",
        "audit.leaves",
        "audit.leaf_hashes",
        "audit.sealed_entries",
        "operations.running_before",
        "deliveries.undelivered_before",
        "journal.undispatched_before",
        "journal.unsealed_before",
    }
)
"""Statements of jobs and of closes, which work for every merchant."""

_KEYED: Final = re.compile(
    r"\b(?:merchant_id|operation_id|nonce|stream_id|entry_id|step_key|reference_key|call_key)"
    r"(?:, ''\))?\s*=\s*\?"
)


class SimulatedClock:
    """A process's clock: the world's time, and how far it is off."""

    def __init__(self, runtime: "Runtime") -> None:
        self._runtime = runtime

    def now_milliseconds(self) -> int:
        """Return UTC milliseconds as this process believes them."""
        world = self._runtime.world
        if world is None:
            return 0
        incarnation = current_incarnation.get()
        skew = incarnation.process.skew_milliseconds if incarnation else 0
        return int(world.now() * 1_000) + skew


class Runtime:
    """Contexts of real plugins over ports of whatever world is on.

    Args:
        plugins: modules or objects with hooks.
        workloads: None means the kernel's own and what the plugins offer.
    """

    def __init__(
        self, plugins: Sequence[object], *, workloads: Sequence[Workload] | None = None
    ) -> None:
        for package in {"fintech_kernel", "fintech_dbclient", *map(_package_of, plugins)}:
            logger.disable(package)
        offered = (revocations.WORKLOAD, *workloads_of(plugins))
        self.workloads = offered if workloads is None else tuple(workloads)
        self.world: World | None = None
        self.jitter = random.Random(0)  # noqa: S311 - a schedule, not a secret
        self.ids = random.Random(0)  # noqa: S311 - a schedule, not a secret
        self.database = SimulatedDatabase()
        self.processor = SimulatedProcessor()
        self.rail = SimulatedRail()
        self.model = ModelDatabase()
        setattr(events, "DISPATCH_BATCH", DISPATCH_BATCH)  # noqa: B010 - it is final to everybody else
        self.known_sql: set[str] = set()
        outside = SimulationPlugin(processor=self.processor, rail=self.rail, runtime=self)
        self.host = PluginHost.of([*plugins, outside])
        settings: dict[str, object] = dict(SETTINGS)
        for workload in self.workloads:
            settings.update(workload.settings)
        clock = SimulatedClock(self)
        overrides = Overrides(
            clock=clock,
            identifiers=RandomIdentifiers(clock, random_bits=self.ids.getrandbits),
            database=self.database,
            jitter=self.jitter,
            services={
                provided: make(self)
                for workload in self.workloads
                for provided, make in workload.services.items()
            },
        )
        self.contexts: list[tuple[AppContext, tuple[Job, ...]]] = []
        for _ in range(PROCESSES):
            context = build_context(self.host, settings=settings, overrides=overrides)
            self.contexts.append((context, tuple(self.host.jobs(context))))
        self._platform = KERNEL_PLATFORM_STATEMENTS.union(
            *(workload.platform_statements for workload in self.workloads)
        )
        self._scoped: list[str] = []
        self.empty = self._migrated()

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of operations that the plugins registered."""
        return self.contexts[0][0].operations.kinds

    def enter(self, world: World | None) -> None:
        """Point every port to a world."""
        self.world = world
        self.database.world = world
        self.processor.world = world
        self.rail.world = world
        if world is not None:
            for context, _ in self.contexts:
                for workload in self.workloads:
                    workload.forget(context)
            self.jitter.seed(world.seed)
            self.ids.seed(world.seed)

    def scope_fault(self, statement: Statement) -> str:
        """Return what is wrong with whose rows a statement reads or changes; empty where nothing is."""
        text = statement.sql.lstrip()
        if text.upper().startswith(("CREATE", "ALTER")) or statement.name in self._platform:
            return ""
        reads = text if not text.upper().startswith("INSERT") else text.partition("SELECT")[2]
        touched = [name for name in self._scoped if re.search(rf"\b{name}\b", reads)]
        if touched and not _KEYED.search(reads):
            return f"{statement.name} touches {', '.join(touched)} and does not say whose"
        return ""

    def _migrated(self) -> bytes:
        """Return a database with every table and every handler's name, and nothing else."""
        for one in migrations(self.host):
            for migration in one.migrations:
                for sql in migration.statements:
                    self.model.execute(Statement(name="migrate", sql=sql))
        self._scoped = [
            str(row["name"])
            for row in self.model.rows("sqlite_master", "WHERE type = 'table'")
            if "merchant_id" in str(row["sql"]) or row["name"] == "journal"
        ]
        loop = SimulatedLoop(random.Random(0), on_task=adopt)  # noqa: S311 - a schedule, no secret
        self.enter(World(self, loop, seed=0))
        loop.run_until_complete(self.contexts[0][0].events.announce())
        self.enter(None)
        return self.model.state()


def _package_of(plugin: object) -> str:
    """Return the package that a plugin's lines are logged by."""
    module = plugin.__name__ if isinstance(plugin, ModuleType) else type(plugin).__module__
    return module.partition(".")[0]
