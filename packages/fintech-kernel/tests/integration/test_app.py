"""The assembled application: what it refuses to start with, and how it lives and stops."""

import asyncio
import uuid
from collections.abc import Callable
from types import ModuleType
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends
from fintech_dbclient import Migration
from fintech_kernel.domain.actors import Actor
from fintech_kernel.errors import StartupFault
from fintech_kernel.hooks import (
    Job,
    MigrationSet,
    Permission,
    PluginManifest,
    ProcessorSpec,
    RouteMount,
    ServiceProvider,
    hookimpl,
)
from fintech_kernel.testing.apps import SETTINGS, running_app
from fintech_kernel.web.app import create_app
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.strict_json import StrictJsonRoute

pytestmark = pytest.mark.anyio

NOWHERE = {**SETTINGS, "db_base_url": "http://127.0.0.1:1"}


def plugin(name: str = "toys", **hooks: Callable[..., Any]) -> ModuleType:
    module = ModuleType(name)

    def fintech_plugins() -> list[PluginManifest]:
        return [
            PluginManifest(
                name=name, summary="test", table_prefix=f"{name}_", route_prefix=f"/v1/{name}"
            )
        ]

    def fintech_permissions() -> list[Permission]:
        return [Permission(name=f"{name}:read", summary="test", roles=("platform_admin",))]

    given = {"fintech_plugins": fintech_plugins, "fintech_permissions": fintech_permissions}
    for hook, function in {**given, **hooks}.items():
        setattr(module, hook, hookimpl(function))
    return module


def faults_of(*plugins: ModuleType) -> str:
    with pytest.raises(StartupFault) as fault:
        create_app(settings=NOWHERE, plugins=plugins)
    return str(fault.value)


def routes(router: APIRouter) -> Callable[..., list[RouteMount]]:
    def fintech_routes(context: Any) -> list[RouteMount]:
        return [RouteMount(name="toys", router=router, tag="toys", tag_description="test")]

    return fintech_routes


def test_a_table_outside_of_the_plugins_prefix_is_a_fault() -> None:
    def fintech_migrations() -> list[MigrationSet]:
        migration = Migration(
            number=1,
            name="thief",
            statements=("CREATE TABLE IF NOT EXISTS payments_toys (id TEXT NOT NULL PRIMARY KEY)",),
        )
        return [MigrationSet(name="toys", migrations=(migration,))]

    faults = faults_of(plugin(fintech_migrations=fintech_migrations))
    assert "'payments_toys'" in faults
    assert "'toys_'" in faults


def test_a_route_without_a_permission_is_a_fault() -> None:
    router = APIRouter(route_class=StrictJsonRoute)

    @router.get("")
    async def open_toys() -> None:
        """Nobody said who may."""

    faults = faults_of(plugin(fintech_routes=routes(router)))
    assert "requires no permission and is not listed public" in faults


def test_a_permission_that_nobody_declared_is_a_fault() -> None:
    router = APIRouter(route_class=StrictJsonRoute)

    @router.get("")
    async def see_toys(actor: Annotated[Actor, Depends(requires("toys:break"))]) -> None:
        """Nobody declared it."""

    assert "'toys:break', which no plugin declares" in faults_of(
        plugin(fintech_routes=routes(router))
    )


def test_two_routes_for_the_same_requests_are_a_fault() -> None:
    router = APIRouter(route_class=StrictJsonRoute)
    permission = Depends(requires("toys:read"))

    @router.get("/{toy_id}", dependencies=[permission])
    async def see_toy(toy_id: str) -> None:
        """One."""

    @router.get("/{name}", dependencies=[permission])
    async def see_named(name: str) -> None:
        """The same."""

    assert "takes the requests of operation" in faults_of(plugin(fintech_routes=routes(router)))


def test_a_processor_whose_name_cannot_be_an_account_is_a_fault() -> None:
    def fintech_processors(context: Any) -> list[ProcessorSpec]:
        return [ProcessorSpec(name="mobile-money:eu", processor=object())]  # pyright: ignore[reportArgumentType] - it is refused before it is used

    assert "'mobile-money:eu'" in faults_of(plugin(fintech_processors=fintech_processors))


