"""The ledger as a plugin: what it declares to the host. The only place where its parts meet."""

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
from fintech_kernel.hooks import (
    CloseCheck,
    CommandGroup,
    ErrorMapping,
    EventHandler,
    Job,
    MigrationSet,
    OperationHandler,
    Permission,
    PluginManifest,
    RouteMount,
    ServiceProvider,
    SettingsSpec,
    hookimpl,
)

from fintech_ledger import commands
from fintech_ledger.api import adjustment_routes, period_routes, report_routes, routes
from fintech_ledger.api.adjustment_schemas import present_decided, present_proposed
from fintech_ledger.api.period_schemas import present_period
from fintech_ledger.api.schemas import present_close
from fintech_ledger.domain import adjustments, closes, errors, period_closes
from fintech_ledger.domain.adjustments import Adjustments
from fintech_ledger.domain.books import Books
from fintech_ledger.domain.closes import Closes
from fintech_ledger.domain.folding import Folding
from fintech_ledger.domain.period_closes import Periods, PeriodWorkflow, SuspenseCheck
from fintech_ledger.domain.reports import Reports
from fintech_ledger.domain.service import DoubleEntryLedger
from fintech_ledger.domain.workflows import AdjustmentWorkflows, CloseWorkflow
from fintech_ledger.infrastructure.tables import MIGRATIONS
from fintech_ledger.settings import LedgerSettings

NAME: Final = "ledger"
OPERATION_VERSION: Final = 1

_FINANCE: Final = (PLATFORM_ADMIN, PLATFORM_FINANCE)

_REFUSALS: Final = (
    (errors.PeriodPassed, 409),
    (errors.PeriodNotReady, 409),
    (errors.PeriodAlreadyClosed, 409),
    (errors.PeriodOutOfOrder, 409),
    (errors.AccountNotAdjustable, 422),
    (errors.TwoMerchants, 422),
    (errors.AdjustmentNotProposed, 409),
    (errors.SamePerson, 403),
)


@hookimpl
def fintech_plugins() -> Sequence[PluginManifest]:
    """Say who we are."""
    return [
        PluginManifest(
            name=NAME,
            summary="Double-entry ledger: accounts, transfers, balances.",
            table_prefix="ledger_",
            route_prefix="/v1/ledger",
        )
    ]


@hookimpl
def fintech_settings() -> Sequence[SettingsSpec]:
    """Declare ``LEDGER_*``."""
    return [SettingsSpec(name=NAME, model=LedgerSettings)]


@hookimpl
def fintech_permissions() -> Sequence[Permission]:
    """Declare who may read the books and adjust them."""
    return [
        Permission(
            name=routes.READ,
            summary="Read accounts and transfers; a merchant's principals read their own.",
            roles=(
                PLATFORM_ADMIN,
                PLATFORM_OPERATOR,
                PLATFORM_FINANCE,
                AUDITOR,
                MERCHANT_ADMIN,
                MERCHANT_OPERATOR,
                MERCHANT_VIEWER,
            ),
        ),
        Permission(
            name=routes.AUDIT,
            summary="Read the trial balance and the closes of the whole platform.",
            roles=(*_FINANCE, AUDITOR),
        ),
        Permission(
            name=period_routes.CLOSE,
            summary="Close a period.",
            roles=_FINANCE,
        ),
        Permission(
            name=adjustment_routes.READ,
            summary="Read adjustments.",
            roles=(*_FINANCE, PLATFORM_OPERATOR, AUDITOR),
        ),
        Permission(
            name=adjustment_routes.PROPOSE,
            summary="Propose a transfer by hand.",
            roles=_FINANCE,
        ),
        Permission(
            name=adjustment_routes.APPROVE,
            summary="Approve or reject what somebody else proposed.",
            roles=_FINANCE,
        ),
    ]


@hookimpl
def fintech_migrations() -> Sequence[MigrationSet]:
    """Declare our tables."""
    return [MigrationSet(name="fintech-ledger", migrations=MIGRATIONS)]


@hookimpl
def fintech_errors() -> Sequence[ErrorMapping]:
    """Map refusals to HTTP."""
    return [
        ErrorMapping(name=error.code, error=error, status=status) for error, status in _REFUSALS
    ]


@hookimpl
def fintech_services() -> Sequence[ServiceProvider]:
    """Provide the ``Ledger`` to payments and settlements, and our own use cases."""
    return [
        ServiceProvider(name=NAME, provides=Ledger, requires=(), build=_ledger),
        ServiceProvider(name="folding", provides=Folding, requires=(), build=_folding),
        ServiceProvider(name="closes", provides=Closes, requires=(Folding,), build=_closes),
        ServiceProvider(name="periods", provides=Periods, requires=(Closes,), build=_periods),
        ServiceProvider(
            name="adjustments",
            provides=Adjustments,
            requires=(),
            wants=(MerchantDirectory,),
            build=_adjustments,
        ),
    ]


