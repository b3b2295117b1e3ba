"""The plugin: what merchants give to the host. The only place where its parts meet."""

from collections.abc import Sequence
from typing import Final

from fintech_kernel.context import AppContext
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
from fintech_kernel.hooks import (
    ErrorMapping,
    EventHandler,
    MigrationSet,
    OperationHandler,
    Permission,
    PluginManifest,
    RouteMount,
    ServiceProvider,
    hookimpl,
)

from fintech_merchants.api import routes, schemas
from fintech_merchants.domain import errors, service, workflows
from fintech_merchants.domain.projection import MerchantProjection
from fintech_merchants.domain.service import Merchants, MerchantStreams
from fintech_merchants.infrastructure.tables import MIGRATIONS

NAME: Final = "merchants"

_ONBOARDERS: Final = (PLATFORM_ADMIN, PLATFORM_OPERATOR)
_READERS: Final = (
    *_ONBOARDERS,
    PLATFORM_FINANCE,
    AUDITOR,
    MERCHANT_ADMIN,
    MERCHANT_OPERATOR,
    MERCHANT_VIEWER,
)


@hookimpl
def fintech_plugins() -> Sequence[PluginManifest]:
    """Say who this is."""
    return [
        PluginManifest(
            name=NAME,
            summary="Merchants: onboarding, status, pricing, settlement profile",
            table_prefix="merchants_",
            route_prefix="/v1/merchants",
        )
    ]


@hookimpl
def fintech_permissions() -> Sequence[Permission]:
    """Operators onboard and manage, the administrator prices, everybody else reads."""
    return [
        Permission(name=routes.CREATE, summary="Onboard merchants", roles=_ONBOARDERS),
        Permission(
            name=routes.MANAGE, summary="Activate, suspend and close merchants", roles=_ONBOARDERS
        ),
        Permission(name=routes.READ, summary="See merchants", roles=_READERS),
        Permission(
            name=routes.MANAGE_PRICING, summary="Set merchants' pricing", roles=(PLATFORM_ADMIN,)
        ),
        Permission(name=routes.READ_PRICING, summary="See merchants' pricing", roles=_READERS),
    ]


@hookimpl
def fintech_migrations() -> Sequence[MigrationSet]:
    """The package's tables."""
    return [MigrationSet(name="fintech-merchants", migrations=MIGRATIONS)]


@hookimpl
def fintech_errors() -> Sequence[ErrorMapping]:
    """Refusals and their statuses: 409 where the status says no, 422 where the rules do."""
    statuses = {
        errors.MerchantTransitionRefused: 409,
        errors.MerchantClosed: 409,
        errors.PricingCurrencyNotEnabled: 422,
        errors.PricingAmountWithoutCurrency: 422,
        errors.PricingBoundsReversed: 422,
        errors.PricingRuleUnreachable: 422,
    }
    return [
        ErrorMapping(name=error.code, error=error, status=status)
        for error, status in statuses.items()
    ]


@hookimpl
def fintech_services() -> Sequence[ServiceProvider]:
    """The directory that payments and settlements ask, and the use cases."""
    return [
        ServiceProvider(
            name="merchants.directory",
            provides=MerchantDirectory,
            requires=(),
            build=_directory,
        ),
        ServiceProvider(name="merchants", provides=Merchants, requires=(), build=_merchants),
    ]


@hookimpl
def fintech_operations() -> Sequence[OperationHandler]:
    """One handler per workflow."""
    changes = (service.ACTIVATE, service.SUSPEND, service.CLOSE)
    return [
        OperationHandler(
            name=service.CREATE,
            version=1,
            run=workflows.run_create,
            present=schemas.present_creation,
        ),
        *(
            OperationHandler(
                name=kind,
                version=1,
                opening=workflows.opening_of_change,
                run=workflows.run_change_status,
                present=schemas.present_merchant,
            )
            for kind in changes
        ),
        OperationHandler(
            name=service.SET_PRICING,
            version=1,
            opening=workflows.opening_of_change,
            run=workflows.run_set_pricing,
            present=schemas.present_pricing,
        ),
    ]


@hookimpl
def fintech_routes(context: AppContext) -> Sequence[RouteMount]:
    """``/v1/merchants``."""
    return [
        RouteMount(
            name=NAME,
            router=routes.build_router(context.services.get(Merchants)),
            tag="merchants",
            tag_description="Onboard, activate, suspend, close and price merchants.",
        )
    ]


@hookimpl
def fintech_event_handlers(context: AppContext) -> Sequence[EventHandler]:
    """Keep the read model true where the write behind the finish was lost."""
    projection = MerchantProjection(journal=context.journal, database=context.database)
    return [EventHandler(name="merchants.read_model", event="merchant.*", handle=projection.handle)]


def _directory(context: AppContext) -> MerchantDirectory:
    return MerchantStreams(context.journal)


def _merchants(context: AppContext) -> Merchants:
    return Merchants(
        operations=context.operations,
        journal=context.journal,
        database=context.database,
        identifiers=context.identifiers,
        clock=context.clock,
    )
