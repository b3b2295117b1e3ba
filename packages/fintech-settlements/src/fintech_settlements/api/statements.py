"""Statements on the wire, page by page: memory does not grow with the number of lines.

Both forms end with what the settlement recorded, and a signature, only if the lines are the recorded ones
and add up; otherwise the answer breaks off, so that a statement that is wrong never looks complete.
"""

from collections.abc import AsyncIterator
from typing import Any, Final

from fintech_kernel.web.problems import json_bytes

from fintech_settlements.api.schemas import chained_json, settlement_json, summary_json
from fintech_settlements.domain import statement_csv
from fintech_settlements.domain.model import Settlement
from fintech_settlements.domain.proof import signed_text
from fintech_settlements.domain.service import Settlements
from fintech_settlements.domain.statements import StatementSums, chain_of

CSV_COLUMNS: Final = statement_csv.COLUMNS


async def csv_statement(settlements: Settlements, settlement: Settlement) -> AsyncIterator[bytes]:
    """Yield a statement as CSV: columns, lines, balances and totals, signature.

    Raises:
        InvariantBroken: before the balances, when the lines are not the recorded ones.
    """
    sums, chain = StatementSums(), chain_of(settlement)
    yield statement_csv.text_of_rows([CSV_COLUMNS])
    async for page in settlements.statement(settlement, sums, chain):
        yield statement_csv.text_of_rows([statement_csv.row_of_line(line) for line in page])
    summary = summary_json(settlement, sums, chain.head)
    rows = statement_csv.closing_rows(summary, settlements.signed(signed_text(summary)))
    yield statement_csv.text_of_rows(rows)


async def json_statement(settlements: Settlements, settlement: Settlement) -> AsyncIterator[bytes]:
    """Yield a statement as one JSON object: settlement, lines, totals by type, signature.

    Raises:
        InvariantBroken: before the totals, when the lines are not the recorded ones.
    """
    sums, chain = StatementSums(), chain_of(settlement)
    separator = b"\n"
    yield b'{"settlement":' + json_bytes(settlement_json(settlement)) + b',"lines":['
    async for page in settlements.statement(settlement, sums, chain):
        yield separator + b",\n".join(json_bytes(chained_json(line)) for line in page)
        separator = b",\n"
    summary = summary_json(settlement, sums, chain.head)
    ending: dict[str, Any] = {
        **{name: value for name, value in summary.items() if name != "settlement"},
        "signed": settlements.signed(signed_text(summary)),
    }
    yield b"\n]," + json_bytes(ending).removeprefix(b"{")
