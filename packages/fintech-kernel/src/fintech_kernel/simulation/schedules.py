"""One schedule: requests under faults, then a phase without, then the verdict."""

import asyncio
import gc
import random
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from fintech_kernel.domain.jobs import run_once
from fintech_kernel.errors import FintechError, RequestRefused
from fintech_kernel.hooks import Job
from fintech_kernel.simulation.client import Client
from fintech_kernel.simulation.faults import NO_FAULTS, Fault, Plan
from fintech_kernel.simulation.invariants import KERNEL
from fintech_kernel.simulation.loop import SimulatedLoop, Stuck
from fintech_kernel.simulation.processes import Process, ProcessKilled, adopt
from fintech_kernel.simulation.runtime import Runtime
from fintech_kernel.simulation.workload import Action, Invariant, Script, has_nothing_to_do
from fintech_kernel.simulation.world import Snapshot, World

ROUNDS_MAX: Final = 60
"""Rounds of jobs in the phase without faults before what is left counts as left for ever."""

PAUSES_SECONDS: Final = (0.0, 0.5, 2.0, 25.0, 60.0, 300.0, 950.0)
"""Between rounds: two leases pass, and the longest backoff, and what was late arrives."""

EVERYBODYS_ROUND: Final = 4
"""Every so many rounds all processes run their jobs; in between one does."""

SKEW_MILLISECONDS_MAX: Final = 600_000
CLOCKS_OFF_SHARE: Final = 0.4
"""How many processes of random schedules begin with a clock that is off."""

