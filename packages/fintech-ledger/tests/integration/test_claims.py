"""A settlement's lines are claimed exactly once, whoever claims, however often, whenever."""

import asyncio

import pytest
from fintech_dbclient import NotExecuted, Result, Statement, UniqueViolation
from fintech_kernel.contracts.accounts import merchant_account
from fintech_kernel.contracts.ledger import CARRYOVER, ClaimedLines
from fintech_kernel.domain.execution import RaceLost
from fintech_ledger.domain.claims import CLAIM_ATTEMPTS_MAX
from fintech_ledger.domain.errors import ClaimBroken
from fintech_ledger.domain.service import DoubleEntryLedger
from fintech_ledger.infrastructure import queries

pytestmark = pytest.mark.anyio

NOW = 1_000_000


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 7])
async def test_a_claim_takes_every_due_line_at_and_around_the_chunk_boundary(world, count):
    for _ in range(count):
        await world.post(world.credit(100))

    claimed = await world.claim(size=3)

    assert (claimed.count, claimed.total) == (count, 100 * count)
    lines = await world.lines()
    assert [line.amount for line in lines] == [100] * count
    assert [line.transfer_id for line in lines] == sorted(line.transfer_id for line in lines)


async def test_a_full_last_chunk_is_closed_by_an_empty_one(world):
    for _ in range(3):
        await world.post(world.credit(100))

    await world.claim(size=3)

    assert await _chunks(world) == [(0, 4), (1, 1)]


async def test_an_empty_set_closes_with_its_marker_alone(world):
    claimed = await world.claim()

    assert (claimed.count, claimed.total) == (0, 0)
    assert await _chunks(world) == [(0, 1)]


async def test_what_is_owed_counts_against_what_is_earned(world):
    await world.post(world.credit(1000), world.debit(30, leg="fee", kind="Fee"))
    await world.post(world.debit(400, leg="refund", kind="Refunded"))

    claimed = await world.claim()

    assert (claimed.count, claimed.total) == (3, 570)
    assert sorted(line.amount for line in await world.lines()) == [-400, -30, 1000]


async def test_a_total_may_be_negative(world):
    await world.post(world.debit(400))

    assert (await world.claim()).total == -400


async def test_a_transfer_that_is_not_available_is_left_alone(world):
    await world.post(world.credit(100, available_on=NOW + 1))
    await world.post(world.credit(7, available_on=NOW))

    assert (await world.claim(cutoff=NOW)).total == 7


async def test_a_repeat_returns_the_same_set_though_more_became_due(world):
    for _ in range(4):
        await world.post(world.credit(100))
    first = await world.claim(size=3)
    await world.post(world.credit(5000))

    again = await world.claim(size=3)

    assert again == first
    assert len(await world.lines()) == 4


async def test_a_late_transfer_falls_to_the_next_settlement(world):
    await world.post(world.credit(100))
    await world.claim()
    await world.post(world.credit(7), at=NOW - 500)

    later = await world.claim(f"{world.settlement_id}b")

    assert (later.count, later.total) == (1, 7)


@pytest.mark.parametrize("chunk", [0, 1, 2])
async def test_a_late_replay_of_any_chunk_claims_nothing(world, chunk):
    for _ in range(7):
        await world.post(world.credit(100))
    before = await world.claim(size=3)
    await world.post(world.credit(9999))

    with pytest.raises(UniqueViolation):
        await world.database.execute(_chunk_statement(world, chunk, size=3))

    assert await world.claim(size=3) == before


async def test_an_executor_that_died_between_chunks_is_continued(world):
    for _ in range(7):
        await world.post(world.credit(100))
    await world.database.execute(_chunk_statement(world, 0, size=3))
    await world.database.execute(_chunk_statement(world, 1, size=3))

    claimed = await world.claim(size=3)

    assert (claimed.count, claimed.total) == (7, 700)
    assert await _chunks(world) == [(0, 4), (1, 4), (2, 2)]


