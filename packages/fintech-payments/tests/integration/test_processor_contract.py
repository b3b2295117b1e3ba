"""Both sandboxes keep the contract of processors, on real books."""

from collections.abc import AsyncIterator
from typing import Final

import pytest
from fintech_dbclient import Statement
from fintech_kernel.contracts.processors import Processor
from fintech_kernel.testing import ledger as test_ledger
from fintech_kernel.testing.apps import RunningApp, running_app
from fintech_kernel.testing.clocks import FrozenClock
from fintech_kernel.testing.processor_contract import CHECKS, Check, ProcessorCase
from fintech_kernel.web.app import Overrides
from fintech_payments import plugin

pytestmark = pytest.mark.anyio

LATE_SECONDS: Final = 3
TOKENS: Final = {
    "sandbox": ("sandbox_approve", "sandbox_decline_stolen"),
    "sandbox late": ("sandbox_late", "sandbox_late_decline"),
    "sandbox lost": ("sandbox_timeout", "sandbox_decline_stolen"),
    "sandbox_mobile": ("mobile_approve", "mobile_decline_stolen"),
}
EFFECTS: Final = Statement(
    name="sandbox.effects",
    sql="SELECT effect, amount FROM payments_sandbox_calls WHERE payment_id = ? AND outcome = ?",
    params=(),
)


@pytest.fixture
async def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
async def app(
    database_url: str, anyio_backend: str, clock: FrozenClock
) -> AsyncIterator[RunningApp]:
    async with running_app(
        database_url=database_url,
        plugins=[plugin, test_ledger],
        settings={
            "payments_without_merchants": True,
            "payments_sandbox_late_seconds": LATE_SECONDS,
        },
        overrides=Overrides(clock=clock),
    ) as running:
        yield running


@pytest.fixture(params=TOKENS)
def case(app: RunningApp, clock: FrozenClock, request: pytest.FixtureRequest) -> ProcessorCase:
    approve, decline = TOKENS[request.param]
    processor: Processor = app.context.processors[request.param.partition(" ")[0]]

    async def booked(payment_id: str, *effects: str) -> int:
        params = (payment_id, "approved")
        found = await app.context.database.execute(
            Statement(name=EFFECTS.name, sql=EFFECTS.sql, params=params)
        )
        return sum(int(str(row["amount"])) for row in found.rows if row["effect"] in effects)

    async def captured(payment_id: str) -> int:
        return await booked(payment_id, "sale", "capture")

    async def refunded(payment_id: str) -> int:
        return await booked(payment_id, "refund")

    async def settle() -> None:
        clock.advance(seconds=LATE_SECONDS)

    return ProcessorCase(
        processor=processor,
        approve=approve,
        decline=decline,
        captured=captured,
        refunded=refunded,
        settle=settle,
    )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_the_sandboxes_keep_the_contract(check: Check, case: ProcessorCase) -> None:
    await check(case)
