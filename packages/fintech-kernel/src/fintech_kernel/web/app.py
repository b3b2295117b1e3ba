"""``create_app``: one FastAPI application of whatever plugins are installed.

Everything is built here, once, from the settings down; there are no globals and nothing happens at
import. The order is the architecture: plugins, settings, context, services, operations, routes.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from random import Random
from typing import Any, Final, cast

from fastapi import FastAPI
from fintech_dbclient import CallRecord, Database, HttpDatabase, OnCall, migrate
from loguru import logger

from fintech_kernel.clock import Clock, SystemClock
from fintech_kernel.context import AppContext
from fintech_kernel.contracts.credentials import CredentialDirectory
from fintech_kernel.domain.access import Access
from fintech_kernel.domain.audit_access import AuditAccess
from fintech_kernel.domain.backlog import backlog_gauges
from fintech_kernel.domain.closing import OperationsCheck
from fintech_kernel.domain.denials import Denial, Denials
from fintech_kernel.domain.events import Events
from fintech_kernel.domain.gauges import Gauges
from fintech_kernel.domain.jobs import JobRunner, run_once
from fintech_kernel.domain.journal import Journal
from fintech_kernel.domain.log_check import LogCheck
from fintech_kernel.domain.operations import Operations
from fintech_kernel.domain.permissions import Permissions
from fintech_kernel.domain.revocations import Revocations
from fintech_kernel.domain.sealing import Sealer
from fintech_kernel.domain.transparency import TransparencyLog
from fintech_kernel.errors import StartupFault
from fintech_kernel.hooks import (
    CloseCheck,
    HealthCheck,
    MigrationSet,
    OperationHandler,
    RouteMount,
    SettingsSpec,
)
from fintech_kernel.host import PluginHost
from fintech_kernel.identifiers import OBJECT_ID, Identifiers, RandomIdentifiers
from fintech_kernel.infrastructure.tables import MIGRATIONS
from fintech_kernel.observability.context import current_request_id
from fintech_kernel.observability.metrics import NONE, Metrics
from fintech_kernel.observability.outside import TracedDatabase, watched_processor, watched_rail
from fintech_kernel.observability.tracing import NO_TRACING, Tracing
from fintech_kernel.security.audit_keys import audit_keys_previous, audit_signer
from fintech_kernel.security.grants import ClientCredentials
from fintech_kernel.security.key_sets import key_set
from fintech_kernel.security.secrets import KeyRing
from fintech_kernel.security.token_keys import KeySet
from fintech_kernel.security.tokens import TokenIssuer, TokenVerifier
from fintech_kernel.settings import KernelSettings, load_settings
from fintech_kernel.web import audit, auth, health, metrics, operations, token_grants
from fintech_kernel.web.admission import OnDenied
from fintech_kernel.web.background import background_jobs, job_counter
from fintech_kernel.web.direct import DirectRoutes
from fintech_kernel.web.middleware import install_middleware
from fintech_kernel.web.openapi import install_openapi
from fintech_kernel.web.prefixes import Prefixes
from fintech_kernel.web.problems import ProblemHandlers
from fintech_kernel.web.route_rules import route_faults

KERNEL: Final = "kernel"
DISTRIBUTION: Final = "fintech-kernel"
LOG_CHECK_TIMEOUT_SECONDS: Final = 20.0

_CREATED: Final = re.compile(
    r"CREATE\s+(?:TABLE|INDEX)\s+IF\s+NOT\s+EXISTS\s+([a-z_0-9]+)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What tests and simulators put in place of the real thing; None keeps the real one.

    ``services`` stand in for what a plugin builds, by the type that it provides.
    """

    clock: Clock | None = None
    identifiers: Identifiers | None = None
    database: Database | None = None
    on_database_call: OnCall | None = None
    tracing: Tracing | None = None
    jitter: Random | None = None
    services: Mapping[type[Any], object] = field(default_factory=dict[type[Any], object])


