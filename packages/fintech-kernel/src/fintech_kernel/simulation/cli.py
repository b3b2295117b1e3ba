"""The command ``fintech simulate``: the installed plugins under every fault, or under random ones."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from fintech_kernel.simulation.campaign import Failure, Tally, Task

WORKERS: Final = 2
EXIT_VIOLATED: Final = 1

app = typer.Typer(help="Run the installed plugins under simulated faults.", add_completion=False)


@app.callback(invoke_without_command=True)
def simulate(
    *,
    seed: Annotated[
        int | None, typer.Option(help="run one random schedule and print its trace")
    ] = None,
    schedules: Annotated[int, typer.Option(min=0, help="random schedules to run")] = 0,
    first: Annotated[int, typer.Option(min=0, help="the first seed of --schedules")] = 0,
    enumerate_: Annotated[
        bool, typer.Option("--enumerate", help="every fault at every call of every workflow")
    ] = False,
    pairs: Annotated[
        float, typer.Option(min=0, max=100, help="with --enumerate: percent of ordered pairs")
    ] = 0,
    rotation: Annotated[int, typer.Option(help="which pairs are drawn")] = 0,
    workers: Annotated[int, typer.Option(min=1, max=64, help="cores to use")] = WORKERS,
) -> None:
    """Simulate; the last line counts, and the exit code is 1 where anything is violated."""
    if seed is not None:
        tally = _one(seed)
    else:
        tasks = _tasks(
            schedules=schedules, first=first, singles=enumerate_, pairs=pairs, rotation=rotation
        )
        tally = run_all(tasks, workers=workers)
    typer.echo(tally.line)
    if tally.violations:
        raise typer.Exit(EXIT_VIOLATED)


def _tasks(
    *, schedules: int, first: int, singles: bool, pairs: float, rotation: int
) -> "list[Task]":
    from fintech_kernel.simulation.campaign import (  # the whole application: not for --help
        Simulation,
        pair_tasks,
        random_tasks,
        single_tasks,
    )

    tasks: list[Task] = []
    if singles:
        names = [workflow.name for workflow in Simulation.installed().workflows]
        tasks += single_tasks(names)
        if pairs:
            tasks += pair_tasks(names, percent=pairs, rotation=rotation)
    return [*tasks, *random_tasks(schedules, first=first)]


def _one(seed: int) -> "Tally":
    """Run one random schedule and print everything that happened."""
    from fintech_kernel.simulation.campaign import Simulation, Tally  # see _tasks

    simulation = Simulation.installed()
    outcome = simulation.run_random(seed, traced=True)
    typer.echo(outcome.trace)
    typer.echo(f"trace {outcome.digest}")
    for violation in outcome.violations:
        typer.echo(f"{violation.invariant}: {violation.detail}")
    return Tally(schedules=1, faults=len(outcome.faults), violations=1 if outcome.violations else 0)


def run_all(tasks: "Sequence[Task]", *, workers: int) -> "Tally":
    """Run tasks, say how far they are, and show what failed."""
    from fintech_kernel.simulation.campaign import Tally, run_tasks  # see _tasks

    total = Tally()
    for number, tally in enumerate(run_tasks(tasks, workers=workers), start=1):
        total.add(tally)
        for failure in tally.failures:
            show(failure)
        if number % 20 == 0 or number == len(tasks):
            typer.echo(f"{number}/{len(tasks)} tasks, {total.line}", err=True)
    return total


def show(failure: "Failure") -> None:
    """Print a failing schedule: its shortest plan, its trace, and what it violates."""
    typer.echo(f"--- {failure.story}, seed {failure.seed}: {len(failure.faults)} faults")
    for number, fault in sorted(failure.shrunk.items()):
        typer.echo(f"    call #{number}: {fault.value}")
    typer.echo(failure.trace)
    for violation in failure.violations:
        typer.echo(f"{violation.invariant}: {violation.detail}")


if __name__ == "__main__":
    app()
