"""The sandbox rail: a small bank with durable books of its own.

One key has one row and so one final answer; a repeat reads it. The amount says what happens:

=====================================  ========================================================
amount (minor units)                   behaviour
=====================================  ========================================================
ends in ``13``                         fails with ``account_closed``
anything else                          is paid
=====================================  ========================================================

A key that comes back with another amount, merchant or batch number is a fault of ours and raises: the
payout that stands in the books is not repeated.
"""

from typing import Any, Final

from fintech_dbclient import Database, DatabaseError, Row, UniqueViolation
from fintech_kernel.canonical import sha256_base32
from fintech_kernel.clock import Clock
from fintech_kernel.contracts.payouts import PayoutAnswer, RailCapabilities
from fintech_kernel.contracts.processors import Outcome
from fintech_kernel.errors import InvariantBroken
from fintech_kernel.money import Money
from loguru import logger

from fintech_settlements.infrastructure import queries

NAME: Final = "sandbox"
FAILING_ENDING: Final = 13
ACCOUNT_CLOSED: Final = "account_closed"

KEY_RETENTION_SECONDS: Final = 10 * 365 * 86_400
"""Its books are never cleared."""

IN_FLIGHT_LIMIT_SECONDS: Final = 60
"""A call reaches its books within a database deadline or not at all; a minute is generous."""

_ENDING: Final = 100
_REFERENCE_CHARACTERS: Final = 20


class SandboxRail:
    """Implements ``contracts.payouts.PayoutRail`` over its own table."""

    name: str = NAME
    capabilities: RailCapabilities = RailCapabilities(
        key_retention_seconds=KEY_RETENTION_SECONDS,
        in_flight_limit_seconds=IN_FLIGHT_LIMIT_SECONDS,
    )

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def pay(
        self, *, key: str, merchant_id: str, amount: Money, batch_number: str
    ) -> PayoutAnswer:
        """Pay once per key; answer UNKNOWN where the books are out of reach.

        Raises:
            InvariantBroken: the key stands for another payout.
        """
        fails = amount.amount % _ENDING == FAILING_ENDING
        insert = queries.insert_sandbox_payout(
            key=key,
            merchant_id=merchant_id,
            amount=amount.amount,
            currency=amount.currency,
            batch_number=batch_number,
            outcome=(Outcome.DECLINED if fails else Outcome.APPROVED).value,
            failure_code=ACCOUNT_CLOSED if fails else "",
            rail_reference=f"sbx_{sha256_base32(key)[:_REFERENCE_CHARACTERS]}",
            recorded_at=self._clock.now_milliseconds(),
        )
        try:
            await self._database.execute(insert)
        except UniqueViolation:
            logger.debug("sandbox rail was asked again", call=key)
        except DatabaseError as error:
            return _unknown(key, error)
        try:
            found = await self._database.execute(queries.sandbox_payout(key))
        except DatabaseError as error:
            return _unknown(key, error)
        _check_same(found.rows[0], merchant_id, amount, batch_number)
        return _answer_from(found.rows[0])

    async def query(self, *, key: str) -> PayoutAnswer | None:
        """Return what the books say of a key."""
        try:
            found = await self._database.execute(queries.sandbox_payout(key))
        except DatabaseError as error:
            return _unknown(key, error)
        return _answer_from(found.rows[0]) if found.rows else None


def _check_same(row: Row, merchant_id: str, amount: Money, batch_number: str) -> None:
    asked = (merchant_id, amount.amount, amount.currency, batch_number)
    stands = (row["merchant_id"], row["amount"], row["currency"], row["batch_number"])
    if asked != stands:
        raise InvariantBroken("the sandbox rail was asked for another payout under a known key")


def _answer_from(row: Row) -> PayoutAnswer:
    payout: dict[str, Any] = dict(row)
    return PayoutAnswer(
        outcome=Outcome(payout["outcome"]),
        failure_code=payout["failure_code"],
        rail_reference=payout["rail_reference"],
    )


def _unknown(key: str, error: DatabaseError) -> PayoutAnswer:
    logger.warning("sandbox books out of reach", call=key, error=type(error).__name__)
    return PayoutAnswer(outcome=Outcome.UNKNOWN)
