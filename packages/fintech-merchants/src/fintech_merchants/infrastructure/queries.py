"""All SQL of merchants. The merchant is the key, or an argument of the query."""

from dataclasses import dataclass
from typing import Final, LiteralString

from fintech_dbclient import Statement, Value

_COLUMNS: Final = "merchant_id, status, name, currencies, created_at, seq, data"


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantRow:
    """A row of the read model. ``data`` is the merchant as JSON at position ``seq`` of its stream.

    ``currencies`` are ISO codes separated by spaces.
    """

    merchant_id: str
    status: str
    name: str
    currencies: str
    created_at: int
    seq: int
    data: str


def upsert_merchant(row: MerchantRow) -> Statement:
    """Write the read model, unless a later position is there already."""
    return Statement(
        name="merchants.upsert",
        sql="INSERT INTO merchants_merchants (" + _COLUMNS + ") VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (merchant_id) DO UPDATE SET status = excluded.status, name = excluded.name,"
        " currencies = excluded.currencies, seq = excluded.seq, data = excluded.data"
        " WHERE merchants_merchants.seq < excluded.seq",
        params=(
            row.merchant_id,
            row.status,
            row.name,
            row.currencies,
            row.created_at,
            row.seq,
            row.data,
        ),
    )


def merchants_page(
    *, merchant_id: str | None, status: str | None, before: str | None, limit: int
) -> Statement:
    """Read merchants, newest first, behind the id ``before``.

    ``merchant_id`` is whose principal asks; None means every merchant (platform staff only).
    """
    conditions: list[LiteralString] = []
    params: list[Value] = []
    wanted: tuple[tuple[LiteralString, str | None], ...] = (
        ("merchant_id = ?", merchant_id),
        ("status = ?", status),
        ("merchant_id < ?", before),
    )
    for condition, value in wanted:
        if value is not None:
            conditions.append(condition)
            params.append(value)
    where: LiteralString = (" WHERE " + " AND ".join(conditions)) if conditions else ""
    return Statement(
        name="merchants.of_platform" if merchant_id is None else "merchants.of_merchant",
        sql="SELECT "
        + _COLUMNS
        + " FROM merchants_merchants"
        + where
        + " ORDER BY merchant_id DESC LIMIT ?",
        params=(*params, limit),
    )
