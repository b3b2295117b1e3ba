"""The plugin: what payments give to the host. The only place where its parts meet."""

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
from fintech_kernel.errors import FintechError
from fintech_kernel.hooks import (
    ErrorMapping,
    EventHandler,
    GaugeSet,
    Job,
    MigrationSet,
    OperationHandler,
    Permission,
    PluginManifest,
    ProcessorSpec,
    PublicEvent,
    RouteMount,
    ServiceProvider,
    SettingsSpec,
    hookimpl,
)
from fintech_kernel.settings import Environment

from fintech_payments import building
from fintech_payments.api import (
    callback_routes,
    dispute_routes,
    dispute_schemas,
    routes,
    schemas,
    timeline_routes,
)
from fintech_payments.api.public_events import PUBLIC_EVENTS
from fintech_payments.domain import errors, kinds
from fintech_payments.domain.alarms import ALARMING, Alarms
from fintech_payments.domain.callbacks import Callbacks
from fintech_payments.domain.dispute_service import Disputes
from fintech_payments.domain.expiry import Expiry
from fintech_payments.domain.gauges import payment_gauges
from fintech_payments.domain.projection import PaymentProjection
from fintech_payments.domain.resolver import Resolver
from fintech_payments.domain.service import Payments
from fintech_payments.domain.workflows import PaymentWorkflows
from fintech_payments.infrastructure.processors import mobile_money, sandbox
from fintech_payments.infrastructure.processors.mobile_money import MobileMoneyProcessor
from fintech_payments.infrastructure.processors.sandbox import SandboxProcessor
from fintech_payments.infrastructure.tables import MIGRATIONS
from fintech_payments.settings import PaymentsSettings

NAME: Final = "payments"
RESOLVE_TIMEOUT_SECONDS: Final = 120.0
EXPIRE_TIMEOUT_SECONDS: Final = 120.0

_OPERATORS: Final = (PLATFORM_ADMIN, PLATFORM_OPERATOR, MERCHANT_ADMIN, MERCHANT_OPERATOR)
_READERS: Final = (*_OPERATORS, PLATFORM_FINANCE, AUDITOR, MERCHANT_VIEWER)


@hookimpl
def fintech_plugins() -> Sequence[PluginManifest]:
    """Say who this is."""
    return [
        PluginManifest(
            name=NAME,
            summary="Payments through processors: authorize, capture, cancel, refund",
            table_prefix="payments_",
            route_prefix="/v1/payments",
        )
    ]


@hookimpl
def fintech_settings() -> Sequence[SettingsSpec]:
    """``PAYMENTS_*``."""
    return [SettingsSpec(name=NAME, model=PaymentsSettings)]


@hookimpl
def fintech_permissions() -> Sequence[Permission]:
    """Operators act on payments, everybody else reads them."""
    return [
        Permission(name=routes.CREATE, summary="Take payments", roles=_OPERATORS),
        Permission(name=routes.CAPTURE, summary="Capture authorizations", roles=_OPERATORS),
        Permission(name=routes.CANCEL, summary="Cancel authorizations", roles=_OPERATORS),
        Permission(name=routes.REFUND, summary="Refund payments", roles=_OPERATORS),
        Permission(name=routes.READ, summary="See payments", roles=_READERS),
        Permission(
            name=dispute_routes.MANAGE,
            summary="Open and close disputes",
            roles=(PLATFORM_ADMIN, PLATFORM_OPERATOR, PLATFORM_FINANCE),
        ),
        Permission(name=dispute_routes.READ, summary="See disputes", roles=_READERS),
    ]


@hookimpl
def fintech_migrations() -> Sequence[MigrationSet]:
    """The package's tables."""
    return [MigrationSet(name="fintech-payments", migrations=MIGRATIONS)]


