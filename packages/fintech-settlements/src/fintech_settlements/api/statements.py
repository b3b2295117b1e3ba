"""Statements on the wire, page by page: memory does not grow with the number of lines.

Both forms end with what the settlement recorded only if the lines add up to it; otherwise the answer
breaks off, so that a statement that is wrong never looks complete.
"""

import csv
import io
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from fintech_kernel.web.problems import json_bytes

from fintech_settlements.api.schemas import line_json, settlement_json, total_json
from fintech_settlements.domain.model import Settlement
from fintech_settlements.domain.service import Settlements
from fintech_settlements.domain.statements import StatementLine, StatementSums

CSV_COLUMNS: Final = (
    "merchant",
    "payment_id",
    "reference",
    "type",
    "created",
    "currency",
    "gross_debit",
    "gross_credit",
    "fee_debit",
    "fee_credit",
    "net_debit",
    "net_credit",
    "batch_number",
    "transfer_id",
)
"""The columns of a statement, in their order; amounts are minor units, ``created`` is RFC 3339 UTC."""


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


async def csv_statement(settlements: Settlements, settlement: Settlement) -> AsyncIterator[bytes]:
    """Yield a statement as CSV (RFC 4180), header first.

    Raises:
        InvariantBroken: at the end, when the lines do not add up.
    """
    yield _csv_rows([CSV_COLUMNS])
    async for page in settlements.statement(settlement, StatementSums()):
        yield _csv_rows([_csv_row(line) for line in page])


async def json_statement(settlements: Settlements, settlement: Settlement) -> AsyncIterator[bytes]:
    """Yield a statement as one JSON object: settlement, lines, totals by type.

    Raises:
        InvariantBroken: before the totals, when the lines do not add up.
    """
    sums = StatementSums()
    separator = b""
    yield b'{"settlement":' + json_bytes(settlement_json(settlement)) + b',"lines":['
    async for page in settlements.statement(settlement, sums):
        yield separator + b",".join(json_bytes(line_json(line)) for line in page)
        separator = b","
    yield b'],"totals":' + json_bytes([total_json(total) for total in sums.by_type])
    yield b',"line_count":%d,"total":%d}' % (sums.count, sums.total)


def _csv_row(line: StatementLine) -> tuple[str | int, ...]:
    created = _EPOCH + timedelta(milliseconds=line.created_at)
    return (
        line.merchant_id,
        line.payment_id,
        line.reference,
        line.type,
        created.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        line.currency,
        line.gross_debit,
        line.gross_credit,
        line.fee_debit,
        line.fee_credit,
        line.net_debit,
        line.net_credit,
        line.batch_number,
        line.transfer_id,
    )


def _csv_rows(rows: Sequence[Sequence[str | int]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
