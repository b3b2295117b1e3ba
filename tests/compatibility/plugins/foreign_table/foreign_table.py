"""Makes a table that bears the prefix of another."""

from fintech_dbclient import Migration
from fintech_kernel.hooks import MigrationSet, PluginManifest, hookimpl


@hookimpl
def fintech_plugins() -> list[PluginManifest]:
    return [
        PluginManifest(
            name="foreign_table",
            summary="A fixture",
            table_prefix="foreign_table_",
            route_prefix="/v1/foreign_table",
        )
    ]


@hookimpl
def fintech_migrations() -> list[MigrationSet]:
    statement = "CREATE TABLE IF NOT EXISTS ledger_transfers (id TEXT NOT NULL PRIMARY KEY)"
    taking = Migration(number=1, name="taking", statements=(statement,))
    return [MigrationSet(name="acme-foreign-table", migrations=(taking,))]