IDLE_POLLS_SHARE: Final = 0.05
"""How often a job that would find nothing runs all the same."""


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold."""

    invariant: str
    detail: str


class WrongStart(FintechError):
    """A faultless script violates an invariant."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("; ".join(f"{one.invariant}: {one.detail}" for one in violations[:5]))
        self.violations = tuple(violations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a schedule.

    Attributes:
        possible: what each call of the phase with faults could have suffered, by number.
        kinds: what each of these calls was (``Network.kinds``).
        faults: what came to pass, by number of call.
    """

    violations: tuple[Violation, ...]
    faults: dict[int, Fault]
    possible: dict[int, tuple[Fault, ...]]
    kinds: dict[int, str]
    digest: str
    trace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What happens in a schedule: who asks for what, from which state of the world on."""

    name: str
    script: Callable[[World], Awaitable[None]]
    start: Snapshot


def run_schedule(
    runtime: Runtime, story: Story, plan: Plan, *, seed: int, traced: bool = False
) -> Outcome:
    """Run a story under a plan and judge what stands at its end."""
    loop = SimulatedLoop(random.Random(seed), on_task=adopt)  # noqa: S311 - a schedule, no secret
    runtime.model.restore(story.start.database)
    world = World(runtime, loop, seed=seed, start=story.start, traced=traced)
    runtime.enter(world)
    with _uncollected():
        found = _run(world, loop, _phases(world, story.script, plan))
    runtime.enter(None)
    return Outcome(
        violations=tuple(found),
        faults=world.network.struck,
        possible=world.network.possible,
        kinds=world.network.kinds,
        digest=world.trace.digest() if traced else "",
        trace=world.trace.text() if found or traced else "",
    )


def make_snapshot(runtime: Runtime, script: Script, start: Snapshot | None = None) -> Snapshot:
    """Return the quiet world that a faultless script leads to.

    Raises:
        WrongStart: it violates an invariant without any fault.
    """
    loop = SimulatedLoop(random.Random(1), on_task=adopt)  # noqa: S311 - a schedule, no secret
    runtime.model.restore(start.database if start else runtime.empty)
    world = World(runtime, loop, seed=1 + (int(start.now) % 997 if start else 0), start=start)
    runtime.enter(world)

    async def told(world: World) -> None:
        await script(Client(world))

    found = _run(world, loop, _phases(world, told, NO_FAULTS))
    if found:
        raise WrongStart(found)
    snapshot = world.snapshot()
    runtime.enter(None)
    return snapshot


def _run(world: World, loop: SimulatedLoop, phases: Coroutine[Any, Any, None]) -> list[Violation]:
    """Run the phases of a schedule and return everything that is wrong at its end."""
    found: list[Violation] = []
    try:
        loop.run_until_complete(phases)
    except Stuck as stuck:
        found.append(Violation("I9", str(stuck)))
    except Exception as error:  # noqa: BLE001 - whatever a client or a job is thrown is a finding
        found.append(Violation("raised", _first_line(error)))
    for process in world.processes:
        process.incarnation.is_alive = False
    loop.close()
    found += _verdict(world)
    found += [Violation("raised", failure) for failure in loop.failures[:3]]
    found += [Violation(name, detail) for name, detail in dict.fromkeys(world.seen_wrong)]
    return found


@contextmanager
def _uncollected() -> Generator[None]:
    """Look for garbage between schedules, not in them: a fifth of their time would go into it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _first_line(error: BaseException) -> str:
    """Return what was raised; of a group, the first that was."""
    inner: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    if inner:
        return _first_line(inner[0])
    return f"{type(error).__name__}: {error}"


async def _phases(world: World, script: Callable[[World], Awaitable[None]], plan: Plan) -> None:
    world.network.plan = plan
    await script(world)
    world.trace.add(world.loop.time(), "world", "faults are over")
    world.network.plan = NO_FAULTS
    world.network.is_calm = True
    await _settle(world)
    for row in world.model.rows("operations", "WHERE state = 'running'"):
        world.seen_wrong.append(
            ("I9", f"recovery left {row['kind']} {row['operation_id']} running")
        )
    await _repeat_everything(world)
    await _settle(world)
    for workload in world.runtime.workloads:
        await workload.closing(Client(world))
    await _settle(world)


async def _settle(world: World) -> None:
    """Run jobs until nothing is left to do, or for much longer than anything may take."""
    if world.now() < world.black_out_until:
        await asyncio.sleep(world.black_out_until - world.now())
    world.heal()
    for number in range(ROUNDS_MAX):
        for process in (
            world.processes
            if number % EVERYBODYS_ROUND == EVERYBODYS_ROUND - 1
            else world.processes[:1]
        ):
            for job in _jobs(process):
                if _has_work(world, job):
                    await _finished(process.spawn(run_once(job)))
        if _is_quiet(world):
            return
        await asyncio.sleep(PAUSES_SECONDS[min(number, len(PAUSES_SECONDS) - 1)])


def _has_work(world: World, job: Job) -> bool:
    """Whether a job would find anything: polling for nothing is most of what real jobs do."""
    count = world.model.count
    kind, _, handler = job.name.partition(":")
    match kind:
        case "operations.recover":
            return bool(count("operations", "WHERE state = 'running'"))
        case "events.dispatch":
            return bool(count("journal", "WHERE dispatched = 0"))
        case "events.deliver":
            waiting = world.model.rows("deliveries", "WHERE state = 'pending'")
            return any(row["handler"] == handler for row in waiting)
        case _:
            return _plugin_has_work(world, kind.partition(".")[0])


def _plugin_has_work(world: World, plugin: str) -> bool:
    """Whether a plugin's jobs would find anything; where it cannot say they go along with others'."""
    workloads = world.runtime.workloads
    asked = [
        one for one in workloads if one.name == plugin and one.is_quiet is not has_nothing_to_do
    ]
    return not all(one.is_quiet(world) for one in asked or workloads)


def _is_quiet(world: World) -> bool:
    count = world.model.count
    return (
        world.network.in_flight == 0
        and not count("operations", "WHERE state = 'running'")
        and not count("journal", "WHERE dispatched = 0")
        and not world.model.rows("deliveries", "WHERE state = 'pending'")
        and not any(
            world.now() < known.definite_at
            for known in (*world.processor.keys.values(), *world.rail.keys.values())
        )
        and not any(world.now() < until for until in world.silent_until.values())
        and all(workload.is_quiet(world) for workload in world.runtime.workloads)
    )


async def _repeat_everything(world: World) -> None:
    """Let every client ask once more: who was answered gets the same answer, who was not gets one."""
    client = Client(world)
    for told in list(world.told.values()):
        with suppress(RequestRefused):
            await client.repeat(told.request, tries=20)


def _jobs(process: Process) -> tuple[Job, ...]:
    async def recover() -> None:
        await process.context.operations.recover()

    recovery = Job(name="operations.recover", run=recover, every_seconds=1, timeout_seconds=120)
    return (recovery, *process.jobs, *process.context.events.jobs())


async def _finished(task: "asyncio.Task[Any]") -> None:
    await asyncio.wait([task])
    if not task.cancelled() and task.exception() is not None:
        error = task.exception()
        if not isinstance(error, ProcessKilled):
            raise error or ProcessKilled


def _verdict(world: World) -> list[Violation]:
    workloads = [workload.invariants for workload in world.runtime.workloads]
    return [
        Violation(name, detail)
        for invariants in (KERNEL, *workloads)
        for name, invariant in invariants.items()
        for detail in _judged(world, invariant)
    ]


def _judged(world: World, invariant: Invariant) -> list[str]:
    """Return what an invariant finds; rows that make no sense to it are a finding, too."""
    try:
        return [*invariant(world)]
    except (LookupError, TypeError, ValueError) as error:
        return [f"rows contradict one another: {error!r}"]


# --- random schedules: several clients, jobs in the background, clocks apart


def random_script(
    actions: Sequence[Action], *, clients: int, actions_each: int
) -> Callable[[World], Awaitable[None]]:
    """Return what ``clients`` nasty clients do at once, while every process runs its jobs."""

    async def script(world: World) -> None:
        for process in world.processes:
            if world.draw.random() < CLOCKS_OFF_SHARE:
                skew = SKEW_MILLISECONDS_MAX
                process.skew_milliseconds = int(world.draw.uniform(-skew, skew))
        world.handler_fails = 0.1
        background = [asyncio.ensure_future(_run_jobs(world, one)) for one in world.processes]
        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(_acts(world, actions, actions_each))
        for task in background:
            task.cancel()
        await asyncio.wait(background)

    return script


async def _acts(world: World, actions: Sequence[Action], count: int) -> None:
    client = Client(world, is_nasty=True)
    for _ in range(count):
        await asyncio.sleep(world.draw.choice((0.0, 0.0, 0.01, 1.0, 10.0)))
        (action,) = world.draw.choices(actions, weights=[one.weight for one in actions])
        with suppress(RequestRefused):
            await action.run(client)


async def _run_jobs(world: World, process: Process) -> None:
    """Run a job of a process now and then, as its job runner would."""
    while True:
        await asyncio.sleep(world.draw.uniform(0.2, 20))
        job = world.draw.choice(_jobs(process))
        if process in world.living() and (
            _has_work(world, job) or world.draw.random() < IDLE_POLLS_SHARE
        ):
            await asyncio.wait([process.spawn(run_once(job))], timeout=60)
