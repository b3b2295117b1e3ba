"""The world of these tests: payments alone, on a real database service, with a posting ledger."""

from collections.abc import AsyncIterator

import pytest
from fintech_kernel.testing import ledger as test_ledger
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_payments import plugin
from fintech_payments.domain import workflows

MERCHANT = "mer_test"


@pytest.fixture
async def app(database_url: str, anyio_backend: str) -> AsyncIterator[RunningApp]:
    async with running_app(
        database_url=database_url,
        plugins=[plugin, test_ledger],
        settings={"payments_without_merchants": True},
    ) as running:
        yield running


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls are repeated without pauses while their processor does not answer: no test needs a short wait."""
    monkeypatch.setattr(workflows, "RESEND_SECONDS", (0, 0, 0))
