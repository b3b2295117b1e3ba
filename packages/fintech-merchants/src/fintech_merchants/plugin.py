"""The plugin: what merchants give to the host. The only place where its parts meet."""

from collections.abc import Sequence
from typing import Final

from fintech_kernel.context import AppContext
from fintech_kernel.contracts.credentials import CredentialDirectory
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
from fintech_kernel.hooks import (
    CommandGroup,
    ErrorMapping,
    EventHandler,
    Job,
    MigrationSet,
    OperationHandler,
    Permission,
    PluginManifest,
    PublicEvent,
    RouteMount,
    ServiceProvider,
    hookimpl,
)
from fintech_kernel.security.sealed_fields import FieldSealer
from fintech_kernel.settings import Environment

from fintech_merchants.api import (
    key_routes,
    key_schemas,
    pricing_routes,
    routes,
    schemas,
    status_routes,
)
from fintech_merchants.api.public_events import PUBLIC_EVENTS
from fintech_merchants.commands import app
from fintech_merchants.domain import errors, key_errors, key_service, service, workflows
from fintech_merchants.domain.bank_accounts import PURPOSE, BankAccounts, OpenedAccounts
from fintech_merchants.domain.key_directory import (
    WRITE_USES_EVERY_SECONDS,
    ApiKeyDirectory,
    KeyUses,
)
from fintech_merchants.domain.key_format import KeyEnvironment
from fintech_merchants.domain.key_secrets import SecretSource
from fintech_merchants.domain.key_service import ApiKeys
from fintech_merchants.domain.key_workflows import KeyWorkflows
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
    """Operators onboard, verify and manage, the administrator prices, merchants keep their contact data."""
    return [
        Permission(name=routes.CREATE, summary="Onboard merchants", roles=_ONBOARDERS),
        Permission(
            name=status_routes.VERIFY,
            summary="Record checks of who merchants are",
            roles=_ONBOARDERS,
        ),
        Permission(
            name=routes.MANAGE,
            summary="Activate, suspend and close merchants, change how they are settled",
            roles=_ONBOARDERS,
        ),
        Permission(
            name=routes.UPDATE,
            summary="Change merchants' contact data and metadata",
            roles=(*_ONBOARDERS, MERCHANT_ADMIN),
        ),
        Permission(name=routes.READ, summary="See merchants", roles=_READERS),
        Permission(
            name=pricing_routes.MANAGE_PRICING,
            summary="Set merchants' pricing",
            roles=(PLATFORM_ADMIN,),
        ),
        Permission(
            name=pricing_routes.READ_PRICING, summary="See merchants' pricing", roles=_READERS
        ),
        Permission(
            name=key_routes.MANAGE,
            summary="Issue, rotate, narrow and revoke API keys",
            roles=(PLATFORM_ADMIN, MERCHANT_ADMIN),
        ),
        Permission(
            name=key_routes.READ,
            summary="See API keys, never their secrets",
            roles=(PLATFORM_ADMIN, PLATFORM_OPERATOR, AUDITOR, MERCHANT_ADMIN),
        ),
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
        errors.MerchantNotVerified: 409,
        errors.CurrencyNotRemovable: 422,
        errors.MetadataFull: 422,
        errors.PricingEffectiveInPast: 422,
        errors.PricingCurrencyNotEnabled: 422,
        errors.PricingAmountWithoutCurrency: 422,
        errors.PricingBoundsReversed: 422,
        errors.PricingRuleUnreachable: 422,
        key_errors.ApiKeyTransitionRefused: 409,
        key_errors.ApiKeyLimitReached: 409,
        key_errors.ApiKeyExpiryOutOfRange: 422,
        key_errors.ScopeNotGrantable: 422,
    }
    return [
        ErrorMapping(name=error.code, error=error, status=status)
        for error, status in statuses.items()
    ]


@hookimpl
def fintech_public_events() -> Sequence[PublicEvent]:
    """What merchants are told of themselves and their keys."""
    return PUBLIC_EVENTS


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
        ServiceProvider(
            name="merchants.payout_accounts",
            provides=PayoutAccounts,
            requires=(),
            build=_payout_accounts,
        ),
        ServiceProvider(name="merchants", provides=Merchants, requires=(), build=_merchants),
        ServiceProvider(name="api_keys", provides=ApiKeys, requires=(Merchants,), build=_api_keys),
        ServiceProvider(
            name="api_keys.secrets", provides=SecretSource, requires=(), build=_secrets
        ),
        ServiceProvider(name="api_keys.uses", provides=KeyUses, requires=(), build=_uses),
        ServiceProvider(
            name="api_keys.directory",
            provides=CredentialDirectory,
            requires=(SecretSource, KeyUses),
            build=_api_key_directory,
        ),
    ]


