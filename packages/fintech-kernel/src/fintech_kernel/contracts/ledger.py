"""What others need of a ledger: postings that balance by shape, and lines claimed exactly once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from fintech_kernel.contracts.writes import Write
from fintech_kernel.money import Money

CARRYOVER: Final = "Carryover"
"""The kind of a transfer that carries a settlement's total over to the next: alone it is not due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """One leg of a decision: a debit and a credit of the same amount, so it cannot be unbalanced.

    ``available_on`` is UTC milliseconds: before it the amount is pending. ``subject_id`` is the object
    that the leg is about (a payment, a settlement); ``reference`` is the merchant's own word for it.
    """

    leg: str
    debit_account: str
    credit_account: str
    amount: Money
    kind: str
    available_on: int
    subject_id: str
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedLines:
    """What a settlement claimed: how many lines, and their sum from the account's side (may be negative)."""

    count: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One claimed transfer. ``amount`` is signed: positive in favour of the account."""

    transfer_id: str
    kind: str
    subject_id: str
    reference: str
    amount: int
    recorded_at: int
    chunk: int


class Ledger(Protocol):
    """A double-entry ledger. It is told what to post and never decides."""

    def postings(
        self, *, operation_id: str, merchant_id: str, recorded_at: int, legs: Sequence[Posting]
    ) -> tuple[Write, ...]:
        """Return the write of all legs of one decision: one insert, all rows or none.

        Transfer ids are ``operation_id:leg``. Legs of amount zero are left out, except where
        ``kind`` marks a settlement. Nothing is executed here.
        """
        ...

    async def claim(
        self,
        *,
        settlement_id: str,
        own_transfer_id: str,
        merchant_id: str,
        account: str,
        cutoff: int,
        chunk_size: int,
    ) -> ClaimedLines:
        """Claim every transfer of ``account`` available by ``cutoff`` (UTC milliseconds) that none claimed.

        Repeatable: whoever runs it again with the same arguments gets the same set. The settlement's
        own transfer stands as the first marker, so that no later settlement claims it.
        """
        ...

    async def lines(
        self, *, settlement_id: str, merchant_id: str, after: str, limit: int
    ) -> tuple[Line, ...]:
        """Return claimed lines with ``transfer_id > after``, in that order, at most ``limit``."""
        ...

    async def due_lines(
        self, *, merchant_id: str, account: str, cutoff: int, limit: int
    ) -> tuple[Line, ...]:
        """Return unclaimed lines of ``account`` available by ``cutoff``, by transfer id, at most ``limit``.

        A look and no claim: another settlement may claim them a moment later. Their ``chunk`` is -1.
        """
        ...

    async def due_total(self, *, merchant_id: str, account: str, cutoff: int) -> ClaimedLines:
        """Return number and sum of unclaimed lines of ``account`` available by ``cutoff``: a look."""
        ...

    async def due_accounts(
        self, *, cutoff: int, limit: int, after: tuple[str, str] = ("", "")
    ) -> tuple[tuple[str, str], ...]:
        """Return (merchant id, currency) of merchants' accounts with lines due by ``cutoff``, in order.

        Those that have nothing but a ``CARRYOVER`` are left out: such a set is not started. A page begins
        behind ``after``; one shorter than ``limit`` may be cut by the ledger's own limit, so that only an
        empty page is the end.
        """
        ...
