"""Gauges of tables cost what waits, never what was: each of their statements follows an index to its rows."""

import sqlite3
from collections.abc import Iterator

import pytest
from fintech_dbclient import Statement
from fintech_kernel.host import PluginHost
from fintech_kernel.infrastructure import gauge_queries
from fintech_kernel.web.app import migrations
from fintech_payments.infrastructure import queries as payments
from fintech_server.assembly import assembled
from fintech_settlements.infrastructure import queries as settlements
from fintech_webhooks.infrastructure import delivery_queries as webhooks

ROWS_MAX = 1_000

STATEMENTS = {
    "kernel": (
        gauge_queries.running_operations(ROWS_MAX),
        gauge_queries.undispatched(ROWS_MAX),
        gauge_queries.pending_deliveries(ROWS_MAX),
        gauge_queries.dead_letters(ROWS_MAX),
        gauge_queries.unsealed(ROWS_MAX),
    ),
    "payments": (payments.payments_with_open_outcomes(ROWS_MAX),),
    "settlements": (settlements.oldest_in_status("paying", limit=ROWS_MAX),),
    "webhooks": (webhooks.longest_waiting(limit=ROWS_MAX),),
}


@pytest.fixture(scope="module")
def tables() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    for one in migrations(PluginHost.installed()):
        for migration in one.migrations:
            for sql in migration.statements:
                connection.execute(sql)
    yield connection
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [one for several in STATEMENTS.values() for one in several],
    ids=lambda one: one.name,
)
def test_a_gauge_reads_a_bounded_number_of_rows_in_the_order_of_an_index(
    tables: sqlite3.Connection, statement: Statement
) -> None:
    plan = [
        row[3] for row in tables.execute(f"EXPLAIN QUERY PLAN {statement.sql}", statement.params)
    ]
    assert len(plan) == 1, plan  # no sorting behind it
    assert plan[0].startswith("SEARCH ")
    assert "INDEX" in plan[0]
    assert statement.sql.endswith(" LIMIT ?")
    assert statement.params[-1] == ROWS_MAX


def test_the_gauges_of_every_plugin_are_looked_at_here() -> None:
    assert {one.name for one in assembled().state.context.gauges.sets} == set(STATEMENTS)
