"""Settlements as a plugin: what it declares to the host. The only place where its parts meet."""

from collections.abc import Mapping, Sequence
from typing import Final

from fintech_kernel.context import AppContext
from fintech_kernel.contracts.ledger import Ledger
from fintech_kernel.contracts.merchants import MerchantDirectory, PayoutAccounts
from fintech_kernel.domain.permissions import (
    AUDITOR,
    MERCHANT_ADMIN,
    MERCHANT_OPERATOR,
    MERCHANT_VIEWER,
    PLATFORM_ADMIN,
    PLATFORM_FINANCE,
    PLATFORM_OPERATOR,
)
from fintech_kernel.errors import FintechError
from fintech_kernel.hooks import (
    CloseCheck,
    CommandGroup,
    ErrorMapping,
    EventHandler,
    GaugeSet,
    Job,
    MigrationSet,
    OperationHandler,
    PayoutRailSpec,
    Permission,
    PluginManifest,
    PublicEvent,
    RouteMount,
    ServiceProvider,
    SettingsSpec,
    hookimpl,
)
from fintech_kernel.settings import Environment

from fintech_settlements import building, commands
from fintech_settlements.api import (
    operations,
    payout_routes,
    reconciliation_operations,
    reconciliation_routes,
    routes,
    run_routes,
)
from fintech_settlements.api.public_events import PUBLIC_EVENTS
from fintech_settlements.domain import errors, reconciliation_errors, reconciling
from fintech_settlements.domain.alarms import Alarms
from fintech_settlements.domain.callbacks import PayoutCallbacks
from fintech_settlements.domain.close_check import SettlementsCheck
from fintech_settlements.domain.events import ALARMING
from fintech_settlements.domain.gauges import settlement_gauges
from fintech_settlements.domain.payout_files import PayoutFiles
from fintech_settlements.domain.payout_workflows import PayoutWorkflows
from fintech_settlements.domain.payouts import Payouts
from fintech_settlements.domain.projection import SettlementProjection
from fintech_settlements.domain.reconciliation_workflows import ReconciliationWorkflows
from fintech_settlements.domain.reconciling import Reconciling
from fintech_settlements.domain.resolver import Resolver
from fintech_settlements.domain.runs import RUN_JOB, Runs
from fintech_settlements.domain.service import Settlements
from fintech_settlements.domain.statements import LineHashes
from fintech_settlements.domain.workflows import SettlementWorkflows
from fintech_settlements.infrastructure.rails.orders import ORDER_RAILS, OrderRail
from fintech_settlements.infrastructure.tables import MIGRATIONS
from fintech_settlements.settings import SettlementsSettings

NAME: Final = "settlements"
RUN_TIMEOUT_SECONDS: Final = 600.0
RESOLVE_TIMEOUT_SECONDS: Final = 120.0

_STATUSES: Final[Mapping[type[FintechError], int]] = {
    errors.MerchantHeld: 409,
    errors.CutoffInFuture: 422,
    errors.NothingDue: 409,
    errors.SettlementNotOpen: 409,
    errors.SettlementNotApproved: 409,
    errors.SettlementNotCancelable: 409,
    errors.SecondPersonRequired: 403,
    errors.RailUnsuitable: 409,
    errors.BankAccountUnsuitable: 409,
    errors.SettlementNotPaying: 409,
    errors.FailureNeedsSecondPerson: 403,
    errors.FailureTooEarly: 409,
    errors.SettlementNotPaid: 409,
    errors.NothingToRecover: 409,
    errors.PayoutCallbackTooEarly: 503,
    reconciliation_errors.NothingToResolve: 409,
    reconciliation_errors.AccountRequired: 422,
    reconciliation_errors.AccountNotResolvable: 422,
    reconciliation_errors.ResolutionNotProposed: 409,
    reconciliation_errors.ResolutionOutdated: 409,
    reconciliation_errors.ResolutionSamePerson: 403,
}


@hookimpl
def fintech_plugins() -> Sequence[PluginManifest]:
    """Say who we are."""
    return [
        PluginManifest(
            name="settlements",
            summary="Settlements: batches, statements, payouts.",
            table_prefix="settlements_",
            route_prefix="/v1/settlements",
        )
    ]


