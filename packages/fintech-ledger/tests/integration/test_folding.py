"""Folds take every transfer once, whoever folds, however often, whenever; balances never notice."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest
from fintech_dbclient import DatabaseError, NotExecuted, Result, UniqueViolation
from fintech_kernel.contracts.accounts import (
    bank_account,
    fees_account,
    settlement_account,
)
from fintech_kernel.domain.execution import RaceLost
from fintech_kernel.testing.faults import Fault, FaultyDatabase, ProcessKilled
from fintech_ledger.domain.errors import FoldBroken
from fintech_ledger.domain.folding import CLAIM_ATTEMPTS_MAX
from fintech_ledger.domain.folds import BEFORE_ALL, Want, next_fold
from fintech_ledger.infrastructure import fold_queries

pytestmark = pytest.mark.anyio

NOW = 1_000_000
LATER = NOW + 1


async def _sell(book, *amounts: int, at: int = NOW) -> None:
    for amount in amounts:
        await book.post(
            book.credit(amount),
            book.leg(book.account, fees_account("KES"), 1, leg="fee", kind="Fee"),
            at=at,
        )


async def _told(book) -> dict[str, tuple[int, int, int, int]]:
    found = await book.books.accounts(merchant_id=None, after="", limit=100)
    return {
        one.account.name: (one.debits, one.credits, one.pending, one.available) for one in found
    }


async def _folded(book) -> list[str]:
    rows = await book.rows("SELECT entry_key FROM ledger_fold_lines WHERE marker = 0")
    return [row["entry_key"] for row in rows]


async def test_balances_are_the_same_before_and_behind_folds(real_book):
    book = real_book
    await _sell(book, 100, 200, 300, 400)
    await book.post(book.credit(50, available_on=NOW + 500))
    before = await _told(book)
    trial = await book.books.trial_balance()

    await book.fold(LATER)

    assert await _told(book) == before
    assert await book.books.trial_balance() == trial
    assert len(await _folded(book)) == 9
    assert await book.rows("SELECT transfer_id FROM ledger_transfers WHERE is_unfolded = 1") == []


async def test_transfers_behind_a_fold_count_beside_it(book):
    await _sell(book, 100, 200)
    await book.fold(LATER)
    await _sell(book, 1000)

    assert await book.balance() == 1297
    assert await book.balance(fees_account("KES")) == 3


async def test_what_is_pending_stays_pending_in_a_fold(book):
    await book.post(book.credit(100, available_on=NOW), book.debit(7, leg="b"))
    await book.post(book.credit(40, available_on=NOW + 10))
    await book.fold(LATER)

    found = await book.books.account(book.account, merchant_id=book.merchant_id)
    book.clock.advance(seconds=1)
    later = await book.books.account(book.account, merchant_id=book.merchant_id)

    assert (found.balance, found.pending, found.available) == (133, 40, 93)
    assert (later.balance, later.pending, later.available) == (133, 0, 133)


async def test_what_settlements_hold_is_told_across_folds(real_book):
    book = real_book
    settling = settlement_account(book.settlement_id, "KES")
    await _sell(book, 1000)

    async def held() -> int | None:
        found = await book.books.account(book.account, merchant_id=book.merchant_id)
        return found.in_settlement

    await book.post(book.leg(book.account, settling, 970, kind="Settlement"))
    open_hold = await held()
    await book.fold(LATER)
    folded_hold = await held()
    await book.post(book.leg(settling, bank_account("KES"), 970, kind="Payout"))
    paid_open = await held()
    await book.fold(LATER + 1)

    assert (open_hold, folded_hold, paid_open, await held()) == (970, 970, 0, 0)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 6, 7])
async def test_folds_hold_every_transfer_at_and_around_their_size(book, count):
    for _ in range(count):
        await book.post(book.credit(100))

    last = await book.fold(LATER, size=3)

    assert len(await _folded(book)) == count
    assert (last.fold, last.line_count) == (count // 3 + 1, count % 3)


async def test_folding_again_does_nothing(book):
    await _sell(book, 100)
    first = await book.fold(LATER)

    assert await book.fold(LATER) == first
    assert await book.fold(NOW) == first


async def test_a_bounded_run_goes_on_where_it_stopped(book):
    await _sell(book, 1, 2, 3, 4, 5)
    folding = book.folding(size=3)

    assert await folding.fold(Want(cutoff=LATER), folds_max=2) is None
    done = await folding.fold(Want(cutoff=LATER), folds_max=10)

    assert done is not None
    assert (done.fold, done.line_count) == (4, 1)


async def test_a_transfer_that_commits_late_is_of_the_next_fold_and_marked(book):
    await _sell(book, 100)
    close = await book.fold(86_400_000, period="1970-01-01")
    late = await book.post(book.credit(9), at=NOW - 5)
    ordinary = await book.post(book.credit(8), at=86_400_001)

    await book.fold(86_400_002)

    transfers = await book.rows("SELECT entry_key, fold, prior_period FROM ledger_fold_lines")
    marked = {
        row["entry_key"]: row["prior_period"] for row in transfers if row["fold"] > close.fold
    }
    assert marked[f"{late}:capture"] == 1
    assert marked[f"{ordinary}:capture"] == 0
    assert await book.balance() == 100 - 1 + 9 + 8


async def test_a_process_whose_clock_is_behind_folds_nothing_out_of_order(book):
    await _sell(book, 100)
    last = await book.fold(LATER)
    await _sell(book, 200, at=NOW - 100)

    assert await book.fold(NOW) == last
    assert len(await _folded(book)) == 2


async def test_many_closers_at_once_take_each_transfer_once(real_book):
    book = real_book
    await _sell(book, *range(1, 31))
    before = await _told(book)

    wants = [Want(cutoff=LATER + number % 3) for number in range(8)]
    done = await asyncio.gather(*(book.folding().fold(want, folds_max=500) for want in wants))

    assert None not in done
    folded = await _folded(book)
    assert len(folded) == len(set(folded)) == 60
    assert await _told(book) == before


async def test_balances_read_while_others_fold_and_post_are_never_wrong(real_book):
    """Each sale is one insert of +10 -1: a reader may see any number of sales, nothing between."""
    book = real_book
    seen: list[int] = []
    stop = asyncio.Event()

    async def sell() -> None:
        for _ in range(40):
            await _sell(book, 10)
        stop.set()

    async def fold() -> None:
        while not stop.is_set():
            await book.fold(LATER, size=4)
            book.clock.advance(seconds=0.001)

    async def read() -> None:
        while not stop.is_set():
            found = await book.books.accounts(merchant_id=book.merchant_id, after="", limit=1)
            seen.extend(one.balance for one in found)

    await asyncio.gather(sell(), fold(), fold(), read(), read())

    assert {value % 9 for value in seen} == {0}
    assert await book.balance() == 360


FAULTS = list(Fault)
CALLS_MAX = 40


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fold_that_loses_any_call_is_finished_by_the_next(book, fault):
    at = 0
    while at < CALLS_MAX:
        await _sell(book, 100, 200, at=NOW + at)
        before = await _told(book)
        port = FaultyDatabase(book.database, at=at, fault=fault)
        want = Want(cutoff=NOW + at + 1)
        with suppress(DatabaseError, ProcessKilled):
            await book.folding(database=port).fold(want, folds_max=100)
        assert await _told(book) == before
        await book.fold(want.cutoff)
        assert await _told(book) == before
        if len(port.calls) <= at:
            break
        at += 1
    assert 0 < at < CALLS_MAX
    folded = await _folded(book)
    assert len(folded) == len(set(folded)) == len(await book.rows("SELECT 1 FROM ledger_transfers"))


async def test_a_replay_of_any_statement_of_a_fold_does_nothing(book):
    await _sell(book, 100, 200)
    recorder = Recorder(book.database)
    await book.folding(database=recorder).fold(Want(cutoff=LATER), folds_max=10)
    await _sell(book, 300)
    await book.fold(LATER + 1)
    await _sell(book, 400)
    before, folded = await _told(book), await _folded(book)

    for statement in recorder.statements:
        await book.database.run([statement])

    assert await _told(book) == before
    assert await _folded(book) == folded
    await book.fold(LATER + 2)
    assert await _told(book) == before


async def test_hints_that_were_lost_cost_a_look_and_change_nothing(book):
    await _sell(book, 100, 200)
    await book.fold(LATER)
    await book.write("UPDATE ledger_transfers SET is_unfolded = 1")

    assert await book.balance() == 298
    await book.fold(LATER + 1)
    await _sell(book, 1)
    assert await book.balance() == 298


async def test_lines_of_a_fold_that_is_not_recorded_count_as_open(book):
    await _sell(book, 100)
    fold = next_fold(BEFORE_ALL, Want(cutoff=LATER), size=3)
    assert fold is not None
    await book.database.run(
        [
            fold_queries.insert_fold(
                fold=1, cutoff=fold.cutoff, period="", closed_until=0, size=fold.size
            ),
            fold_queries.claim_fold(
                fold=1, marker=fold.marker, cutoff=fold.cutoff, closed_until=0, size=fold.size
            ),
        ]
    )

    assert await book.balance() == 99
    await _sell(book, 10)
    assert await book.balance() == 108
    last = await book.fold(LATER)
    assert (last.fold, last.line_count) == (1, 2)
    assert await book.balance() == 108


async def test_balances_that_others_wrote_wrongly_stop_the_fold(book):
    await _sell(book, 100)
    await book.write(
        "INSERT INTO ledger_balances (balance_key, account, fold, currency, is_first, debits,"
        " credits, in_settlement) VALUES (?, ?, 1, 'KES', 1, 0, 5, 0)",
        f"{book.account}#1",
        book.account,
    )

    with pytest.raises(FoldBroken):
        await book.fold(LATER)

    assert await book.rows("SELECT fold FROM ledger_fold_records") == []
    assert await book.balance() == 99


async def test_a_fold_planned_behind_one_that_is_not_recorded_stops(book):
    for number in (1, 2):
        await book.write(
            "INSERT INTO ledger_folds (fold, cutoff, period, closed_until, size)"
            " VALUES (?, 5, '', 0, 3)",
            number,
        )

    with pytest.raises(FoldBroken):
        await book.fold(LATER)


class Recorder:
    """A database that remembers what was changed through it."""

    def __init__(self, database) -> None:
        self._database = database
        self.statements = []

    async def execute(self, statement):
        return (await self.run([statement]))[0].unwrap()

    async def run(self, sequence):
        self.statements += [one for one in sequence if not one.sql.startswith("SELECT")]
        return await self._database.run(sequence)


class OlderSnapshot:
    """A database whose first claims read too early and meet lines that others have claimed."""

    def __init__(self, database, *, collisions: int) -> None:
        self._database = database
        self.collisions = collisions

    async def execute(self, statement):
        return await self._database.execute(statement)

    async def run(self, sequence: Sequence):
        if sequence[0].name == "ledger.claim_fold" and self.collisions:
            self.collisions -= 1
            return [
                Result(error=UniqueViolation("ledger.claim_fold")),
                *(Result(error=NotExecuted(one.name)) for one in sequence[1:]),
            ]
        return await self._database.run(sequence)


async def test_a_claim_that_read_too_early_is_tried_again(book):
    await _sell(book, 100)
    stale = OlderSnapshot(book.database, collisions=3)

    done = await book.folding(database=stale).fold(Want(cutoff=LATER), folds_max=10)

    assert done is not None
    assert done.line_count == 2


async def test_a_claim_that_always_reads_too_early_is_left_to_the_next_run(book):
    await _sell(book, 100)
    stale = OlderSnapshot(book.database, collisions=CLAIM_ATTEMPTS_MAX)

    with pytest.raises(RaceLost):
        await book.folding(database=stale).fold(Want(cutoff=LATER), folds_max=10)

    assert (await book.fold(LATER)).line_count == 2
