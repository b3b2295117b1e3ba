"""``DoubleEntryLedger``: what others may ask of the ledger (``fintech_kernel.contracts.ledger``).

It returns postings as writes and does not execute them; it claims lines. Reading the books for people
is ``books``; the claim protocol itself is ``claims``.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fintech_dbclient import Database, Row, Value
from fintech_kernel.contracts.ledger import CARRYOVER, ClaimedLines, Line, Posting
from fintech_kernel.contracts.writes import Write

from fintech_ledger.domain.claims import CHUNK_SIZE_MAX, Claim, clear_hints, run_claim
from fintech_ledger.domain.errors import ClaimBroken
from fintech_ledger.domain.model import MERCHANT, check_legs, find_account
from fintech_ledger.infrastructure import queries

PAGE_MAX: Final = 1_000
"""Most lines or accounts that one call returns."""


CHUNKS_OF_PAGE: Final = 2
"""Chunks that one read of lines reaches over: chunks of the usual size fill the page."""


class DoubleEntryLedger:
    """The ledger on a database."""

    def __init__(self, *, database: Database, jitter: random.Random | None = None) -> None:
        self._database = database
        self._jitter = jitter or random.Random()  # noqa: S311 - spreads load, guards nothing

    def postings(
        self, *, operation_id: str, merchant_id: str, recorded_at: int, legs: Sequence[Posting]
    ) -> tuple[Write, ...]:
        """Return the write of all legs of one decision; none where every leg is zero.

        Raises:
            MalformedPosting: the legs do not fit the chart of accounts, or one another.
        """
        if not legs:
            return ()
        check_legs(merchant_id, legs)
        expected = [
            _columns(operation_id, merchant_id, recorded_at, leg)
            for leg in legs
            if leg.amount.amount > 0
        ]
        if not expected:
            return ()
        rows = [
            (*(row[name] for name in queries.TRANSFER_COLUMNS), _claimable(row)) for row in expected
        ]
        return (
            Write(
                statement=queries.insert_transfers(rows),
                confirm=queries.transfers_of_operation(operation_id),
                expected=expected,
            ),
        )

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

        Raises:
            RaceLost: rivals were faster too often; running it again goes on where it stopped.
            ClaimBroken: the arguments or the lines contradict the protocol.
            OutcomeUnknown: the database did not answer in time.
        """
        _check_merchant_account(merchant_id, account)
        if not 1 <= chunk_size <= CHUNK_SIZE_MAX:
            raise ClaimBroken(f"a chunk has 1 to {CHUNK_SIZE_MAX} lines, not {chunk_size}")
        claim = Claim(
            settlement_id=settlement_id,
            own_transfer_id=own_transfer_id,
            merchant_id=merchant_id,
            account=account,
            cutoff=cutoff,
            chunk_size=chunk_size,
        )
        claimed = await run_claim(self._database, claim, self._jitter)
        await clear_hints(self._database, merchant_id)
        return claimed

    async def lines(
        self, *, settlement_id: str, merchant_id: str, after: str, limit: int
    ) -> tuple[Line, ...]:
        """Return claimed lines with ``transfer_id > after``, in that order, at most ``limit``."""
        wanted = min(limit, PAGE_MAX)
        found: list[Line] = []
        for chunks in (CHUNKS_OF_PAGE, None):
            result = await self._database.execute(
                queries.lines_page(
                    settlement_id=settlement_id,
                    merchant_id=merchant_id,
                    after=found[-1].transfer_id if found else after,
                    limit=wanted - len(found),
                    chunks=chunks,
                )
            )
            found.extend(_line(row) for row in result.rows)
            if len(found) == wanted:
                break
        return tuple(found)

    async def due_lines(
        self, *, merchant_id: str, account: str, cutoff: int, limit: int
    ) -> tuple[Line, ...]:
        """Return unclaimed lines of ``account`` available by ``cutoff``: a look, no claim."""
        _check_merchant_account(merchant_id, account)
        result = await self._database.execute(
            queries.due_lines(
                merchant_id=merchant_id,
                account=account,
                cutoff=cutoff,
                limit=min(limit, PAGE_MAX),
            )
        )
        return tuple(_line(row) for row in result.rows)

    async def due_total(self, *, merchant_id: str, account: str, cutoff: int) -> ClaimedLines:
        """Return number and sum of unclaimed lines of ``account`` available by ``cutoff``: a look."""
        _check_merchant_account(merchant_id, account)
        result = await self._database.execute(
            queries.due_total(merchant_id=merchant_id, account=account, cutoff=cutoff)
        )
        row: dict[str, Any] = dict(result.rows[0])
        return ClaimedLines(count=row["entries"], total=row["total"])

    async def due_accounts(
        self, *, cutoff: int, limit: int, after: tuple[str, str] = ("", "")
    ) -> tuple[tuple[str, str], ...]:
        """Return (merchant id, currency) of merchants' accounts with lines due by ``cutoff``."""
        first, end = MERCHANT.names
        result = await self._database.execute(
            queries.due_accounts(
                first_account=first,
                end_account=end,
                carryover_kind=CARRYOVER,
                cutoff=cutoff,
                after=after,
                limit=min(limit, PAGE_MAX),
            )
        )
        return tuple((str(row["merchant_id"]), str(row["currency"])) for row in result.rows)


def _columns(
    operation_id: str, merchant_id: str, recorded_at: int, leg: Posting
) -> Mapping[str, Value]:
    return {
        "transfer_id": f"{operation_id}:{leg.leg}",
        "operation_id": operation_id,
        "merchant_id": merchant_id,
        "debit_account": leg.debit_account,
        "credit_account": leg.credit_account,
        "amount": leg.amount.amount,
        "currency": leg.amount.currency,
        "kind": leg.kind,
        "available_on": leg.available_on,
        "subject_id": leg.subject_id,
        "reference": leg.reference,
        "recorded_at": recorded_at,
    }


def _claimable(row: Mapping[str, Value]) -> int:
    """Return the hint of a new transfer: 1 where it touches a merchant's account."""
    sides = (find_account(str(row["debit_account"])), find_account(str(row["credit_account"])))
    return int(any(side is not None and side.group is MERCHANT for side in sides))


def _line(row: Row) -> Line:
    columns: dict[str, Any] = dict(row)
    return Line(**columns)


def _check_merchant_account(merchant_id: str, account: str) -> None:
    """Only a merchant's own account has lines to claim.

    Raises:
        ClaimBroken: it is another account.
    """
    found = find_account(account)
    if found is None or found.group is not MERCHANT or found.owner != merchant_id:
        raise ClaimBroken(f"{account} is not an account of {merchant_id}")
