"""The plugin in an application: what it needs, what it brings, what it refuses."""

import pytest
from fintech_kernel.errors import StartupFault
from fintech_kernel.testing import ledger as test_ledger
from fintech_kernel.testing.apps import SETTINGS
from fintech_kernel.web.app import create_app
from fintech_kernel.web.openapi import openapi_faults
from fintech_payments import plugin

DATABASE = {**SETTINGS, "db_base_url": "http://127.0.0.1:1"}
ALONE = {**DATABASE, "payments_without_merchants": True}


def fault(settings: dict[str, object], *plugins: object) -> str:
    with pytest.raises(StartupFault) as raised:
        create_app(settings=settings, plugins=plugins)
    return str(raised.value)


def test_every_operation_has_examples_problems_and_an_id_of_its_own() -> None:
    app = create_app(settings=ALONE, plugins=[plugin, test_ledger])
    document = app.openapi()
    assert openapi_faults(document) == []
    assert all(path.startswith(("/v1/", "/health/", "/.well-known/")) for path in document["paths"])


def test_without_a_ledger_it_says_what_to_install() -> None:
    assert "install fintech-ledger" in fault(ALONE, plugin)


def test_without_merchants_it_starts_only_where_a_setting_says_so() -> None:
    assert "install fintech-merchants" in fault(DATABASE, plugin, test_ledger)
    assert create_app(settings=ALONE, plugins=[plugin, test_ledger])


def test_a_processor_that_is_not_installed_is_a_fault_that_names_those_that_are() -> None:
    text = fault({**ALONE, "payments_processor": "mpesa"}, plugin, test_ledger)
    assert "'mpesa'" in text
    assert "installed are: sandbox" in text


def test_production_refuses_the_sandbox_since_it_moves_no_money() -> None:
    assert "moves no money" in fault({**ALONE, "app_env": "production"}, plugin, test_ledger)


def test_waiting_longer_for_the_processor_than_for_the_request_is_a_fault() -> None:
    slow = {**ALONE, "app_request_timeout_seconds": 5.0, "payments_answer_seconds": 5.0}
    assert "PAYMENTS_ANSWER_SECONDS" in fault(slow, plugin, test_ledger)
