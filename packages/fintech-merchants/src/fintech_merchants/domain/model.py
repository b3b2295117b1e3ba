"""The merchant as its events made it: ``evolve`` says what an event means, ``TRANSITIONS`` what may follow.

Pure: standard library and kernel value types, no clock, no randomness, no I/O. Statuses change by one
table and in no other way; what a command leads to is ``decisions``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Final

from fintech_kernel.contracts.merchants import (
    MerchantProfile,
    MerchantStatus,
    PricingRule,
    VerificationStatus,
)
from fintech_kernel.errors import InvariantBroken
from fintech_kernel.money import BASIS_POINTS_PER_UNIT

from fintech_merchants.domain import events
from fintech_merchants.domain.commands import Action
from fintech_merchants.domain.events import Contact, MerchantEvent, SettlementTerms

CURRENCIES_MAX: Final = 50
PRICING_RULES_MAX: Final = 100
SETTLEMENT_DELAY_DAYS_MAX: Final = 365
SETTLEMENT_DAY_OF_MONTH_MAX: Final = 28
"""The last day that every month has."""

METADATA_PAIRS_MAX: Final = 20
BASIS_POINTS_MAX: Final = BASIS_POINTS_PER_UNIT

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
class Verification:
    """The latest outcome of a check of who the merchant is; ``at`` is None before the first."""

    status: VerificationStatus = VerificationStatus.UNVERIFIED
    reference: str = ""
    reason: str = ""
    at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PricingVersion:
    """A version of the pricing. One that ``is_planned`` waits for its time; others apply at once."""

    version: int
    rules: tuple[PricingRule, ...]
    set_at: int | None
    effective_from: int | None
    is_planned: bool = False


NO_PRICING: Final = PricingVersion(version=0, rules=(), set_at=None, effective_from=None)
"""What is in force before anything was set: no fee is charged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merchant:
    """A merchant as its events made it. ``metadata_version`` counts the changes of ``metadata``."""

    merchant_id: str
    name: str
    status: MerchantStatus
    status_reason: str
    verification: Verification
    currencies: tuple[str, ...]
    pricing: tuple[PricingVersion, ...]
    settlement: SettlementTerms
    contact: Contact
    metadata: Mapping[str, str]
    metadata_version: int
    created_at: int
    updated_at: int

    def pricing_at(self, moment: int) -> PricingVersion:
        """Return the version in force: the one whose time came last, of two at once the later set."""
        due = [one for one in self.pricing if not one.is_planned or _effective_from(one) <= moment]
        return max(due, key=lambda one: (_effective_from(one), one.version), default=NO_PRICING)

    def profile(self, moment: int) -> MerchantProfile:
        """Return what payments and settlements freeze about it at a moment."""
        pricing = self.pricing_at(moment)
        return MerchantProfile(
            merchant_id=self.merchant_id,
            status=self.status,
            currencies=self.currencies,
            pricing_version=pricing.version,
            pricing=pricing.rules,
            settlement_delay_days=self.settlement.delay_days,
            settlement_minimum=self.settlement.minimum,
            settlement_schedule=self.settlement.schedule,
            verification=self.verification.status,
            bank_account=self.settlement.bank_account,
        )


def evolve(state: Merchant | None, event: MerchantEvent) -> Merchant:
    """Return what an event makes of a merchant."""
    if isinstance(event, events.MerchantCreated):
        return _created(event)
    if state is None:
        raise InvariantBroken(f"{event.type} stands before merchant.created")
    return _applied(replace(state, updated_at=event.at), event)


def fold(history: Iterable[MerchantEvent]) -> Merchant | None:
    """Return the merchant that events made, or None before the first."""
    return reduce(evolve, history, None)


def _applied(state: Merchant, event: MerchantEvent) -> Merchant:  # noqa: PLR0911 - one arm per event is the clearest table
    match event:
        case events.MerchantCreated():
            raise InvariantBroken(f"{state.merchant_id} is created twice")
        case events.MerchantVerified():
            return _with_verification(state, VerificationStatus.VERIFIED, event)
        case events.MerchantRejected():
            return _with_verification(state, VerificationStatus.REJECTED, event)
        case events.MerchantActivated():
            return replace(state, status=MerchantStatus.ACTIVE, status_reason=event.reason)
        case events.MerchantSuspended():
            return replace(state, status=MerchantStatus.SUSPENDED, status_reason=event.reason)
        case events.MerchantClosed():
            return replace(state, status=MerchantStatus.CLOSED, status_reason=event.reason)
        case events.MerchantUpdated():
            return _updated(state, event)
        case events.PricingSet():
            return replace(state, pricing=(*state.pricing, _version(state, event)))


def _created(event: events.MerchantCreated) -> Merchant:
    return Merchant(
        merchant_id=event.merchant_id,
        name=event.name,
        status=MerchantStatus.PENDING,
        status_reason="",
        verification=Verification(),
        currencies=event.currencies,
        pricing=(),
        settlement=SettlementTerms(
            delay_days=event.settlement_delay_days,
            minimum=event.settlement_minimum,
            schedule=event.settlement_schedule,
            bank_account=event.bank_account,
        ),
        contact=event.contact,
        metadata=event.metadata,
        metadata_version=1,
        created_at=event.at,
        updated_at=event.at,
    )


def _with_verification(
    state: Merchant,
    status: VerificationStatus,
    event: events.MerchantVerified | events.MerchantRejected,
) -> Merchant:
    found = Verification(status=status, reference=event.reference, reason=event.reason, at=event.at)
    return replace(state, verification=found)


def _updated(state: Merchant, event: events.MerchantUpdated) -> Merchant:
    is_noted = event.metadata is not None
    return replace(
        state,
        name=state.name if event.name is None else event.name,
        currencies=state.currencies if event.currencies is None else event.currencies,
        contact=state.contact if event.contact is None else event.contact,
        metadata=state.metadata if event.metadata is None else event.metadata,
        metadata_version=state.metadata_version + (1 if is_noted else 0),
        settlement=state.settlement if event.settlement is None else event.settlement,
    )


def _version(state: Merchant, event: events.PricingSet) -> PricingVersion:
    """Place a version in time. One that applies at once comes behind all that did, whatever clocks say."""
    if event.effective_from is not None:
        effective_from = event.effective_from
    else:
        applied = (_effective_from(one) for one in state.pricing if not one.is_planned)
        effective_from = max((event.at, *applied))
    return PricingVersion(
        version=event.version,
        rules=event.rules,
        set_at=event.at,
        effective_from=effective_from,
        is_planned=event.effective_from is not None,
    )


def _effective_from(version: PricingVersion) -> int:
    if version.effective_from is None:
        raise InvariantBroken("a version that was set has its time")
    return version.effective_from