@hookimpl
def fintech_settings() -> Sequence[SettingsSpec]:
    """Declare ``SETTLEMENTS_*``."""
    return [SettingsSpec(name="settlements", model=SettlementsSettings)]


@hookimpl
def fintech_permissions() -> Sequence[Permission]:
    """Declare who may settle, approve and pay."""
    finance = (PLATFORM_ADMIN, PLATFORM_FINANCE)
    return [
        Permission(name=routes.CREATE, summary="Settle what is due.", roles=finance),
        Permission(name=routes.APPROVE, summary="Approve or cancel settlements.", roles=finance),
        Permission(name=payout_routes.PAY, summary="Pay settlements out.", roles=finance),
        Permission(
            name=payout_routes.CONFIRM,
            summary="Say what became of payouts: confirm, fail, return.",
            roles=finance,
        ),
        Permission(
            name=run_routes.RUN, summary="Settle every merchant that is due.", roles=finance
        ),
        Permission(
            name=reconciliation_routes.IMPORT, summary="Import the bank's lines.", roles=finance
        ),
        Permission(
            name=reconciliation_routes.RESOLVE, summary="Explain differences.", roles=finance
        ),
        Permission(
            name=reconciliation_routes.DECIDE,
            summary="Approve or reject what somebody else explained.",
            roles=finance,
        ),
        Permission(
            name=reconciliation_routes.READ,
            summary="Read what the bank and our books say.",
            roles=(*finance, PLATFORM_OPERATOR, AUDITOR),
        ),
        Permission(
            name=routes.READ,
            summary="Read settlements and statements; a merchant's principals read their own.",
            roles=(
                *finance,
                PLATFORM_OPERATOR,
                AUDITOR,
                MERCHANT_ADMIN,
                MERCHANT_OPERATOR,
                MERCHANT_VIEWER,
            ),
        ),
    ]


@hookimpl
def fintech_migrations() -> Sequence[MigrationSet]:
    """Declare our tables."""
    return [MigrationSet(name="fintech-settlements", migrations=MIGRATIONS)]


@hookimpl
def fintech_errors() -> Sequence[ErrorMapping]:
    """Map refusals to HTTP."""
    return [
        ErrorMapping(name=error.code, error=error, status=status)
        for error, status in _STATUSES.items()
    ]


@hookimpl
def fintech_payout_rails(context: AppContext) -> Sequence[PayoutRailSpec]:
    """Offer the sandbox, and the rails that people answer."""
    orders = [
        OrderRail(name, database=context.database, clock=context.clock) for name in ORDER_RAILS
    ]
    sandbox = building.sandbox(context)
    return [PayoutRailSpec(name=rail.name, rail=rail) for rail in (sandbox, *orders)]


@hookimpl
def fintech_public_events() -> Sequence[PublicEvent]:
    """What merchants are told of settlements."""
    return PUBLIC_EVENTS


@hookimpl
def fintech_services() -> Sequence[ServiceProvider]:
    """Build the use cases; a missing ledger or merchant directory stops the server at its start."""
    needs = (Ledger, MerchantDirectory)
    return [
        ServiceProvider(
            name="settlements", provides=Settlements, requires=needs, build=building.settlements
        ),
        ServiceProvider(
            name="settlements.hashes",
            provides=LineHashes,
            requires=(Ledger,),
            build=lambda context: LineHashes(context.services.get(Ledger)),
        ),
        ServiceProvider(
            name="settlements.payouts", provides=Payouts, requires=needs, build=building.payouts
        ),
        ServiceProvider(
            name="settlements.runs", provides=Runs, requires=needs, build=building.runs
        ),
        ServiceProvider(
            name="settlements.callbacks",
            provides=PayoutCallbacks,
            requires=needs,
            build=building.callbacks,
        ),
        ServiceProvider(
            name="settlements.files",
            provides=PayoutFiles,
            requires=(),
            wants=(PayoutAccounts,),
            build=building.files,
        ),
        ServiceProvider(
            name="settlements.reconciling",
            provides=Reconciling,
            requires=needs,
            build=building.reconciliation,
        ),
    ]


