"""Remove a module: its routes, permissions, jobs and commands are gone; its data stays as it was.

Of the environment with everything: the same database is served with all plugins, then without one.
``nox -s wheels`` does the same by installing and uninstalling.
"""

from importlib.metadata import entry_points
from typing import Any

import pytest
from fintech_dbclient import Statement
from fintech_kernel.host import PluginHost
from fintech_kernel.testing.apps import RunningApp, running_app
from page import prefix_of
from people import People, everything

TABLES = {
    "merchants": "SELECT * FROM merchants_merchants ORDER BY merchant_id",
    "payments": "SELECT * FROM payments_payments ORDER BY payment_id",
    "settlements": "SELECT * FROM settlements_settlements ORDER BY settlement_id",
}
"""A table of each module that can be left out, and that the world of this test writes to."""

SPARED = {"merchants": ("payments_without_merchants", "settlements")}
"""What else changes where a module goes: a setting, and the module that cannot do without it."""


async def rows(app: RunningApp, module: str) -> list[Any]:
    found = await app.context.database.execute(
        Statement(name=f"subsets.{module}", sql=TABLES[module])  # pyright: ignore[reportArgumentType] - a text of ours
    )
    return list(found.rows)


@pytest.mark.anyio
@pytest.mark.parametrize("removed", sorted(TABLES))
async def test_what_a_removed_module_served_is_gone_and_what_it_wrote_is_not(
    removed, subset, modules, database_url
):
    if not TABLES.keys() <= subset:
        pytest.skip("only where everything is installed")
    plugins = {point.name: point.load() for point in entry_points(group="fintech.plugins")}
    async with running_app(database_url=database_url, plugins=[*plugins.values()]) as app:
        await everything(People(app))
        before = await rows(app, removed)

    setting, dependant = SPARED.get(removed, ("", ""))
    rest = [plugin for name, plugin in plugins.items() if name not in {removed, dependant}]
    settings = {setting: True} if setting else {}
    async with running_app(database_url=database_url, plugins=rest, settings=settings) as app:
        after = await rows(app, removed)
        host = PluginHost.of(rest)
        paths = {prefix_of(path) for path in app.app.openapi()["paths"]}
        permissions = {name.partition(":")[0] for name in app.context.permissions.names()}
        jobs = {job.name for job in host.jobs(app.context)}
        commands = {group.name for group in host.commands()}
        trial = await People(app).see("/v1/ledger/trial-balance")

    gone = modules[removed]
    assert gone.routes.isdisjoint(paths)
    assert gone.permissions.isdisjoint(permissions)
    assert gone.jobs.isdisjoint(jobs)
    assert gone.commands.isdisjoint(commands)
    assert before
    assert after == before
    assert [one["difference"] for one in trial["data"]] == [0]
