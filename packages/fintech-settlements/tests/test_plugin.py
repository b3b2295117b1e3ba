"""What the plugin declares, and how it fails to start."""

import pytest
from fintech_kernel.domain.permissions import MERCHANT_ROLES
from fintech_kernel.errors import Refusal, StartupFault
from fintech_kernel.host import PluginHost
from fintech_settlements import plugin
from fintech_settlements.domain import errors, reconciliation_errors


@pytest.fixture
def host() -> PluginHost:
    return PluginHost.of([plugin])


def test_it_is_one_plugin_with_a_prefix_of_its_own(host):
    (loaded,) = host.plugins
    assert loaded.manifest.name == "settlements"
    assert loaded.manifest.table_prefix == "settlements_"
    assert loaded.manifest.route_prefix == "/v1/settlements"


def test_merchants_may_read_and_nothing_else(host):
    for permission in host.permissions():
        may = MERCHANT_ROLES & set(permission.roles)
        assert may == (MERCHANT_ROLES if permission.name == "settlements:read" else set())


def test_every_refusal_has_a_status_and_a_code_of_its_own(host):
    mapped = {mapping.error: mapping for mapping in host.errors()}
    ours = {
        error
        for module in (errors, reconciliation_errors)
        for error in vars(module).values()
        if isinstance(error, type) and error.__module__ == module.__name__
    }
    assert set(mapped) == ours
    assert len({error.code for error in ours}) == len(ours)
    for error, mapping in mapped.items():
        assert (400 <= mapping.status < 500) == issubclass(error, Refusal)


def test_a_missing_ledger_or_merchant_directory_is_named(host):
    with pytest.raises(StartupFault) as caught:
        host.service_providers()
    assert "fintech-ledger" in str(caught.value)
    assert "fintech-merchants" in str(caught.value)


@pytest.mark.anyio
async def test_production_refuses_the_sandbox_rail_since_it_pays_nobody(run_app):
    with pytest.raises(StartupFault, match="pays nobody"):
        async with run_app("http://127.0.0.1:1", app_env="production"):
            pass


@pytest.mark.anyio
async def test_a_rail_that_is_not_installed_stops_the_start(run_app):
    with pytest.raises(StartupFault, match="SETTLEMENTS_RAIL"):
        async with run_app("http://127.0.0.1:1", settlements_rail="pigeon"):
            pass


@pytest.mark.anyio
@pytest.mark.parametrize(
    "fault",
    [
        {"settlements_chunk_size": 0},
        {"settlements_chunk_size": 1_001},
        {"settlements_two_people_above": -1},
        {"settlements_rail": "a/b"},
    ],
    ids=str,
)
async def test_settings_out_of_range_stop_the_start(run_app, fault):
    with pytest.raises(StartupFault, match="SETTLEMENTS_"):
        async with run_app("http://127.0.0.1:1", **fault):
            pass