def test_faults_of_every_stage_are_listed_at_once_and_the_healthy_are_asked_on() -> None:
    router = APIRouter(route_class=StrictJsonRoute)

    @router.get("")
    async def open_bricks() -> None:
        """Nobody said who may."""

    def broken() -> list[Permission]:
        raise ValueError("torn")

    def never_asked(context: Any) -> list[Job]:
        raise AssertionError("a plugin at fault is asked nothing further")

    def jobs(context: Any) -> list[Job]:
        return ["tidy up"]  # pyright: ignore[reportReturnType] - what the test is about

    def fintech_migrations() -> list[MigrationSet]:
        statement = "CREATE TABLE IF NOT EXISTS toys (id TEXT NOT NULL PRIMARY KEY)"
        migration = Migration(number=1, name="grab", statements=(statement,))
        return [MigrationSet(name="games", migrations=(migration,))]

    faults = faults_of(
        plugin("bricks", fintech_routes=routes(router)),
        plugin("dolls", fintech_permissions=broken, fintech_jobs=never_asked),
        plugin("games", fintech_migrations=fintech_migrations),
        plugin("kites", fintech_jobs=jobs),
    )
    assert faults.splitlines() == [
        "fintech_permissions of plugin 'dolls' raised ValueError: torn",
        "fintech_jobs of plugin 'kites' yielded str, not Job",
        "plugin 'games' creates 'toys': its tables and indexes must start with 'games_'",
        "GET /v1/bricks of bricks: requires no permission and is not listed public",
    ]


def test_a_consequence_of_a_fault_does_not_hide_it() -> None:
    def lost(context: Any) -> object:
        raise KeyError("what the broken plugin would have brought")

    def services() -> list[ServiceProvider]:
        return [ServiceProvider(name="kites", provides=ModuleType, requires=(), build=lost)]

    def broken() -> list[Permission]:
        raise ValueError("torn")

    kites = plugin("kites", fintech_services=services)
    assert faults_of(kites, plugin("dolls", fintech_permissions=broken)) == (
        "fintech_permissions of plugin 'dolls' raised ValueError: torn"
    )
    with pytest.raises(KeyError):
        create_app(settings=NOWHERE, plugins=[kites])


async def test_jobs_of_plugins_run_while_the_app_does_and_end_with_it(database_url: str) -> None:
    ran, runs = asyncio.Event(), 0

    async def run() -> None:
        nonlocal runs
        runs += 1
        ran.set()

    def fintech_jobs(context: Any) -> list[Job]:
        return [Job(name="toys.play", run=run, every_seconds=0.01)]

    async with running_app(
        database_url=database_url,
        plugins=[plugin(fintech_jobs=fintech_jobs)],
        settings={"app_jobs": True},
    ):
        await asyncio.wait_for(ran.wait(), 5)
    seen = runs
    await asyncio.sleep(0.05)
    assert runs == seen


async def test_an_app_is_ready_with_its_database_and_says_so_without(database_url: str) -> None:
    async with running_app(database_url=database_url, plugins=[plugin()]) as app:
        ready = await app.client.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "ok")
        operation = await app.client.get(f"/v1/operations/op_{'a' * 52}", headers=app.headers())
        assert operation.status_code == 404
    async with running_app(
        database_url=database_url,
        plugins=[plugin()],
        settings={"db_timeout_seconds": 0.2},
    ) as app:
        await app.context.database.close()
        ready = await app.client.get("/health/ready")
        assert ready.status_code == 503
        assert ready.json()["facts"] == {"failing": ["database"]}
        assert (await app.client.get("/health/live")).status_code == 200


async def test_a_request_names_itself_in_answer_and_problem(database_url: str) -> None:
    async with running_app(database_url=database_url, plugins=[plugin()]) as app:
        name = uuid.uuid4().hex
        answer = await app.client.get("/v1/nothing", headers={"X-Request-ID": name})
    assert answer.status_code == 404
    assert answer.headers["X-Request-ID"] == answer.json()["request_id"] == name
