"""Merchants as the host sees them, without their siblings."""

from fintech_kernel.contracts.credentials import CredentialDirectory
from fintech_kernel.contracts.merchants import MerchantDirectory, PayoutAccounts
from fintech_kernel.domain.permissions import (
    AUDITOR,
    MERCHANT_ADMIN,
    MERCHANT_ROLES,
    PLATFORM_ADMIN,
    PLATFORM_OPERATOR,
    PLATFORM_ROLES,
    ROLES,
    Permissions,
)
from fintech_kernel.errors import Refusal
from fintech_kernel.host import PluginHost
from fintech_kernel.web.app import migrations
from fintech_merchants import plugin
from fintech_merchants.domain import errors, key_errors
from fintech_merchants.domain.key_directory import KeyUses
from fintech_merchants.domain.key_secrets import SecretSource
from fintech_merchants.domain.key_service import ApiKeys
from fintech_merchants.domain.service import Merchants


def test_it_loads_alone():
    host = PluginHost.of([plugin])

    (loaded,) = host.plugins
    assert loaded.manifest.name == "merchants"
    assert {one.provides for one in host.service_providers()} == {
        MerchantDirectory,
        PayoutAccounts,
        Merchants,
        ApiKeys,
        CredentialDirectory,
        KeyUses,
        SecretSource,
    }


def test_its_tables_bear_its_prefix():
    names = [one.name for one in migrations(PluginHost.of([plugin]))]

    assert names == ["fintech-kernel", "fintech-merchants"]


def test_every_refusal_has_a_status():
    mapped = {mapping.error for mapping in PluginHost.of([plugin]).errors()}

    assert mapped == {
        error
        for error in Refusal.__subclasses__()
        if error.__module__ in {errors.__name__, key_errors.__name__}
    }


def test_a_merchants_administrator_changes_contact_data_and_its_other_roles_nothing():
    permissions = Permissions(PluginHost.of([plugin]).permissions())
    changing = {"merchants:create", "merchants:manage", "merchants:verify", "pricing:manage"}

    for role in MERCHANT_ROLES:
        granted = set(permissions.of_role(role))
        assert changing.isdisjoint(granted)
        assert ("merchants:update" in granted) == (role == MERCHANT_ADMIN)
    for role in (*MERCHANT_ROLES, *PLATFORM_ROLES):
        assert {"merchants:read", "pricing:read"} <= set(permissions.of_role(role))


def test_keys_are_managed_by_administrators_and_seen_by_who_answers_for_them():
    permissions = Permissions(PluginHost.of([plugin]).permissions())

    managing = {role for role in ROLES if "api_keys:manage" in permissions.of_role(role)}
    reading = {role for role in ROLES if "api_keys:read" in permissions.of_role(role)}

    assert managing == {PLATFORM_ADMIN, MERCHANT_ADMIN}
    assert reading == managing | {PLATFORM_OPERATOR, AUDITOR}
