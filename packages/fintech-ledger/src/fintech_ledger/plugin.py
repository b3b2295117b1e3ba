"""The ledger as a plugin: what it declares to the host. The only place where its parts meet."""

from collections.abc import Sequence

from fintech_kernel.context import AppContext
from fintech_kernel.contracts.ledger import Ledger
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
    MigrationSet,
    Permission,
    PluginManifest,
    RouteMount,
    ServiceProvider,
    hookimpl,
)

from fintech_ledger.api import routes
from fintech_ledger.domain.books import Books
from fintech_ledger.domain.service import DoubleEntryLedger
from fintech_ledger.infrastructure.tables import MIGRATIONS


@hookimpl
def fintech_plugins() -> Sequence[PluginManifest]:
    """Say who we are."""
    return [
        PluginManifest(
            name="ledger",
            summary="Double-entry ledger: accounts, transfers, balances.",
            table_prefix="ledger_",
            route_prefix="/v1/ledger",
        )
    ]


@hookimpl
def fintech_permissions() -> Sequence[Permission]:
    """Declare who may read the books."""
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
            summary="Read the trial balance of the whole platform.",
            roles=(PLATFORM_ADMIN, PLATFORM_FINANCE, AUDITOR),
        ),
    ]


@hookimpl
def fintech_migrations() -> Sequence[MigrationSet]:
    """Declare our tables."""
    return [MigrationSet(name="fintech-ledger", migrations=MIGRATIONS)]


@hookimpl
def fintech_services() -> Sequence[ServiceProvider]:
    """Provide the ``Ledger`` to payments and settlements."""
    return [
        ServiceProvider(
            name="ledger",
            provides=Ledger,
            requires=(),
            build=_ledger,
        )
    ]


@hookimpl
def fintech_routes(context: AppContext) -> Sequence[RouteMount]:
    """Mount ``/v1/ledger``: the books, read."""
    books = Books(database=context.database, clock=context.clock)
    return [
        RouteMount(
            name="ledger",
            router=routes.build_router(books),
            tag="ledger",
            tag_description="Accounts, transfers, trial balance.",
        )
    ]


def _ledger(context: AppContext) -> Ledger:
    return DoubleEntryLedger(database=context.database, jitter=context.jitter)
