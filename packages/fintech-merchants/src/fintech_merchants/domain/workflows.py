"""How operations on merchants run: fold, decide, append, finish; the same for whoever holds them."""

from collections.abc import Mapping, Sequence
from typing import Any

from fintech_dbclient import Statement
from fintech_kernel.domain.codec import from_json
from fintech_kernel.domain.execution import Appended, Completion, Execution, Finished, refused
from fintech_kernel.domain.journal import Stream, stream_id_of, stream_statement
from fintech_kernel.errors import InvariantBroken

from fintech_merchants.domain import model
from fintech_merchants.domain.history import drafts, fold_merchant
from fintech_merchants.domain.model import ChangeStatus, CreateMerchant, SetPricing
from fintech_merchants.domain.projection import read_model
from fintech_merchants.domain.views import merchant_view


async def run_create(execution: Execution) -> Finished:
    """Onboard a merchant. Its stream is new and the claim holds the whole input."""
    command = from_json(CreateMerchant, execution.command)
    decided = drafts(model.decide(None, command))
    return await execution.conclude(
        stream=Stream(stream_id_of(command.merchant_id, command.merchant_id)),
        step="decide",
        decide=lambda _stream: decided,
        complete=_completed,
    )


def opening_of_change(request: Mapping[str, Any], _operation_id: str) -> Sequence[Statement]:
    """Read the merchant's stream in the trip of the claim."""
    merchant_id = str(request["merchant_id"])
    return (stream_statement(merchant_id, merchant_id),)


async def run_change_status(execution: Execution) -> Finished:
    """Activate, suspend or close a merchant."""
    return await _run_change(execution, from_json(ChangeStatus, execution.command))


async def run_set_pricing(execution: Execution) -> Finished:
    """Replace a merchant's pricing."""
    return await _run_change(execution, from_json(SetPricing, execution.command))


async def _run_change(execution: Execution, command: ChangeStatus | SetPricing) -> Finished:
    return await execution.conclude(
        stream=execution.opened_stream(command.merchant_id, command.merchant_id),
        step="decide",
        decide=lambda stream: drafts(model.decide(fold_merchant(stream), command)),
        complete=_completed,
    )


def _completed(appended: Appended) -> Completion:
    """A function of the rows that stand, so that every executor ends alike."""
    if appended.is_refused:
        return refused(appended.entries[0])
    merchant = fold_merchant(appended.as_written)
    if merchant is None:
        raise InvariantBroken("a decision about a merchant stands where there is none")
    return Completion(
        result=merchant_view(merchant),
        read_models=(read_model(merchant, appended.entries[-1].seq),),
    )