def create_app(
    *,
    settings: Mapping[str, object] | None = None,
    plugins: Sequence[object] | None = None,
    overrides: Overrides | None = None,
) -> FastAPI:
    """Return the application.

    Args:
        settings: values named like environment variables in lower case; they take precedence.
        plugins: these modules; None means the installed entry points.
        overrides: replacements for clock, identifiers, database.

    Raises:
        StartupFault: all faults at once, one line each. A fault that leaves nothing to build on (settings)
            ends the list: what lies behind it is not known.
    """
    if plugins is None:
        host = PluginHost.installed(is_patient=True)
    else:
        host = PluginHost.of(plugins, is_patient=True)
    try:
        app = _assemble(host, settings=settings, overrides=overrides or Overrides())
    except StartupFault as fault:
        host.refuse_faults(*fault.faults)
        raise
    except Exception:
        host.refuse_faults()  # it may be a consequence of what was noted: the cause is what is said
        raise
    host.refuse_faults()
    return app


def _assemble(
    host: PluginHost, *, settings: Mapping[str, object] | None, overrides: Overrides
) -> FastAPI:
    context = build_context(host, settings=settings, overrides=overrides)
    problems = ProblemHandlers(host.errors())
    declared = background_jobs(host, context)  # checked in a process that runs none of them, too
    jobs = JobRunner(
        declared if context.settings.app_jobs else (),
        on_run=job_counter(context),
    )
    context.events.use_waker(jobs.wake)
    context.denials.use_waker(jobs.wake)
    app = FastAPI(
        title="fintech",
        summary="Payments for merchants",
        version="1",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        docs_url="/docs" if context.settings.docs_served else None,
        redoc_url=None,
        redirect_slashes=False,
        openapi_url="/openapi.json" if context.settings.docs_served else None,
        lifespan=_lifespan(context, migrations(host), jobs),
    )
    app.state.context = context
    app.state.problems = problems.catalog
    problems.install(app)
    _mount_routes(app, host, context)
    install_openapi(app)
    app.add_middleware(DirectRoutes, routes=app, problems=problems)
    install_middleware(
        app,
        context.settings,
        context.identifiers,
        clock=context.clock,
        on_denied=_denial_counter(context),
        metrics=context.metrics,
        tracing=context.tracing,
    )
    return app


def build_context(
    host: PluginHost, *, settings: Mapping[str, object] | None, overrides: Overrides
) -> AppContext:
    """Return the context with every service built and every handler registered.

    Raises:
        StartupFault: see ``create_app``.
    """
    specs = [SettingsSpec(name=KERNEL, model=KernelSettings), *host.settings()]
    loaded = load_settings(specs, settings)
    kernel = cast("KernelSettings", loaded[KERNEL])
    clock = overrides.clock or SystemClock()
    identifiers = overrides.identifiers or RandomIdentifiers(clock)
    counted = Metrics()
    tracing = overrides.tracing or _tracing(kernel)
    on_call = _both(counted.database_call, overrides.on_database_call)
    database = overrides.database or open_database(kernel, on_call=on_call)
    if tracing is not NO_TRACING:
        database = TracedDatabase(database, tracing)
    jitter = overrides.jitter or Random()  # noqa: S311 - spreads load, guards nothing
    events = Events(
        database=database, clock=clock, identifiers=identifiers, jitter=jitter, metrics=counted
    )
    token_keys = key_set(kernel)
    signer = audit_signer(kernel)
    runner = Operations(
        database=database,
        clock=clock,
        identifiers=identifiers,
        lease_seconds=kernel.operation_lease_seconds,
        attempt_seconds=kernel.app_request_timeout_seconds,
        wait_seconds=kernel.operation_wait_seconds,
        on_finished=events.wake,
        jitter=jitter,
        metrics=counted,
        tracing=tracing,
    )
    context = AppContext(
        settings=kernel,
        plugin_settings={name: one for name, one in loaded.items() if name != KERNEL},
        clock=clock,
        identifiers=identifiers,
        database=database,
        journal=Journal(database),
        operations=runner,
        events=events,
        signer=signer,
        sealer=Sealer(
            database=database,
            clock=clock,
            signer=signer,
            keys_previous=audit_keys_previous(kernel),
            metrics=counted,
        ),
        transparency=TransparencyLog(database),
        audit_access=AuditAccess(database=database, clock=clock, identifiers=identifiers),
        denials=Denials(database=database, clock=clock, identifiers=identifiers),
        metrics=counted,
        gauges=Gauges(metrics=counted, clock=clock),
        tracing=tracing,
        permissions=Permissions(
            [
                *operations.PERMISSIONS,
                *audit.PERMISSIONS,
                *auth.PERMISSIONS,
                *host.permissions(),
            ]
        ),
        keyring=KeyRing(kernel),
        access=Access(verifier=TokenVerifier(kernel, clock, token_keys), database=database),
        revocations=Revocations(
            operations=runner, database=database, identifiers=identifiers, clock=clock
        ),
        token_keys=token_keys,
        token_issuer=_token_issuer(kernel, clock, identifiers, token_keys),
        jitter=jitter,
        public_events=tuple(host.public_events()),
    )
    context = _with_parties(host, context)
    host.build_services(context, replaced=overrides.services)
    context.access.use_directory(context.services.find(CredentialDirectory))
    handlers: Sequence[OperationHandler] = host.operations(context)
    context.operations.register([*auth.OPERATIONS, *handlers])
    context.events.subscribe(host.event_handlers(context), host.audit_sinks(context))
    context.gauges.use([backlog_gauges(database, clock), *host.gauge_sets(context)])
    for plugin in host.plugins:
        counted.plugins.labels(plugin.manifest.name, plugin.version or NONE).set(1)
    counted.plugins.labels(KERNEL, version(DISTRIBUTION)).set(1)
    _use_close_checks(context, host.close_checks(context))
    return context


