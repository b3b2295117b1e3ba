"""Settlements as a plugin: what it declares to the host. The only place where its parts meet."""

from collections.abc import Sequence
from typing import Final

from fintech_kernel.context import AppContext
from fintech_kernel.contracts.ledger import Ledger
from fintech_kernel.contracts.merchants import MerchantDirectory
from fintech_kernel.domain.permissions import (
    AUDITOR,
    MERCHANT_ADMIN,
    MERCHANT_OPERATOR,
    MERCHANT_VIEWER,
    PLATFORM_ADMIN,
    PLATFORM_FINANCE,
    PLATFORM_OPERATOR,
)
from fintech_kernel.errors import StartupFault
from fintech_kernel.hooks import (
    CommandGroup,
    ErrorMapping,
    EventHandler,
    GaugeSet,
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

from fintech_settlements import commands
from fintech_settlements.api import routes
from fintech_settlements.api.public_events import PUBLIC_EVENTS
from fintech_settlements.api.schemas import present_created, present_settlement
from fintech_settlements.domain import errors, service
from fintech_settlements.domain.gauges import settlement_gauges
from fintech_settlements.domain.projection import SettlementProjection
from fintech_settlements.domain.service import Settlements
from fintech_settlements.domain.workflows import SettlementWorkflows
from fintech_settlements.infrastructure.rails.sandbox import NAME as SANDBOX
from fintech_settlements.infrastructure.rails.sandbox import SandboxRail
from fintech_settlements.infrastructure.tables import MIGRATIONS
from fintech_settlements.settings import SettlementsSettings

NAME: Final = "settlements"
OPERATION_VERSION: Final = 1

_REFUSALS: Final = (
    (errors.MerchantHeld, 409),
    (errors.CutoffInFuture, 422),
    (errors.NothingDue, 409),
    (errors.SettlementNotOpen, 409),
    (errors.SettlementNotApproved, 409),
    (errors.SettlementNotCancelable, 409),
    (errors.SecondPersonRequired, 403),
)


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
        Permission(name=routes.PAY, summary="Pay settlements out.", roles=finance),
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
        ErrorMapping(name=error.code, error=error, status=status) for error, status in _REFUSALS
    ]


@hookimpl
def fintech_payout_rails(context: AppContext) -> Sequence[PayoutRailSpec]:
    """Offer the sandbox rail."""
    rail = SandboxRail(context.database, context.clock)
    return [PayoutRailSpec(name=SANDBOX, rail=rail)]


@hookimpl
def fintech_public_events() -> Sequence[PublicEvent]:
    """What merchants are told of settlements."""
    return PUBLIC_EVENTS


@hookimpl
def fintech_services() -> Sequence[ServiceProvider]:
    """Build the use cases; a missing ledger or merchant directory stops the server at its start."""
    return [
        ServiceProvider(
            name="settlements",
            provides=Settlements,
            requires=(Ledger, MerchantDirectory),
            build=_build_settlements,
        )
    ]


@hookimpl
def fintech_operations(context: AppContext) -> Sequence[OperationHandler]:
    """Declare what can be asked of settlements."""
    workflows = SettlementWorkflows(
        ledger=context.services.get(Ledger), rails=context.payout_rails, clock=context.clock
    )
    return [
        OperationHandler(
            name=service.CREATE,
            version=OPERATION_VERSION,
            run=workflows.run_create,
            present=present_created,
        ),
        OperationHandler(
            name=service.APPROVE,
            version=OPERATION_VERSION,
            run=workflows.run_approve,
            present=present_settlement,
            opening=workflows.opening,
        ),
        OperationHandler(
            name=service.PAY,
            version=OPERATION_VERSION,
            run=workflows.run_pay,
            present=present_settlement,
            opening=workflows.opening,
        ),
        OperationHandler(
            name=service.CANCEL,
            version=OPERATION_VERSION,
            run=workflows.run_cancel,
            present=present_settlement,
            opening=workflows.opening,
        ),
    ]


@hookimpl
def fintech_event_handlers(context: AppContext) -> Sequence[EventHandler]:
    """Keep the read model up with the journal."""
    projection = SettlementProjection(journal=context.journal, database=context.database)
    return [
        EventHandler(name="settlements.read_model", event="settlement.*", handle=projection.handle)
    ]


@hookimpl
def fintech_routes(context: AppContext) -> Sequence[RouteMount]:
    """Declare our routes."""
    return [
        RouteMount(
            name="settlements",
            router=routes.build_router(context.services.get(Settlements)),
            tag="settlements",
            tag_description="Batches of ledger lines, their statements and payouts.",
        )
    ]


@hookimpl
def fintech_metrics(context: AppContext) -> Sequence[GaugeSet]:
    """Say how many settlements wait for somebody, and for how long."""
    return [settlement_gauges(context.database, context.clock)]


@hookimpl
def fintech_commands() -> Sequence[CommandGroup]:
    """``fintech settlements``."""
    return [CommandGroup(name=NAME, app=commands.app)]


def _build_settlements(context: AppContext) -> Settlements:
    """Build the use cases.

    Raises:
        StartupFault: the configured rail is not installed.
    """
    settings = context.settings_of(SettlementsSettings)
    faults: list[str] = []
    if settings.rail not in context.payout_rails:
        known = ", ".join(sorted(context.payout_rails))
        faults.append(
            f"SETTLEMENTS_RAIL: no rail {settings.rail!r} is installed; installed are {known}"
        )
    if context.settings.app_env is Environment.PRODUCTION and settings.rail == SANDBOX:
        faults.append(
            "SETTLEMENTS_RAIL is the sandbox, which pays nobody: in production install the package"
            " of a rail and name it"
        )
    if faults:
        raise StartupFault(faults)
    return Settlements(
        operations=context.operations,
        journal=context.journal,
        database=context.database,
        identifiers=context.identifiers,
        clock=context.clock,
        ledger=context.services.get(Ledger),
        merchants=context.services.get(MerchantDirectory),
        signer=context.signer,
        rail=settings.rail,
        chunk_size=settings.chunk_size,
        two_people_above=settings.two_people_above,
    )
