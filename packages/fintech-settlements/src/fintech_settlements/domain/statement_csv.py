"""A statement as CSV (RFC 4180): one row per line, then balances, totals by type and the signature.

What is written here is read here, so that whoever verifies a file holds each row to the one way in which
it is written. Pure text: streaming is the API's, judging is ``proof``'s.
"""

import base64
import binascii
import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fintech_settlements.domain.chain import ChainedLine
from fintech_settlements.domain.lines import StatementLine

COLUMNS: Final = (
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
    "line",
    "line_hash",
)
"""The columns of a statement, in their order; amounts are minor units, ``created`` is RFC 3339 UTC."""

OPENING: Final = "OpeningBalance"
CLOSING: Final = "ClosingBalance"
TOTAL: Final = "Total"
TOTAL_OF: Final = "Total:"
SIGNATURE: Final = "Signature"
"""Types of the rows behind the lines; they have no line number."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownLine:
    """A line as a file shows it: nothing about it is believed yet."""

    number: int
    line: StatementLine
    line_hash: str


def row_of_line(chained: ChainedLine | ShownLine) -> tuple[str, ...]:
    """Return the row of a line."""
    line = chained.line
    cells = (
        line.merchant_id,
        line.payment_id,
        line.reference,
        line.type,
        _shown_time(line.created_at),
        line.currency,
        line.gross_debit,
        line.gross_credit,
        line.fee_debit,
        line.fee_credit,
        line.net_debit,
        line.net_credit,
        line.batch_number,
        line.transfer_id,
        chained.number,
        chained.line_hash,
    )
    return tuple(str(cell) for cell in cells)


def line_of_row(cells: Sequence[str]) -> ShownLine:
    """Return the line of a row.

    Raises:
        ValueError: no line is written in this way.
    """
    row = dict(zip(COLUMNS, cells, strict=True))
    shown = ShownLine(
        number=int(row["line"]),
        line=StatementLine(
            transfer_id=row["transfer_id"],
            merchant_id=row["merchant"],
            payment_id=row["payment_id"],
            reference=row["reference"],
            type=row["type"],
            created_at=_read_time(row["created"]),
            currency=row["currency"],
            gross_debit=int(row["gross_debit"]),
            gross_credit=int(row["gross_credit"]),
            fee_debit=int(row["fee_debit"]),
            fee_credit=int(row["fee_credit"]),
            net_debit=int(row["net_debit"]),
            net_credit=int(row["net_credit"]),
            batch_number=row["batch_number"],
        ),
        line_hash=row["line_hash"],
    )
    if row_of_line(shown) != tuple(cells):
        raise ValueError("written in another way than ours")
    return shown


def is_line(cells: Sequence[str]) -> bool:
    """Whether a row is a line's: those behind the lines have no number."""
    return len(cells) == len(COLUMNS) and bool(cells[COLUMNS.index("line")])


def closing_rows(summary: Mapping[str, Any], note: str) -> list[tuple[str, ...]]:
    """Return the rows behind the lines: balances, totals, and the signature over the summary."""
    settlement = summary["settlement"]

    def row(
        kind: str, debit: int, credit: int, *, reference: str = "", last: str = ""
    ) -> tuple[str, ...]:
        cells = {
            "merchant": settlement["merchant_id"],
            "reference": reference,
            "type": kind,
            "currency": settlement["currency"],
            "net_debit": str(debit),
            "net_credit": str(credit),
            "batch_number": settlement["batch_number"],
            "line_hash": last,
        }
        return tuple(cells.get(column, "") for column in COLUMNS)

    def signed(kind: str, amount: int, **more: str) -> tuple[str, ...]:
        return row(kind, max(-amount, 0), max(amount, 0), **more)

    return [
        signed(OPENING, summary["opening_balance"]),
        *(
            row(TOTAL_OF + one["type"], one["debit"], one["credit"], reference=str(one["count"]))
            for one in summary["totals"]
        ),
        signed(
            TOTAL,
            summary["total"],
            reference=str(summary["line_count"]),
            last=summary["lines_hash"],
        ),
        signed(CLOSING, summary["closing_balance"]),
        row(SIGNATURE, 0, 0, last=base64.b64encode(note.encode()).decode()),
    ]


def note_of_row(cells: Sequence[str]) -> str:
    """Return the signed note of the last row.

    Raises:
        ValueError: it is none.
    """
    row = dict(zip(COLUMNS, cells, strict=True))
    if row["type"] != SIGNATURE:
        raise ValueError("the last row is no signature")
    try:
        return base64.b64decode(row["line_hash"], validate=True).decode()
    except binascii.Error:
        raise ValueError("the signature is not base64") from None


def text_of_rows(rows: Sequence[Sequence[str]]) -> bytes:
    """Return rows as they stand in a file."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _shown_time(milliseconds: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _read_time(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without offset")
    return (moment - _EPOCH) // timedelta(milliseconds=1)
