"""Yields a name where a declaration is wanted."""

from fintech_kernel.hooks import PluginManifest, hookimpl


@hookimpl
def fintech_plugins() -> list[PluginManifest]:
    return [
        PluginManifest(
            name="wrong_item",
            summary="A fixture",
            table_prefix="wrong_item_",
            route_prefix="/v1/wrong_item",
        )
    ]


@hookimpl
def fintech_permissions() -> list[str]:
    return ["wrong_item:read"]
