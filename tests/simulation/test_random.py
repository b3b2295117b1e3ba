"""Random schedules: clients that collide, repeat and disconnect, and a fault at every fourth call."""

import pytest
from fintech_kernel.simulation.campaign import FAULT_RATE, Workers, random_tasks
from fintech_kernel.simulation.pytest_plugin import report

PLAIN = 5_000
FULL = 50_000


def run_random(workers: Workers, *, schedules: int, first: int) -> None:
    faults = 0
    for tally in workers.run(random_tasks(schedules, first=first)):
        assert not tally.failures, report(tally.failures[0])
        faults += tally.faults
    print(f"random: {schedules} schedules from seed {first}, {faults} faults")  # noqa: T201 - the report
    assert faults > schedules


@pytest.mark.timeout(2_700)
def test_todays_random_schedules_violate_nothing(workers, rotation):
    assert FAULT_RATE >= 0.25
    run_random(workers, schedules=PLAIN, first=rotation * PLAIN)


@pytest.mark.slow
@pytest.mark.timeout(14_400)
def test_many_random_schedules_violate_nothing(workers):
    run_random(workers, schedules=FULL, first=0)
