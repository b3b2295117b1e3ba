"""All SQL of merchants. The merchant is the key, or an argument of the query."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Final, LiteralString

from fintech_dbclient import Statement, Value
from fintech_dbclient.statements import repeated

_COLUMNS: Final = (
    "merchant_id, status, verification, name, currencies, metadata_version, created_at, seq, data"
)
_QUALIFIED_COLUMNS: Final = (
    "m.merchant_id, m.status, m.verification, m.name, m.currencies, m.metadata_version,"
    " m.created_at, m.seq, m.data"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantRow:
    """A row of the read model. ``data`` is the merchant as JSON at position ``seq`` of its stream.

    ``currencies`` are ISO codes separated by spaces.
    """

    merchant_id: str
    status: str
    verification: str
    name: str
    currencies: str
    metadata_version: int
    created_at: int
    seq: int
    data: str

    def columns(self) -> dict[str, Value]:
        """Return the row as the database holds it."""
        return {one.name: value for one, value in zip(fields(self), astuple(self), strict=True)}


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantFilter:
    """What merchants are looked for by; None means any. Times are UTC milliseconds, from and until."""

    status: str | None = None
    verification: str | None = None
    currency: str | None = None
    created_from: int | None = None
    created_until: int | None = None
    metadata: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BankAccountRow:
    """A bank account: what may be shown, and the rest sealed under the key ``key_id``."""

    account_id: str
    merchant_id: str
    kind: str
    country: str
    bank_code: str
    masked: str
    key_id: str
    sealed: str
    created_at: int


def upsert_merchant(row: MerchantRow) -> Statement:
    """Write the read model, unless a later position is there already."""
    return Statement(
        name="merchants.upsert",
        sql="INSERT INTO merchants_merchants (" + _COLUMNS + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (merchant_id) DO UPDATE SET status = excluded.status,"
        " verification = excluded.verification, name = excluded.name,"
        " currencies = excluded.currencies, metadata_version = excluded.metadata_version,"
        " seq = excluded.seq, data = excluded.data"
        " WHERE merchants_merchants.seq < excluded.seq",
        params=(
            row.merchant_id,
            row.status,
            row.verification,
            row.name,
            row.currencies,
            row.metadata_version,
            row.created_at,
            row.seq,
            row.data,
        ),
    )


def merchant_by_id(merchant_id: str) -> Statement:
    """Read a merchant's own row."""
    return Statement(
        name="merchants.by_id",
        sql="SELECT " + _COLUMNS + " FROM merchants_merchants WHERE merchant_id = ?",
        params=(merchant_id,),
    )


def upsert_currencies(merchant_id: str, currencies: Sequence[str]) -> Statement:
    """Write which currencies a merchant accepts: they are only ever added."""
    values = repeated("(?, ?, ?)", len(currencies))
    return Statement(
        name="merchants.currencies.upsert",
        sql="INSERT INTO merchants_currencies (currency_key, merchant_id, currency) VALUES "
        + values
        + " ON CONFLICT (currency_key) DO UPDATE SET currency = excluded.currency",
        params=tuple(
            value
            for currency in currencies
            for value in (f"{merchant_id}:{currency}", merchant_id, currency)
        ),
    )


def upsert_metadata(merchant_id: str, metadata: Mapping[str, str], *, version: int) -> Statement:
    """Write a merchant's pairs at a version of its metadata, unless a later one is there already."""
    values = repeated("(?, ?, ?, ?, ?)", len(metadata))
    return Statement(
        name="merchants.metadata.upsert",
        sql="INSERT INTO merchants_metadata (pair_key, merchant_id, name, value, version) VALUES "
        + values
        + " ON CONFLICT (pair_key) DO UPDATE SET value = excluded.value, version = excluded.version"
        " WHERE merchants_metadata.version < excluded.version",
        params=tuple(
            part
            for name, value in metadata.items()
            for part in (f"{merchant_id}:{name}", merchant_id, name, value, version)
        ),
    )


