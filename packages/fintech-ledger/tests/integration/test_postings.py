"""Postings are one insert of balanced rows that somebody else executes, once or more often."""

import pytest
from fintech_dbclient import CheckViolation, UniqueViolation
from fintech_ledger.domain.errors import MalformedPosting
from fintech_ledger.infrastructure import queries

pytestmark = pytest.mark.anyio


def _postings(world, operation, *legs):
    return world.ledger.postings(
        operation_id=operation, merchant_id=world.merchant_id, recorded_at=5, legs=legs
    )


async def test_all_legs_of_one_decision_are_one_insert(world):
    operation = world.operation()

    (write,) = _postings(world, operation, world.credit(100), world.debit(3, leg="fee", kind="Fee"))
    await world.database.execute(write.statement)

    standing = (await world.database.execute(write.confirm)).rows
    assert sorted(row["transfer_id"] for row in standing) == [
        f"{operation}:capture",
        f"{operation}:fee",
    ]


async def test_a_repeat_fails_as_a_duplicate_and_finds_exactly_its_own_rows(world):
    operation = world.operation()
    (write,) = _postings(world, operation, world.credit(100), world.debit(3, leg="fee"))
    await world.database.execute(write.statement)

    with pytest.raises(UniqueViolation):
        await world.database.execute(write.statement)

    standing = [dict(row) for row in (await world.database.execute(write.confirm)).rows]
    assert all(dict(row) in standing for row in write.expected)
    assert len(standing) == len(write.expected)


async def test_a_later_step_of_the_operation_confirms_beside_the_earlier_one(world):
    operation = world.operation()
    await world.post(world.credit(100), operation=operation)
    (write,) = _postings(world, operation, world.debit(100, leg="return"))

    await world.database.execute(write.statement)

    standing = [dict(row) for row in (await world.database.execute(write.confirm)).rows]
    assert dict(write.expected[0]) in standing
    assert len(standing) == 2


async def test_one_leg_that_stands_keeps_all_others_out(world):
    operation = world.operation()
    await world.post(world.credit(100), operation=operation)
    (write,) = _postings(world, operation, world.debit(3, leg="fee"), world.credit(100))

    with pytest.raises(UniqueViolation):
        await world.database.execute(write.statement)

    assert len((await world.database.execute(write.confirm)).rows) == 1


async def test_legs_of_nothing_are_left_out(world):
    operation = world.operation()

    (write,) = _postings(world, operation, world.credit(100), world.debit(0, leg="fee"))

    assert [row["transfer_id"] for row in write.expected] == [f"{operation}:capture"]


async def test_where_every_leg_is_nothing_there_is_no_write(world):
    assert _postings(world, world.operation(), world.credit(0)) == ()
    assert _postings(world, world.operation()) == ()


async def test_legs_outside_the_chart_never_become_a_write(world):
    with pytest.raises(MalformedPosting):
        _postings(world, world.operation(), world.leg("cash:KES", world.account, 5))


@pytest.mark.parametrize("amount", [0, -1, 10**15 + 1])
async def test_the_table_itself_refuses_amounts_that_are_none(world, amount):
    row = ("t", "o", "m", "a", "b", amount, "KES", "Settled", 0, "s", "", 0, 1)

    with pytest.raises(CheckViolation):
        await world.database.execute(queries.insert_transfers([row]))


async def test_the_table_itself_refuses_one_account_on_both_sides(world):
    row = ("t", "o", "m", "a", "a", 1, "KES", "Settled", 0, "s", "", 0, 1)

    with pytest.raises(CheckViolation):
        await world.database.execute(queries.insert_transfers([row]))