@hookimpl
def fintech_operations(context: AppContext) -> Sequence[OperationHandler]:
    """One handler per workflow."""
    changes = (service.ACTIVATE, service.SUSPEND, service.CLOSE)
    return [
        OperationHandler(
            name=service.CREATE,
            version=1,
            run=workflows.run_create,
            present=schemas.present_creation,
        ),
        OperationHandler(
            name=service.VERIFY,
            version=1,
            opening=workflows.opening_of_change,
            run=workflows.run_verify,
            present=schemas.present_merchant,
        ),
        OperationHandler(
            name=service.UPDATE,
            version=1,
            opening=workflows.opening_of_change,
            run=workflows.run_update,
            present=schemas.present_merchant,
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
        *_key_operations(KeyWorkflows(context.services.get(SecretSource))),
    ]


@hookimpl
def fintech_routes(context: AppContext) -> Sequence[RouteMount]:
    """``/v1/merchants``."""
    merchants = context.services.get(Merchants)
    return [
        RouteMount(
            name=NAME,
            router=routes.build_router(merchants, context.permissions),
            tag="merchants",
            tag_description="Onboard, verify, change, activate, suspend and close merchants.",
        ),
        RouteMount(
            name="merchants.status",
            router=status_routes.build_status_router(merchants),
            prefix="/{merchant_id}",
            tag="merchants",
            tag_description="Onboard, verify, change, activate, suspend and close merchants.",
        ),
        RouteMount(
            name="merchants.pricing",
            router=pricing_routes.build_pricing_router(merchants),
            prefix="/{merchant_id}/pricing",
            tag="pricing",
            tag_description="Price merchants in versions, and preview fees.",
        ),
        RouteMount(
            name="api_keys",
            router=key_routes.build_router(context.services.get(ApiKeys)),
            prefix="/{merchant_id}/api-keys",
            tag="api keys",
            tag_description="Issue, rotate, narrow and revoke merchants' API keys.",
        ),
    ]


@hookimpl
def fintech_event_handlers(context: AppContext) -> Sequence[EventHandler]:
    """Keep the read model true where the write behind the finish was lost."""
    projection = MerchantProjection(journal=context.journal, database=context.database)
    return [EventHandler(name="merchants.read_model", event="merchant.*", handle=projection.handle)]


@hookimpl
def fintech_commands() -> Sequence[CommandGroup]:
    """``fintech merchants``."""
    return [CommandGroup(name=NAME, app=app)]


@hookimpl
def fintech_jobs(context: AppContext) -> Sequence[Job]:
    """Write down which API keys were used."""
    return [
        Job(
            name="api_keys.uses",
            run=context.services.get(KeyUses).write,
            every_seconds=WRITE_USES_EVERY_SECONDS,
        )
    ]


def _key_operations(key_workflows: KeyWorkflows) -> Sequence[OperationHandler]:
    return [
        OperationHandler(
            name=key_service.CREATE,
            version=1,
            run=key_workflows.run_create,
            present=key_schemas.present_issued,
        ),
        OperationHandler(
            name=key_service.ROTATE,
            version=1,
            opening=key_workflows.opening_of_change,
            run=key_workflows.run_rotate,
            present=key_schemas.present_issued,
        ),
        OperationHandler(
            name=key_service.RESCOPE,
            version=1,
            opening=key_workflows.opening_of_change,
            run=key_workflows.run_rescope,
            present=key_schemas.present_key,
        ),
        OperationHandler(
            name=key_service.REVOKE,
            version=1,
            opening=key_workflows.opening_of_change,
            run=key_workflows.run_revoke,
            present=key_schemas.present_key,
        ),
    ]


def _secrets(context: AppContext) -> SecretSource:
    is_live = context.settings.app_env in {Environment.STAGING, Environment.PRODUCTION}
    environment = KeyEnvironment.LIVE if is_live else KeyEnvironment.TEST

    def random_below(bound: int) -> int:
        # 256 bits of the application's one source of randomness, which the simulator seeds.
        nonces = context.identifiers.nonce() + context.identifiers.nonce()
        return int(nonces, 16) % bound

    return SecretSource(keyring=context.keyring, environment=environment, random_below=random_below)


def _uses(context: AppContext) -> KeyUses:
    return KeyUses(database=context.database, clock=context.clock)


def _api_key_directory(context: AppContext) -> CredentialDirectory:
    return ApiKeyDirectory(
        database=context.database,
        clock=context.clock,
        secrets=context.services.get(SecretSource),
        uses=context.services.get(KeyUses),
    )


def _api_keys(context: AppContext) -> ApiKeys:
    return ApiKeys(
        operations=context.operations,
        database=context.database,
        identifiers=context.identifiers,
        clock=context.clock,
        permissions=context.permissions,
        merchants=context.services.get(Merchants),
    )


def _directory(context: AppContext) -> MerchantDirectory:
    return MerchantStreams(journal=context.journal, clock=context.clock)


def _payout_accounts(context: AppContext) -> PayoutAccounts:
    return OpenedAccounts(
        database=context.database, sealer=FieldSealer(context.keyring, purpose=PURPOSE)
    )


def _merchants(context: AppContext) -> Merchants:
    return Merchants(
        operations=context.operations,
        journal=context.journal,
        database=context.database,
        identifiers=context.identifiers,
        clock=context.clock,
        bank_accounts=BankAccounts(
            sealer=FieldSealer(context.keyring, purpose=PURPOSE), identifiers=context.identifiers
        ),
    )