async def test_many_executors_of_one_settlement_agree(world):
    for _ in range(10):
        await world.post(world.credit(100))

    claims = await asyncio.gather(*(world.claim(size=3) for _ in range(8)))

    assert {(claimed.count, claimed.total) for claimed in claims} == {(10, 1000)}
    assert len(await world.lines()) == 10


async def test_rivals_share_the_lines_and_take_none_twice(world):
    for _ in range(20):
        await world.post(world.credit(100))
    rivals = [f"{world.settlement_id}r{number}" for number in range(4)]

    claims = await asyncio.gather(*(world.claim(rival, size=3) for rival in rivals))

    taken = [line.transfer_id for rival in rivals for line in await world.lines(rival)]
    assert len(taken) == len(set(taken)) == 20
    assert sum(claimed.total for claimed in claims) == 2000
    assert [claimed.count for claimed in claims] == [
        len(await world.lines(rival)) for rival in rivals
    ]


async def test_captures_during_a_claim_are_claimed_now_or_next_and_never_twice(world):
    async def capture() -> None:
        for _ in range(15):
            await world.post(world.credit(100))

    for _ in range(6):
        await world.post(world.credit(100))
    first, _ = await asyncio.gather(world.claim(size=2), capture())
    second = await world.claim(f"{world.settlement_id}b", size=2)

    assert first.count + second.count == 21
    assert first.total + second.total == 2100


async def test_a_settlements_own_transfer_is_no_line_of_the_next(world):
    await world.post(world.credit(500))
    first = await world.claim()
    settling = f"liabilities:settlement:{world.settlement_id}:KES"
    await world.post(
        world.leg(world.account, settling, first.total, leg="settle", kind="Settlement"),
        operation=f"op_{world.settlement_id}",
    )

    second = await world.claim(f"{world.settlement_id}b")

    assert (second.count, second.total) == (0, 0)


async def test_a_carry_over_is_a_line_of_the_next_settlement(world):
    await world.post(world.debit(500))
    first = await world.claim()
    settling = f"liabilities:settlement:{world.settlement_id}:KES"
    await world.post(
        world.leg(settling, world.account, -first.total, leg="settle", kind="Settlement"),
        world.leg(world.account, settling, -first.total, leg="carry", kind=CARRYOVER),
        operation=f"op_{world.settlement_id}",
    )
    await world.post(world.credit(800))

    second = await world.claim(f"{world.settlement_id}b")

    assert (second.count, second.total) == (2, 300)


async def test_a_look_at_due_lines_claims_nothing(world):
    await world.post(world.credit(100), world.debit(3, leg="fee", kind="Fee"))

    due = await world.ledger.due_lines(
        merchant_id=world.merchant_id, account=world.account, cutoff=NOW, limit=10
    )

    assert [(line.kind, line.amount, line.chunk) for line in due] == [
        ("Settled", 100, -1),
        ("Fee", -3, -1),
    ]
    assert (await world.claim()).count == 2


async def test_accounts_are_due_while_they_have_lines_other_than_a_carry_over(world):
    mine = (world.merchant_id, "KES")

    async def is_due() -> bool:
        return mine in await world.ledger.due_accounts(cutoff=NOW, limit=1000)

    assert not await is_due()
    await world.post(world.credit(100))
    assert await is_due()
    await world.claim()
    assert not await is_due()
    await world.post(world.debit(5, kind=CARRYOVER))
    assert not await is_due()
    await world.post(world.credit(7, available_on=NOW + 1))
    assert not await is_due()
    await world.post(world.debit(1, kind="Refunded"))
    assert await is_due()


async def test_due_accounts_come_in_pages_and_each_once(world):
    await world.post(world.credit(100))
    whole = await world.ledger.due_accounts(cutoff=NOW, limit=1000)
    found: list[tuple[str, str]] = []
    after = ("", "")
    while page := await world.ledger.due_accounts(cutoff=NOW, limit=1, after=after):
        found.extend(page)
        after = page[-1]
    assert tuple(found) == whole
    assert (world.merchant_id, "KES") in found


