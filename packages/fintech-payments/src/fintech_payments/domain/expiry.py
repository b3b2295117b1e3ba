"""Expiry: what is left of authorizations whose time is over is released, by job."""

import asyncio
from typing import Final

from fintech_dbclient import Database, DatabaseError, Row
from fintech_kernel.clock import Clock
from fintech_kernel.domain.actors import job_actor
from fintech_kernel.domain.codec import to_json
from fintech_kernel.domain.journal import Journal
from fintech_kernel.domain.operations import OperationCall, Operations
from fintech_kernel.errors import TryAgainLater
from loguru import logger

from fintech_payments.domain import decisions
from fintech_payments.domain.commands import ExpirePayment
from fintech_payments.domain.history import fold_payment
from fintech_payments.domain.kinds import EXPIRE
from fintech_payments.infrastructure import queries

EXPIRE_BATCH: Final = 100
EXPIRE_CONCURRENCY: Final = 4


class Expiry:
    """Runs ``payments.expire`` for what is due. Any number of processes may: the key is the payment's."""

    def __init__(
        self, *, operations: Operations, journal: Journal, database: Database, clock: Clock
    ) -> None:
        self._operations = operations
        self._journal = journal
        self._database = database
        self._clock = clock

    async def run(self) -> None:
        """Release every authorization whose time is over (a job)."""
        gate = asyncio.Semaphore(EXPIRE_CONCURRENCY)

        async def expire(row: Row) -> None:
            async with gate:
                await self._try_payment(str(row["merchant_id"]), str(row["payment_id"]))

        after = (0, "")
        while True:
            page = await self._database.execute(
                queries.expired_authorizations(
                    now=self._clock.now_milliseconds(), after=after, limit=EXPIRE_BATCH
                )
            )
            async with asyncio.TaskGroup() as group:
                for row in page.rows:
                    group.create_task(expire(row))
            if len(page.rows) < EXPIRE_BATCH:
                return
            after = (int(str(page.rows[-1]["expires_at"])), str(page.rows[-1]["payment_id"]))

    async def _try_payment(self, merchant_id: str, payment_id: str) -> None:
        """Expire one payment; what is wrong with it holds up no other."""
        try:
            await self._expire(merchant_id, payment_id)
        except (TryAgainLater, DatabaseError) as error:
            logger.warning(
                "authorization not released yet",
                payment_id=payment_id,
                reason=type(error).__name__,
            )

    async def _expire(self, merchant_id: str, payment_id: str) -> None:
        """Claim the expiry where it is due now: a claimed one must never have to be refused for a while."""
        payment = fold_payment(await self._journal.existing(merchant_id, payment_id))
        now = self._clock.now_milliseconds()
        if not decisions.is_expirable(payment) or decisions.is_busy(payment):
            return
        if payment.expires_at is None or payment.expires_at > now:
            return
        command = ExpirePayment(
            payment_id=payment_id,
            merchant_id=merchant_id,
            expires_at=payment.expires_at,
            requested_at=now,
        )
        await self._operations.run(
            OperationCall(
                kind=EXPIRE,
                merchant_id=merchant_id,
                actor=job_actor("payments.expire"),
                key=f"expire:{payment_id}:{payment.expires_at}",
                command=to_json(command),
            )
        )