def merchants_page(
    *, merchant_id: str | None, where: MerchantFilter, before: str | None, limit: int
) -> Statement:
    """Read merchants, newest first, behind the id ``before``.

    ``merchant_id`` is whose principal asks; None means every merchant (platform staff only).
    """
    joins, joined = _joins(where)
    conditions, params = _conditions(where, merchant_id=merchant_id, before=before)
    return Statement(
        name="merchants.of_platform" if merchant_id is None else "merchants.of_merchant",
        sql="SELECT "
        + _QUALIFIED_COLUMNS
        + " FROM merchants_merchants m"
        + joins
        + conditions
        + _order(where)
        + " LIMIT ?",
        params=(*joined, *params, limit),
    )


def insert_bank_account(row: BankAccountRow) -> Statement:
    """Write a bank account once."""
    return Statement(
        name="merchants.bank_accounts.insert",
        sql="INSERT INTO merchants_bank_accounts (account_id, merchant_id, kind, country,"
        " bank_code, masked, key_id, sealed, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params=(
            row.account_id,
            row.merchant_id,
            row.kind,
            row.country,
            row.bank_code,
            row.masked,
            row.key_id,
            row.sealed,
            row.created_at,
        ),
    )


def bank_account_of_merchant(merchant_id: str, account_id: str) -> Statement:
    """Read one bank account of a merchant."""
    return Statement(
        name="merchants.bank_accounts.by_id",
        sql="SELECT account_id, merchant_id, kind, country, bank_code, masked, key_id, sealed,"
        " created_at FROM merchants_bank_accounts WHERE merchant_id = ? AND account_id = ?",
        params=(merchant_id, account_id),
    )


def bank_accounts_under_other_keys(*, key_id: str, after: str, limit: int) -> Statement:
    """Read bank accounts of every merchant that are not sealed under a key, behind an id."""
    return Statement(
        name="merchants.bank_accounts.under_other_keys",
        sql="SELECT account_id, merchant_id, key_id, sealed FROM merchants_bank_accounts"
        " WHERE key_id <> ? AND account_id > ? ORDER BY account_id LIMIT ?",
        params=(key_id, after, limit),
    )


def reseal_bank_account(
    merchant_id: str, account_id: str, *, key_id_before: str, key_id: str, sealed: str
) -> Statement:
    """Replace the sealed text of a bank account, if it is still under the key that it was read under."""
    return Statement(
        name="merchants.bank_accounts.reseal",
        sql="UPDATE merchants_bank_accounts SET key_id = ?, sealed = ?"
        " WHERE merchant_id = ? AND account_id = ? AND key_id = ?",
        params=(key_id, sealed, merchant_id, account_id, key_id_before),
    )


def _joins(where: MerchantFilter) -> tuple[LiteralString, Sequence[Value]]:
    joins: LiteralString = ""
    params: list[Value] = []
    if where.currency is not None:
        joins += (
            " INNER JOIN merchants_currencies c ON c.merchant_id = m.merchant_id AND c.currency = ?"
        )
        params.append(where.currency)
    if where.metadata is not None:
        joins += (
            " INNER JOIN merchants_metadata d ON d.merchant_id = m.merchant_id"
            " AND d.version = m.metadata_version AND d.name = ? AND d.value = ?"
        )
        params.extend(where.metadata)
    return joins, params


def _order(where: MerchantFilter) -> LiteralString:
    """Return the order of a page by the table whose index already has it, so that nothing is sorted."""
    if where.metadata is not None:
        return " ORDER BY d.merchant_id DESC"
    if where.currency is not None:
        return " ORDER BY c.merchant_id DESC"
    return " ORDER BY m.merchant_id DESC"


def _conditions(
    where: MerchantFilter, *, merchant_id: str | None, before: str | None
) -> tuple[LiteralString, Sequence[Value]]:
    conditions: list[LiteralString] = []
    params: list[Value] = []
    wanted: tuple[tuple[LiteralString, Value], ...] = (
        ("m.merchant_id = ?", merchant_id),
        ("m.status = ?", where.status),
        ("m.verification = ?", where.verification),
        ("m.created_at >= ?", where.created_from),
        ("m.created_at < ?", where.created_until),
        ("m.merchant_id < ?", before),
    )
    for condition, value in wanted:
        if value is not None:
            conditions.append(condition)
            params.append(value)
    return (" WHERE " + " AND ".join(conditions)) if conditions else "", params
