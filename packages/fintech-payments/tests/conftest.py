"""The world of these tests: payments alone, on a real database service, with a posting ledger."""

from collections.abc import AsyncIterator

import pytest
from fintech_kernel.testing import ledger as test_ledger
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_payments import plugin

MERCHANT = "mer_test"


@pytest.fixture
async def app(database_url: str, anyio_backend: str) -> AsyncIterator[RunningApp]:
    async with running_app(
        database_url=database_url,
        plugins=[plugin, test_ledger],
        settings={"payments_without_merchants": True, "payments_answer_seconds": 1.0},
    ) as running:
        yield running
