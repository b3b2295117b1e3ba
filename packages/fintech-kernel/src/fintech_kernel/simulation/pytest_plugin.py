"""Fixtures for tests of a plugin under faults; load them with ``pytest_plugins`` in a ``conftest.py``.

::

    pytest_plugins = ["fintech_kernel.simulation.pytest_plugin"]

    def test_points_are_given_once(simulate):
        simulate([points_plugin], [WORKLOAD]).holds(schedules=200)
"""

from collections.abc import Callable, Sequence

import pytest

from fintech_kernel.simulation.campaign import (
    Failure,
    Simulation,
    Tally,
    Task,
    random_tasks,
    single_tasks,
)
from fintech_kernel.simulation.workload import Workload


class SimulatedPlugins:
    """Plugins with their workloads, to be held to their invariants."""

    def __init__(self, plugins: Sequence[object], workloads: Sequence[Workload]) -> None:
        self.simulation = Simulation(plugins, workloads=workloads)

    def holds(self, *, schedules: int = 0) -> Tally:
        """Run every single fault of every workflow, then random schedules; fail where any is violated."""
        names = [workflow.name for workflow in self.simulation.workflows]
        has_actions = any(workload.actions for workload in self.simulation.runtime.workloads)
        tally = Tally()
        for task in [*single_tasks(names), *(random_tasks(schedules) if has_actions else ())]:
            tally.add(self.simulation.run_task(task))
        if tally.failures:
            pytest.fail(report(tally.failures[0]))
        return tally

    def run(self, task: Task) -> Tally:
        """Run one task and return what came of it, failures included."""
        return self.simulation.run_task(task)


def report(failure: Failure) -> str:
    """Return a failing schedule as text: its shortest plan, its trace, and what it violates."""
    plan = [f"call #{number}: {fault.value}" for number, fault in sorted(failure.shrunk.items())]
    violated = [f"{one.invariant}: {one.detail}" for one in failure.violations]
    return "\n".join([f"{failure.story}, seed {failure.seed}", *plan, failure.trace, *violated])


@pytest.fixture(scope="session")
def simulate() -> Callable[[Sequence[object], Sequence[Workload]], SimulatedPlugins]:
    """Build a simulation of plugins and their workloads."""
    return SimulatedPlugins