async def test_what_is_due_is_counted_and_summed_without_claiming_it(world):
    await world.post(world.credit(100))
    await world.post(world.debit(30))
    await world.post(world.credit(7, available_on=NOW + 1))
    account = merchant_account(world.merchant_id, "KES")
    due = {"merchant_id": world.merchant_id, "account": account, "cutoff": NOW}
    assert await world.ledger.due_total(**due) == ClaimedLines(count=2, total=70)
    assert (await world.claim()).count == 2
    assert await world.ledger.due_total(**due) == ClaimedLines(count=0, total=0)


@pytest.mark.parametrize("size", [1, 3, 20])
@pytest.mark.parametrize("limit", [1, 4, 7, 1000])
async def test_lines_come_in_full_pages_whatever_the_size_of_chunks(world, size, limit):
    posted = [await world.post(world.credit(100 + number)) for number in range(10)]
    claimed = await world.claim(size=size)

    pages = []
    while page := await world.ledger.lines(
        settlement_id=world.settlement_id,
        merchant_id=world.merchant_id,
        after=pages[-1][-1].transfer_id if pages else "",
        limit=limit,
    ):
        pages.append(page)

    found = [line.transfer_id for page in pages for line in page]
    assert found == sorted(f"{operation}:capture" for operation in posted)
    assert len(found) == claimed.count
    assert all(len(page) == limit for page in pages[:-1])


async def test_lines_are_in_order_where_a_later_chunk_holds_an_earlier_transfer(world):
    """A transfer that commits between two chunks is claimed by the second, wherever its id stands."""
    for number in range(4):
        await world.post(world.credit(100), operation=f"op_b{number}")
    insert = queries.claim_chunk(
        settlement_id=world.settlement_id,
        marker=f"op_{world.settlement_id}:settle",
        merchant_id=world.merchant_id,
        account=world.account,
        cutoff=NOW,
        chunk=0,
        size=3,
    )
    await world.database.execute(insert)
    await world.post(world.credit(7), operation="op_a0")

    assert (await world.claim(size=3)).count == 5

    chunks = {line.transfer_id: line.chunk for line in await world.lines()}
    names = ["op_a0", "op_b0", "op_b1", "op_b2", "op_b3"]
    assert list(chunks) == [f"{name}:capture" for name in names]
    assert list(chunks.values()) == [1, 0, 0, 0, 1]
    one_by_one = []
    while page := await world.ledger.lines(
        settlement_id=world.settlement_id,
        merchant_id=world.merchant_id,
        after=one_by_one[-1] if one_by_one else "",
        limit=1,
    ):
        one_by_one.append(page[0].transfer_id)
    assert one_by_one == list(chunks)


async def test_a_claim_clears_the_hints_that_an_attempt_before_it_left(world):
    for _ in range(7):
        await world.post(world.credit(100))
    await world.claim(size=3)
    of_merchant = {"params": (world.merchant_id,)}
    mark = "UPDATE ledger_transfers SET is_unclaimed = 1 WHERE merchant_id = ?"
    await world.database.execute(Statement(name="test.mark", sql=mark, **of_merchant))

    await world.claim(size=3)

    marked = "SELECT transfer_id FROM ledger_transfers WHERE merchant_id = ? AND is_unclaimed = 1"
    left = await world.database.execute(Statement(name="test.left", sql=marked, **of_merchant))
    assert list(left.rows) == []


async def test_another_merchants_settlement_shows_no_lines(world):
    await world.post(world.credit(100))
    await world.claim()

    foreign = await world.ledger.lines(
        settlement_id=world.settlement_id, merchant_id="mer_other", after="", limit=10
    )

    assert foreign == ()


