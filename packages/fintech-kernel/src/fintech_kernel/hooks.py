"""The hooks of a fintech plugin: what the host asks for, once, at start-up.

Each hook returns typed declarations (frozen dataclasses with a ``name``) that may carry async
callables. All hooks are called synchronously, in the order written here, for plugins sorted by name;
none is called while a request runs. A plugin is a module (or object) with functions marked
``@hookimpl``; it is found through the entry-point group ``fintech.plugins``.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pluggy
from fintech_dbclient import Migration, Statement

from fintech_kernel.canonical import Json
from fintech_kernel.errors import FintechError

if TYPE_CHECKING:
    import typer
    from fastapi import APIRouter
    from pydantic_settings import BaseSettings

    from fintech_kernel.context import AppContext
    from fintech_kernel.contracts.closing import ClosePeriod, Obstacle
    from fintech_kernel.contracts.payouts import PayoutRail
    from fintech_kernel.contracts.processors import Processor
    from fintech_kernel.domain.execution import Execution, Finished
    from fintech_kernel.domain.journal import Entry

PROJECT: Final = "fintech"
ENTRY_POINT_GROUP: Final = "fintech.plugins"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

EVENT_TIMEOUT_SECONDS: Final = 10.0
EVENT_ATTEMPTS_MAX: Final = 12
AUDIT_TIMEOUT_SECONDS: Final = 10.0
HEALTH_TIMEOUT_SECONDS: Final = 2.0
JOB_TIMEOUT_SECONDS: Final = 60.0
GAUGES_TIMEOUT_SECONDS: Final = 5.0
CLOSE_TIMEOUT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginManifest:
    """Who a plugin is. Its tables start with ``table_prefix`` and its routes with ``route_prefix``."""

    name: str
    summary: str
    table_prefix: str
    route_prefix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsSpec:
    """A pydantic-settings model; all of them are validated together, all faults shown at once."""

    name: str
    model: "type[BaseSettings]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """A permission ``resource:action`` and the roles that have it."""

    name: str
    summary: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationSet:
    """A plugin's migrations, numbered from 1. ``name`` is the package's."""

    name: str
    migrations: tuple[Migration, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceProvider:
    """Builds the one implementation of a protocol.

    ``requires`` are built before it and must be there; ``wants`` are built before it where they are.
    """

    name: str
    provides: type[Any]
    requires: tuple[type[Any], ...]
    build: "Callable[[AppContext], object]"
    wants: tuple[type[Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """A status and a JSON body."""

    status: int
    body: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationHandler:
    """How operations of one kind run and are shown.

    ``run`` is domain: it decides, acts and ends with ``execution.conclude(...)`` or
    ``execution.finish(...)``. A ``Refusal`` that it raises before it decided anything is recorded and
    is the outcome. ``opening`` names the statements that it needs first; they travel with
    the claim in one trip. ``present`` is a pure function of the API layer: a stored result to status
    and body, the same for the first answer, replays and recovery. ``name`` is the kind.

    ``version`` is that of the requests and results that it writes. Operations of the version before are
    run and shown, too, so that servers of both can work side by side while one replaces the other;
    ``execution.version`` tells them apart. Others are left to a server that knows them.
    """

    name: str
    version: int
    run: "Callable[[Execution], Awaitable[Finished]]"
    present: Callable[[Mapping[str, Any]], Presented]
    opening: Callable[[Mapping[str, Any], str], Sequence[Statement]] = lambda _request, _operation: ()

    def accepts(self, version: int) -> bool:
        """Whether it can run and show what was stored with this version."""
        return version in (self.version, self.version - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorSpec:
    """A processor that payments can use."""

    name: str
    processor: "Processor"


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutRailSpec:
    """A rail that settlements can pay through."""

    name: str
    rail: "PayoutRail"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteMount:
    """A router under the plugin's prefix. ``public`` lists operation names that need no permission."""

    name: str
    router: "APIRouter"
    tag: str
    tag_description: str
    prefix: str = ""
    public: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventHandler:
    """Wants journal entries whose type matches ``event`` (``payment.captured`` or ``payment.*``).

    Called at least once per entry, in order per stream; idempotent by ``entry.entry_id``. A failing
    or hanging handler delays nobody else; after ``attempts_max`` attempts its delivery is dead-lettered.
    ``stands`` is asked once for many entries, before they are delivered: of which of them is everything
    that ``handle`` would do done already? It returns their ids, and they count as delivered. What it
    raises is logged, and all are delivered.
    """

    name: str
    event: str
    handle: "Callable[[Entry], Awaitable[None]]"
    timeout_seconds: float = EVENT_TIMEOUT_SECONDS
    attempts_max: int = EVENT_ATTEMPTS_MAX
    stands: "Callable[[Sequence[Entry]], Awaitable[Collection[str]]] | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSink:
    """Receives every journal entry, with the same guarantees as an event handler."""

    name: str
    write: "Callable[[Entry], Awaitable[None]]"
    timeout_seconds: float = AUDIT_TIMEOUT_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """Raises when unhealthy. A failing critical check makes ``/health/ready`` answer 503."""

    name: str
    check: Callable[[], Awaitable[None]]
    critical: bool = True
    timeout_seconds: float = HEALTH_TIMEOUT_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Runs in every process, repeatedly; any number of processes may run it at once.

    ``rest_seconds`` pass between two runs even where it is asked for sooner.
    """

    name: str
    run: Callable[[], Awaitable[None]]
    every_seconds: float
    timeout_seconds: float = JOB_TIMEOUT_SECONDS
    rest_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """A number that is read from tables, such as how many settlements wait to be paid.

    ``name`` starts with ``fintech_<plugin>_``. ``labels`` are named words of the code (a status, a kind):
    never an id, never what somebody sent.
    """

    name: str
    summary: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a gauge is now, for these values of its labels, in their order."""

    gauge: str
    value: float
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GaugeSet:
    """Gauges that one ``read`` fills. It is called by a job, never because somebody asks for metrics.

    What ``read`` returns replaces everything that the gauges of the set were; its queries are bounded,
    whatever the tables hold. Where it fails the gauges stay what they were, and their age tells.
    """

    name: str
    gauges: tuple[Gauge, ...]
    read: Callable[[], Awaitable[Sequence[Sample]]]
    timeout_seconds: float = GAUGES_TIMEOUT_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseCheck:
    """Says what a period's close has to wait for. It looks and changes nothing.

    ``check`` returns an ``Obstacle`` for each reason; none where nothing is in the way. A check that raises
    or takes longer than ``timeout_seconds`` is an obstacle itself.
    """

    name: str
    check: "Callable[[ClosePeriod], Awaitable[Sequence[Obstacle]]]"
    timeout_seconds: float = CLOSE_TIMEOUT_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandGroup:
    """A Typer app mounted as ``fintech <name> ...``."""

    name: str
    app: "typer.Typer"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorMapping:
    """The HTTP status of a domain error; code and title are the error class's own. ``name`` is the code."""

    name: str
    error: type[FintechError]
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicEvent:
    """A type of journal entry that may be told to the merchant in whose stream it stands.

    ``name`` is the entry's type; of its data only ``fields`` are told. What is not declared stays inside.
    """

    name: str
    summary: str
    fields: tuple[str, ...] = ()


