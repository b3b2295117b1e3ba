"""What a file for a bank says: who is paid how much, to which account, under which number."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from fintech_kernel.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePayout:
    """One payout. ``details`` is the opened account (``contracts.merchants.OpenedAccount``)."""

    batch_number: str
    amount: Money
    kind: str
    details: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileHead:
    """The file itself. ``number`` is its message id: a bank refuses one that it has seen."""

    number: str
    created: datetime
    debtor_name: str = ""
    debtor_iban: str = ""
    debtor_bic: str = ""
