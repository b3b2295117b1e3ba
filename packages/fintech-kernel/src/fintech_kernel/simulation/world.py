"""Everything of one schedule: time, processes, models, what clients were told, what was delivered."""

import json
import random
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from fintech_dbclient import Statement

from fintech_kernel.domain.operations import Answer
from fintech_kernel.simulation.faults import Port
from fintech_kernel.simulation.infrastructure.model_database import ModelDatabase
from fintech_kernel.simulation.loop import SimulatedLoop
from fintech_kernel.simulation.network import Network
from fintech_kernel.simulation.processes import Incarnation, Process
from fintech_kernel.simulation.processor import ProcessorBooks
from fintech_kernel.simulation.rail import RailBooks
from fintech_kernel.simulation.trace import Trace

if TYPE_CHECKING:
    from fintech_kernel.simulation.client import Request
    from fintech_kernel.simulation.runtime import Runtime

START_SECONDS: Final = 1_760_000_000.0
"""When the first second of a new world is: 2025-10-09T08:53:20Z."""

RESTARTS_SHARE: Final = 0.2
"""How likely a killed process is back whenever somebody looks for one."""

current_merchant: ContextVar[str] = ContextVar("simulated_merchant", default="")
"""For whom the work at hand is done; empty where it may see more than one merchant."""


CONTENTS_KEPT: Final = 10_000
"""Decoded data of entries that are kept: those with which many schedules begin."""


@lru_cache(CONTENTS_KEPT)
def _decoded(data: str) -> Any:  # noqa: ANN401 - an event's own
    """Return the data of an entry; nobody changes it."""
    return json.loads(data)


@dataclass(slots=True, kw_only=True)
class Told:
    """What clients were told about one key: everything final, in order."""

    request: "Request"
    answers: list[Answer] = field(default_factory=list[Answer])
    refusals: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A quiet world, to begin schedules from."""

    database: bytes
    processor: ProcessorBooks
    rail: RailBooks
    now: float
    notes: dict[str, Any]
    delivered: dict[str, tuple[str, ...]]
    numbers: dict[str, int]
    counts: dict[str, int]


class World:
    """One schedule's world.

    Attributes:
        draw: decides what clients do; apart from what faults and the loop draw.
        notes: what scripts remember for one another (ids of merchants, payments).
        told: what clients were told, by key.
        delivered: entries that the recording handler saw, by stream, in order.
        seen_wrong: violations that were seen as they happened.
    """

    def __init__(
        self,
        runtime: "Runtime",
        loop: SimulatedLoop,
        *,
        seed: int,
        start: Snapshot | None = None,
        traced: bool = False,
    ) -> None:
        self.runtime = runtime
        self.loop = loop
        self.seed = seed
        self.trace = Trace(is_kept=traced)
        self.draw = random.Random(seed)  # noqa: S311 - a schedule, not a secret
        self.jitter = runtime.jitter
        self.network = Network(loop, self.trace, self, seed=seed)
        self.model: ModelDatabase = runtime.model
        self.processor = start.processor.copy() if start else ProcessorBooks()
        self.rail = start.rail.copy() if start else RailBooks()
        self.began = start.now if start else START_SECONDS
        self.notes: dict[str, Any] = (
            {key: list(value) for key, value in start.notes.items()} if start else {}
        )
        self.delivered = (
            {key: list(value) for key, value in start.delivered.items()} if start else {}
        )
        self.told: dict[str, Told] = {}
        self.numbers = dict(start.numbers) if start else {}
        self._start_counts = start.counts if start else {}
        self.silent_until: dict[str, float] = {}
        self.black_out_until = 0.0
        self.seen_wrong: list[tuple[str, str]] = []
        self.handler_fails = 0.0
        self._down_until: dict[Port, float] = {}
        self._entries: list[dict[str, Any]] = []
        self.processes = [
            Process(name=f"p{index}", context=context, jobs=jobs)
            for index, (context, jobs) in enumerate(runtime.contexts)
        ]

    # --- time

    def now(self) -> float:
        """Return seconds since 1970, as an observer outside of all processes sees them."""
        return self.began + self.loop.time()

    def number(self, scope: str) -> int:
        """Return the next number of a scope."""
        self.numbers[scope] = self.numbers.get(scope, 0) + 1
        return self.numbers[scope]

    # --- the weather

    def break_down(self, port: Port, seconds: float) -> None:
        """Let everybody's calls to a port fail for a while."""
        self._down_until[port] = self.now() + seconds

    def is_down(self, port: Port) -> bool:
        """Whether calls to a port fail."""
        return self.now() < self._down_until.get(port, 0.0)

    def jump_clock(self, incarnation: Incarnation, milliseconds: int) -> None:
        """Set a process's clock so far off."""
        incarnation.process.skew_milliseconds = milliseconds

    def black_out(self, seconds: float) -> None:
        """End every process; nobody comes back before the time is over."""
        self.black_out_until = self.now() + seconds
        for process in self.processes:
            process.incarnation.kill()

    def heal(self) -> None:
        """End whatever was down; processes run again."""
        self._down_until.clear()
        self.handler_fails = 0.0
        for process in self.processes:
            process.ensure_running()

    def living(self) -> list[Process]:
        """Return the processes that run; the killed come back after a while."""
        if self.now() < self.black_out_until:
            return []
        for process in self.processes:
            if not process.incarnation.is_alive and self.draw.random() < RESTARTS_SHARE:
                process.start()
        return [process for process in self.processes if process.incarnation.is_alive]

    # --- what is watched as it happens

    def watch(self, sequence: Sequence[Statement]) -> None:
        """See that no work for one merchant names another, and that statements say whose rows they want."""
        for statement in sequence:
            if statement.sql not in self.runtime.known_sql:
                self.runtime.known_sql.add(statement.sql)
                fault = self.runtime.scope_fault(statement)
                if fault:
                    self.seen_wrong.append(("I10", fault))
        merchant = current_merchant.get()
        others = [one for one in self.notes.get("merchants", ()) if one != merchant]
        if not merchant or not others:
            return
        for statement in sequence:
            told = "\n".join(value for value in statement.params if isinstance(value, str))
            for other in others:
                if other in told:
                    self.seen_wrong.append(
                        ("I10", f"{statement.name}: work for {merchant} names another merchant")
                    )

    # --- reading the model, for verdicts

    def entries(self) -> list[dict[str, Any]]:
        """Return the journal, by stream and position; ``content`` is the data, decoded.

        It is read anew when entries were added: nothing is ever changed or taken away.
        """
        if len(self._entries) != self.model.count("journal", ""):
            self._entries = [
                {**row, "content": _decoded(row["data"])}
                for row in self.model.rows("journal", "ORDER BY stream_id, seq, entry_id")
            ]
        return self._entries

    def rows_at_start(self, table: str) -> int:
        """Return how many rows of a table this world began with; zero where it began with nothing."""
        return self._start_counts.get(table, 0)

    def snapshot(self) -> Snapshot:
        """Keep this world; it must be quiet."""
        return Snapshot(
            database=self.model.state(),
            processor=self.processor.copy(),
            rail=self.rail.copy(),
            now=self.now(),
            notes={key: list(value) for key, value in self.notes.items()},
            delivered={key: tuple(value) for key, value in self.delivered.items()},
            numbers=dict(self.numbers),
            counts=self.model.counts(),
        )
