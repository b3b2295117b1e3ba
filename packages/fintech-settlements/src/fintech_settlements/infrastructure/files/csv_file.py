"""Payouts as CSV (RFC 4180), one row each: for banks and wallets that take no ISO 20022."""

import csv
import io
from collections.abc import Sequence
from typing import Final

from fintech_settlements.infrastructure.files.payouts import FileHead, FilePayout

COLUMNS: Final = (
    "file",
    "batch_number",
    "amount_minor",
    "amount",
    "currency",
    "kind",
    "holder",
    "iban",
    "bank_code",
    "branch_code",
    "account_number",
    "provider",
    "msisdn",
    "country",
)
"""The columns, in their order. ``amount`` has the currency's decimals, ``amount_minor`` none."""

_DETAILS: Final = COLUMNS[6:]


def csv_file(head: FileHead, payouts: Sequence[FilePayout]) -> bytes:
    """Return the file."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    for one in payouts:
        rows.writerow(
            (
                head.number,
                one.batch_number,
                one.amount.amount,
                one.amount.formatted(),
                one.amount.currency,
                one.kind,
                *(one.details.get(name, "") for name in _DETAILS),
            )
        )
    return text.getvalue().encode()
