"""What a settlement's lines say to the merchant: columns, and totals by type.

Modelled on the settlement detail report of Adyen: one row per ledger line, debits and credits in columns
of their own. Amounts are minor units and never negative; a row's net is its gross less its fees, and
the nets of all rows sum to the settlement's total.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from fintech_dbclient import DatabaseError
from fintech_kernel.contracts.ledger import CARRYOVER, Ledger, Line
from fintech_kernel.errors import InvariantBroken

from fintech_settlements.domain.chain import LineChain
from fintech_settlements.domain.lines import StatementLine
from fintech_settlements.domain.model import Settlement
from fintech_settlements.domain.postings import PAYOUT_FAILED, RECEIVABLE

FEE_KINDS: Final = frozenset({"Fee", "FeeRefund"})
"""Kinds of lines that are fees as a whole."""

SETTLEMENT_KINDS: Final = frozenset({CARRYOVER, PAYOUT_FAILED, RECEIVABLE})
"""Kinds of lines that come from an earlier settlement; their reference is its batch number."""

SETS_KEPT_MAX: Final = 64
"""Sets that are remembered half hashed; each takes some hundred bytes."""

HASH_PAGE_LINES: Final = 1_000
"""Lines of one read while a new set is hashed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeTotal:
    """The rows of one type: how many, and their sums in minor units."""

    type: str
    count: int
    debit: int
    credit: int


@dataclass(slots=True)
class StatementSums:
    """Counts and sums of the rows seen so far: memory grows with types, not with rows.

    ``opening_balance`` is what the settlements before carried over into this one.
    """

    count: int = 0
    total: int = 0
    opening_balance: int = 0
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
            self.opening_balance += line.net if line.type == CARRYOVER else 0

    @property
    def by_type(self) -> tuple[TypeTotal, ...]:
        """Totals by type, sorted by type."""
        return tuple(self._types[name] for name in sorted(self._types))

    def check(self, settlement: Settlement, lines_hash: str = "") -> None:
        """Compare with what the settlement recorded when it was opened.

        Raises:
            InvariantBroken: another number of rows, another sum, or other rows.
        """
        if lines_hash and settlement.lines_hash not in {"", lines_hash}:
            raise InvariantBroken(
                f"lines of settlement {settlement.settlement_id} are not the ones that it recorded"
            )
        if (self.count, self.total) != (settlement.line_count, settlement.total):
            raise InvariantBroken(
                f"lines of settlement {settlement.settlement_id} do not add up to what it recorded"
            )


class LineHashes:
    """Hashes closed sets of lines, page by page, and goes on where an attempt ended.

    Many lines take longer than one attempt of an operation may: what was hashed of a set, which never
    changes, is kept in this process until the set is done, for ``SETS_KEPT_MAX`` sets.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._begun: dict[str, tuple[LineChain, str]] = {}

    async def of(
        self, *, settlement_id: str, merchant_id: str, currency: str, batch_number: str
    ) -> str:
        """Return the last hash of the chain over the claimed lines of a set that has closed."""
        empty = LineChain(merchant_id=merchant_id, currency=currency, batch_number=batch_number)
        # Taken out while it grows: two executors of one operation must never extend one chain.
        chain, after = self._begun.pop(settlement_id, (empty, ""))
        while True:
            try:
                page = await self._ledger.lines(
                    settlement_id=settlement_id,
                    merchant_id=merchant_id,
                    after=after,
                    limit=HASH_PAGE_LINES,
                )
            except (DatabaseError, asyncio.CancelledError):
                if len(self._begun) < SETS_KEPT_MAX:
                    self._begun[settlement_id] = (chain, after)
                raise
            if not page:
                return chain.head
            chain.extend(
                row_of(line, merchant_id=merchant_id, currency=currency, batch_number=batch_number)
                for line in page
            )
            after = page[-1].transfer_id

    def forget(self) -> None:
        """Begin anew with every set."""
        self._begun.clear()


def chain_of(settlement: Settlement) -> LineChain:
    """Return the beginning of a settlement's chain."""
    return LineChain(
        merchant_id=settlement.merchant_id,
        currency=settlement.currency,
        batch_number=settlement.batch_number,
    )


def statement_line(settlement: Settlement, line: Line) -> StatementLine:
    """Return a ledger line as a row of its settlement's statement."""
    return row_of(
        line,
        merchant_id=settlement.merchant_id,
        currency=settlement.currency,
        batch_number=settlement.batch_number,
    )


def row_of(line: Line, *, merchant_id: str, currency: str, batch_number: str) -> StatementLine:
    """Return a ledger line as a row of a batch's statement."""
    debit, credit = max(-line.amount, 0), max(line.amount, 0)
    is_fee = line.kind in FEE_KINDS
    return StatementLine(
        transfer_id=line.transfer_id,
        merchant_id=merchant_id,
        payment_id="" if line.kind in SETTLEMENT_KINDS else line.subject_id,
        reference=line.reference,
        type=line.kind,
        created_at=line.recorded_at,
        currency=currency,
        gross_debit=0 if is_fee else debit,
        gross_credit=0 if is_fee else credit,
        fee_debit=debit if is_fee else 0,
        fee_credit=credit if is_fee else 0,
        net_debit=debit,
        net_credit=credit,
        batch_number=batch_number,
    )
