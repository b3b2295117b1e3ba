"""Which workflow runs each kind of operation of reconciliation, and how its stored result is shown."""

from collections.abc import Sequence

from fintech_kernel.hooks import OperationHandler

from fintech_settlements.api.reconciliation_schemas import present_import, present_reconciliation
from fintech_settlements.domain import reconciling
from fintech_settlements.domain.reconciliation_workflows import ReconciliationWorkflows


def reconciliation_handlers(workflows: ReconciliationWorkflows) -> Sequence[OperationHandler]:
    """Return the handlers; an import has no stream to open, each of its lines has."""
    steps = {
        reconciling.EXPECT: workflows.run_expect,
        reconciling.RECORD: workflows.run_record,
        reconciling.RESOLVE: workflows.run_resolve,
        reconciling.APPROVE: workflows.run_approve,
        reconciling.REJECT: workflows.run_reject,
    }
    return [
        OperationHandler(
            name=reconciling.IMPORT, version=1, run=workflows.run_import, present=present_import
        ),
        *(
            OperationHandler(
                name=kind,
                version=1,
                run=run,
                present=present_reconciliation,
                opening=workflows.opening,
            )
            for kind, run in steps.items()
        ),
    ]
