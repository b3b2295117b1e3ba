"""Every fault at every call of every workflow, one at a time."""

import pytest
from fintech_kernel.simulation.campaign import single_tasks
from fintech_kernel.simulation.faults import NO_FAULTS, Fault
from fintech_kernel.simulation.pytest_plugin import report


@pytest.mark.timeout(2_700)
def test_no_single_fault_of_any_workflow_violates_anything(simulation, workers):
    names = [workflow.name for workflow in simulation.workflows]
    schedules = 0
    for tally in workers.run(single_tasks(names)):
        assert not tally.failures, report(tally.failures[0])
        schedules += tally.schedules
    print(f"single faults: {schedules} schedules")  # noqa: T201 - the report
    assert schedules > 2_000


def test_a_call_that_only_reads_suffers_what_its_sender_can_tell_apart(simulation):
    outcome = simulation.run_workflow("payments.sale", NO_FAULTS)
    suffered = {outcome.kinds[call]: set(faults) for call, faults in outcome.possible.items()}
    assert suffered["journal.by_stream"] == {
        Fault.LOST_BEFORE,
        Fault.SLOW,
        Fault.REFUSED,
        Fault.KILLED_BEFORE,
        Fault.DOWN_BEFORE,
        Fault.CLOCK,
    }
    assert suffered["operations.claim"] >= {Fault.LOST_AFTER, Fault.TWICE, Fault.KILLED_AFTER}
