"""The whole application's routes: guarded, documented, each with a name of its own."""

from collections import Counter

from fintech_kernel.contracts.credentials import CredentialDirectory
from fintech_kernel.web.authentication import permissions_required
from fintech_kernel.web.openapi import openapi_faults
from fintech_kernel.web.route_rules import operations_of

PUBLIC = {
    "health_live", "health_ready", "metrics", "get_jwks", "receive_callback", "receive_payout_callback",
}  # fmt: skip
"""Operations that need no permission: health, public keys, processors' signed callbacks, and metrics where
APP_METRICS says so.

A new one here is a decision, not a habit.
"""

AUTHENTICATES_BY_ITSELF = {"issue_token"}
"""Served where somebody keeps API keys."""


def test_every_operation_requires_a_declared_permission_or_is_known_to_be_public(app):
    declared = app.state.context.permissions.names()
    open_to_all = set()
    for route in operations_of(app):
        required = permissions_required(route.dependant)
        assert set(required) <= set(declared), route.path
        if not required:
            open_to_all.add(str(route.name))
    has_api_keys = app.state.context.services.find(CredentialDirectory) is not None
    assert open_to_all == PUBLIC | (AUTHENTICATES_BY_ITSELF if has_api_keys else set())


def test_every_declared_permission_guards_something(app):
    used = {name for route in operations_of(app) for name in permissions_required(route.dependant)}
    assert set(app.state.context.permissions.names()) - used == set()


def test_the_openapi_document_lacks_nothing(app):
    assert openapi_faults(app.openapi()) == []


def test_no_two_operations_share_an_id(app):
    ids = Counter(
        operation["operationId"]
        for operations in app.openapi()["paths"].values()
        for operation in operations.values()
    )
    assert [name for name, count in ids.items() if count > 1] == []


def test_every_path_is_versioned_or_well_known_or_about_health(app):
    assert [
        path
        for path in app.openapi()["paths"]
        if not path.startswith(("/v1/", "/health/", "/.well-known/"))
    ] == []


def test_every_installed_plugin_serves_under_its_own_prefix(app, plugins):
    paths = list(app.openapi()["paths"])
    names = [next(iter(one.project["entry-points"]["fintech.plugins"])) for one in plugins]
    assert [
        name for name in names if not any(path.startswith(f"/v1/{name}") for path in paths)
    ] == []
