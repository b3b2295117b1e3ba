"""What a settlement's lines say to the merchant: columns, and totals by type.

Modelled on the settlement detail report of Adyen: one row per ledger line, debits and credits in columns
of their own. Amounts are minor units and never negative; a row's net is its gross less its fees, and
the nets of all rows sum to the settlement's total.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from fintech_kernel.contracts.ledger import CARRYOVER, Line
from fintech_kernel.errors import InvariantBroken

from fintech_settlements.domain.model import Settlement
from fintech_settlements.domain.postings import PAYOUT_FAILED, RECEIVABLE

FEE_KINDS: Final = frozenset({"Fee", "FeeRefund"})
"""Kinds of lines that are fees as a whole."""

SETTLEMENT_KINDS: Final = frozenset({CARRYOVER, PAYOUT_FAILED, RECEIVABLE})
"""Kinds of lines that come from an earlier settlement; their reference is its batch number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """One row of a statement. ``created_at`` is UTC milliseconds, amounts are minor units."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeTotal:
    """The rows of one type: how many, and their sums in minor units."""

    type: str
    count: int
    debit: int
    credit: int


@dataclass(slots=True)
class StatementSums:
    """Counts and sums of the rows seen so far: memory grows with types, not with rows."""

    count: int = 0
    total: int = 0
    _types: dict[str, TypeTotal] = field(default_factory=dict[str, TypeTotal])

    def add(self, lines: Iterable[StatementLine]) -> None:
        """Count rows in."""
        for line in lines:
            before = self._types.get(
                line.type, TypeTotal(type=line.type, count=0, debit=0, credit=0)
            )
            self._types[line.type] = TypeTotal(
                type=line.type,
                count=before.count + 1,
                debit=before.debit + line.net_debit,
                credit=before.credit + line.net_credit,
            )
            self.count += 1
            self.total += line.net

    @property
    def by_type(self) -> tuple[TypeTotal, ...]:
        """Totals by type, sorted by type."""
        return tuple(self._types[name] for name in sorted(self._types))

    def check(self, settlement: Settlement) -> None:
        """Compare with what the settlement recorded when it was opened.

        Raises:
            InvariantBroken: another number of rows, or another sum.
        """
        if (self.count, self.total) != (settlement.line_count, settlement.total):
            raise InvariantBroken(
                f"lines of settlement {settlement.settlement_id} do not add up to what it recorded"
            )


def statement_line(settlement: Settlement, line: Line) -> StatementLine:
    """Return a ledger line as a row of its settlement's statement."""
    debit, credit = max(-line.amount, 0), max(line.amount, 0)
    is_fee = line.kind in FEE_KINDS
    return StatementLine(
        transfer_id=line.transfer_id,
        merchant_id=settlement.merchant_id,
        payment_id="" if line.kind in SETTLEMENT_KINDS else line.subject_id,
        reference=line.reference,
        type=line.kind,
        created_at=line.recorded_at,
        currency=settlement.currency,
        gross_debit=0 if is_fee else debit,
        gross_credit=0 if is_fee else credit,
        fee_debit=debit if is_fee else 0,
        fee_credit=credit if is_fee else 0,
        net_debit=debit,
        net_credit=credit,
        batch_number=settlement.batch_number,
    )
