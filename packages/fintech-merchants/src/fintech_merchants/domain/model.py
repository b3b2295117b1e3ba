"""The merchant as a decider: ``decide`` says what a command leads to, ``evolve`` what an event means.

Pure: standard library and kernel value types, no clock, no randomness, no I/O. Statuses change by one
table (``TRANSITIONS``) and in no other way.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import reduce
from typing import Final, TypeAlias

from fintech_kernel.contracts.merchants import MerchantProfile, MerchantStatus, PricingRule
from fintech_kernel.errors import InvariantBroken
from fintech_kernel.money import BASIS_POINTS_PER_UNIT

from fintech_merchants.domain import errors, events
from fintech_merchants.domain.events import MerchantEvent

CURRENCIES_MAX: Final = 50
PRICING_RULES_MAX: Final = 100
SETTLEMENT_DELAY_DAYS_MAX: Final = 365
BASIS_POINTS_MAX: Final = BASIS_POINTS_PER_UNIT


class Action(StrEnum):
    """What changes a merchant's status."""

    ACTIVATE = "activate"
    SUSPEND = "suspend"
    CLOSE = "close"


TRANSITIONS: Final[Mapping[tuple[MerchantStatus, Action], MerchantStatus]] = {
    (MerchantStatus.PENDING, Action.ACTIVATE): MerchantStatus.ACTIVE,
    (MerchantStatus.PENDING, Action.CLOSE): MerchantStatus.CLOSED,
    (MerchantStatus.ACTIVE, Action.SUSPEND): MerchantStatus.SUSPENDED,
    (MerchantStatus.SUSPENDED, Action.ACTIVATE): MerchantStatus.ACTIVE,
    (MerchantStatus.SUSPENDED, Action.CLOSE): MerchantStatus.CLOSED,
}
"""From a status, by an action, to a status; what is not here is refused.

An active merchant is suspended before it is closed: closing is for ever, and never the first word.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateMerchant:
    """Onboard a merchant. ``rules`` may be empty: then no fee is charged."""

    merchant_id: str
    name: str
    currencies: tuple[str, ...]
    settlement_delay_days: int
    settlement_minimum: int
    rules: tuple[PricingRule, ...]
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeStatus:
    """Activate, suspend or close a merchant."""

    merchant_id: str
    action: Action
    reason: str
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPricing:
    """Replace the pricing. Of several rules that match, the first applies."""

    merchant_id: str
    rules: tuple[PricingRule, ...]
    requested_at: int


Command: TypeAlias = CreateMerchant | ChangeStatus | SetPricing


@dataclass(frozen=True, slots=True, kw_only=True)
class Merchant:
    """A merchant as its events made it. ``pricing_version`` 0 means that none was ever set."""

    merchant_id: str
    name: str
    status: MerchantStatus
    status_reason: str
    currencies: tuple[str, ...]
    pricing_version: int
    pricing: tuple[PricingRule, ...]
    pricing_set_at: int | None
    settlement_delay_days: int
    settlement_minimum: int
    created_at: int
    updated_at: int

    @property
    def profile(self) -> MerchantProfile:
        """What payments and settlements freeze about it."""
        return MerchantProfile(
            merchant_id=self.merchant_id,
            status=self.status,
            currencies=self.currencies,
            pricing_version=self.pricing_version,
            pricing=self.pricing,
            settlement_delay_days=self.settlement_delay_days,
            settlement_minimum=self.settlement_minimum,
        )


def decide(state: Merchant | None, command: Command) -> tuple[MerchantEvent, ...]:
    """Return what a command leads to.

    Raises:
        Refusal: a leaf of ``errors``.
        InvariantBroken: a merchant is created twice, or changed before it exists.
    """
    match command:
        case CreateMerchant():
            return _create(state, command)
        case ChangeStatus():
            return (_change_status(_existing(state, command), command),)
        case SetPricing():
            return (_set_pricing(_existing(state, command), command),)


def evolve(state: Merchant | None, event: MerchantEvent) -> Merchant:
    """Return what an event makes of a merchant."""
    if isinstance(event, events.MerchantCreated):
        return Merchant(
            merchant_id=event.merchant_id,
            name=event.name,
            status=MerchantStatus.PENDING,
            status_reason="",
            currencies=event.currencies,
            pricing_version=0,
            pricing=(),
            pricing_set_at=None,
            settlement_delay_days=event.settlement_delay_days,
            settlement_minimum=event.settlement_minimum,
            created_at=event.at,
            updated_at=event.at,
        )
    if state is None:
        raise InvariantBroken(f"{event.type} stands before merchant.created")
    match event:
        case events.MerchantActivated():
            return _with_status(state, MerchantStatus.ACTIVE, event.reason, event.at)
        case events.MerchantSuspended():
            return _with_status(state, MerchantStatus.SUSPENDED, event.reason, event.at)
        case events.MerchantClosed():
            return _with_status(state, MerchantStatus.CLOSED, event.reason, event.at)
        case events.PricingSet():
            return replace(
                state,
                pricing_version=event.version,
                pricing=event.rules,
                pricing_set_at=event.at,
                updated_at=event.at,
            )


def fold(history: Iterable[MerchantEvent]) -> Merchant | None:
    """Return the merchant that events made, or None before the first."""
    return reduce(evolve, history, None)


def _create(state: Merchant | None, command: CreateMerchant) -> tuple[MerchantEvent, ...]:
    if state is not None:
        raise InvariantBroken(f"{command.merchant_id} is created twice")
    created = events.MerchantCreated(
        merchant_id=command.merchant_id,
        name=command.name,
        currencies=command.currencies,
        settlement_delay_days=command.settlement_delay_days,
        settlement_minimum=command.settlement_minimum,
        at=command.requested_at,
    )
    if not command.rules:
        return (created,)
    _check_rules(command.rules, command.currencies)
    priced = events.PricingSet(
        version=1, rules=_numbered(command.rules, version=1), at=command.requested_at
    )
    return (created, priced)


def _change_status(state: Merchant, command: ChangeStatus) -> MerchantEvent:
    status = TRANSITIONS.get((state.status, command.action))
    if status is None:
        raise errors.MerchantTransitionRefused(
            merchant_id=state.merchant_id, status=state.status.value, action=command.action.value
        )
    match status:
        case MerchantStatus.ACTIVE:
            return events.MerchantActivated(reason=command.reason, at=command.requested_at)
        case MerchantStatus.SUSPENDED:
            return events.MerchantSuspended(reason=command.reason, at=command.requested_at)
        case MerchantStatus.CLOSED:
            return events.MerchantClosed(reason=command.reason, at=command.requested_at)
        case MerchantStatus.PENDING:
            raise InvariantBroken("no transition leads back to pending")


def _set_pricing(state: Merchant, command: SetPricing) -> MerchantEvent:
    if state.status is MerchantStatus.CLOSED:
        raise errors.MerchantClosed(merchant_id=state.merchant_id)
    _check_rules(command.rules, state.currencies)
    version = state.pricing_version + 1
    return events.PricingSet(
        version=version,
        rules=_numbered(command.rules, version=version),
        at=command.requested_at,
    )


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


def _existing(state: Merchant | None, command: ChangeStatus | SetPricing) -> Merchant:
    if state is None:
        raise InvariantBroken(f"{command.merchant_id} is changed before it exists")
    return state


def _with_status(state: Merchant, status: MerchantStatus, reason: str, at: int) -> Merchant:
    return replace(state, status=status, status_reason=reason, updated_at=at)
