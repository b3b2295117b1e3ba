"""``fintech migrate``: bring the database's tables up to what is installed."""

import asyncio
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from fintech_kernel.hooks import MigrationSet
    from fintech_kernel.settings import KernelSettings


def migrate() -> None:
    """Apply pending migrations of the kernel and of every plugin; safe beside running servers."""
    from typing import cast  # beside its one use

    from fintech_kernel.hooks import SettingsSpec  # brings the kernel, like the following
    from fintech_kernel.host import PluginHost
    from fintech_kernel.settings import KernelSettings, load_settings
    from fintech_kernel.web.app import migrations

    host = PluginHost.installed()
    specs = [SettingsSpec(name="kernel", model=KernelSettings), *host.settings()]
    settings = cast("KernelSettings", load_settings(specs)["kernel"])
    asyncio.run(_apply(settings, migrations(host)))


async def _apply(settings: "KernelSettings", sets: "tuple[MigrationSet, ...]") -> None:
    """Apply what is pending, set by set.

    Raises:
        CommandFailed: the database cannot be used, or a migration was changed after it was applied.
    """
    from fintech_dbclient import DatabaseError  # with the kernel
    from fintech_dbclient import migrate as apply
    from fintech_kernel.web.app import open_database

    from fintech_server.server import database_unusable

    database = open_database(settings)
    try:
        for one in sets:
            report = await apply(database, one.name, one.migrations)
            done = len(report.applied)
            typer.echo(f"{one.name}: {done} applied, {len(one.migrations)} in all")
    except DatabaseError as error:
        raise database_unusable(settings.db_base_url, error) from error
    finally:
        await database.close()