@hookimpl
def fintech_operations(context: AppContext) -> Sequence[OperationHandler]:
    """Declare what can be asked of settlements."""
    ledger = context.services.get(Ledger)
    workflows = SettlementWorkflows(
        ledger=ledger,
        rails=context.payout_rails,
        hashes=context.services.get(LineHashes),
        resolution=building.resolution(context),
        answer_seconds=context.settings_of(SettlementsSettings).answer_seconds,
    )
    return [
        *operations.settlement_handlers(workflows),
        *operations.payout_handlers(PayoutWorkflows(ledger=ledger)),
        *operations.run_handlers(),
        *reconciliation_operations.reconciliation_handlers(
            ReconciliationWorkflows(ledger=ledger, operations=context.operations)
        ),
    ]


@hookimpl
def fintech_event_handlers(context: AppContext) -> Sequence[EventHandler]:
    """Keep the read model up with the journal; raise alarms."""
    projection = SettlementProjection(journal=context.journal, database=context.database)
    alarms = Alarms(context.metrics)
    bank = context.services.get(Reconciling)
    return [
        EventHandler(name="settlements.read_model", event="settlement.*", handle=projection.handle),
        *(
            EventHandler(name=f"settlements.alarm:{event}", event=event, handle=alarms.raise_alarm)
            for event in ALARMING
        ),
        EventHandler(name=reconciling.EXPECTER, event="settlement.*", handle=bank.expect),
        EventHandler(
            name="settlements.reconciliations", event="reconciliation.*", handle=bank.show
        ),
    ]


@hookimpl
def fintech_close_checks(context: AppContext) -> Sequence[CloseCheck]:
    """A period waits for payouts that the bank owes, for differences, and for open settlements."""
    check = SettlementsCheck(database=context.database, clock=context.clock)
    return [CloseCheck(name="settlements.open", check=check.check)]


@hookimpl
def fintech_jobs(context: AppContext) -> Sequence[Job]:
    """Settle who is due, ask about open payouts, and carry the sandbox's callbacks."""
    settings = context.settings_of(SettlementsSettings)
    resolver = Resolver(
        inquiry=building.inquiry(context),
        journal=context.journal,
        database=context.database,
        clock=context.clock,
    )
    jobs = [
        Job(
            name=RUN_JOB,
            run=context.services.get(Runs).turn,
            every_seconds=settings.run_every_seconds,
            timeout_seconds=RUN_TIMEOUT_SECONDS,
        ),
        Job(
            name="settlements.resolve",
            run=resolver.run,
            every_seconds=settings.resolve_every_seconds,
            timeout_seconds=RESOLVE_TIMEOUT_SECONDS,
        ),
    ]
    if context.settings.app_env is not Environment.PRODUCTION:
        jobs.append(building.sandbox_callbacks(context))
    return jobs


@hookimpl
def fintech_routes(context: AppContext) -> Sequence[RouteMount]:
    """Declare our routes."""
    settlements = context.services.get(Settlements)
    tag = "settlements"
    description = "Batches of ledger lines, their statements and payouts."
    return [
        RouteMount(
            name="settlements.runs",
            router=run_routes.build_run_router(context.services.get(Runs), context.clock),
            tag=tag,
            tag_description=description,
            prefix="/runs",
        ),
        RouteMount(
            name="settlements.reconciliations",
            router=reconciliation_routes.build_reconciliation_router(
                context.services.get(Reconciling), context.clock
            ),
            prefix="/reconciliations",
            tag="reconciliations",
            tag_description="What the bank says of payouts, and differences that people explain.",
        ),
        RouteMount(
            name="settlements.callbacks",
            router=payout_routes.build_callback_router(context.services.get(PayoutCallbacks)),
            tag="callbacks",
            tag_description="What processors and rails tell of their own accord; signed by them.",
            prefix="/callbacks",
            public=payout_routes.PUBLIC,
        ),
        RouteMount(
            name="settlements",
            router=routes.build_router(settlements),
            tag=tag,
            tag_description=description,
        ),
        RouteMount(
            name="settlements.payouts",
            router=payout_routes.build_payout_router(settlements, context.services.get(Payouts)),
            tag=tag,
            tag_description=description,
        ),
    ]


@hookimpl
def fintech_metrics(context: AppContext) -> Sequence[GaugeSet]:
    """Say how many settlements wait for somebody, and for how long."""
    return [settlement_gauges(context.database, context.clock)]


@hookimpl
def fintech_commands() -> Sequence[CommandGroup]:
    """``fintech settlements``."""
    return [CommandGroup(name=NAME, app=commands.app)]
