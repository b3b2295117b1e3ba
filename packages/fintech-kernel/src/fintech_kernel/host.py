"""The plugin host: finds plugins, checks them, and collects what they declare.

The only module that imports pluggy's manager. pluggy is used once, synchronously, at start-up: each
implementation is called in its own ``try``, for plugins sorted by name; what it returns is checked.
All faults are listed at once, because a payments server without its audit plugin is not "degraded", it
is wrong. A plugin at fault is asked nothing further; the others are, so that their faults show too.
"""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import Distribution, EntryPoint, entry_points
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast

import pluggy

from fintech_kernel import hooks
from fintech_kernel.compatibility import compatibility_lines
from fintech_kernel.errors import StartupFault
from fintech_kernel.hooks import (
    AuditSink,
    CloseCheck,
    CommandGroup,
    ErrorMapping,
    EventHandler,
    FintechHooks,
    GaugeSet,
    HealthCheck,
    Job,
    MigrationSet,
    OperationHandler,
    PayoutRailSpec,
    Permission,
    PluginManifest,
    ProcessorSpec,
    PublicEvent,
    RouteMount,
    ServiceProvider,
    SettingsSpec,
)
from fintech_kernel.observability.gauges import gauge_faults
from fintech_kernel.plugins import Declared, Plugin, clashes, duplicates, origin

if TYPE_CHECKING:
    from fintech_kernel.context import AppContext


class Named(Protocol):
    """A declaration."""

    @property
    def name(self) -> str:
        """Its name: unique among declarations of its hook."""
        ...


Item = TypeVar("Item", bound=Named)


