"""The check replays everything, finds each kind of difference, and names the first."""

import pytest
from fintech_kernel.contracts.accounts import bank_account, fees_account, settlement_account
from fintech_ledger.domain.check import BooksCheck, Checked
from fintech_ledger.domain.errors import BooksDiffer

pytestmark = pytest.mark.anyio

NOW = 1_000_000
DAY = 86_400_000


async def check(book) -> Checked:
    told: list[tuple[str, int, int]] = []
    checking = BooksCheck(
        database=book.database,
        clock=book.clock,
        on_progress=lambda part, done, total: told.append((part, done, total)),
    )
    checked = await checking.run()
    assert ("transfers", checked.transfers, checked.transfers) in told
    return checked


@pytest.fixture
async def busy(book):
    """Books with two folds, a close, a settlement with its own transfer and payout, and open rows."""
    for amount in (100, 200, 300):
        await book.post(
            book.credit(amount),
            book.leg(book.account, fees_account("KES"), 1, leg="fee", kind="Fee"),
        )
    claimed = await book.claim(size=2)
    settling = settlement_account(book.settlement_id, "KES")
    await book.post(
        book.leg(book.account, settling, claimed.total, leg="settle", kind="Settlement"),
        operation=f"op_{book.settlement_id}",
    )
    await book.fold(DAY, period="1970-01-01", size=4)
    await book.post(book.leg(settling, bank_account("KES"), claimed.total, kind="Payout"))
    await book.post(book.credit(7), at=DAY + 5)
    await book.fold(DAY + 6, size=4)
    await book.post(book.credit(9), at=DAY + 7)
    return book


async def test_books_that_are_right_pass(busy):
    assert await check(busy) == Checked(folds=3, transfers=10, lines=10, accounts=5)


async def test_empty_books_pass(book):
    assert await check(book) == Checked(folds=0, transfers=0, lines=0, accounts=0)


async def test_a_fold_under_way_is_no_difference(busy):
    await busy.write(
        "INSERT INTO ledger_folds (fold, cutoff, period, closed_until, size)"
        " VALUES (4, ?, '', ?, 4)",
        DAY + 9,
        DAY,
    )

    assert (await check(busy)).folds == 3


PLANTED = {
    "a balance of a fold": (
        "UPDATE ledger_balances SET credits = credits + 1 WHERE fold = 2 AND account LIKE 'inc%'",
        "fold 2: income:fees:KES is not what its lines make",
    ),
    "a balance without a line": (
        (
            "INSERT INTO ledger_balances (balance_key, account, fold, currency, is_first, debits,"
            " credits, in_settlement) VALUES ('x', 'assets:bank:KES', 1, 'KES', 1, 5, 0, 0)"
        ),
        "fold 1: assets:bank:KES has a balance and no line",
    ),
    "what settlements hold": (
        "UPDATE ledger_balances SET in_settlement = in_settlement - 1 WHERE in_settlement > 0",
        "is not what its lines make",
    ),
    "a number of lines": (
        "UPDATE ledger_fold_records SET line_count = 3 WHERE fold = 1",
        "fold 1 says 3 lines and has 4",
    ),
    "a trial balance": (
        "UPDATE ledger_fold_records SET totals = '[]' WHERE fold = 3",
        "fold 3: its trial balance is not what its lines make",
    ),
    "a line moved to another fold": (
        (
            "UPDATE ledger_fold_lines SET fold = 2 WHERE entry_key = (SELECT MIN(entry_key)"
            " FROM ledger_fold_lines WHERE fold = 1 AND marker = 0)"
        ),
        "fold 1 says 4 lines and has 3",
    ),
    "a marker": (
        "UPDATE ledger_fold_lines SET marker = 0 WHERE marker = 1 AND fold = 2",
        "fold 2 has no one marker",
    ),
    "a mark of a prior period": (
        "UPDATE ledger_fold_lines SET prior_period = 1 WHERE fold = 1 AND marker = 0",
        "is marked wrongly",
    ),
    "a cutoff": (
        "UPDATE ledger_folds SET cutoff = 5 WHERE fold = 1",
        "is from behind its cutoff",
    ),
    "an end of the last close": (
        "UPDATE ledger_folds SET closed_until = 5 WHERE fold = 3",
        "fold 3 does not follow from the one before it",
    ),
    "a fold left out": (
        "UPDATE ledger_folds SET fold = 9 WHERE fold = 3",
        "fold 9 follows fold 2",
    ),
    "an amount of a folded transfer": (
        "UPDATE ledger_transfers SET amount = 101 WHERE amount = 100",
        "is not what its lines make",
    ),
    "a folded transfer that is gone": (
        "UPDATE ledger_transfers SET transfer_id = 'gone' WHERE amount = 100",
        "is no transfer",
    ),
    "a hint cleared of what no fold has": (
        "UPDATE ledger_transfers SET is_unfolded = 0 WHERE amount = 9",
        "is hidden from balances",
    ),
    "a hint cleared of what no settlement has": (
        "UPDATE ledger_transfers SET is_unclaimed = 0 WHERE amount = 9",
        "is hidden from settlements",
    ),
    "an account outside the chart": (
        "UPDATE ledger_transfers SET debit_account = 'cash:KES' WHERE amount = 9",
        "names an account that the chart does not have",
    ),
    "a currency": (
        "UPDATE ledger_transfers SET currency = 'EUR' WHERE amount = 9",
        "names an account that the chart does not have",
    ),
    "an amount of a settlement line": (
        "UPDATE ledger_settlement_lines SET amount = 99 WHERE amount = 100",
        "says 99, its transfer moved 100",
    ),
    "a settlement line without a transfer": (
        (
            "INSERT INTO ledger_settlement_lines"
            " (line_key, settlement_id, merchant_id, chunk, marker, amount)"
            " VALUES ('aaa', 'set_x', 'mer_x', 0, 0, 5)"
        ),
        "settlement set_x: aaa is no transfer",
    ),
    "a settlement line that is missing": (
        "UPDATE ledger_settlement_lines SET settlement_id = 'set_other' WHERE amount = 300",
        "its own transfer moved 597",
    ),
}


@pytest.mark.parametrize("planted", PLANTED)
async def test_a_planted_difference_is_found_and_named(busy, planted):
    change, named = PLANTED[planted]
    await busy.write(change)

    with pytest.raises(BooksDiffer) as found:
        await check(busy)

    assert named in str(found.value)


async def test_a_line_of_another_merchants_account_is_found(busy):
    await busy.write("UPDATE ledger_settlement_lines SET merchant_id = 'mer_x' WHERE amount = 100")

    with pytest.raises(BooksDiffer, match="is a line of a settlement of mer_x"):
        await check(busy)


async def test_a_balance_that_no_fold_has_is_found_by_what_the_account_says(busy):
    await busy.write(
        "INSERT INTO ledger_balances (balance_key, account, fold, currency, is_first, debits,"
        " credits, in_settlement)"
        " VALUES ('x', 'suspense:reconciliation:KES', 0, 'KES', 1, 5, 0, 0)"
    )

    with pytest.raises(BooksDiffer, match="suspense:reconciliation:KES: debits differ by 5"):
        await check(busy)
