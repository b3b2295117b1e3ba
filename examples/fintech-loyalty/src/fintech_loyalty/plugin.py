"""The plugin: what loyalty gives to the host. The only place where its parts meet."""

from collections.abc import Sequence
from typing import Final

from fintech_kernel.context import AppContext
from fintech_kernel.domain.permissions import MERCHANT_ADMIN, MERCHANT_OPERATOR, MERCHANT_VIEWER
from fintech_kernel.hooks import (
    AuditSink,
    CommandGroup,
    ErrorMapping,
    EventHandler,
    HealthCheck,
    MigrationSet,
    OperationHandler,
    Permission,
    PluginManifest,
    RouteMount,
    ServiceProvider,
    SettingsSpec,
    hookimpl,
)

from fintech_loyalty.api import routes, schemas
from fintech_loyalty.commands import app
from fintech_loyalty.domain import errors, payments, workflows
from fintech_loyalty.domain.awards import Awards
from fintech_loyalty.domain.service import REDEEM, Loyalty
from fintech_loyalty.domain.trail import write_trail
from fintech_loyalty.infrastructure.tables import MIGRATIONS
from fintech_loyalty.settings import LoyaltySettings

NAME: Final = "loyalty"

_OPERATORS: Final = (MERCHANT_ADMIN, MERCHANT_OPERATOR)


@hookimpl
def fintech_plugins() -> Sequence[PluginManifest]:
    """Say who this is."""
    return [
        PluginManifest(
            name=NAME,
            summary="Points for captured payments",
            table_prefix="loyalty_",
            route_prefix="/v1/loyalty",
        )
    ]


@hookimpl
def fintech_settings() -> Sequence[SettingsSpec]:
    """``LOYALTY_*``."""
    return [SettingsSpec(name=NAME, model=LoyaltySettings)]


@hookimpl
def fintech_permissions() -> Sequence[Permission]:
    """A merchant's operators redeem, whoever sees the merchant sees points."""
    return [
        Permission(name=routes.REDEEM, summary="Redeem customers' points", roles=_OPERATORS),
        Permission(
            name=routes.READ,
            summary="See customers' points",
            roles=(*_OPERATORS, MERCHANT_VIEWER),
        ),
    ]


@hookimpl
def fintech_migrations() -> Sequence[MigrationSet]:
    """The package's table."""
    return [MigrationSet(name="fintech-loyalty", migrations=MIGRATIONS)]


@hookimpl
def fintech_errors() -> Sequence[ErrorMapping]:
    """Refusals and their statuses."""
    statuses = {errors.NotEnoughPoints: 409, errors.RedemptionTooSmall: 422}
    return [
        ErrorMapping(name=error.code, error=error, status=status)
        for error, status in statuses.items()
    ]


@hookimpl
def fintech_services() -> Sequence[ServiceProvider]:
    """The use cases."""
    return [ServiceProvider(name=NAME, provides=Loyalty, requires=(), build=_loyalty)]


@hookimpl
def fintech_operations() -> Sequence[OperationHandler]:
    """One handler per kind."""
    return [
        OperationHandler(
            name=REDEEM,
            version=1,
            opening=workflows.opening_of_redeem,
            run=workflows.run_redeem,
            present=schemas.present_redemption,
        )
    ]


@hookimpl
def fintech_routes(context: AppContext) -> Sequence[RouteMount]:
    """``/v1/loyalty``."""
    return [
        RouteMount(
            name=NAME,
            router=routes.build_router(context.services.get(Loyalty)),
            tag=NAME,
            tag_description="See and redeem customers' points.",
        )
    ]


@hookimpl
def fintech_event_handlers(context: AppContext) -> Sequence[EventHandler]:
    """Award points for captures, and take them back with refunds."""
    awards = Awards(journal=context.journal, database=context.database)
    return [
        EventHandler(name="loyalty.captures", event=payments.CAPTURED, handle=awards.award),
        EventHandler(name="loyalty.refunds", event=payments.REFUND_SUCCEEDED, handle=awards.award),
    ]


@hookimpl
def fintech_audit_sinks() -> Sequence[AuditSink]:
    """Tell the log of every redemption."""
    return [AuditSink(name="loyalty.trail", write=write_trail)]


@hookimpl
def fintech_health_checks(context: AppContext) -> Sequence[HealthCheck]:
    """Payments go on without points, so this is not critical."""
    loyalty = context.services.get(Loyalty)
    return [HealthCheck(name=NAME, check=loyalty.check, critical=False)]


@hookimpl
def fintech_commands() -> Sequence[CommandGroup]:
    """``fintech loyalty``."""
    return [CommandGroup(name=NAME, app=app)]


def _loyalty(context: AppContext) -> Loyalty:
    return Loyalty(
        operations=context.operations,
        database=context.database,
        identifiers=context.identifiers,
        clock=context.clock,
        points_min=context.settings_of(LoyaltySettings).points_min,
    )
