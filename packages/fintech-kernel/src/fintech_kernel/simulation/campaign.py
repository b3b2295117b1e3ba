"""Many schedules: every fault at every call, pairs of them, or random ones; on several cores."""

import gc
import multiprocessing
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.metadata import entry_points
from typing import Final

from fintech_kernel.hooks import ENTRY_POINT_GROUP
from fintech_kernel.simulation.client import Client
from fintech_kernel.simulation.faults import NO_FAULTS, Fault, FixedPlan, Plan, RandomPlan
from fintech_kernel.simulation.runtime import Runtime
from fintech_kernel.simulation.schedules import (
    Outcome,
    Story,
    Violation,
    WrongStart,
    make_snapshot,
    random_script,
    run_schedule,
)
from fintech_kernel.simulation.shrinking import shrink
from fintech_kernel.simulation.workload import Workflow, Workload
from fintech_kernel.simulation.world import Snapshot, World

FAULT_RATE: Final = 0.28
"""Faults per call of random schedules."""

CHUNK_SCHEDULES: Final = 50
"""Random schedules of one task."""

SHARES: Final = 4
"""Into how many tasks the faults of one workflow are split."""

FAULT_CLASSES: Final = frozenset(
    {
        Fault.LOST_BEFORE,
        Fault.LOST_AFTER,
        Fault.TWICE,
        Fault.LATE,
        Fault.TORN,
        Fault.STALE,
        Fault.KILLED_BEFORE,
        Fault.KILLED_AFTER,
        Fault.PENDING,
        Fault.OUTAGE,
    }
)
"""One fault of each class, for pairs: the others differ from one of these in timing alone.

A sequence cut off is one of them: its sender heals it by sending it again, unless it dies just then.

A pair is a fault of a class at any call, and a fault of a class at a later call of any kind: of several
calls of one kind the rotation draws which.
"""

FAILURES_KEPT: Final = 3
"""Failing schedules of one task that are reported; more of them say the same."""


class Mode(StrEnum):
    """What a task runs."""

    RANDOM = "random"
    SINGLES = "singles"
    PAIRS = "pairs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Some schedules for one worker.

    ``first`` and ``count`` are seeds of random schedules; ``share`` of ``SHARES`` of a ``workflow``'s
    faults; ``percent`` of its pairs, drawn by ``rotation``.
    """

    mode: Mode
    first: int = 0
    count: int = 0
    workflow: str = ""
    share: int = 0
    percent: float = 100.0
    rotation: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A schedule that violates something, with the shortest plan that still does, and its trace."""

    story: str
    seed: int
    faults: dict[int, Fault]
    shrunk: dict[int, Fault]
    violations: tuple[Violation, ...]
    trace: str


@dataclass(slots=True, kw_only=True)
class Tally:
    """What came of schedules."""

    schedules: int = 0
    faults: int = 0
    violations: int = 0
    failures: list[Failure] = field(default_factory=list[Failure])

    def add(self, other: "Tally") -> None:
        """Count another's as well."""
        self.schedules += other.schedules
        self.faults += other.faults
        self.violations += other.violations
        self.failures += other.failures

    @property
    def line(self) -> str:
        """The last line of a report."""
        return f"schedules={self.schedules} faults={self.faults} violations={self.violations}"


