"""Ordered pairs of faults: some of them every day, others tomorrow, all of them on request."""

import pytest
from fintech_kernel.simulation.campaign import pair_tasks
from fintech_kernel.simulation.pytest_plugin import report

PERCENT = 5.0


def run_pairs(simulation, workers, *, percent: float, rotation: int) -> int:
    names = [workflow.name for workflow in simulation.workflows]
    tasks = pair_tasks(names, percent=percent, rotation=rotation)
    schedules = 0
    for tally in workers.run(tasks):
        assert not tally.failures, report(tally.failures[0])
        schedules += tally.schedules
    print(f"pairs: {schedules} schedules, {percent} %, rotation {rotation}")  # noqa: T201 - the report
    return schedules


@pytest.mark.timeout(2_700)
def test_todays_pairs_of_faults_violate_nothing(simulation, workers, rotation):
    assert run_pairs(simulation, workers, percent=PERCENT, rotation=rotation) > 100


@pytest.mark.slow
@pytest.mark.timeout(14_400)
def test_no_pair_of_fault_classes_violates_anything(simulation, workers):
    assert run_pairs(simulation, workers, percent=100, rotation=0) > 10_000
