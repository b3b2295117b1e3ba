"""Webhooks as the host sees them, without their siblings."""

from fintech_kernel.domain.permissions import (
    MERCHANT_ADMIN,
    MERCHANT_OPERATOR,
    PLATFORM_ADMIN,
    PLATFORM_OPERATOR,
    ROLES,
    Permissions,
)
from fintech_kernel.errors import Refusal
from fintech_kernel.host import PluginHost
from fintech_kernel.web.app import migrations
from fintech_webhooks import plugin
from fintech_webhooks.domain import errors
from fintech_webhooks.settings import RETRY_SECONDS, WebhooksSettings


def test_it_loads_alone():
    (loaded,) = PluginHost.of([plugin]).plugins
    assert loaded.manifest.name == "webhooks"
    assert [one.name for one in migrations(PluginHost.of([plugin]))] == [
        "fintech-kernel",
        "fintech-webhooks",
    ]


def test_every_refusal_has_a_status():
    mapped = {mapping.error for mapping in PluginHost.of([plugin]).errors()}
    assert mapped == {
        error for error in Refusal.__subclasses__() if error.__module__ == errors.__name__
    }


def test_administrators_manage_operators_send_and_everybody_reads():
    permissions = Permissions(PluginHost.of([plugin]).permissions())
    having = {
        name: {role for role in ROLES if name in permissions.of_role(role)}
        for name in ("webhooks:manage", "webhooks:send", "webhooks:read")
    }
    assert having == {
        "webhooks:manage": {PLATFORM_ADMIN, MERCHANT_ADMIN},
        "webhooks:send": {PLATFORM_ADMIN, MERCHANT_ADMIN, PLATFORM_OPERATOR, MERCHANT_OPERATOR},
        "webhooks:read": set(ROLES),
    }


def test_the_published_schedule_is_of_ten_attempts_over_three_days():
    assert WebhooksSettings().retry_seconds == RETRY_SECONDS
    assert WebhooksSettings().failures_max == len(RETRY_SECONDS) + 1 == 10
    assert sum(RETRY_SECONDS) >= 3 * 24 * 3600


def test_production_takes_https_at_usual_ports_alone():
    settings = WebhooksSettings()
    assert not settings.allow_loopback
    assert settings.ports == {443, 8443}
