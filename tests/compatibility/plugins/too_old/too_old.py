"""Was written for another kernel."""

from fintech_kernel.hooks import PluginManifest, hookimpl


@hookimpl
def fintech_plugins() -> list[PluginManifest]:
    return [
        PluginManifest(
            name="too_old", summary="A fixture", table_prefix="too_old_", route_prefix="/v1/too_old"
        )
    ]
