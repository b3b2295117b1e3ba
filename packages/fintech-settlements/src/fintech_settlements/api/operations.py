"""Which workflow runs each kind of operation, and how its stored result is shown."""

from collections.abc import Sequence

from fintech_kernel.hooks import OperationHandler

from fintech_settlements.api.run_schemas import present_run
from fintech_settlements.api.schemas import present_created, present_settlement
from fintech_settlements.domain import kinds
from fintech_settlements.domain.payout_workflows import PayoutWorkflows
from fintech_settlements.domain.run_requests import run_request
from fintech_settlements.domain.workflows import SettlementWorkflows


def settlement_handlers(workflows: SettlementWorkflows) -> Sequence[OperationHandler]:
    """Return the handlers of operations up to the payout."""
    steps = {
        kinds.APPROVE: workflows.run_approve,
        kinds.CANCEL: workflows.run_cancel,
        kinds.PAY: workflows.run_pay,
    }
    return [
        OperationHandler(
            name=kinds.CREATE, version=1, run=workflows.run_create, present=present_created
        ),
        *(
            OperationHandler(
                name=kind,
                version=1,
                run=run,
                present=present_settlement,
                opening=workflows.opening,
            )
            for kind, run in steps.items()
        ),
    ]


def payout_handlers(workflows: PayoutWorkflows) -> Sequence[OperationHandler]:
    """Return the handlers of what people and rails say of payouts."""
    steps = {
        kinds.CONFIRM: workflows.run_confirm,
        kinds.FAIL: workflows.run_fail,
        kinds.RETURN: workflows.run_return,
        kinds.RESOLVE: workflows.run_resolve,
        kinds.RECOVER: workflows.run_recover,
    }
    return [
        OperationHandler(
            name=kind,
            version=1,
            run=run,
            present=present_settlement,
            opening=SettlementWorkflows.opening,
        )
        for kind, run in steps.items()
    ]


def run_handlers() -> Sequence[OperationHandler]:
    """Return the handler of runs over all merchants."""
    return [OperationHandler(name=kinds.RUN, version=1, run=run_request, present=present_run)]
