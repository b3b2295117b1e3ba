"""The plugin host: one fault is one line, and all of them are listed at once."""

from collections.abc import Callable
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any, Protocol

import pytest
from fintech_kernel.context import AppContext
from fintech_kernel.errors import StartupFault
from fintech_kernel.hooks import (
    EventHandler,
    Job,
    Permission,
    PluginManifest,
    ServiceProvider,
    hookimpl,
)
from fintech_kernel.host import PluginHost
from fintech_kernel.testing.apps import SETTINGS
from fintech_kernel.web.app import Overrides, build_context


def plugin(name: str, **hooks: Callable[..., Any]) -> ModuleType:
    """Return a plugin module; its manifest is made from its name unless a hook brings its own."""
    module = ModuleType(name)

    def fintech_plugins() -> list[PluginManifest]:
        return [
            PluginManifest(
                name=name, summary="test", table_prefix=f"{name}_", route_prefix=f"/v1/{name}"
            )
        ]

    for hook, function in {"fintech_plugins": fintech_plugins, **hooks}.items():
        setattr(module, hook, hookimpl(function))
    return module


def faults_of(build: Callable[[], object]) -> str:
    with pytest.raises(StartupFault) as fault:
        build()
    return "\n".join(fault.value.faults)


async def nothing() -> None:
    """A job that does nothing."""


class Greeter(Protocol):
    pass


class Singer(Protocol):
    pass


def test_declarations_come_sorted_by_plugin_name_whatever_the_order_of_registration() -> None:
    def permission(name: str) -> Callable[[], list[Permission]]:
        return lambda: [Permission(name=name, summary="", roles=("auditor",))]

    host = PluginHost.of(
        [
            plugin("b", fintech_permissions=permission("b:read")),
            plugin("a", fintech_permissions=permission("a:read")),
        ]
    )
    assert [one.name for one in host.plugins] == ["a", "b"]
    assert [one.name for one in host.permissions()] == ["a:read", "b:read"]


def test_an_unknown_hook_is_a_fault_that_names_plugin_and_hook() -> None:
    def fintech_surprises() -> list[Any]:
        return []

    faults = faults_of(lambda: PluginHost.of([plugin("odd", fintech_surprises=fintech_surprises)]))
    assert "odd" in faults
    assert "fintech_surprises" in faults


def test_a_hook_with_an_argument_that_it_is_not_given_is_a_fault() -> None:
    def jobs(database: object) -> list[Job]:
        return []

    faults = faults_of(lambda: PluginHost.of([plugin("odd", fintech_jobs=jobs)]))
    assert "database" in faults


def test_every_plugin_that_raises_is_named_at_once() -> None:
    def broken() -> list[Permission]:
        raise ValueError("no permissions today")

    host = PluginHost.of(
        [plugin("a", fintech_permissions=broken), plugin("b", fintech_permissions=broken)]
    )
    faults = faults_of(host.permissions)
    assert faults.count("fintech_permissions of plugin") == 2
    assert "ValueError: no permissions today" in faults


def test_a_wrong_item_an_awaitable_and_an_async_generator_are_refused() -> None:
    async def awaitable() -> list[Permission]:
        return []

    async def generator() -> Any:
        yield Permission(name="x:y", summary="", roles=("auditor",))

    host = PluginHost.of(
        [
            plugin("a", fintech_permissions=lambda: ["payments:read"]),
            plugin("b", fintech_permissions=awaitable),
            plugin("c", fintech_permissions=generator),
        ]
    )
    lines = faults_of(host.permissions).splitlines()
    assert lines == [
        "fintech_permissions of plugin 'a' yielded str, not Permission",
        "fintech_permissions of plugin 'b' must not be async",
        "fintech_permissions of plugin 'c' must not be async",
    ]


def test_a_name_that_is_declared_twice_is_refused_with_both_origins() -> None:
    def jobs(context: AppContext) -> list[Job]:
        return [Job(name="same", run=nothing, every_seconds=1)]

    host = PluginHost.of([plugin("a", fintech_jobs=jobs), plugin("b", fintech_jobs=jobs)])
    faults = faults_of(lambda: host.jobs(None))  # pyright: ignore[reportArgumentType] - unused by the plugins of this test
    assert faults == "fintech_jobs: 'same' is declared by plugin 'a' and by plugin 'b'"


def test_a_plugin_yields_exactly_one_manifest() -> None:
    def no_manifest() -> list[PluginManifest]:
        return []

    faults = faults_of(lambda: PluginHost.of([plugin("shy", fintech_plugins=no_manifest)]))
    assert faults == "plugin 'shy' must yield exactly one PluginManifest from fintech_plugins"


