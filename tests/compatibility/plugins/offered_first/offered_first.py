"""Is offered under a name that another distribution takes too."""

from fintech_kernel.hooks import PluginManifest, hookimpl


@hookimpl
def fintech_plugins() -> list[PluginManifest]:
    return [
        PluginManifest(
            name="offered_first",
            summary="A fixture",
            table_prefix="offered_first_",
            route_prefix="/v1/offered_first",
        )
    ]