class PluginHost:
    """Plugins, checked. Methods named for the hooks return their declarations, checked.

    Each raises ``StartupFault`` with all faults of its hook. A patient host (``create_app``) notes them
    instead and goes on without the plugins at fault, until it is told to ``refuse_faults``.
    """

    def __init__(
        self,
        plugins: Mapping[str, tuple[object, Distribution | None]],
        *,
        faults: Sequence[str] = (),
        is_patient: bool = False,
    ) -> None:
        """Register plugins by name.

        Args:
            plugins: what was loaded, by name.
            faults: what went wrong with others that could not be loaded.
            is_patient: note faults, do not raise them one stage after the other.

        Raises:
            StartupFault: an unknown hook, a missing or second manifest, a clash of names or prefixes,
                a dependency out of range.
        """
        self._manager = pluggy.PluginManager(hooks.PROJECT)
        self._manager.add_hookspecs(FintechHooks)
        self._distributions = {name: found for name, (_, found) in plugins.items()}
        self._is_patient = is_patient
        self._faults: list[str] = []
        self._at_fault: set[str] = set()
        noted = [*faults]
        for name, (plugin, _) in sorted(plugins.items()):
            self._register(name, plugin, noted)
        self._plugins = self._load_manifests(sorted(plugins), noted)
        self.compatibility = tuple(
            line
            for plugin in self._plugins
            if (found := self._distributions.get(plugin.name)) is not None
            for line in compatibility_lines(plugin.name, found.requires or ())
        )
        for line in self.compatibility:
            if not line.is_met:
                self._at_fault.add(line.plugin)
                noted.append(
                    f"plugin {line.plugin!r} needs {line.needs}, found {line.found}:"
                    " install a version in range"
                )
        self.note(noted)

    @classmethod
    def installed(cls, *, is_patient: bool = False) -> "PluginHost":
        """Load every plugin of the entry-point group ``fintech.plugins``.

        Raises:
            StartupFault: all plugins that cannot be imported, or whose names occur twice, at once.
        """
        points = entry_points(group=hooks.ENTRY_POINT_GROUP)
        return cls.from_entry_points(points, is_patient=is_patient)

    @classmethod
    def from_entry_points(
        cls, points: Iterable[EntryPoint], *, is_patient: bool = False
    ) -> "PluginHost":
        """Load plugins from entry points.

        Raises:
            StartupFault: see ``installed``.
        """
        loaded: dict[str, tuple[object, Distribution | None]] = {}
        origins: dict[str, str] = {}
        faults: list[str] = []
        for point in sorted(points, key=lambda point: point.name):
            offering = point.dist.name if point.dist else "an unknown distribution"
            if point.name in origins:
                faults.append(
                    f"plugin {point.name!r} is offered by {origins[point.name]} and by {offering}:"
                    " uninstall one of them"
                )
                loaded.pop(point.name, None)
                continue
            origins[point.name] = offering
            try:
                loaded[point.name] = (point.load(), point.dist)
            except Exception as error:  # noqa: BLE001 - the host's task is to name the plugin at fault
                faults.append(
                    f"plugin {point.name!r} of {offering} cannot be imported:"
                    f" {type(error).__name__}: {error}; repair or uninstall it"
                )
        return cls(loaded, faults=faults, is_patient=is_patient)

    @classmethod
    def of(
        cls, plugins: Sequence[ModuleType | object], *, is_patient: bool = False
    ) -> "PluginHost":
        """Use these plugins and no others; each is named by its manifest (tests, embedding).

        Raises:
            StartupFault: see the constructor.
        """
        named: dict[str, tuple[object, Distribution | None]] = {}
        for plugin in plugins:
            name = str(getattr(plugin, "__name__", type(plugin).__name__))
            named[name] = (plugin, None)
        return cls(named, is_patient=is_patient)

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """The loaded plugins, sorted by name."""
        return self._plugins

    @property
    def faults(self) -> tuple[str, ...]:
        """What a patient host has noted so far."""
        return tuple(self._faults)

    def note(self, faults: Iterable[str]) -> None:
        """Take faults that were found: a patient host keeps them.

        Raises:
            StartupFault: the host is not patient, and there are any.
        """
        self._faults += faults
        if self._faults and not self._is_patient:
            self.refuse_faults()

    def refuse_faults(self, *more: str) -> None:
        """End the start where anything is wrong.

        Raises:
            StartupFault: all faults that were noted, then these.
        """
        faults = list(dict.fromkeys([*self._faults, *more]))
        self._faults = []
        if faults:
            raise StartupFault(faults)

    def settings(self) -> list[SettingsSpec]:
        """Collect ``fintech_settings``."""
        return self._items("fintech_settings", SettingsSpec)

    def permissions(self) -> list[Permission]:
        """Collect ``fintech_permissions``."""
        return self._items("fintech_permissions", Permission)

    def permissions_by_plugin(self) -> list[tuple[str, Permission]]:
        """Collect ``fintech_permissions``, with the plugin that declares each."""
        declared = self._collect("fintech_permissions", Permission)
        return [(one.plugin.name, cast("Permission", one.item)) for one in declared]

    def migrations_by_plugin(self) -> list[tuple[str, MigrationSet]]:
        """Collect ``fintech_migrations``, with the plugin of each set (its tables bear its prefix)."""
        declared = self._collect("fintech_migrations", MigrationSet)
        return [(one.plugin.name, cast("MigrationSet", one.item)) for one in declared]

    def errors(self) -> list[ErrorMapping]:
        """Collect ``fintech_errors``."""
        return self._items("fintech_errors", ErrorMapping)

    def public_events(self) -> list[PublicEvent]:
        """Collect ``fintech_public_events``."""
        return self._items("fintech_public_events", PublicEvent)

    def commands(self) -> list[CommandGroup]:
        """Collect ``fintech_commands``."""
        return self._items("fintech_commands", CommandGroup)

    def processors(self, context: "AppContext") -> list[ProcessorSpec]:
        """Collect ``fintech_processors``."""
        return self._items("fintech_processors", ProcessorSpec, context)

    def payout_rails(self, context: "AppContext") -> list[PayoutRailSpec]:
        """Collect ``fintech_payout_rails``."""
        return self._items("fintech_payout_rails", PayoutRailSpec, context)

    def operations(self, context: "AppContext") -> list[OperationHandler]:
        """Collect ``fintech_operations``."""
        return self._items("fintech_operations", OperationHandler, context)

    def event_handlers(self, context: "AppContext") -> list[EventHandler]:
        """Collect ``fintech_event_handlers``."""
        return self._items("fintech_event_handlers", EventHandler, context)

    def audit_sinks(self, context: "AppContext") -> list[AuditSink]:
        """Collect ``fintech_audit_sinks``."""
        return self._items("fintech_audit_sinks", AuditSink, context)

    def health_checks(self, context: "AppContext") -> list[HealthCheck]:
        """Collect ``fintech_health_checks``."""
        return self._items("fintech_health_checks", HealthCheck, context)

    def jobs(self, context: "AppContext") -> list[Job]:
        """Collect ``fintech_jobs``."""
        return self._items("fintech_jobs", Job, context)

    def gauge_sets(self, context: "AppContext") -> list[GaugeSet]:
        """Collect ``fintech_metrics``.

        Raises:
            StartupFault: a gauge of another plugin's or the kernel's name, or labels that are no words.
        """
        declared = self._collect("fintech_metrics", GaugeSet, context)
        sets = [cast("GaugeSet", one.item) for one in declared]
        faults = [
            f"fintech_metrics of plugin {one.plugin.name!r}: {fault}"
            for one, gauges in zip(declared, sets, strict=True)
            for fault in gauge_faults(gauges, prefix=f"fintech_{one.plugin.manifest.name}_")
        ]
        if faults:
            raise StartupFault(faults)
        return sets

    def close_checks(self, context: "AppContext") -> list[CloseCheck]:
        """Collect ``fintech_close_checks``."""
        return self._items("fintech_close_checks", CloseCheck, context)

    def routes(self, context: "AppContext") -> list[Declared]:
        """Collect ``fintech_routes``, with the plugin of each mount (its prefix is the plugin's)."""
        return self._collect("fintech_routes", RouteMount, context)

    def build_services(
        self, context: "AppContext", *, replaced: Mapping[type[Any], object] = MappingProxyType({})
    ) -> None:
        """Build every service into ``context.services``, each after what it requires and wants.

        ``replaced`` are used as they are, by protocol, in the place of what would be built.

        Raises:
            StartupFault: see ``service_providers``; whatever a service cannot be built for.
        """
        for one in self._ordered_providers():
            provider = cast("ServiceProvider", one.item)
            lacking = [
                needed for needed in provider.requires if context.services.find(needed) is None
            ]
            if lacking or one.plugin.name in self._at_fault:
                self._at_fault.add(one.plugin.name)
                continue
            try:
                given = replaced.get(provider.provides)
                built = provider.build(context) if given is None else given
                context.services.add(provider.provides, built)
            except StartupFault as fault:
                self._at_fault.add(one.plugin.name)
                self.note(fault.faults)

    def service_providers(self) -> list[ServiceProvider]:
        """Collect ``fintech_services`` in dependency order.

        Raises:
            StartupFault: a required protocol without provider, two providers, or a cycle.
        """
        return [cast("ServiceProvider", one.item) for one in self._ordered_providers()]

    def _ordered_providers(self) -> list[Declared]:
        declared = self._collect("fintech_services", ServiceProvider)
        providers: dict[type[Any], Declared] = {}
        faults: list[str] = []
        for one in declared:
            other = providers.setdefault(one.item.provides, one)
            if other is not one:
                self._at_fault.add(one.plugin.name)
                faults.append(
                    f"{one.item.provides.__name__} is provided by {origin(other.plugin)} and by"
                    f" {origin(one.plugin)}: uninstall one of them"
                )
        for one in declared:
            for needed in one.item.requires:
                if needed not in providers:
                    self._at_fault.add(one.plugin.name)
                    hint = PROVIDER_HINTS.get(needed.__name__, "a package that provides it")
                    faults.append(
                        f"{origin(one.plugin)} needs {needed.__name__}, which nothing installed"
                        f" provides: install {hint}"
                    )
        self.note(faults)
        graph = {
            protocol: [
                needed for needed in (*one.item.requires, *one.item.wants) if needed in providers
            ]
            for protocol, one in providers.items()
        }
        try:
            return [providers[protocol] for protocol in TopologicalSorter(graph).static_order()]
        except CycleError as error:
            names = " -> ".join(protocol.__name__ for protocol in error.args[1])
            self.refuse_faults(f"services need one another in a circle: {names}")
            raise  # refuse_faults has raised

    def _register(self, name: str, plugin: object, faults: list[str]) -> None:
        try:
            self._manager.register(plugin, name=name)
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            faults.append(f"plugin {name!r}: {_in_one_line(error)}")
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)

    def _load_manifests(self, names: Sequence[str], faults: list[str]) -> tuple[Plugin, ...]:
        plugins: list[Plugin] = []
        for name in names:
            plugin = self._manager.get_plugin(name)
            if plugin is None:
                continue
            callers = self._manager.get_hookcallers(plugin) or []
            used = tuple(sorted(caller.name for caller in callers))
            manifests: list[Any] = []
            for implementation in self._manager.hook.fintech_plugins.get_hookimpls():
                if implementation.plugin_name == name:
                    manifests = self._call("fintech_plugins", name, implementation, (), faults)
            if len(manifests) != 1 or not isinstance(manifests[0], PluginManifest):
                faults.append(
                    f"plugin {name!r} must yield exactly one PluginManifest from fintech_plugins"
                )
                continue
            found = self._distributions.get(name)
            plugins.append(
                Plugin(
                    name=name,
                    distribution=found.name if found else name,
                    version=found.version if found else "",
                    hooks=used,
                    manifest=manifests[0],
                )
            )
        for clash, name in clashes(plugins):
            faults.append(clash)
            self._at_fault.add(name)
        return tuple(plugins)

    def _items(self, hook: str, item_type: type[Item], *arguments: object) -> list[Item]:
        return [cast("Item", one.item) for one in self._collect(hook, item_type, *arguments)]

    def _collect(self, hook: str, item_type: type[Any], *arguments: object) -> list[Declared]:
        """Call a hook of every plugin, sorted by name, and check what comes back.

        Raises:
            StartupFault: every implementation that raised, every wrong item, every duplicate name.
        """
        faults: list[str] = []
        declared: list[Declared] = []
        asked = {one.name: one for one in self._plugins if one.name not in self._at_fault}
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        for implementation in sorted(caller.get_hookimpls(), key=lambda one: one.plugin_name):
            plugin = asked.get(implementation.plugin_name)
            if plugin is None:
                continue
            for item in self._call(hook, plugin.name, implementation, arguments, faults):
                if isinstance(item, item_type):
                    declared.append(Declared(plugin=plugin, item=item))
                else:
                    self._at_fault.add(plugin.name)
                    faults.append(
                        f"{hook} of plugin {plugin.name!r} yielded {type(item).__name__},"
                        f" not {item_type.__name__}"
                    )
        twice = duplicates(hook, declared)
        faults += [line for line, _ in twice]
        self._at_fault.update(second.plugin.name for _, second in twice)
        self.note(faults)
        return [one for one in declared if all(one is not second for _, second in twice)]

    def _call(
        self,
        hook: str,
        name: str,
        implementation: pluggy.HookImpl,
        arguments: Sequence[object],
        faults: list[str],
    ) -> list[Any]:
        """Call one implementation in its own ``try``."""
        try:
            returned: Any = implementation.function(*arguments[: len(implementation.argnames)])
            if inspect.isawaitable(returned) or inspect.isasyncgen(returned):
                if inspect.iscoroutine(returned):
                    returned.close()
                self._at_fault.add(name)
                faults.append(f"{hook} of plugin {name!r} must not be async")
                return []
            return list(returned or ())
        except Exception as error:  # noqa: BLE001 - the host's task is to name the plugin at fault
            self._at_fault.add(name)
            faults.append(f"{hook} of plugin {name!r} raised {type(error).__name__}: {error}")
            return []


PROVIDER_HINTS: Final[Mapping[str, str]] = {
    "Ledger": "fintech-ledger",
    "MerchantDirectory": "fintech-merchants",
}
"""Which package of ours provides what, for the error message."""


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())