class FintechHooks:
    """The hook specifications. Every hook yields declarations; returning an empty list is fine."""

    @hookspec
    def fintech_plugins(self) -> Sequence[PluginManifest]:  # pyright: ignore[reportReturnType] - a specification has no body
        """Exactly one manifest. Called first, before settings are read."""

    @hookspec
    def fintech_settings(self) -> Sequence[SettingsSpec]:  # pyright: ignore[reportReturnType] - see above
        """Settings models. Called once, before anything is built."""

    @hookspec
    def fintech_permissions(self) -> Sequence[Permission]:  # pyright: ignore[reportReturnType] - see above
        """Permissions of the plugin's resources, with the roles that have them."""

    @hookspec
    def fintech_migrations(self) -> Sequence[MigrationSet]:  # pyright: ignore[reportReturnType] - see above
        """Numbered lists of single statements; applied in the order of plugin names."""

    @hookspec
    def fintech_errors(self) -> Sequence[ErrorMapping]:  # pyright: ignore[reportReturnType] - see above
        """Domain errors and their HTTP statuses."""

    @hookspec
    def fintech_public_events(self) -> Sequence[PublicEvent]:  # pyright: ignore[reportReturnType] - see above
        """Events that merchants may be told of, and which of their data."""

    @hookspec
    def fintech_services(self) -> Sequence[ServiceProvider]:  # pyright: ignore[reportReturnType] - see above
        """Services, built in dependency order. A missing provider is a start-up fault."""

    @hookspec
    def fintech_processors(self, context: "AppContext") -> Sequence[ProcessorSpec]:  # pyright: ignore[reportReturnType] - see above
        """Processors. Called before services are built; ``context.services`` is empty then."""

    @hookspec
    def fintech_payout_rails(self, context: "AppContext") -> Sequence[PayoutRailSpec]:  # pyright: ignore[reportReturnType] - see above
        """Payout rails. Called before services are built; ``context.services`` is empty then."""

    @hookspec
    def fintech_operations(self, context: "AppContext") -> Sequence[OperationHandler]:  # pyright: ignore[reportReturnType] - see above
        """Operation handlers. Called after services are built, like all hooks below."""

    @hookspec
    def fintech_routes(self, context: "AppContext") -> Sequence[RouteMount]:  # pyright: ignore[reportReturnType] - see above
        """Routers. Every route requires a permission or is listed ``public``."""

    @hookspec
    def fintech_event_handlers(self, context: "AppContext") -> Sequence[EventHandler]:  # pyright: ignore[reportReturnType] - see above
        """Handlers of journal entries."""

    @hookspec
    def fintech_audit_sinks(self, context: "AppContext") -> Sequence[AuditSink]:  # pyright: ignore[reportReturnType] - see above
        """Sinks of the audit trail."""

    @hookspec
    def fintech_health_checks(self, context: "AppContext") -> Sequence[HealthCheck]:  # pyright: ignore[reportReturnType] - see above
        """Checks behind ``/health/ready``."""

    @hookspec
    def fintech_jobs(self, context: "AppContext") -> Sequence[Job]:  # pyright: ignore[reportReturnType] - see above
        """Jobs, started with the server and drained when it stops."""

    @hookspec
    def fintech_metrics(self, context: "AppContext") -> Sequence[GaugeSet]:  # pyright: ignore[reportReturnType] - see above
        """Gauges of what the plugin's tables hold, read by a job."""

    @hookspec
    def fintech_close_checks(self, context: "AppContext") -> Sequence[CloseCheck]:  # pyright: ignore[reportReturnType] - see above
        """Checks that are made before a period is closed."""

    @hookspec
    def fintech_commands(self) -> Sequence[CommandGroup]:  # pyright: ignore[reportReturnType] - see above
        """Commands of the ``fintech`` program. Called without settings and without a database."""
