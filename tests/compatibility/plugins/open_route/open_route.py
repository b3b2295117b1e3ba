"""Serves a route without a permission."""

from fastapi import APIRouter
from fintech_kernel.context import AppContext
from fintech_kernel.hooks import PluginManifest, RouteMount, hookimpl
from fintech_kernel.web.strict_json import StrictJsonRoute


@hookimpl
def fintech_plugins() -> list[PluginManifest]:
    return [
        PluginManifest(
            name="open_route",
            summary="A fixture",
            table_prefix="open_route_",
            route_prefix="/v1/open_route",
        )
    ]


@hookimpl
def fintech_routes(context: AppContext) -> list[RouteMount]:
    router = APIRouter(route_class=StrictJsonRoute)

    @router.get("")
    async def list_secrets() -> list[str]:
        return ["nobody said who may see this"]

    return [RouteMount(name="open_route", router=router, tag="open", tag_description="Open.")]
