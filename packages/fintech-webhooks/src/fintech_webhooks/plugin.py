"""The plugin: what webhooks give to the host. The only place where its parts meet."""

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
from fintech_kernel.errors import StartupFault
from fintech_kernel.hooks import (
    CommandGroup,
    ErrorMapping,
    EventHandler,
    GaugeSet,
    Job,
    MigrationSet,
    OperationHandler,
    Permission,
    PluginManifest,
    PublicEvent,
    RouteMount,
    ServiceProvider,
    SettingsSpec,
    hookimpl,
)
from fintech_kernel.security.sealed_fields import FieldSealer
from fintech_kernel.settings import Environment

from fintech_webhooks.api import delivery_routes, delivery_schemas, routes, schemas
from fintech_webhooks.api.public_events import PUBLIC_EVENTS
from fintech_webhooks.commands import app
from fintech_webhooks.domain import errors, service, workflows
from fintech_webhooks.domain.courier import PASS_SECONDS, Courier, MessageSender, Pace
from fintech_webhooks.domain.delivery_log import DeliveryLog
from fintech_webhooks.domain.egress import EgressPolicy
from fintech_webhooks.domain.fan_out import ATTEMPTS_MAX, FanOut
from fintech_webhooks.domain.gauges import delivery_gauges
from fintech_webhooks.domain.messages import Catalog
from fintech_webhooks.domain.secrets import PURPOSE, SigningSecrets
from fintech_webhooks.domain.service import Webhooks
from fintech_webhooks.infrastructure.http_sender import READ_SECONDS_MAX, HttpSender
from fintech_webhooks.infrastructure.tables import MIGRATIONS
from fintech_webhooks.settings import WebhooksSettings

NAME: Final = "webhooks"

_ADMINISTRATORS: Final = (PLATFORM_ADMIN, MERCHANT_ADMIN)
_SENDERS: Final = (*_ADMINISTRATORS, PLATFORM_OPERATOR, MERCHANT_OPERATOR)
_READERS: Final = (*_SENDERS, PLATFORM_FINANCE, AUDITOR, MERCHANT_VIEWER)

_ENDPOINTS: Final = "Make, change, disable and remove endpoints; read which events there are."
_DELIVERIES: Final = "See what was delivered, send test messages, make deliveries again."


@hookimpl
def fintech_plugins() -> Sequence[PluginManifest]:
    """Say who this is."""
    return [
        PluginManifest(
            name=NAME,
            summary="Webhooks: signed messages about what happened, in order, until they are taken",
            table_prefix="webhooks_",
            route_prefix="/v1/webhooks",
        )
    ]


@hookimpl
def fintech_settings() -> Sequence[SettingsSpec]:
    """``WEBHOOKS_*``."""
    return [SettingsSpec(name=NAME, model=WebhooksSettings)]


@hookimpl
def fintech_permissions() -> Sequence[Permission]:
    """Administrators manage endpoints, operators look and send again, everybody reads."""
    return [
        Permission(
            name=routes.MANAGE,
            summary="Make, change, disable and remove webhook endpoints, rotate their secrets",
            roles=_ADMINISTRATORS,
        ),
        Permission(
            name=delivery_routes.SEND,
            summary="Send test messages and make deliveries again",
            roles=_SENDERS,
        ),
        Permission(
            name=routes.READ,
            summary="See webhook endpoints, never their secrets, and deliveries",
            roles=_READERS,
        ),
    ]


@hookimpl
def fintech_migrations() -> Sequence[MigrationSet]:
    """The package's tables."""
    return [MigrationSet(name="fintech-webhooks", migrations=MIGRATIONS)]


@hookimpl
def fintech_errors() -> Sequence[ErrorMapping]:
    """Refusals: the state says no."""
    refusals = (
        errors.EndpointTransitionRefused,
        errors.EndpointLimitReached,
        errors.DeliveryUnderWay,
    )
    return [ErrorMapping(name=error.code, error=error, status=409) for error in refusals]


@hookimpl
def fintech_public_events() -> Sequence[PublicEvent]:
    """What merchants are told of their endpoints."""
    return PUBLIC_EVENTS


@hookimpl
def fintech_services() -> Sequence[ServiceProvider]:
    """The use cases, and what they reach outside."""
    return [
        ServiceProvider(name="webhooks.policy", provides=EgressPolicy, requires=(), build=_policy),
        ServiceProvider(
            name="webhooks.secrets", provides=SigningSecrets, requires=(), build=_secrets
        ),
        ServiceProvider(
            name="webhooks.sender",
            provides=MessageSender,
            requires=(EgressPolicy,),
            build=_sender,
        ),
        ServiceProvider(
            name=NAME,
            provides=Webhooks,
            requires=(EgressPolicy, SigningSecrets),
            wants=(MerchantDirectory,),
            build=_webhooks,
        ),
        ServiceProvider(
            name="webhooks.courier",
            provides=Courier,
            requires=(Webhooks, MessageSender, EgressPolicy, SigningSecrets),
            build=_courier,
        ),
    ]


@hookimpl
def fintech_operations() -> Sequence[OperationHandler]:
    """One handler per workflow."""
    changes = {
        service.UPDATE: workflows.run_update,
        service.ENABLE: workflows.run_enable,
        service.DISABLE: workflows.run_disable,
        service.REMOVE: workflows.run_remove,
    }
    return [
        OperationHandler(
            name=service.CREATE,
            version=1,
            run=workflows.run_create,
            present=schemas.present_issued,
        ),
        OperationHandler(
            name=service.ROTATE,
            version=1,
            opening=workflows.opening_of_change,
            run=workflows.run_rotate,
            present=schemas.present_rotated,
        ),
        *(
            OperationHandler(
                name=kind,
                version=1,
                opening=workflows.opening_of_change,
                run=run,
                present=schemas.present_endpoint,
            )
            for kind, run in changes.items()
        ),
        OperationHandler(
            name=service.SEND_PING,
            version=1,
            run=workflows.run_ping,
            present=delivery_schemas.present_sent,
        ),
        OperationHandler(
            name=service.REDELIVER,
            version=1,
            run=workflows.run_redeliver,
            present=delivery_schemas.present_redelivered,
        ),
    ]