def _with_parties(host: PluginHost, context: AppContext) -> AppContext:
    """Return the context with every processor and rail, watched; names that will not do are noted."""
    processors = {spec.name: spec.processor for spec in host.processors(context)}
    rails = {spec.name: spec.rail for spec in host.payout_rails(context)}
    host.note(_misnamed([*processors, *rails]))
    metrics, tracing = context.metrics, context.tracing
    return replace(
        context,
        processors={
            name: watched_processor(one, metrics=metrics, tracing=tracing)
            for name, one in processors.items()
        },
        payout_rails={
            name: watched_rail(one, metrics=metrics, tracing=tracing) for name, one in rails.items()
        },
    )


def _tracing(settings: KernelSettings) -> Tracing:
    """Return what traces.

    Raises:
        StartupFault: it is wanted and not installed.
    """
    if not settings.app_traces:
        return NO_TRACING
    try:
        from fintech_kernel.observability.otel import exporting  # brings OpenTelemetry
    except ImportError as error:
        raise StartupFault(
            ["APP_TRACES needs OpenTelemetry: install fintech-kernel[otel], or set it to false"]
        ) from error
    return exporting()


def _use_close_checks(context: AppContext, checks: Sequence[CloseCheck]) -> None:
    """Take plugins' checks and the kernel's own: operations, events, the transparency log."""
    log = LogCheck(
        database=context.database,
        log=context.transparency,
        clock=context.clock,
        keys=(context.signer.verification_key, *audit_keys_previous(context.settings)),
    )
    operations_check = OperationsCheck(context.database)
    ours = [
        CloseCheck(name="kernel.operations", check=operations_check.check),
        CloseCheck(name="kernel.audit", check=log.check, timeout_seconds=LOG_CHECK_TIMEOUT_SECONDS),
    ]
    context.close_checks.use([*ours, *checks], forget=log.forget)


def open_database(settings: KernelSettings, *, on_call: OnCall | None = None) -> HttpDatabase:
    """Return the client of the configured database service."""
    token = settings.db_api_token
    return HttpDatabase(
        settings.db_base_url,
        token=token.get_secret_value() if token else None,
        timeout_seconds=settings.db_timeout_seconds,
        on_call=on_call,
        request_id=current_request_id,
    )


def migrations(host: PluginHost) -> tuple[MigrationSet, ...]:
    """Return the kernel's migrations and every plugin's, whose tables bear its prefix.

    Raises:
        StartupFault: a plugin creates a table outside of its prefix, and the host is not patient.
    """
    prefixes = {plugin.name: plugin.manifest.table_prefix for plugin in host.plugins}
    sets = host.migrations_by_plugin()
    host.note(
        f"plugin {plugin!r} creates {table!r}: its tables and indexes must start with"
        f" {prefixes[plugin]!r}"
        for plugin, migration_set in sets
        for migration in migration_set.migrations
        for statement in migration.statements
        for table in _CREATED.findall(statement)
        if not prefixes[plugin] or not table.startswith(prefixes[plugin])
    )
    ours = MigrationSet(name="fintech-kernel", migrations=MIGRATIONS)
    return (ours, *(migration_set for _, migration_set in sets))