@hookimpl
def fintech_operations(context: AppContext) -> Sequence[OperationHandler]:
    """Declare what can be asked of the ledger."""
    close = CloseWorkflow(folding=context.services.get(Folding), database=context.database)
    adjusting = AdjustmentWorkflows(ledger=context.services.get(Ledger))
    return [
        OperationHandler(
            name=closes.CLOSE,
            version=OPERATION_VERSION,
            run=close.run_close,
            present=present_close,
        ),
        OperationHandler(
            name=period_closes.CLOSE_PERIOD,
            version=OPERATION_VERSION,
            run=PeriodWorkflow(database=context.database).run,
            present=present_period,
        ),
        OperationHandler(
            name=adjustments.PROPOSE,
            version=OPERATION_VERSION,
            run=adjusting.run_propose,
            present=present_proposed,
        ),
        OperationHandler(
            name=adjustments.APPROVE,
            version=OPERATION_VERSION,
            run=adjusting.run_approve,
            present=present_decided,
            opening=adjusting.opening,
        ),
        OperationHandler(
            name=adjustments.REJECT,
            version=OPERATION_VERSION,
            run=adjusting.run_reject,
            present=present_decided,
            opening=adjusting.opening,
        ),
    ]


@hookimpl
def fintech_routes(context: AppContext) -> Sequence[RouteMount]:
    """Mount ``/v1/ledger``: the books, and adjustments."""
    books = Books(database=context.database, clock=context.clock)
    return [
        RouteMount(
            name=NAME,
            router=routes.build_router(books, context.services.get(Closes)),
            tag="ledger",
            tag_description="Accounts, transfers, closes, trial balance.",
        ),
        RouteMount(
            name="periods",
            router=period_routes.build_period_router(
                context.services.get(Periods), read=routes.AUDIT
            ),
            tag="periods",
            tag_description="Months: whether they can be closed, and their closes.",
        ),
        RouteMount(
            name="reports",
            router=report_routes.build_report_router(
                Reports(database=context.database, clock=context.clock),
                read=routes.READ,
                audit=routes.AUDIT,
            ),
            prefix="/reports",
            tag="reports",
            tag_description="Volume, refunds, fees and balances by day and currency.",
        ),
        RouteMount(
            name="adjustments",
            router=adjustment_routes.build_adjustment_router(context.services.get(Adjustments)),
            prefix="/adjustments",
            tag="adjustments",
            tag_description="Transfers by hand, with a reason and two people.",
        ),
    ]


@hookimpl
def fintech_event_handlers(context: AppContext) -> Sequence[EventHandler]:
    """Keep the list of adjustments up with the journal."""
    show = context.services.get(Adjustments).show
    return [EventHandler(name="ledger.adjustments", event="adjustment.*", handle=show)]


@hookimpl
def fintech_jobs(context: AppContext) -> Sequence[Job]:
    """Close days that have ended, and fold what has gathered."""
    settings = context.settings_of(LedgerSettings)
    run = context.services.get(Closes).run
    return [Job(name=closes.JOB, run=run, every_seconds=settings.fold_every_seconds)]


@hookimpl
def fintech_commands() -> Sequence[CommandGroup]:
    """``fintech ledger``, and ``fintech close``."""
    return [
        CommandGroup(name=NAME, app=commands.app),
        CommandGroup(name="close", app=commands.close_app),
    ]


@hookimpl
def fintech_close_checks(context: AppContext) -> Sequence[CloseCheck]:
    """Suspense is zero."""
    suspense = SuspenseCheck(Books(database=context.database, clock=context.clock))
    return [CloseCheck(name="ledger.suspense", check=suspense.check)]


def _ledger(context: AppContext) -> Ledger:
    return DoubleEntryLedger(database=context.database, jitter=context.jitter)


def _folding(context: AppContext) -> Folding:
    return Folding(
        database=context.database,
        clock=context.clock,
        size=context.settings_of(LedgerSettings).fold_size,
        jitter=context.jitter,
    )


def _closes(context: AppContext) -> Closes:
    return Closes(
        operations=context.operations,
        folding=context.services.get(Folding),
        database=context.database,
        clock=context.clock,
        grace_seconds=context.settings_of(LedgerSettings).close_after_seconds,
    )


def _periods(context: AppContext) -> Periods:
    return Periods(
        operations=context.operations,
        journal=context.journal,
        clock=context.clock,
        closes=context.services.get(Closes),
        checks=context.close_checks,
    )


def _adjustments(context: AppContext) -> Adjustments:
    return Adjustments(
        operations=context.operations,
        journal=context.journal,
        database=context.database,
        identifiers=context.identifiers,
        clock=context.clock,
        merchants=context.services.find(MerchantDirectory),
    )