class Simulation:
    """Real plugins, ready to run any number of schedules."""

    def __init__(
        self, plugins: Sequence[object], *, workloads: Sequence[Workload] | None = None
    ) -> None:
        self.runtime = Runtime(plugins, workloads=workloads)
        self._starts: dict[str, Snapshot] = {}
        self._stop_at_first = False

    @classmethod
    def installed(cls) -> "Simulation":
        """Simulate every installed plugin."""
        points = sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name)
        return cls([point.load() for point in points])

    @property
    def workflows(self) -> tuple[Workflow, ...]:
        """The workflows of all workloads."""
        return tuple(one for workload in self.runtime.workloads for one in workload.workflows)

    # --- stories

    def workflow_story(self, name: str) -> Story:
        """Return a workflow by name, from the state that it begins with."""
        workflow = next(one for one in self.workflows if one.name == name)
        if name not in self._starts:
            self._starts[name] = make_snapshot(self.runtime, workflow.setup)

        async def script(world: World) -> None:
            await workflow.run(Client(world))

        return Story(name=name, script=script, start=self._starts[name])

    def random_story(self, seed: int) -> Story:
        """Return what clients do in a random schedule."""
        if "" not in self._starts:
            start: Snapshot | None = None
            for workload in self.runtime.workloads:
                start = make_snapshot(self.runtime, workload.prepare, start)
            assert start is not None, "no plugin has a workload"  # noqa: S101 - nothing to simulate
            self._starts[""] = start
        draw = random.Random(seed)  # noqa: S311 - a schedule, not a secret
        clients = draw.choice((2, 2, 2, 3, 3, 4, 5, 6, 7, 8))
        script = random_script(
            [action for workload in self.runtime.workloads for action in workload.actions],
            clients=clients,
            actions_each=draw.choice((1, 2)) if clients <= 3 else 1,  # noqa: PLR2004 - few clients do more each
        )
        return Story(name="random", script=script, start=self._starts[""])

    # --- schedules

    def run_random(self, seed: int, *, traced: bool = False) -> Outcome:
        """Run one random schedule."""
        plan = RandomPlan(seed=seed, rate=FAULT_RATE)
        return run_schedule(self.runtime, self.random_story(seed), plan, seed=seed, traced=traced)

    def run_workflow(
        self, name: str, plan: Plan, *, seed: int = 1, traced: bool = False
    ) -> Outcome:
        """Run one workflow under a plan."""
        return run_schedule(self.runtime, self.workflow_story(name), plan, seed=seed, traced=traced)

    # --- tasks

    def run_task(self, task: Task, *, stop_at_first: bool = False) -> Tally:
        """Run the schedules of a task; with ``stop_at_first`` only until one fails, unshrunk."""
        tally = Tally()
        try:
            for story, seed, plan in self._schedules(task):
                outcome = run_schedule(self.runtime, story, plan, seed=seed)
                tally.schedules += 1
                tally.faults += len(outcome.faults)
                if outcome.violations:
                    tally.violations += 1
                    if stop_at_first:
                        tally.failures.append(self._failure(story, seed, outcome, shrunk=False))
                        return tally
                    if len(tally.failures) < FAILURES_KEPT:
                        tally.failures.append(self._failure(story, seed, outcome))
        except WrongStart as wrong:
            tally.violations += 1
            tally.failures.append(
                Failure(
                    story=task.workflow or "random",
                    seed=1,
                    faults={},
                    shrunk={},
                    violations=wrong.violations,
                    trace="",
                )
            )
        return tally

    def _schedules(self, task: Task) -> Iterator[tuple[Story, int, Plan]]:
        if task.mode is Mode.RANDOM:
            for seed in range(task.first, task.first + task.count):
                yield self.random_story(seed), seed, RandomPlan(seed=seed, rate=FAULT_RATE)
            return
        story = self.workflow_story(task.workflow)
        plain = run_schedule(self.runtime, story, NO_FAULTS, seed=1)
        singles = [(number, fault) for number, all_ in plain.possible.items() for fault in all_]
        if task.mode is Mode.SINGLES:
            if task.share == 0:
                yield story, 1, NO_FAULTS
            for number, fault in singles[task.share :: SHARES]:
                yield story, 1, FixedPlan({number: fault})
            return
        draw = random.Random(f"{task.rotation}/{task.workflow}/{task.share}")  # noqa: S311 - a choice
        share = (task.percent / 100) ** 0.5
        for number, fault in singles[task.share :: SHARES]:
            if fault in FAULT_CLASSES and draw.random() < share:
                yield from self._pairs(story, number, fault, draw, share)

    def _pairs(
        self, story: Story, number: int, fault: Fault, draw: random.Random, share: float
    ) -> Iterator[tuple[Story, int, Plan]]:
        """Yield a fault with later ones: at one call of each kind that is made once it has struck."""
        first = run_schedule(self.runtime, story, FixedPlan({number: fault}), seed=1)
        later: dict[str, list[int]] = {}
        for call, kind in first.kinds.items():
            if call > number:
                later.setdefault(kind, []).append(call)
        for calls in later.values():
            call = draw.choice(calls)
            for second in first.possible[call]:
                if second in FAULT_CLASSES and draw.random() < share:
                    yield story, 1, FixedPlan({number: fault, call: second})

    def _failure(
        self, story: Story, seed: int, outcome: Outcome, *, shrunk: bool = True
    ) -> Failure:
        faults = outcome.faults
        if shrunk:
            faults = shrink(self.runtime, story, outcome, seed=seed)
        again = run_schedule(self.runtime, story, FixedPlan(faults), seed=seed, traced=True)
        return Failure(
            story=story.name,
            seed=seed,
            faults=outcome.faults,
            shrunk=faults,
            violations=again.violations or outcome.violations,
            trace=again.trace,
        )


# --- several cores


def random_tasks(schedules: int, *, first: int = 0) -> list[Task]:
    """Return tasks of random schedules with seeds from ``first`` on."""
    return [
        Task(mode=Mode.RANDOM, first=start, count=min(CHUNK_SCHEDULES, first + schedules - start))
        for start in range(first, first + schedules, CHUNK_SCHEDULES)
    ]


def single_tasks(workflows: Sequence[str]) -> list[Task]:
    """Return tasks of every fault at every call of workflows."""
    return [
        Task(mode=Mode.SINGLES, workflow=name, share=share)
        for name in workflows
        for share in range(SHARES)
    ]


def pair_tasks(workflows: Sequence[str], *, percent: float, rotation: int) -> list[Task]:
    """Return tasks of ``percent`` of all ordered pairs of fault classes."""
    return [
        Task(mode=Mode.PAIRS, workflow=name, share=share, percent=percent, rotation=rotation)
        for name in workflows
        for share in range(SHARES)
    ]


_simulation: Simulation | None = None


def _start_worker() -> None:
    global _simulation  # noqa: PLW0603 - a worker process has one simulation, built at its start
    _simulation = Simulation.installed()
    gc.freeze()  # what was built stays: nobody looks through it again


def _run(task: Task) -> Tally:
    assert _simulation is not None, "the worker did not start"  # noqa: S101 - see _start_worker
    return _simulation.run_task(task)


class Workers:
    """Processes that hold the installed plugins, built once for any number of tasks."""

    def __init__(self, count: int) -> None:
        self._pool = ProcessPoolExecutor(
            count, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker
        )

    def run(self, tasks: Sequence[Task]) -> Iterator[Tally]:
        """Run tasks; yield each tally as it is done."""
        waiting = [self._pool.submit(_run, task) for task in tasks]
        for done in as_completed(waiting):
            yield done.result()

    def close(self) -> None:
        """Leave out what has not begun, and end the processes."""
        self._pool.shutdown(cancel_futures=True)


def run_tasks(tasks: Sequence[Task], *, workers: int) -> Iterator[Tally]:
    """Run tasks of the installed plugins on several cores; yield each tally as it is done."""
    with closing(Workers(workers)) as started:
        yield from started.run(tasks)