async def apply_migrations(database: Database, sets: Sequence[MigrationSet]) -> None:
    """Apply what is pending; safe when several processes start at once.

    Raises:
        MigrationRefused: a migration was changed after it was applied.
        DatabaseError: the database did not do it.
    """
    for one in sets:
        report = await migrate(database, one.name, one.migrations)
        logger.info("migrations checked", distribution=one.name, count=len(report.applied))


def _misnamed(names: Sequence[str]) -> list[str]:
    """Return a fault for each name with other characters than ids have: accounts and keys hold them."""
    return [
        f"processor or rail {name!r} must be named with {OBJECT_ID.pattern}"
        for name in names
        if not OBJECT_ID.fullmatch(name)
    ]


def _denial_counter(context: AppContext) -> OnDenied:
    def count(denial: Denial) -> None:
        context.metrics.requests_denied.labels(denial.reason).inc()
        context.denials.note(denial)

    return count


def _both(first: OnCall, second: OnCall | None) -> OnCall:
    """Return one listener of two."""

    def on_call(record: CallRecord) -> None:
        first(record)
        if second is not None:
            second(record)

    return on_call


def _token_issuer(
    settings: KernelSettings, clock: Clock, identifiers: Identifiers, keys: KeySet
) -> TokenIssuer | None:
    """Return an issuer where this deployment holds a signing key; None where it only verifies."""
    return TokenIssuer(settings, clock, identifiers, keys) if keys.can_sign else None


def _client_credentials(context: AppContext) -> ClientCredentials | None:
    """Return who grants tokens where somebody keeps API keys and a key signs here."""
    if context.token_issuer is None or context.services.find(CredentialDirectory) is None:
        return None
    return ClientCredentials(
        access=context.access, issuer=context.token_issuer, clock=context.clock
    )


def _mount_routes(app: FastAPI, host: PluginHost, context: AppContext) -> None:
    """Include every router under its plugin's prefix and check the rules of routes.

    Raises:
        StartupFault: all routes that break a rule, where the host is not patient.
    """
    checks = [_database_check(context.database), *host.health_checks(context)]
    prefixes = Prefixes(app)
    prefixes.include(health.health_router(checks))
    prefixes.include(operations.operations_router())
    prefixes.include(audit.audit_router())
    prefixes.include(auth.auth_router())
    prefixes.include(auth.jwks_router())
    public = [*health.PUBLIC, *auth.PUBLIC]
    credentials = _client_credentials(context)
    if credentials is not None:
        prefixes.include(token_grants.token_router(credentials))
        public += token_grants.PUBLIC
    if context.settings.metrics_served:
        prefixes.include(metrics.metrics_router(context.metrics))
        public += metrics.PUBLIC
    app.openapi_tags = [
        {"name": "health", "description": "Whether the process runs and can serve."},
        {"name": "operations", "description": "What became of a request, by its operation."},
        audit.TAG,
        auth.TAG,
    ]
    for declared in host.routes(context):
        mount = cast("RouteMount", declared.item)
        prefix = declared.plugin.manifest.route_prefix + mount.prefix
        prefixes.include(mount.router, prefix=prefix, tag=mount.tag)
        app.openapi_tags.append({"name": mount.tag, "description": mount.tag_description})
        public += mount.public
    host.note(
        route_faults(
            app,
            permissions=context.permissions.names(),
            public=public,
            owners={one.manifest.route_prefix: one.distribution for one in host.plugins},
        )
    )


def _database_check(database: Database) -> HealthCheck:
    async def check() -> None:
        await database.health()

    return HealthCheck(name="database", check=check)


def _lifespan(context: AppContext, sets: Sequence[MigrationSet], jobs: JobRunner):  # noqa: ANN202 - the context manager's type says it
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        if context.settings.app_migrate_on_start:
            await apply_migrations(context.database, sets)
        await context.events.announce()
        jobs.start()
        try:
            yield
        finally:
            await jobs.stop()
            await context.operations.drain()
            await run_once(context.denials.job())
            await context.database.close()
            await asyncio.to_thread(context.tracing.close)

    return lifespan
