"""How a redemption runs: fold, decide, append, finish; the same for whoever holds it."""

from collections.abc import Mapping, Sequence
from typing import Any

from fintech_dbclient import Statement
from fintech_kernel.domain.codec import from_json
from fintech_kernel.domain.execution import Appended, Completion, Execution, Finished, refused
from fintech_kernel.domain.journal import stream_statement

from fintech_loyalty.domain.commands import RedeemPoints
from fintech_loyalty.domain.history import CODEC, fold_account
from fintech_loyalty.domain.model import account_id, decide


def opening_of_redeem(request: Mapping[str, Any], _operation_id: str) -> Sequence[Statement]:
    """Read the account's stream in the trip of the claim."""
    return (stream_statement(request["merchant_id"], account_id(request["customer_id"])),)


async def run_redeem(execution: Execution) -> Finished:
    """Redeem points. A decision is one insert; whoever runs this after a crash finds it, or makes it."""
    command = from_json(RedeemPoints, execution.command)
    return await execution.conclude(
        stream=execution.opened_stream(command.merchant_id, account_id(command.customer_id)),
        step="decide",
        decide=lambda stream: [CODEC.draft(decide(fold_account(stream), command))],
        complete=lambda appended: _completed(command, appended),
    )


def _completed(command: RedeemPoints, appended: Appended) -> Completion:
    """A function of the request and the rows that stand, so that every executor ends alike."""
    if appended.is_refused:
        return refused(appended.entries[0])
    account = fold_account(appended.as_written)
    return Completion(
        result={
            "redemption_id": command.redemption_id,
            "customer_id": command.customer_id,
            "points": command.points,
            "points_left": command.earned - account.redeemed,
        }
    )
