"""The plugin host: finds plugins, checks them, and collects what they declare.

The only module that imports pluggy's manager. pluggy is used once, synchronously, at start-up: each
implementation is called in its own ``try``, for plugins sorted by name; what it returns is checked.
All faults of a stage are listed at once, because a payments server without its audit plugin is not
"degraded", it is wrong.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, entry_points, version
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast

import pluggy
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fintech_kernel import hooks
from fintech_kernel.errors import StartupFault
from fintech_kernel.hooks import (
    AuditSink,
    CloseCheck,
    CommandGroup,
    ErrorMapping,
    EventHandler,
    FintechHooks,
    HealthCheck,
    Job,
    MigrationSet,
    OperationHandler,
    PayoutRailSpec,
    Permission,
    PluginManifest,
    ProcessorSpec,
    RouteMount,
    ServiceProvider,
    SettingsSpec,
)

if TYPE_CHECKING:
    from fintech_kernel.context import AppContext

CHECKED_REQUIREMENTS: Final = ("fintech-", "pluggy")
"""Distributions whose declared ranges are checked against what is installed."""


class Named(Protocol):
    """A declaration."""

    @property
    def name(self) -> str:
        """Its name: unique among declarations of its hook."""
        ...


Item = TypeVar("Item", bound=Named)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A loaded plugin and where it came from."""

    name: str
    distribution: str
    version: str
    hooks: tuple[str, ...]
    manifest: PluginManifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A declaration with the plugin that made it."""

    plugin: Plugin
    item: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Compatibility:
    """One line of the table plugin / needs / found."""

    plugin: str
    needs: str
    found: str
    is_met: bool


class PluginHost:
    """Plugins, checked. Methods named for the hooks return their declarations, checked."""

    def __init__(self, plugins: Mapping[str, tuple[object, Distribution | None]]) -> None:
        """Register plugins by name.

        Raises:
            StartupFault: an unknown hook, a missing or second manifest, a clash of names or prefixes,
                a dependency out of range.
        """
        self._manager = pluggy.PluginManager(hooks.PROJECT)
        self._manager.add_hookspecs(FintechHooks)
        self._distributions = {name: origin for name, (_, origin) in plugins.items()}
        faults: list[str] = []
        for name, (plugin, _) in sorted(plugins.items()):
            self._register(name, plugin, faults)
        self._plugins = self._load_manifests(sorted(plugins), faults)
        self.compatibility = tuple(self._compatibility_lines())
        faults += [
            f"plugin {line.plugin!r} needs {line.needs}, found {line.found}: install a version in range"
            for line in self.compatibility
            if not line.is_met
        ]
        if faults:
            raise StartupFault(faults)

    @classmethod
    def installed(cls) -> "PluginHost":
        """Load every plugin of the entry-point group ``fintech.plugins``.

        Raises:
            StartupFault: all plugins that cannot be imported, or whose names occur twice, at once.
        """
        return cls.from_entry_points(entry_points(group=hooks.ENTRY_POINT_GROUP))

    @classmethod
    def from_entry_points(cls, points: Iterable[EntryPoint]) -> "PluginHost":
        """Load plugins from entry points.

        Raises:
            StartupFault: see ``installed``.
        """
        loaded: dict[str, tuple[object, Distribution | None]] = {}
        origins: dict[str, str] = {}
        faults: list[str] = []
        for point in sorted(points, key=lambda point: point.name):
            origin = point.dist.name if point.dist else "an unknown distribution"
            if point.name in origins:
                faults.append(
                    f"plugin {point.name!r} is offered by {origins[point.name]} and by {origin}:"
                    " uninstall one of them"
                )
                continue
            origins[point.name] = origin
            try:
                loaded[point.name] = (point.load(), point.dist)
            except Exception as error:  # noqa: BLE001 - the host's task is to name the plugin at fault
                faults.append(
                    f"plugin {point.name!r} of {origin} cannot be imported:"
                    f" {type(error).__name__}: {error}; repair or uninstall it"
                )
        if faults:
            raise StartupFault(faults)
        return cls(loaded)

    @classmethod
    def of(cls, plugins: Sequence[ModuleType | object]) -> "PluginHost":
        """Use these plugins and no others; each is named by its manifest (tests, embedding).

        Raises:
            StartupFault: see the constructor.
        """
        named: dict[str, tuple[object, Distribution | None]] = {}
        for plugin in plugins:
            name = str(getattr(plugin, "__name__", type(plugin).__name__))
            named[name] = (plugin, None)
        return cls(named)

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """The loaded plugins, sorted by name."""
        return self._plugins

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

    def close_checks(self, context: "AppContext") -> list[CloseCheck]:
        """Collect ``fintech_close_checks``."""
        return self._items("fintech_close_checks", CloseCheck, context)

    def routes(self, context: "AppContext") -> list[Declared]:
        """Collect ``fintech_routes``, with the plugin of each mount (its prefix is the plugin's)."""
        return self._collect("fintech_routes", RouteMount, context)

    def service_providers(self) -> list[ServiceProvider]:
        """Collect ``fintech_services`` in dependency order.

        Raises:
            StartupFault: a required protocol without provider, two providers, or a cycle.
        """
        declared = self._collect("fintech_services", ServiceProvider)
        providers: dict[type[Any], Declared] = {}
        faults: list[str] = []
        for one in declared:
            other = providers.get(one.item.provides)
            if other is not None:
                faults.append(
                    f"{one.item.provides.__name__} is provided by {_origin(other.plugin)} and by"
                    f" {_origin(one.plugin)}: uninstall one of them"
                )
            providers[one.item.provides] = one
        for one in declared:
            faults += [
                f"{_origin(one.plugin)} needs {needed.__name__}, which nothing installed provides:"
                f" install {PROVIDER_HINTS.get(needed.__name__, 'a package that provides it')}"
                for needed in one.item.requires
                if needed not in providers
            ]
        if faults:
            raise StartupFault(faults)
        graph = {
            one.item.provides: [
                *one.item.requires,
                *(wanted for wanted in one.item.wants if wanted in providers),
            ]
            for one in declared
        }
        try:
            order = tuple(TopologicalSorter(graph).static_order())
        except CycleError as error:
            names = " -> ".join(protocol.__name__ for protocol in error.args[1])
            raise StartupFault([f"services need one another in a circle: {names}"]) from error
        return [cast("ServiceProvider", providers[protocol].item) for protocol in order]

    def _register(self, name: str, plugin: object, faults: list[str]) -> None:
        try:
            self._manager.register(plugin, name=name)
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            faults.append(f"plugin {name!r}: {error}")
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
            origin = self._distributions.get(name)
            plugins.append(
                Plugin(
                    name=name,
                    distribution=origin.name if origin else name,
                    version=origin.version if origin else "",
                    hooks=used,
                    manifest=manifests[0],
                )
            )
        faults += _clashes(plugins, "name", lambda plugin: plugin.manifest.name)
        faults += _clashes(plugins, "table prefix", lambda plugin: plugin.manifest.table_prefix)
        faults += _clashes(plugins, "route prefix", lambda plugin: plugin.manifest.route_prefix)
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
        plugins = {plugin.name: plugin for plugin in self._plugins}
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        for implementation in sorted(caller.get_hookimpls(), key=lambda one: one.plugin_name):
            plugin = plugins[implementation.plugin_name]
            for item in self._call(hook, plugin.name, implementation, arguments, faults):
                if isinstance(item, item_type):
                    declared.append(Declared(plugin=plugin, item=item))
                else:
                    faults.append(
                        f"{hook} of plugin {plugin.name!r} yielded {type(item).__name__},"
                        f" not {item_type.__name__}"
                    )
        faults += _duplicates(hook, declared)
        if faults:
            raise StartupFault(faults)
        return declared

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
                faults.append(f"{hook} of plugin {name!r} must not be async")
                return []
            return list(returned or ())
        except Exception as error:  # noqa: BLE001 - the host's task is to name the plugin at fault
            faults.append(f"{hook} of plugin {name!r} raised {type(error).__name__}: {error}")
            return []

    def _compatibility_lines(self) -> Iterable[Compatibility]:
        for plugin in self._plugins:
            origin = self._distributions.get(plugin.name)
            for text in (origin.requires if origin else None) or ():
                requirement = Requirement(text)
                if not canonicalize_name(requirement.name).startswith(CHECKED_REQUIREMENTS):
                    continue
                if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
                    continue
                yield _compatibility(plugin.name, requirement)


PROVIDER_HINTS: Final[Mapping[str, str]] = {
    "Ledger": "fintech-ledger",
    "MerchantDirectory": "fintech-merchants",
}
"""Which package of ours provides what, for the error message."""


def _compatibility(plugin: str, requirement: Requirement) -> Compatibility:
    needs = f"{requirement.name}{requirement.specifier}"
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return Compatibility(plugin=plugin, needs=needs, found="nothing", is_met=False)
    is_met = requirement.specifier.contains(found, prereleases=True)
    return Compatibility(plugin=plugin, needs=needs, found=found, is_met=is_met)


def _duplicates(hook: str, declared: Sequence[Declared]) -> list[str]:
    seen: dict[str, Declared] = {}
    faults: list[str] = []
    for one in declared:
        other = seen.setdefault(one.item.name, one)
        if other is not one:
            faults.append(
                f"{hook}: {one.item.name!r} is declared by {_origin(other.plugin)} and by"
                f" {_origin(one.plugin)}"
            )
    return faults


def _clashes(plugins: Sequence[Plugin], what: str, value: Callable[[Plugin], str]) -> list[str]:
    seen: dict[str, Plugin] = {}
    faults: list[str] = []
    for plugin in plugins:
        if not value(plugin):
            continue
        other = seen.setdefault(value(plugin), plugin)
        if other is not plugin:
            faults.append(
                f"{what} {value(plugin)!r} is used by {_origin(other)} and by {_origin(plugin)}"
            )
    return faults


def _origin(plugin: Plugin) -> str:
    return plugin.distribution if plugin.distribution != plugin.name else f"plugin {plugin.name!r}"
