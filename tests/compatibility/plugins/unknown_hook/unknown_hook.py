"""Implements a hook that does not exist."""

from fintech_kernel.hooks import PluginManifest, hookimpl


@hookimpl
def fintech_plugins() -> list[PluginManifest]:
    return [
        PluginManifest(
            name="unknown_hook",
            summary="A fixture",
            table_prefix="unknown_hook_",
            route_prefix="/v1/unknown_hook",
        )
    ]


@hookimpl
def fintech_surprises() -> list[str]:
    return ["a hook of tomorrow"]
