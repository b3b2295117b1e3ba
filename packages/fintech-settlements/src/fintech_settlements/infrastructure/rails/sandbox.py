"""The sandbox rail: a small bank with durable books of its own.

One key has one row and so one final answer; a repeat reads it. The last two digits of an amount (minor
units) say what happens, ``BEHAVIOURS``; every other amount is paid at once.

A key that comes back with another amount, merchant or batch number is a fault of ours: the payout that
stands in the books is not repeated, and the answer is unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fintech_dbclient import Database, DatabaseError, Row, UniqueViolation
from fintech_kernel.canonical import Json, sha256_base32
from fintech_kernel.clock import MILLISECONDS_PER_SECOND, Clock
from fintech_kernel.contracts.payouts import (
    PayoutAnswer,
    PayoutAnswered,
    PayoutSentBack,
    RailCapabilities,
)
from fintech_kernel.contracts.processors import Outcome
from fintech_kernel.money import Money
from loguru import logger

from fintech_settlements.infrastructure import rail_queries as queries
from fintech_settlements.infrastructure.rails.letters import ANSWERED, RETURNED, PayoutLetters

NAME: Final = "sandbox"
ACCOUNT_CLOSED: Final = "account_closed"
ACCOUNT_BLOCKED: Final = "account_blocked"

KEY_RETENTION_SECONDS: Final = 10 * 365 * 86_400
"""Its books are never cleared."""

IN_FLIGHT_LIMIT_SECONDS: Final = 60
"""A call reaches its books within a database deadline or not at all; a minute is generous."""

LETTERS_PER_TURN: Final = 100
"""So that one turn stays far below its job's timeout."""

_ENDING: Final = 100
_REFERENCE_CHARACTERS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What becomes of a payout. ``letters``: the types of its callbacks, in their order."""

    summary: str
    outcome: Outcome = Outcome.APPROVED
    failure_code: str = ""
    is_late: bool = False
    is_silent: bool = False
    letters: tuple[str, ...] = ()


PROMPT: Final = Behaviour(summary="is paid")

BEHAVIOURS: Final[Mapping[int, Behaviour]] = {
    13: Behaviour(
        summary="fails with `account_closed`",
        outcome=Outcome.DECLINED,
        failure_code=ACCOUNT_CLOSED,
    ),
    17: Behaviour(summary="is paid, and returned later with `account_closed`", letters=(RETURNED,)),
    19: Behaviour(
        summary="is pending, and paid later: a callback tells", is_late=True, letters=(ANSWERED,)
    ),
    23: Behaviour(
        summary="is pending, and fails later with `account_blocked`: a callback tells",
        outcome=Outcome.DECLINED,
        failure_code=ACCOUNT_BLOCKED,
        is_late=True,
        letters=(ANSWERED,),
    ),
    29: Behaviour(
        summary="is pending, and paid later: two callbacks tell",
        is_late=True,
        letters=(ANSWERED, ANSWERED),
    ),
    31: Behaviour(summary="is paid, and the answer to the first call is lost", is_silent=True),
}
"""By the last two digits of an amount."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A callback that is due: of which payout, how many are left with it, headers and body."""

    key: str
    left: int
    headers: Mapping[str, str]
    body: bytes


