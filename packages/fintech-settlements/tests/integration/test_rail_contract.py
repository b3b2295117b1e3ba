"""The built-in rails keep the contract of rails, on real books."""

import pytest
from fintech_kernel.testing.rail_contract import CHECKS, Check, RailCase

pytestmark = pytest.mark.anyio

AMOUNTS = {
    "sandbox": (10_000, 10_013),
    "sandbox late": (10_019, 10_023),
    "sandbox lost": (10_031, 10_013),
    "manual": (10_000, None),
    "sepa_file": (10_000, None),
    "csv_file": (10_000, None),
}
TABLES = {
    "sandbox": "settlements_sandbox_payouts WHERE outcome = 'approved' AND",
    "orders": "settlements_payout_orders WHERE",
}


@pytest.fixture(params=AMOUNTS)
def case(world, request: pytest.FixtureRequest) -> RailCase:
    name = request.param.partition(" ")[0]
    pays, refuses = AMOUNTS[request.param]
    table = TABLES.get(name, TABLES["orders"])

    async def sent(batch_number: str) -> int:
        found = await world.books.rows(
            f"SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS sent FROM {table}"  # noqa: S608 - ours
            " batch_number = ?",
            batch_number,
        )
        return found[0]["sent"]

    async def settle() -> None:
        world.clock.advance(seconds=1)

    return RailCase(
        rail=world.app.context.payout_rails[name],
        pays=pays,
        refuses=refuses,
        sent=sent,
        settle=settle,
        currency="EUR",
        bank_account_id="ba_1",
    )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_a_built_in_rail_keeps_the_contract(check: Check, case: RailCase) -> None:
    await check(case)