async def test_only_a_merchants_own_account_is_claimed(world):
    with pytest.raises(ClaimBroken):
        await world.ledger.claim(
            settlement_id=world.settlement_id,
            own_transfer_id="op_1:settle",
            merchant_id=world.merchant_id,
            account=world.processor,
            cutoff=NOW,
            chunk_size=3,
        )


async def test_a_chunk_behind_one_that_is_not_full_stops_the_claim(world):
    await world.post(world.credit(100))
    await world.database.execute(_chunk_statement(world, 0, size=3))
    await world.database.execute(_chunk_statement(world, 1, size=3))

    with pytest.raises(ClaimBroken):
        await world.claim(size=3)


class OlderSnapshot:
    """A database whose first claims read too early: they hit what a rival has claimed meanwhile.

    So does PostgreSQL at READ COMMITTED: NOT EXISTS does not see the rival's lines, the key does.
    """

    def __init__(self, database, *, collisions: int) -> None:
        self._database = database
        self.collisions = collisions

    async def run(self, sequence):
        if sequence[0].name == "ledger.claim_chunk" and self.collisions:
            self.collisions -= 1
            failed = Result(error=UniqueViolation(sequence[0].name))
            skipped = Result(error=NotExecuted(sequence[1].name))
            return [failed, skipped]
        return await self._database.run(sequence)

    async def execute(self, statement):
        return await self._database.execute(statement)


async def test_a_chunk_lost_to_a_rival_is_tried_again(world):
    await world.post(world.credit(100))
    stale = OlderSnapshot(world.database, collisions=2)
    world.ledger = DoubleEntryLedger(database=stale)

    claimed = await world.claim()

    assert (claimed.count, claimed.total, stale.collisions) == (1, 100, 0)


async def test_rivals_that_are_always_faster_end_the_attempt_and_nothing_is_claimed(world):
    await world.post(world.credit(100))
    stale = OlderSnapshot(world.database, collisions=CLAIM_ATTEMPTS_MAX)
    world.ledger = DoubleEntryLedger(database=stale)

    with pytest.raises(RaceLost):
        await world.claim()

    assert await _chunks(world) == []
    assert (await world.claim()).total == 100


class LateLine:
    """A database into which a line of a closed set gets, against the protocol, before it is summed."""

    def __init__(self, database, settlement_id: str, merchant_id: str) -> None:
        self._database = database
        self._line = Statement(
            name="test.late_line",
            sql="INSERT INTO ledger_settlement_lines"
            " (line_key, settlement_id, merchant_id, chunk, marker, amount)"
            " VALUES (?, ?, ?, 0, 0, 5)",
            params=(f"late_{settlement_id}", settlement_id, merchant_id),
        )

    async def run(self, sequence):
        return await self._database.run(sequence)

    async def execute(self, statement):
        if statement.name == "ledger.claimed_total":
            await self._database.execute(self._line)
        return await self._database.execute(statement)


async def test_a_set_whose_counts_differ_is_not_summed(world):
    await world.post(world.credit(100))
    late = LateLine(world.database, world.settlement_id, world.merchant_id)
    world.ledger = DoubleEntryLedger(database=late)

    with pytest.raises(ClaimBroken):
        await world.claim()


def _chunk_statement(world, chunk: int, *, size: int):
    marker = f"op_{world.settlement_id}:settle" if chunk == 0 else f"{world.settlement_id}#{chunk}"
    return queries.claim_chunk(
        settlement_id=world.settlement_id,
        marker=marker,
        merchant_id=world.merchant_id,
        account=world.account,
        cutoff=NOW,
        chunk=chunk,
        size=size,
    )


async def _chunks(world) -> list[tuple[int, int]]:
    result = await world.database.execute(
        queries.chunk_counts(settlement_id=world.settlement_id, merchant_id=world.merchant_id)
    )
    return [(row["chunk"], row["entries"]) for row in result.rows]
