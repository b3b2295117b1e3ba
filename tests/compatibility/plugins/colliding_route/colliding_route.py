"""Serves two routes for the same requests."""

from fastapi import APIRouter, Depends
from fintech_kernel.context import AppContext
from fintech_kernel.hooks import Permission, PluginManifest, RouteMount, hookimpl
from fintech_kernel.web.authentication import requires
from fintech_kernel.web.strict_json import StrictJsonRoute


@hookimpl
def fintech_plugins() -> list[PluginManifest]:
    return [
        PluginManifest(
            name="colliding_route",
            summary="A fixture",
            table_prefix="colliding_route_",
            route_prefix="/v1/colliding_route",
        )
    ]


@hookimpl
def fintech_permissions() -> list[Permission]:
    return [Permission(name="collisions:read", summary="See them", roles=("auditor",))]


@hookimpl
def fintech_routes(context: AppContext) -> list[RouteMount]:
    router = APIRouter(route_class=StrictJsonRoute)
    permission = Depends(requires("collisions:read"))

    @router.get("/{first}", dependencies=[permission])
    async def get_first(first: str) -> str:
        return first

    @router.get("/{second}", dependencies=[permission])
    async def get_second(second: str) -> str:
        return second

    return [RouteMount(name="colliding_route", router=router, tag="two", tag_description="Two.")]
