"""Answers a hook with a coroutine."""

from fintech_kernel.hooks import Permission, PluginManifest, hookimpl


@hookimpl
def fintech_plugins() -> list[PluginManifest]:
    return [
        PluginManifest(
            name="awaitable",
            summary="A fixture",
            table_prefix="awaitable_",
            route_prefix="/v1/awaitable",
        )
    ]


@hookimpl
async def fintech_permissions() -> list[Permission]:
    return []