@hookimpl
def fintech_routes(context: AppContext) -> Sequence[RouteMount]:
    """``/v1/webhooks``."""
    webhooks = context.services.get(Webhooks)
    log = DeliveryLog(database=context.database, merchants=context.services.find(MerchantDirectory))
    return [
        RouteMount(
            name="webhooks.event_types",
            router=routes.build_catalog_router(webhooks),
            tag="webhooks",
            tag_description=_ENDPOINTS,
        ),
        RouteMount(
            name="webhooks.endpoints",
            router=routes.build_router(webhooks),
            prefix="/{merchant_id}/endpoints",
            tag="webhooks",
            tag_description=_ENDPOINTS,
        ),
        RouteMount(
            name="webhooks.sending",
            router=delivery_routes.build_sending_router(webhooks),
            prefix="/{merchant_id}/endpoints",
            tag="webhook deliveries",
            tag_description=_DELIVERIES,
        ),
        RouteMount(
            name="webhooks.deliveries",
            router=delivery_routes.build_log_router(log, webhooks),
            prefix="/{merchant_id}/deliveries",
            tag="webhook deliveries",
            tag_description=_DELIVERIES,
        ),
    ]


@hookimpl
def fintech_event_handlers(context: AppContext) -> Sequence[EventHandler]:
    """Turn whatever happens into deliveries, where somebody wants to hear of it."""
    fan_out = FanOut(
        database=context.database,
        clock=context.clock,
        identifiers=context.identifiers,
        catalog=Catalog(context.public_events),
        endpoints_max=context.settings_of(WebhooksSettings).endpoints_max,
    )
    return [
        EventHandler(
            name="webhooks.fan_out",
            event="*",
            handle=fan_out.handle,
            attempts_max=ATTEMPTS_MAX,
        )
    ]


@hookimpl
def fintech_jobs(context: AppContext) -> Sequence[Job]:
    """Send what is due."""
    settings = context.settings_of(WebhooksSettings)
    return [
        Job(
            name="webhooks.send",
            run=context.services.get(Courier).run,
            every_seconds=settings.send_every_seconds,
            timeout_seconds=PASS_SECONDS + _attempt_seconds(settings) + ENDING_SECONDS,
        )
    ]


@hookimpl
def fintech_metrics(context: AppContext) -> Sequence[GaugeSet]:
    """Say how many deliveries wait, and for how long."""
    return [delivery_gauges(context.database, context.clock)]


@hookimpl
def fintech_commands() -> Sequence[CommandGroup]:
    """``fintech webhooks``."""
    return [CommandGroup(name=NAME, app=app)]


ENDING_SECONDS: Final = 10.0
"""How long the last attempts of a pass may take to be written down."""


def _attempt_seconds(settings: WebhooksSettings) -> float:
    return settings.total_seconds + READ_SECONDS_MAX


def _policy(context: AppContext) -> EgressPolicy:
    """Return what is let out.

    Raises:
        StartupFault: loopback is let out where merchants' URLs are real.
    """
    settings = context.settings_of(WebhooksSettings)
    is_real = context.settings.app_env in {Environment.STAGING, Environment.PRODUCTION}
    if settings.allow_loopback and is_real:
        fault = (
            "WEBHOOKS_ALLOW_LOOPBACK lets merchants' URLs reach this machine: it is for development and"
            " tests alone; leave it out"
        )
        raise StartupFault([fault])
    return EgressPolicy(
        ports=settings.ports,
        allows_loopback=settings.allow_loopback,
        refused_networks=settings.refused_networks,
    )


def _secrets(context: AppContext) -> SigningSecrets:
    return SigningSecrets(
        sealer=FieldSealer(context.keyring, purpose=PURPOSE), identifiers=context.identifiers
    )


def _sender(context: AppContext) -> MessageSender:
    settings = context.settings_of(WebhooksSettings)
    return HttpSender(
        is_allowed=context.services.get(EgressPolicy).allows,
        connect_seconds=settings.connect_seconds,
        total_seconds=settings.total_seconds,
        reply_bytes_max=settings.reply_bytes_max,
    )


def _webhooks(context: AppContext) -> Webhooks:
    return Webhooks(
        operations=context.operations,
        database=context.database,
        identifiers=context.identifiers,
        clock=context.clock,
        secrets=context.services.get(SigningSecrets),
        policy=context.services.get(EgressPolicy),
        catalog=Catalog(context.public_events),
        merchants=context.services.find(MerchantDirectory),
        endpoints_max=context.settings_of(WebhooksSettings).endpoints_max,
    )


def _courier(context: AppContext) -> Courier:
    settings = context.settings_of(WebhooksSettings)
    return Courier(
        database=context.database,
        clock=context.clock,
        identifiers=context.identifiers,
        jitter=context.jitter,
        secrets=context.services.get(SigningSecrets),
        sender=context.services.get(MessageSender),
        policy=context.services.get(EgressPolicy),
        webhooks=context.services.get(Webhooks),
        pace=Pace(
            retry_seconds=settings.retry_seconds,
            failures_max=settings.failures_max,
            attempt_seconds=_attempt_seconds(settings),
            concurrency=settings.concurrency,
            per_endpoint=settings.per_endpoint,
        ),
    )