class SandboxRail:
    """Implements ``contracts.payouts.PayoutRail`` and ``PayoutCallbackReader`` over its own table."""

    name: str = NAME
    capabilities: RailCapabilities = RailCapabilities(
        key_retention_seconds=KEY_RETENTION_SECONDS,
        in_flight_limit_seconds=IN_FLIGHT_LIMIT_SECONDS,
    )

    def __init__(
        self, database: Database, clock: Clock, letters: PayoutLetters, *, late_seconds: float
    ) -> None:
        self._database = database
        self._clock = clock
        self._letters = letters
        self._late_milliseconds = int(late_seconds * MILLISECONDS_PER_SECOND)

    async def pay(
        self,
        *,
        key: str,
        merchant_id: str,
        amount: Money,
        batch_number: str,
        bank_account_id: str,
    ) -> PayoutAnswer:
        """Pay once per key; answer UNKNOWN where the books are out of reach. Any account will do."""
        del bank_account_id
        behaviour = behaviour_of(amount.amount)
        now = self._clock.now_milliseconds()
        later = now + self._late_milliseconds
        insert = queries.insert_sandbox_payout(
            key=key,
            merchant_id=merchant_id,
            amount=amount.amount,
            currency=amount.currency,
            batch_number=batch_number,
            outcome=behaviour.outcome.value,
            failure_code=behaviour.failure_code,
            rail_reference=f"sbx_{sha256_base32(key)[:_REFERENCE_CHARACTERS]}",
            recorded_at=now,
            definite_at=later if behaviour.is_late else now,
            letters_left=len(behaviour.letters),
            next_letter_at=later,
        )
        is_first = True
        try:
            await self._database.execute(insert)
        except UniqueViolation:
            is_first = False
            logger.debug("sandbox rail was asked again", step=key)
        except DatabaseError as error:
            return _unknown(key, error)
        try:
            found = await self._database.execute(queries.sandbox_payout(key))
        except DatabaseError as error:
            return _unknown(key, error)
        if not _is_same(found.rows[0], merchant_id, amount, batch_number):
            logger.error("sandbox rail was asked for another payout under a known key", step=key)
            return PayoutAnswer(outcome=Outcome.UNKNOWN)
        if is_first and behaviour.is_silent:
            return PayoutAnswer(outcome=Outcome.UNKNOWN)
        return self._answer(found.rows[0])

    async def query(self, *, key: str) -> PayoutAnswer | None:
        """Return what the books say of a key."""
        try:
            found = await self._database.execute(queries.sandbox_payout(key))
        except DatabaseError as error:
            return _unknown(key, error)
        return self._answer(found.rows[0]) if found.rows else None

    def read_callback(
        self, *, headers: Mapping[str, str], body: bytes, now: int
    ) -> PayoutAnswered | PayoutSentBack:
        """Return what a letter says.

        Raises:
            CallbackRejected: it is none of ours.
        """
        return self._letters.read(headers=headers, body=body, now=now)

    async def letters(self) -> tuple[Letter, ...]:
        """Return the callbacks that are due.

        Raises:
            DatabaseError: the books are out of reach.
        """
        now = self._clock.now_milliseconds()
        found = await self._database.execute(
            queries.sandbox_letters(now=now, limit=LETTERS_PER_TURN)
        )
        return tuple(self._letter(dict(row), now) for row in found.rows)

    async def told(self, letter: Letter) -> None:
        """Note that a callback was acknowledged."""
        await self._database.execute(queries.mark_told(key=letter.key, letters_left=letter.left))

    def _letter(self, row: Mapping[str, Any], now: int) -> Letter:
        letters = behaviour_of(row["amount"]).letters
        number = len(letters) - row["letters_left"]
        told: dict[str, Json] = {
            "type": letters[number],
            "event_id": f"{row['payout_key']}:letter:{number}",
            "key": row["payout_key"],
            "batch_number": row["batch_number"],
        }
        if letters[number] == RETURNED:
            told["return_code"] = ACCOUNT_CLOSED
        else:
            told |= {
                "outcome": row["outcome"],
                "failure_code": row["failure_code"],
                "rail_reference": row["rail_reference"],
            }
        headers, body = self._letters.write(told, now=now)
        return Letter(key=row["payout_key"], left=row["letters_left"], headers=headers, body=body)

    def _answer(self, row: Row) -> PayoutAnswer:
        payout: dict[str, Any] = dict(row)
        if self._clock.now_milliseconds() < payout["definite_at"]:
            return PayoutAnswer(
                outcome=Outcome.PENDING, rail_reference=str(payout["rail_reference"])
            )
        return PayoutAnswer(
            outcome=Outcome(payout["outcome"]),
            failure_code=payout["failure_code"],
            rail_reference=payout["rail_reference"],
        )


def behaviour_of(amount: int) -> Behaviour:
    """Return what becomes of an amount (minor units)."""
    return BEHAVIOURS.get(amount % _ENDING, PROMPT)


def _is_same(row: Row, merchant_id: str, amount: Money, batch_number: str) -> bool:
    asked = (merchant_id, amount.amount, amount.currency, batch_number)
    return asked == (row["merchant_id"], row["amount"], row["currency"], row["batch_number"])


def _unknown(key: str, error: DatabaseError) -> PayoutAnswer:
    logger.warning("sandbox books out of reach", step=key, reason=type(error).__name__)
    return PayoutAnswer(outcome=Outcome.UNKNOWN)
