"""One row of a settlement's statement. Pure: what a ledger line says to the merchant."""

from dataclasses import dataclass, fields
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """One row of a statement. ``created_at`` is UTC milliseconds, amounts are minor units.

    The order of its fields is the order in which the chain hashes them: none is moved or added in between.
    """

    transfer_id: str
    merchant_id: str
    payment_id: str
    reference: str
    type: str
    created_at: int
    currency: str
    gross_debit: int
    gross_credit: int
    fee_debit: int
    fee_credit: int
    net_debit: int
    net_credit: int
    batch_number: str

    @property
    def net(self) -> int:
        """What the row adds to the settlement's total; negative where it takes away."""
        return self.net_credit - self.net_debit

    def values(self) -> list[str | int]:
        """Return what it says, in the order of its fields."""
        return [getattr(self, name) for name in LINE_FIELDS]


LINE_FIELDS: Final = tuple(field.name for field in fields(StatementLine))
"""The fields of a row, in their order."""
