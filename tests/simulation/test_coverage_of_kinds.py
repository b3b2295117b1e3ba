"""Every kind of operation that a plugin registers is run by a workflow of the simulator."""


def test_every_registered_kind_has_a_workflow(simulation):
    simulated = {kind for workflow in simulation.workflows for kind in workflow.kinds}
    registered = set(simulation.runtime.kinds)
    assert registered - simulated == set(), "write a workflow for each (docs/simulation.md)"
    assert simulated - registered == set(), "workflows of kinds that nobody registers"


def test_a_workflow_runs_the_kinds_that_it_names(simulation):
    from fintech_kernel.simulation.faults import NO_FAULTS

    for workflow in simulation.workflows:
        simulation.run_workflow(workflow.name, NO_FAULTS)
        ran = {row["kind"] for row in simulation.runtime.model.rows("operations")}
        if workflow.name != "payments.foreign":
            assert set(workflow.kinds) <= ran, workflow.name
