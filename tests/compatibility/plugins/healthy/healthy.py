"""Nothing is wrong with it."""

from fintech_kernel.hooks import Permission, PluginManifest, hookimpl


@hookimpl
def fintech_plugins() -> list[PluginManifest]:
    return [
        PluginManifest(
            name="healthy", summary="A fixture", table_prefix="healthy_", route_prefix="/v1/healthy"
        )
    ]


@hookimpl
def fintech_permissions() -> list[Permission]:
    return [Permission(name="health:admire", summary="Admire it", roles=("auditor",))]
