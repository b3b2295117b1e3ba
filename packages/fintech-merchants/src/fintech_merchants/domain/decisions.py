"""What a command leads to: ``decide`` returns events, or raises the refusal that is recorded instead.

Pure: every input is the command or the stream. Rules live here and nowhere else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fintech_kernel.contracts.merchants import MerchantStatus, PricingRule, VerificationStatus
from fintech_kernel.errors import InvariantBroken

from fintech_merchants.domain import errors, events
from fintech_merchants.domain.commands import (
    ChangeStatus,
    Command,
    CreateMerchant,
    SetPricing,
    UpdateMerchant,
    VerificationOutcome,
    VerifyMerchant,
)
from fintech_merchants.domain.events import Contact, MerchantEvent, SettlementTerms
from fintech_merchants.domain.model import METADATA_PAIRS_MAX, TRANSITIONS, Merchant


def decide(state: Merchant | None, command: Command) -> tuple[MerchantEvent, ...]:
    """Return what a command leads to.

    Raises:
        Refusal: a leaf of ``errors``.
        InvariantBroken: a merchant is created twice, or changed before it exists.
    """
    if isinstance(command, CreateMerchant):
        return _create(state, command)
    if state is None:
        raise InvariantBroken(f"{command.merchant_id} is changed before it exists")
    match command:
        case VerifyMerchant():
            return (_verify(state, command),)
        case ChangeStatus():
            return (_change_status(state, command),)
        case UpdateMerchant():
            return (_update(state, command),)
        case SetPricing():
            return (_set_pricing(state, command),)


def _create(state: Merchant | None, command: CreateMerchant) -> tuple[MerchantEvent, ...]:
    if state is not None:
        raise InvariantBroken(f"{command.merchant_id} is created twice")
    created = events.MerchantCreated(
        merchant_id=command.merchant_id,
        name=command.name,
        currencies=command.currencies,
        settlement_delay_days=command.settlement_delay_days,
        settlement_minimum=command.settlement_minimum,
        settlement_schedule=command.settlement_schedule,
        bank_account=command.account.shown if command.account else None,
        contact=command.contact,
        metadata=command.metadata,
        at=command.requested_at,
    )
    if not command.rules:
        return (created,)
    _check_rules(command.rules, command.currencies)
    priced = events.PricingSet(
        version=1, rules=_numbered(command.rules, version=1), at=command.requested_at
    )
    return (created, priced)


def _verify(state: Merchant, command: VerifyMerchant) -> MerchantEvent:
    _check_open(state)
    match command.outcome:
        case VerificationOutcome.VERIFIED:
            event = events.MerchantVerified
        case VerificationOutcome.REJECTED:
            event = events.MerchantRejected
    return event(reference=command.reference, reason=command.reason, at=command.requested_at)


def _change_status(state: Merchant, command: ChangeStatus) -> MerchantEvent:
    status = TRANSITIONS.get((state.status, command.action))
    if status is None:
        raise errors.MerchantTransitionRefused(
            merchant_id=state.merchant_id, status=state.status.value, action=command.action.value
        )
    match status:
        case MerchantStatus.ACTIVE:
            _check_verified(state)
            return events.MerchantActivated(reason=command.reason, at=command.requested_at)
        case MerchantStatus.SUSPENDED:
            return events.MerchantSuspended(reason=command.reason, at=command.requested_at)
        case MerchantStatus.CLOSED:
            return events.MerchantClosed(reason=command.reason, at=command.requested_at)
        case MerchantStatus.PENDING:
            raise InvariantBroken("no transition leads back to pending")


def _update(state: Merchant, command: UpdateMerchant) -> MerchantEvent:
    _check_open(state)
    if command.currencies is not None:
        _check_currencies(state, command.currencies)
    return events.MerchantUpdated(
        name=command.name,
        currencies=command.currencies,
        contact=_contact(state.contact, command.contact) if command.contact else None,
        metadata=_metadata(state, command),
        settlement=_settlement(state.settlement, command),
        at=command.requested_at,
    )


def _set_pricing(state: Merchant, command: SetPricing) -> MerchantEvent:
    _check_open(state)
    _check_rules(command.rules, state.currencies)
    if command.effective_from is not None and command.effective_from < command.requested_at:
        raise errors.PricingEffectiveInPast(
            effective_from=command.effective_from, requested_at=command.requested_at
        )
    version = len(state.pricing) + 1
    return events.PricingSet(
        version=version,
        rules=_numbered(command.rules, version=version),
        effective_from=command.effective_from,
        at=command.requested_at,
    )


def _check_open(state: Merchant) -> None:
    if state.status is MerchantStatus.CLOSED:
        raise errors.MerchantClosed(merchant_id=state.merchant_id)


def _check_verified(state: Merchant) -> None:
    if state.verification.status is not VerificationStatus.VERIFIED:
        raise errors.MerchantNotVerified(
            merchant_id=state.merchant_id, verification=state.verification.status.value
        )


def _check_currencies(state: Merchant, currencies: Sequence[str]) -> None:
    for currency in state.currencies:
        if currency not in currencies:
            raise errors.CurrencyNotRemovable(currency=currency)


def _check_rules(rules: Sequence[PricingRule], currencies: Sequence[str]) -> None:
    for position, rule in enumerate(rules, start=1):
        if rule.currency and rule.currency not in currencies:
            raise errors.PricingCurrencyNotEnabled(rule=position, currency=rule.currency)
        if not rule.currency and (rule.fixed or rule.minimum or rule.maximum is not None):
            raise errors.PricingAmountWithoutCurrency(rule=position)
        if rule.maximum is not None and rule.minimum > rule.maximum:
            raise errors.PricingBoundsReversed(rule=position)
        for earlier, other in enumerate(rules[: position - 1], start=1):
            if _covers(other, rule):
                raise errors.PricingRuleUnreachable(rule=position, earlier_rule=earlier)


def _covers(one: PricingRule, other: PricingRule) -> bool:
    """Whether ``one`` matches everything that ``other`` matches."""
    return one.currency in {"", other.currency} and one.method in {"", other.method}


def _numbered(rules: Sequence[PricingRule], *, version: int) -> tuple[PricingRule, ...]:
    """Give rules the ids that fees name: ``v2.1`` is the first rule of version 2."""
    return tuple(
        replace(rule, rule_id=f"v{version}.{position}")
        for position, rule in enumerate(rules, start=1)
    )


def _contact(contact: Contact, changes: Mapping[str, str | None]) -> Contact:
    return replace(contact, **{name: value or "" for name, value in changes.items()})


def _metadata(state: Merchant, command: UpdateMerchant) -> Mapping[str, str] | None:
    """Return the pairs after a change (RFC 7396), or None where nothing was asked of them."""
    if not command.metadata and not command.clears_metadata:
        return None
    before: Mapping[str, str] = {} if command.clears_metadata else state.metadata
    merged = {**before, **command.metadata}
    after = {name: value for name, value in merged.items() if value is not None}
    if len(after) > METADATA_PAIRS_MAX:
        raise errors.MetadataFull(pairs=len(after), pairs_max=METADATA_PAIRS_MAX)
    return after


def _settlement(terms: SettlementTerms, command: UpdateMerchant) -> SettlementTerms | None:
    """Return the terms after a change, or None where nothing was asked of them."""
    after = SettlementTerms(
        delay_days=_or(command.settlement_delay_days, terms.delay_days),
        minimum=_or(command.settlement_minimum, terms.minimum),
        schedule=command.settlement_schedule or terms.schedule,
        bank_account=command.account.shown if command.account else terms.bank_account,
    )
    if command.clears_account:
        after = replace(after, bank_account=None)
    return None if after == terms else after


def _or(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value
