"""What reads look at does not grow with history: SQLite says which index each of them walks, and how far."""

import re
import sqlite3

import pytest
from fintech_ledger.infrastructure import balance_queries, fold_queries, queries
from fintech_ledger.infrastructure.tables import MIGRATIONS

READS = {
    "balances of a merchant": balance_queries.balances(
        accounts=["a"], now=1, merchant_id="m", settlement_accounts=("a", "b")
    ),
    "balances": balance_queries.balances(
        accounts=["a", "b"], now=1, merchant_id=None, settlement_accounts=("a", "b")
    ),
    "names of accounts": balance_queries.account_names(
        after="", end=None, merchant_id=None, limit=5
    ),
    "the trial balance": balance_queries.trial_balance(),
    "a fold's claim": fold_queries.claim_fold(fold=1, marker="m", cutoff=1, closed_until=0, size=3),
    "a settlement's claim": queries.claim_chunk(
        settlement_id="s", marker="m", merchant_id="m", account="a", cutoff=1, chunk=0, size=5
    ),
    "due lines": queries.due_lines(merchant_id="m", account="a", cutoff=1, limit=5),
    "due accounts": queries.due_accounts(
        first_account="a", end_account="b", carryover_kind="c", cutoff=1, after=("", ""), limit=5
    ),
}

BOUNDED = re.compile(
    r"SEARCH t USING INDEX ledger_transfers_"
    r"(unfolded \(is_unfolded=\?|unclaimed(_in_order)? \(is_unclaimed=\?"
    r"|(debit|credit) \(\w+=\? AND available_on>\?)"
)
"""Ways into transfers that lead to what is open, unclaimed or pending, and to nothing else."""


BY_KEY = {
    "a page of lines": queries.lines_page(
        settlement_id="s", merchant_id="m", after="", limit=5, chunks=2
    ),
    "the last page of lines": queries.lines_page(
        settlement_id="s", merchant_id="m", after="t", limit=5, chunks=None
    ),
    "the hints of a chunk": queries.clear_claimed(merchant_id="m", transfer_ids=["t", "u"]),
    "the hints of a fold": fold_queries.clear_folded(["t", "u"]),
    "lines of a fold whose hint is left": fold_queries.folded_hints(),
}
KEYED = re.compile(
    r"SEARCH (t|ledger_transfers) USING (COVERING )?INDEX sqlite_autoindex_ledger_transfers_1"
    r" \(transfer_id=\?\)"
)
OF_SETTLEMENT = re.compile(
    r"SEARCH \w+ USING (COVERING )?INDEX (ledger_settlement_lines_"
    r"(chunk \(settlement_id=\? AND chunk(=\?|>\? AND chunk<\?)"
    r"|key \(settlement_id=\? AND line_key>\?)"
    r"|sqlite_autoindex_ledger_settlement_lines_1 \(line_key=\?)"
)
"""Ways into lines: one chunk, or some; from a key on, in order; one line."""


@pytest.fixture(scope="module")
def engine() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    for migration in MIGRATIONS:
        for sql in migration.statements:
            connection.execute(sql)
    return connection


@pytest.mark.parametrize("name", READS)
def test_transfers_are_reached_by_what_is_open_unclaimed_or_pending(engine, name):
    statement = READS[name]

    plan = [
        row[3] for row in engine.execute(f"EXPLAIN QUERY PLAN {statement.sql}", statement.params)
    ]

    ways = [step for step in plan if re.match(r"(SEARCH|SCAN) t\b", step)]
    assert ways
    assert [step for step in ways if not BOUNDED.match(step)] == []


@pytest.mark.parametrize("name", BY_KEY)
def test_transfers_that_are_named_are_reached_by_their_keys_alone(engine, name):
    statement = BY_KEY[name]

    plan = [
        row[3] for row in engine.execute(f"EXPLAIN QUERY PLAN {statement.sql}", statement.params)
    ]

    ways = [step for step in plan if re.match(r"(SEARCH|SCAN) (t|ledger_transfers)\b", step)]
    assert ways
    assert [step for step in ways if not KEYED.match(step)] == []


@pytest.mark.parametrize("name", ["a page of lines", "the last page of lines"])
def test_a_page_of_lines_is_cut_out_of_an_index(engine, name):
    statement = BY_KEY[name]

    plan = [
        row[3] for row in engine.execute(f"EXPLAIN QUERY PLAN {statement.sql}", statement.params)
    ]

    ways = [step for step in plan if re.match(r"(SEARCH|SCAN) (l|n|a)\b", step)]
    assert ways
    assert [step for step in ways if not OF_SETTLEMENT.match(step)] == []
    assert sum("TEMP B-TREE" in step for step in plan) <= 1, "the page alone is sorted again"


def test_a_read_of_history_would_be_noticed(engine):
    statement = balance_queries.balances_by_time(
        accounts=["a"], moment=1, merchant_id=None, settlement_accounts=("a", "b")
    )

    plan = [
        row[3] for row in engine.execute(f"EXPLAIN QUERY PLAN {statement.sql}", statement.params)
    ]

    assert any(step.startswith("SEARCH t") and not BOUNDED.match(step) for step in plan)
