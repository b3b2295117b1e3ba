"""Builds the parts of settlements of what a context holds; what is not right ends the start of the server."""

from collections.abc import Mapping
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fintech_kernel.context import AppContext
from fintech_kernel.contracts.ledger import Ledger
from fintech_kernel.contracts.merchants import MerchantDirectory, PayoutAccounts
from fintech_kernel.errors import StartupFault
from fintech_kernel.hooks import Job
from fintech_kernel.settings import Environment

from fintech_settlements.domain.business_days import BusinessDays, HolidaysUnknown
from fintech_settlements.domain.callbacks import PayoutCallbacks
from fintech_settlements.domain.inquiry import Inquiry
from fintech_settlements.domain.payout_files import Debtor, PayoutFiles
from fintech_settlements.domain.payouts import Payouts, RailChoice
from fintech_settlements.domain.reconciling import Reconciling
from fintech_settlements.domain.resolution import Resolution
from fintech_settlements.domain.runs import Runs
from fintech_settlements.domain.service import Settlements
from fintech_settlements.infrastructure.rails.letters import PayoutLetters
from fintech_settlements.infrastructure.rails.messenger import PayoutMessenger
from fintech_settlements.infrastructure.rails.sandbox import NAME as SANDBOX
from fintech_settlements.infrastructure.rails.sandbox import SandboxRail
from fintech_settlements.settings import SettlementsSettings

CALLBACKS_EVERY_SECONDS: Final = 1.0


def settlements(context: AppContext) -> Settlements:
    """Build the use cases of settlements."""
    return Settlements(
        operations=context.operations,
        journal=context.journal,
        database=context.database,
        identifiers=context.identifiers,
        clock=context.clock,
        ledger=context.services.get(Ledger),
        merchants=context.services.get(MerchantDirectory),
        signer=context.signer,
        chunk_size=context.settings_of(SettlementsSettings).chunk_size,
    )


def reconciliation(context: AppContext) -> Reconciling:
    """Build the reconciliation with the bank."""
    settings = context.settings_of(SettlementsSettings)
    return Reconciling(
        operations=context.operations,
        journal=context.journal,
        database=context.database,
        clock=context.clock,
        merchants=context.services.get(MerchantDirectory),
        processors=tuple(context.processors),
        sla_days=settings.bank_sla_days,
        days_early=settings.bank_days_early,
        tolerance=settings.bank_tolerance,
    )


def payouts(context: AppContext) -> Payouts:
    """Build the use cases of payouts.

    Raises:
        StartupFault: a configured rail is not installed, or is the sandbox in production.
    """
    settings = context.settings_of(SettlementsSettings)
    chosen = {"SETTLEMENTS_RAIL": settings.rail} | {
        f"SETTLEMENTS_RAILS_BY_CURRENCY ({currency})": name
        for currency, name in settings.rails_by_currency.items()
    }
    known = ", ".join(sorted(context.payout_rails))
    faults = [
        f"{setting}: no rail {name!r} is installed; installed are {known}"
        for setting, name in chosen.items()
        if name not in context.payout_rails
    ]
    if context.settings.app_env is Environment.PRODUCTION:
        faults += [
            f"{setting} is the sandbox, which pays nobody: in production name manual, a file rail, or"
            " the rail of a package that you install"
            for setting, name in chosen.items()
            if name == SANDBOX
        ]
    if faults:
        raise StartupFault(faults)
    rails = context.payout_rails
    return Payouts(
        operations=context.operations,
        journal=context.journal,
        clock=context.clock,
        merchants=context.services.get(MerchantDirectory),
        inquiry=inquiry(context),
        choice=RailChoice(
            default=rails[settings.rail],
            by_currency={
                currency: rails[name] for currency, name in settings.rails_by_currency.items()
            },
        ),
        rails=rails,
        two_people_above=settings.two_people_above,
    )


def runs(context: AppContext) -> Runs:
    """Build the use cases of runs.

    Raises:
        StartupFault: there is no such time zone, or nobody knows the country's holidays.
    """
    settings = context.settings_of(SettlementsSettings)
    try:
        zone = ZoneInfo(settings.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise StartupFault(
            [f"SETTLEMENTS_TIME_ZONE: there is no zone {settings.time_zone!r} (use Africa/Nairobi)"]
        ) from None
    try:
        is_business_day = BusinessDays(settings.holidays_country)
    except HolidaysUnknown:
        raise StartupFault(
            [f"SETTLEMENTS_HOLIDAYS_COUNTRY: no holidays of {settings.holidays_country} are known"]
        ) from None
    return Runs(
        operations=context.operations,
        database=context.database,
        identifiers=context.identifiers,
        clock=context.clock,
        ledger=context.services.get(Ledger),
        merchants=context.services.get(MerchantDirectory),
        zone=zone,
        is_business_day=is_business_day,
        chunk_size=settings.chunk_size,
        is_automatic=settings.automatic,
    )


def files(context: AppContext) -> PayoutFiles:
    """Build the files of payout orders."""
    settings = context.settings_of(SettlementsSettings)
    return PayoutFiles(
        database=context.database,
        journal=context.journal,
        identifiers=context.identifiers,
        clock=context.clock,
        accounts=context.services.find(PayoutAccounts),
        debtor=Debtor(
            name=settings.sepa_debtor_name,
            iban=settings.sepa_debtor_iban,
            bic=settings.sepa_debtor_bic,
        ),
    )


def callbacks(context: AppContext) -> PayoutCallbacks:
    """Build the reception of callbacks."""
    return PayoutCallbacks(
        resolution=resolution(context),
        operations=context.operations,
        journal=context.journal,
        database=context.database,
        clock=context.clock,
        rails=context.payout_rails,
    )


def resolution(context: AppContext) -> Resolution:
    """Build what records the answers to open questions."""
    return Resolution(
        operations=context.operations,
        journal=context.journal,
        clock=context.clock,
        metrics=context.metrics,
    )


def inquiry(context: AppContext) -> Inquiry:
    """Build what asks a rail what became of a payout."""
    return Inquiry(resolution=resolution(context), clock=context.clock, rails=context.payout_rails)


def sandbox(context: AppContext) -> SandboxRail:
    """Build the sandbox rail."""
    return SandboxRail(
        context.database,
        context.clock,
        PayoutLetters(rail=SANDBOX, keyring=context.keyring),
        late_seconds=context.settings_of(SettlementsSettings).sandbox_late_seconds,
    )


def sandbox_callbacks(context: AppContext) -> Job:
    """Build the job that carries the sandbox's callbacks."""
    messenger = PayoutMessenger(sandbox(context))
    callbacks = context.services.get(PayoutCallbacks)

    async def receive(rail: str, headers: Mapping[str, str], body: bytes) -> None:
        await callbacks.receive(rail, headers=headers, body=body)

    async def deliver() -> None:
        await messenger.run(receive)

    return Job(
        name="settlements.sandbox.callbacks", run=deliver, every_seconds=CALLBACKS_EVERY_SECONDS
    )