@hookimpl
def fintech_errors() -> Sequence[ErrorMapping]:
    """Refusals and their statuses: 409 where the state says no, 422 where the request does."""
    statuses: dict[type[FintechError], int] = {
        errors.CallbackTooEarly: 503,
        errors.ManualCaptureUnsupported: 422,
        errors.MerchantNotActive: 409,
        errors.CurrencyNotEnabled: 422,
        errors.CurrencyMismatch: 422,
        errors.ReferenceExists: 409,
        errors.ReferenceExistsWithDifferentAmount: 409,
        errors.OutcomePending: 409,
        errors.PaymentNotCapturable: 409,
        errors.CaptureExceedsAuthorized: 422,
        errors.PartialCaptureUnsupported: 422,
        errors.PaymentNotCancelable: 409,
        errors.PaymentNotExpirable: 409,
        errors.PaymentNotRefundable: 409,
        errors.PaymentNotDisputable: 409,
        errors.DisputeExists: 409,
        errors.DisputeNotOpen: 409,
        errors.DisputeExceedsCaptured: 422,
        errors.RefundExceedsCaptured: 422,
        errors.NothingToReverse: 409,
    }
    return [
        ErrorMapping(name=error.code, error=error, status=status)
        for error, status in statuses.items()
    ]


@hookimpl
def fintech_processors(context: AppContext) -> Sequence[ProcessorSpec]:
    """The sandboxes: a card acquirer and mobile money."""
    late_seconds = context.settings_of(PaymentsSettings).sandbox_late_seconds
    card = SandboxProcessor(
        building.books(context, sandbox.NAME),
        building.letters(context, sandbox.NAME),
        late_seconds=late_seconds,
    )
    mobile = MobileMoneyProcessor(
        building.books(context, mobile_money.NAME),
        building.letters(context, mobile_money.NAME),
        late_seconds=late_seconds,
    )
    return [
        ProcessorSpec(name=card.name, processor=card),
        ProcessorSpec(name=mobile.name, processor=mobile),
    ]


@hookimpl
def fintech_public_events() -> Sequence[PublicEvent]:
    """What merchants are told of payments."""
    return PUBLIC_EVENTS


@hookimpl
def fintech_services() -> Sequence[ServiceProvider]:
    """The use cases, their workflows, the read model and the resolver."""
    return [
        ServiceProvider(
            name="payments",
            provides=Payments,
            requires=(),
            wants=(MerchantDirectory,),
            build=building.payments,
        ),
        ServiceProvider(
            name="payments.workflows",
            provides=PaymentWorkflows,
            requires=(Ledger,),
            build=building.workflows,
        ),
        ServiceProvider(
            name="payments.disputes", provides=Disputes, requires=(), build=building.disputes
        ),
        ServiceProvider(
            name="payments.callbacks",
            provides=Callbacks,
            requires=(Disputes,),
            build=building.callbacks,
        ),
    ]


@hookimpl
def fintech_operations(context: AppContext) -> Sequence[OperationHandler]:
    """One handler per workflow."""
    workflows = context.services.get(PaymentWorkflows)
    return [
        OperationHandler(
            name=kinds.CREATE,
            version=1,
            opening=workflows.opening_of_create,
            run=workflows.run_create,
            present=schemas.present_creation,
        ),
        OperationHandler(
            name=kinds.CAPTURE,
            version=1,
            opening=workflows.opening_of_step,
            run=workflows.run_capture,
            present=schemas.present_step,
        ),
        OperationHandler(
            name=kinds.CANCEL,
            version=1,
            opening=workflows.opening_of_step,
            run=workflows.run_cancel,
            present=schemas.present_step,
        ),
        OperationHandler(
            name=kinds.EXPIRE,
            version=1,
            opening=workflows.opening_of_step,
            run=workflows.run_expire,
            present=schemas.present_step,
        ),
        OperationHandler(
            name=kinds.REFUND,
            version=1,
            opening=workflows.opening_of_step,
            run=workflows.run_refund,
            present=schemas.present_refund,
        ),
        OperationHandler(
            name=kinds.RESOLVE,
            version=1,
            opening=workflows.opening_of_step,
            run=workflows.run_resolve,
            present=schemas.present_step,
        ),
        OperationHandler(
            name=kinds.ABANDON,
            version=1,
            opening=workflows.opening_of_step,
            run=workflows.run_abandon,
            present=schemas.present_step,
        ),
        OperationHandler(
            name=kinds.REVERSE,
            version=1,
            opening=workflows.opening_of_step,
            run=workflows.run_reverse,
            present=schemas.present_step,
        ),
        OperationHandler(
            name=kinds.OPEN_DISPUTE,
            version=1,
            opening=workflows.opening_of_step,
            run=workflows.run_open_dispute,
            present=dispute_schemas.present_opening,
        ),
        OperationHandler(
            name=kinds.CLOSE_DISPUTE,
            version=1,
            opening=workflows.opening_of_step,
            run=workflows.run_close_dispute,
            present=dispute_schemas.present_closing,
        ),
    ]