def test_names_and_prefixes_of_plugins_do_not_clash() -> None:
    def manifest() -> list[PluginManifest]:
        return [PluginManifest(name="x", summary="", table_prefix="x_", route_prefix="/v1/x")]

    faults = faults_of(
        lambda: PluginHost.of(
            [plugin("a", fintech_plugins=manifest), plugin("b", fintech_plugins=manifest)]
        )
    )
    assert faults.splitlines() == [
        "name 'x' is used by plugin 'a' and by plugin 'b'",
        "table prefix 'x_' is used by plugin 'a' and by plugin 'b'",
        "route prefix '/v1/x' is used by plugin 'a' and by plugin 'b'",
    ]


def test_services_are_built_after_what_they_require_and_want() -> None:
    def service(
        name: str, provides: type[Any], requires: tuple[type[Any], ...] = (), **more: Any
    ) -> Callable[[], list[ServiceProvider]]:
        return lambda: [
            ServiceProvider(
                name=name, provides=provides, requires=requires, build=lambda _: name, **more
            )
        ]

    host = PluginHost.of(
        [
            plugin("a", fintech_services=service("a", Singer, (Greeter,))),
            plugin("b", fintech_services=service("b", Greeter)),
        ]
    )
    assert [one.name for one in host.service_providers()] == ["b", "a"]
    wanting = PluginHost.of([plugin("a", fintech_services=service("a", Singer, wants=(Greeter,)))])
    assert [one.name for one in wanting.service_providers()] == ["a"]


def test_a_service_that_is_overridden_stands_in_for_the_one_that_the_plugin_would_build() -> None:
    def services() -> list[ServiceProvider]:
        return [
            ServiceProvider(name="greeter", provides=Greeter, requires=(), build=lambda _: "real"),
            ServiceProvider(name="singer", provides=Singer, requires=(), build=lambda _: "real"),
        ]

    context = build_context(
        PluginHost.of([plugin("a", fintech_services=services)]),
        settings={**SETTINGS, "db_base_url": "http://127.0.0.1:9"},
        overrides=Overrides(services={Greeter: "model"}),
    )

    assert context.services.get(Greeter) == "model"
    assert context.services.get(Singer) == "real"


def test_a_missing_a_doubled_and_a_circular_service_are_faults() -> None:
    def provider(
        name: str, provides: type[Any], *requires: type[Any]
    ) -> Callable[[], list[ServiceProvider]]:
        return lambda: [
            ServiceProvider(name=name, provides=provides, requires=requires, build=lambda _: name)
        ]

    missing = PluginHost.of([plugin("a", fintech_services=provider("a", Singer, Greeter))])
    assert "needs Greeter, which nothing installed provides" in faults_of(missing.service_providers)
    doubled = PluginHost.of(
        [
            plugin("a", fintech_services=provider("a", Singer)),
            plugin("b", fintech_services=provider("b", Singer)),
        ]
    )
    assert "Singer is provided by plugin 'a' and by plugin 'b'" in faults_of(
        doubled.service_providers
    )
    circle = PluginHost.of(
        [
            plugin("a", fintech_services=provider("a", Singer, Greeter)),
            plugin("b", fintech_services=provider("b", Greeter, Singer)),
        ]
    )
    assert "in a circle" in faults_of(circle.service_providers)


def test_plugins_that_cannot_be_imported_or_occur_twice_are_all_listed() -> None:
    group = "fintech.plugins"
    points = [
        EntryPoint(name="gone", value="no_such_module_anywhere", group=group),
        EntryPoint(name="torn", value="json:no_such_attribute", group=group),
        EntryPoint(name="twice", value="json", group=group),
        EntryPoint(name="twice", value="json", group=group),
    ]
    faults = faults_of(lambda: PluginHost.from_entry_points(points)).splitlines()
    assert [line.split("'")[1] for line in faults] == ["gone", "torn", "twice"]


def test_a_handler_without_a_name_of_its_own_kind_is_no_item() -> None:
    def handlers(context: AppContext) -> list[Any]:
        return [EventHandler]

    host = PluginHost.of([plugin("a", fintech_event_handlers=handlers)])
    faults = faults_of(lambda: host.event_handlers(None))  # pyright: ignore[reportArgumentType] - unused by the plugin of this test
    assert faults == "fintech_event_handlers of plugin 'a' yielded type, not EventHandler"
