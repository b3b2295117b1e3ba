"""Everything that stands in the database after a run, read through the database service itself.

What lives here: the rows, grouped the way checks need them. What deliberately does not: any opinion
about them (``verdict``).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fintech_dbclient import Database, Statement
from fintech_kernel.domain.denials import DENIALS_COUNTED
from fintech_kernel.domain.journal import Entry

PAGE_ROWS: Final = 500

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The tables of one quiet moment.

    Attributes:
        streams: the journal by stream, in order of position.
        by_operation: the journal by operation; outcomes that were learned later belong to the
            operation that asked.
        lines: what settlements claimed, markers included.
        processor_calls: the sandbox processor's own books, by its key.
        payouts: the sandbox rail's own books, by its key.
    """

    operations: Mapping[str, Row]
    streams: Mapping[str, Sequence[Entry]]
    by_operation: Mapping[str, Sequence[Entry]]
    transfers: Mapping[str, Row]
    lines: Sequence[Row]
    payments: Mapping[str, Row]
    settlements: Mapping[str, Row]
    processor_calls: Mapping[str, Row]
    payouts: Mapping[str, Row]


async def read_books(database: Database) -> Books:
    """Read every table that money is in."""
    journal = [Entry.from_row(row) for row in await _table(database, "journal", "entry_id")]
    streams: defaultdict[str, list[Entry]] = defaultdict(list)
    by_operation: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in sorted(journal, key=lambda entry: (entry.stream_id, entry.seq)):
        streams[entry.stream_id].append(entry)
        if entry.type != DENIALS_COUNTED:  # of no operation: refused requests, counted
            by_operation[entry.operation_id].append(entry)

    async def keyed(table: str, key: str) -> dict[str, Row]:
        return {str(row[key]): row for row in await _table(database, table, key)}

    return Books(
        operations=await keyed("operations", "operation_id"),
        streams=streams,
        by_operation=by_operation,
        transfers=await keyed("ledger_transfers", "transfer_id"),
        lines=await _table(database, "ledger_settlement_lines", "line_key"),
        payments=await keyed("payments_payments", "payment_id"),
        settlements=await keyed("settlements_settlements", "settlement_id"),
        processor_calls=await keyed("payments_sandbox_calls", "call_key"),
        payouts=await keyed("settlements_sandbox_payouts", "payout_key"),
    )


async def count_running(database: Database) -> int:
    """Return how many operations have no outcome yet."""
    return await _count(database, "operations WHERE state = 'running'")


async def count_open(database: Database) -> int:
    """Return how many payments wait for a processor's answer, and payouts for their rail's."""
    payments = await _count(database, "payments_payments WHERE outcomes_open = 1")
    paying = "settlements_settlements WHERE status = 'paying'"
    return payments + await _count(database, paying)


async def count_undelivered(database: Database) -> int:
    """Return how many entries and deliveries wait for their handlers."""
    waiting = await _count(database, "journal WHERE dispatched = 0")
    return waiting + await _count(database, "deliveries WHERE state = 'pending'")


async def _count(database: Database, source: str) -> int:
    sql = f"SELECT COUNT(*) AS found FROM {source}"  # noqa: S608 - literals of this module
    result = await database.execute(Statement(name="chaos.count", sql=sql))
    return int(str(result.rows[0]["found"]))


async def _table(database: Database, table: str, key: str) -> list[Row]:
    """Read a table by pages of its key."""
    sql = f"SELECT * FROM {table} WHERE {key} > ? ORDER BY {key} LIMIT ?"  # noqa: S608 - as above
    rows: list[Row] = []
    after = ""
    while True:
        statement = Statement(name="chaos.read", sql=sql, params=(after, PAGE_ROWS))
        page = (await database.execute(statement)).rows
        rows += page
        if len(page) < PAGE_ROWS:
            return rows
        after = str(page[-1][key])
