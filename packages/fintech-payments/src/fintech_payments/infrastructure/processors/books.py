"""The books of the sandboxes: durable, one row per key, so that one key has one answer for ever.

A call whose answer comes later stands here with the time from which it is told; until then its answer
is ``pending``. ``told`` is 0 while a callback for it is owed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from fintech_dbclient import Database, DatabaseError, Row, UniqueViolation
from fintech_kernel.clock import Clock
from fintech_kernel.contracts.processors import DisputeStatus, Outcome, ProcessorAnswer
from fintech_kernel.money import Money
from loguru import logger

from fintech_payments.infrastructure import queries

SALE: Final = "sale"
AUTHORIZE: Final = "authorize"
CAPTURE: Final = "capture"
CANCEL: Final = "cancel"
REFUND: Final = "refund"
DISPUTES: Final = {
    "dispute_open": DisputeStatus.OPEN,
    "dispute_won": DisputeStatus.WON,
    "dispute_lost": DisputeStatus.LOST,
}
"""Entries about disputes: nobody calls for them, they are only told."""
FIRSTS: Final = frozenset({SALE, AUTHORIZE})
"""Effects that begin a payment."""

_FAILED: Final = "failed"
_FAILED_SUFFIX: Final = "#failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call as it stands in the books. ``answers_at`` (UTC milliseconds) 0 means at once."""

    key: str
    processor: str
    payment_id: str
    effect: str
    amount: Money
    token: str
    decline_code: str
    answers_at: int = 0
    told: bool = True

    @classmethod
    def from_row(cls, row: Row) -> "Call":
        """Return a row of the books."""
        columns: dict[str, Any] = dict(row)
        return cls(
            key=columns["call_key"],
            processor=columns["processor"],
            payment_id=columns["payment_id"],
            effect=columns["effect"],
            amount=Money(amount=columns["amount"], currency=columns["currency"]),
            token=columns["token"],
            decline_code=columns["decline_code"],
            answers_at=columns["answers_at"],
            told=columns["told"] == 1,
        )

    def answer(self, *, now: int) -> ProcessorAnswer:
        """Return what is to be said of it at ``now`` (UTC milliseconds)."""
        return ProcessorAnswer(outcome=Outcome.PENDING) if now < self.answers_at else self.final

    @property
    def final(self) -> ProcessorAnswer:
        """What is said of it in the end."""
        if self.decline_code:
            return ProcessorAnswer(outcome=Outcome.DECLINED, decline_code=self.decline_code)
        return ProcessorAnswer(
            outcome=Outcome.APPROVED, amount=self.amount, processor_reference=self.key
        )


class SandboxBooks:
    """What one sandbox knows and did."""

    def __init__(self, *, processor: str, database: Database, clock: Clock) -> None:
        self._processor = processor
        self._database = database
        self._clock = clock

    @property
    def now(self) -> int:
        """UTC milliseconds."""
        return self._clock.now_milliseconds()

    async def enter(self, call: Call) -> tuple[Call, bool]:
        """Write a call, or find that its key stands; return what stands and whether it is new.

        Raises:
            DatabaseError: the books are out of reach.
        """
        insert = queries.insert_sandbox_call(
            key=call.key,
            processor=self._processor,
            payment_id=call.payment_id,
            effect=call.effect,
            amount=call.amount.amount,
            currency=call.amount.currency,
            token=call.token,
            outcome=Outcome.DECLINED if call.decline_code else Outcome.APPROVED,
            decline_code=call.decline_code,
            recorded_at=self.now,
            answers_at=call.answers_at,
            told=call.told,
        )
        try:
            await self._database.execute(insert)
        except UniqueViolation:
            found = await self.find(call.key)
            return found or call, False
        return call, True

    async def is_first_try(self, call: Call) -> bool:
        """Whether a key is tried for the first time; every try but the first finds the first's row.

        Raises:
            DatabaseError: the books are out of reach.
        """
        insert = queries.insert_sandbox_call(
            key=call.key + _FAILED_SUFFIX,
            processor=self._processor,
            payment_id=call.payment_id,
            effect=_FAILED,
            amount=call.amount.amount,
            currency=call.amount.currency,
            token=call.token,
            outcome=Outcome.UNKNOWN,
            decline_code="",
            recorded_at=self.now,
            answers_at=0,
            told=True,
        )
        try:
            await self._database.execute(insert)
        except UniqueViolation:
            return False
        return True

    async def find(self, key: str) -> Call | None:
        """Return the call of a key.

        Raises:
            DatabaseError: the books are out of reach.
        """
        found = await self._database.execute(queries.sandbox_call(key))
        return Call.from_row(found.rows[0]) if found.rows else None

    async def first_of(self, payment_id: str) -> Call | None:
        """Return the call that began a payment.

        Raises:
            DatabaseError: the books are out of reach.
        """
        found = await self._database.execute(queries.sandbox_calls_of_payment(payment_id))
        calls = map(Call.from_row, found.rows)
        return next((one for one in calls if one.effect in FIRSTS), None)

    async def untold(self, limit: int) -> Sequence[Call]:
        """Return calls whose answer is due and not told yet.

        Raises:
            DatabaseError: the books are out of reach.
        """
        found = await self._database.execute(
            queries.sandbox_calls_untold(processor=self._processor, now=self.now, limit=limit)
        )
        return [Call.from_row(row) for row in found.rows]

    async def mark_told(self, key: str) -> None:
        """Note that the callback of a call was acknowledged.

        Raises:
            DatabaseError: the books are out of reach.
        """
        await self._database.execute(queries.mark_sandbox_call_told(key))


def out_of_reach(key: str, error: DatabaseError) -> ProcessorAnswer:
    """Return what a sandbox says whose books are out of reach: nothing definite."""
    logger.warning("sandbox books out of reach", step=key, reason=type(error).__name__)
    return ProcessorAnswer(outcome=Outcome.UNKNOWN)
