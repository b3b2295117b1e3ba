"""The plugin as the host sees it, alone."""

import asyncio

import pytest
from fintech_kernel.errors import Refusal, StartupFault
from fintech_kernel.host import PluginHost
from fintech_kernel.testing.apps import SETTINGS, running_app
from fintech_kernel.testing.database import database_service
from fintech_kernel.web.app import create_app
from fintech_loyalty import plugin
from fintech_loyalty.commands import app as commands
from fintech_loyalty.domain import errors
from typer.testing import CliRunner


def test_it_is_found_by_its_entry_point():
    assert "loyalty" in {one.name for one in PluginHost.installed().plugins}


def ready(url: str, *plugins: object, **settings: object) -> dict[str, object]:
    async def asked() -> dict[str, object]:
        async with running_app(database_url=url, plugins=plugins, settings=settings) as app:
            return (await app.client.get("/health/ready")).json()

    return asyncio.run(asked())


def test_without_its_table_it_is_unwell_and_the_server_serves(tmp_path):
    with database_service(f"sqlite:///{tmp_path / 'without.db'}") as url:
        before = ready(url)
        without = ready(url, plugin, app_migrate_on_start=False)

    assert before["failing"] == []
    assert without == {"status": "degraded", "failing": ["loyalty"]}


def test_it_loads_alone_and_needs_nobody(database_url):
    assert ready(database_url, plugin) == {"status": "ok", "failing": []}


def test_every_refusal_has_a_status():
    mapped = {mapping.error for mapping in PluginHost.of([plugin]).errors()}
    ours = {one for one in Refusal.__subclasses__() if one.__module__ == errors.__name__}

    assert mapped == ours


def test_a_setting_out_of_its_range_stops_the_server_and_is_named():
    settings = {**SETTINGS, "db_base_url": "http://127.0.0.1:1", "loyalty_points_min": 0}
    with pytest.raises(StartupFault, match="LOYALTY_POINTS_MIN"):
        create_app(settings=settings, plugins=[plugin])


def test_the_command_prints_a_customers_points(database_url):
    assert ready(database_url, plugin)["status"] == "ok"  # a server has migrated
    settings = {**SETTINGS, "db_base_url": database_url}
    printed = CliRunner().invoke(commands, ["points", "mer_1", "c_1"], obj=settings)

    assert printed.output == "earned 0, redeemed 0, left 0\n"
