"""Loyalty: what clients ask for, with every input of a decision read before the claim and frozen."""

from dataclasses import dataclass
from typing import Final

from fintech_dbclient import Database
from fintech_kernel.clock import Clock
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.codec import to_json
from fintech_kernel.domain.journal import Stream, stream_id_of, stream_statement
from fintech_kernel.domain.operations import Answer, IdempotentCall, OperationCall, Operations
from fintech_kernel.identifiers import Identifiers

from fintech_loyalty.domain.commands import RedeemPoints
from fintech_loyalty.domain.history import fold_account
from fintech_loyalty.domain.model import account_id
from fintech_loyalty.infrastructure import queries

REDEEM: Final = "loyalty.redeem"
REDEMPTION_PREFIX: Final = "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """A customer's points. What is left is below zero where a refund took back what was spent."""

    customer_id: str
    earned: int
    redeemed: int

    @property
    def left(self) -> int:
        """What can be redeemed."""
        return self.earned - self.redeemed


class Loyalty:
    """The use cases."""

    def __init__(
        self,
        *,
        operations: Operations,
        database: Database,
        identifiers: Identifiers,
        clock: Clock,
        points_min: int,
    ) -> None:
        self._operations = operations
        self._database = database
        self._identifiers = identifiers
        self._clock = clock
        self._points_min = points_min

    async def redeem(
        self, customer_id: str, points: int, *, merchant_id: str, actor: Actor, call: IdempotentCall
    ) -> Answer:
        """Take points from a customer, once for each key."""
        earned = await self._database.execute(queries.points_earned(merchant_id, customer_id))
        command = RedeemPoints(
            redemption_id=self._identifiers.new(REDEMPTION_PREFIX),
            merchant_id=merchant_id,
            customer_id=customer_id,
            points=points,
            earned=queries.earned_of(earned.rows),
            points_min=self._points_min,
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._operations.run(
            OperationCall(
                kind=REDEEM,
                merchant_id=merchant_id,
                actor=actor,
                key=call.key,
                fingerprint=call.fingerprint,
                command=to_json(command),
            )
        )

    async def balance(self, customer_id: str, *, merchant_id: str) -> Balance:
        """Return a customer's points; of whom nothing is known, none."""
        return await read_balance(self._database, merchant_id, customer_id)

    async def check(self) -> None:
        """Raise where the table of points cannot be read."""
        await self._database.execute(queries.probe())


async def read_balance(database: Database, merchant_id: str, customer_id: str) -> Balance:
    """Return a customer's points, in one trip."""
    earned, entries = await database.run(
        [
            queries.points_earned(merchant_id, customer_id),
            stream_statement(merchant_id, account_id(customer_id)),
        ]
    )
    stream_id = stream_id_of(merchant_id, account_id(customer_id))
    account = fold_account(Stream.from_rows(stream_id, entries.unwrap().rows))
    return Balance(
        customer_id=customer_id,
        earned=queries.earned_of(earned.unwrap().rows),
        redeemed=account.redeemed,
    )