@hookimpl
def fintech_routes(context: AppContext) -> Sequence[RouteMount]:
    """``/v1/payments``."""
    return [
        RouteMount(
            name=NAME,
            router=routes.build_router(context.services.get(Payments)),
            tag="payments",
            tag_description="Take, capture, cancel and refund payments.",
        ),
        RouteMount(
            name="payments.timeline",
            router=timeline_routes.build_timeline_router(
                context.services.get(Payments), building.timeline(context)
            ),
            tag="payments",
            tag_description="Take, capture, cancel and refund payments.",
        ),
        RouteMount(
            name="payments.disputes",
            router=dispute_routes.build_dispute_router(
                context.services.get(Payments), context.services.get(Disputes)
            ),
            tag="disputes",
            tag_description="What customers' banks dispute: hold it back, give it back, give it up.",
        ),
        RouteMount(
            name="payments.callbacks",
            router=callback_routes.build_callback_router(context.services.get(Callbacks)),
            tag="callbacks",
            tag_description="What processors tell of their own accord; signed by them.",
            prefix="/callbacks",
            public=callback_routes.PUBLIC,
        ),
    ]


@hookimpl
def fintech_event_handlers(context: AppContext) -> Sequence[EventHandler]:
    """Keep the read model true where the write behind the finish was lost; raise alarms."""
    projection = PaymentProjection(journal=context.journal, database=context.database)
    alarms = Alarms(context.metrics)
    return [
        EventHandler(
            name="payments.read_model",
            event="payment.*",
            handle=projection.handle,
            stands=projection.stands,
        ),
        *(
            EventHandler(name=f"payments.alarm:{event}", event=event, handle=alarms.raise_alarm)
            for event in ALARMING
        ),
    ]


@hookimpl
def fintech_jobs(context: AppContext) -> Sequence[Job]:
    """Ask about open outcomes, release what ran out, and carry the sandboxes' callbacks."""
    settings = context.settings_of(PaymentsSettings)
    resolver = Resolver(
        inquiry=building.inquiry(context),
        journal=context.journal,
        database=context.database,
        clock=context.clock,
    )
    expiry = Expiry(
        operations=context.operations,
        journal=context.journal,
        database=context.database,
        clock=context.clock,
    )
    return [
        Job(
            name="payments.resolve",
            run=resolver.run,
            every_seconds=settings.resolve_every_seconds,
            timeout_seconds=RESOLVE_TIMEOUT_SECONDS,
        ),
        Job(
            name="payments.expire",
            run=expiry.run,
            every_seconds=settings.expire_every_seconds,
            timeout_seconds=EXPIRE_TIMEOUT_SECONDS,
        ),
        *(
            building.sandbox_callbacks(context, name)
            for name in building.SANDBOXES
            if context.settings.app_env is not Environment.PRODUCTION
        ),
    ]


@hookimpl
def fintech_metrics(context: AppContext) -> Sequence[GaugeSet]:
    """Say how many calls to processors are unanswered, and for how long."""
    return [payment_gauges(context.database, context.clock)]
