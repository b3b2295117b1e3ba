"""How operations on merchants run: fold, decide, append, finish; the same for whoever holds them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fintech_dbclient import Statement
from fintech_kernel.contracts.writes import Write
from fintech_kernel.domain.codec import from_json
from fintech_kernel.domain.execution import Appended, Completion, Execution, Finished, refused
from fintech_kernel.domain.journal import Stream, stream_id_of, stream_statement
from fintech_kernel.errors import InvariantBroken

from fintech_merchants.domain import decisions
from fintech_merchants.domain.bank_accounts import account_write
from fintech_merchants.domain.commands import (
    ChangeStatus,
    CreateMerchant,
    SetPricing,
    UpdateMerchant,
    VerifyMerchant,
)
from fintech_merchants.domain.history import drafts, fold_merchant
from fintech_merchants.domain.model import Merchant, PricingVersion
from fintech_merchants.domain.projection import merchant_write, read_models
from fintech_merchants.domain.views import merchant_view


async def run_create(execution: Execution) -> Finished:
    """Onboard a merchant. Its stream is new and the claim holds the whole input."""
    command = from_json(CreateMerchant, execution.command)
    decided = drafts(decisions.decide(None, command))
    return await execution.conclude(
        stream=Stream(stream_id_of(command.merchant_id, command.merchant_id)),
        step="decide",
        decide=lambda _stream: decided,
        complete=lambda appended: _completed(appended, writes=_account_writes(command)),
    )


def opening_of_change(request: Mapping[str, Any], _operation_id: str) -> Sequence[Statement]:
    """Read the merchant's stream in the trip of the claim."""
    merchant_id = str(request["merchant_id"])
    return (stream_statement(merchant_id, merchant_id),)


async def run_verify(execution: Execution) -> Finished:
    """Record what came of a check of who the merchant is."""
    return await _run_change(execution, from_json(VerifyMerchant, execution.command))


async def run_change_status(execution: Execution) -> Finished:
    """Activate, suspend or close a merchant."""
    return await _run_change(execution, from_json(ChangeStatus, execution.command))


async def run_update(execution: Execution) -> Finished:
    """Change what is known of a merchant."""
    return await _run_change(execution, from_json(UpdateMerchant, execution.command))


async def run_set_pricing(execution: Execution) -> Finished:
    """Set the next version of a merchant's pricing; the result shows that version."""
    command = from_json(SetPricing, execution.command)
    return await _run_change(execution, command, shows=lambda merchant: merchant.pricing[-1])


def _in_force(merchant: Merchant) -> PricingVersion:
    return merchant.pricing_at(merchant.updated_at)


async def _run_change(
    execution: Execution,
    command: VerifyMerchant | ChangeStatus | UpdateMerchant | SetPricing,
    *,
    shows: Callable[[Merchant], PricingVersion] = _in_force,
) -> Finished:
    writes = _account_writes(command) if isinstance(command, UpdateMerchant) else ()
    return await execution.conclude(
        stream=execution.opened_stream(command.merchant_id, command.merchant_id),
        step="decide",
        decide=lambda stream: drafts(decisions.decide(fold_merchant(stream), command)),
        complete=lambda appended: _completed(appended, writes=writes, shows=shows),
    )


def _account_writes(command: CreateMerchant | UpdateMerchant) -> tuple[Write, ...]:
    if command.account is None:
        return ()
    written = account_write(command.merchant_id, command.account, created_at=command.requested_at)
    return (written,)


def _completed(
    appended: Appended,
    *,
    writes: Sequence[Write] = (),
    shows: Callable[[Merchant], PricingVersion] = _in_force,
) -> Completion:
    """A function of the request and the rows that stand, so that every executor ends alike."""
    if appended.is_refused:
        return refused(appended.entries[0])
    merchant = fold_merchant(appended.as_written)
    if merchant is None:
        raise InvariantBroken("a decision about a merchant stands where there is none")
    return Completion(
        result=merchant_view(merchant, shows(merchant)),
        writes=(*writes, merchant_write(merchant, appended.entries[-1].seq)),
        read_models=read_models(merchant),
    )
