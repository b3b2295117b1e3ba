"""Adjustments: what people ask for, with every input read before the claim and frozen; and their list.

How operations run is told in ``workflows``, what they decide in ``decisions``.
"""

import json
from typing import Final

from fintech_dbclient import Database, Row, Statement
from fintech_kernel.canonical import canonical_json
from fintech_kernel.clock import Clock
from fintech_kernel.contracts.merchants import MerchantDirectory
from fintech_kernel.domain.actors import PLATFORM, Actor
from fintech_kernel.domain.codec import EventCodec, from_json, to_json
from fintech_kernel.domain.journal import Entry, Journal, Stream
from fintech_kernel.domain.operations import Answer, IdempotentCall, OperationCall, Operations
from fintech_kernel.errors import NotFound
from fintech_kernel.identifiers import Identifiers
from fintech_kernel.money import Money

from fintech_ledger.domain.decisions import (
    Adjustment,
    AdjustmentStatus,
    ApproveAdjustment,
    ProposeAdjustment,
    RejectAdjustment,
    fold_adjustment,
    merchants_of,
)
from fintech_ledger.domain.events import (
    AdjustmentApproved,
    AdjustmentEvent,
    AdjustmentProposed,
    AdjustmentRejected,
)
from fintech_ledger.infrastructure import adjustment_queries as queries

PROPOSE: Final = "ledger.propose_adjustment"
APPROVE: Final = "ledger.approve_adjustment"
REJECT: Final = "ledger.reject_adjustment"

ID_PREFIX: Final = "adj"

CODEC: Final[EventCodec[AdjustmentEvent]] = EventCodec(
    AdjustmentProposed, AdjustmentApproved, AdjustmentRejected
)


class Adjustments:
    """The use cases of adjustments. Reads fold the stream; the list uses the read model."""

    def __init__(
        self,
        *,
        operations: Operations,
        journal: Journal,
        database: Database,
        identifiers: Identifiers,
        clock: Clock,
        merchants: MerchantDirectory | None,
    ) -> None:
        self._operations = operations
        self._journal = journal
        self._database = database
        self._identifiers = identifiers
        self._clock = clock
        self._merchants = merchants

    async def propose(
        self,
        *,
        debit_account: str,
        credit_account: str,
        amount: Money,
        reason: str,
        reference: str,
        actor: Actor,
        call: IdempotentCall,
    ) -> Answer:
        """Propose a transfer by hand.

        Raises:
            NotFound: it names a merchant that does not exist.
        """
        for merchant_id in merchants_of(debit_account, credit_account):
            if self._merchants and await self._merchants.profile(merchant_id) is None:
                raise NotFound
        command = ProposeAdjustment(
            adjustment_id=self._identifiers.new(ID_PREFIX),
            debit_account=debit_account,
            credit_account=credit_account,
            amount=amount,
            reason=reason,
            reference=reference,
            proposed_by=actor.subject,
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._run(PROPOSE, command, actor, call)

    async def approve(self, adjustment_id: str, *, actor: Actor, call: IdempotentCall) -> Answer:
        """Approve an adjustment; its transfer is posted.

        Raises:
            NotFound: there is none.
        """
        await self._journal.existing(PLATFORM, adjustment_id)
        command = ApproveAdjustment(
            adjustment_id=adjustment_id,
            approved_by=actor.subject,
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._run(APPROVE, command, actor, call)

    async def reject(self, adjustment_id: str, *, actor: Actor, call: IdempotentCall) -> Answer:
        """Reject an adjustment.

        Raises:
            NotFound: there is none.
        """
        await self._journal.existing(PLATFORM, adjustment_id)
        command = RejectAdjustment(
            adjustment_id=adjustment_id,
            rejected_by=actor.subject,
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._run(REJECT, command, actor, call)

    async def get(self, adjustment_id: str) -> Adjustment:
        """Return an adjustment.

        Raises:
            NotFound: there is none.
        """
        return adjustment_of(await self._journal.existing(PLATFORM, adjustment_id))

    async def list(
        self, *, status: AdjustmentStatus | None, before: str | None, limit: int
    ) -> tuple[Adjustment, ...]:
        """Return adjustments, newest first."""
        result = await self._database.execute(
            queries.adjustments_page(
                status=None if status is None else status.value, before=before, limit=limit
            )
        )
        return tuple(_adjustment_of_row(row) for row in result.rows)

    async def show(self, entry: Entry) -> None:
        """Write the read model again from the journal: it follows the finish and may have been lost."""
        stream = await self._journal.stream(PLATFORM, entry.object_id)
        await self._database.execute(read_model(adjustment_of(stream), stream.entries[-1].seq))

    async def _run(
        self,
        kind: str,
        command: ProposeAdjustment | ApproveAdjustment | RejectAdjustment,
        actor: Actor,
        call: IdempotentCall,
    ) -> Answer:
        return await self._operations.run(
            OperationCall(
                kind=kind,
                merchant_id=PLATFORM,
                actor=actor,
                key=call.key,
                fingerprint=call.fingerprint,
                command=to_json(command),
            )
        )


def adjustment_of(stream: Stream) -> Adjustment:
    """Return the adjustment of a stream."""
    return fold_adjustment(CODEC.history(stream))


def read_model(adjustment: Adjustment, seq: int) -> Statement:
    """Return the statement that brings the list to an adjustment at ``seq`` of its stream."""
    return queries.upsert_adjustment(
        adjustment_id=adjustment.adjustment_id,
        status=adjustment.status.value,
        seq=seq,
        data=canonical_json(to_json(adjustment)),
    )


def _adjustment_of_row(row: Row) -> Adjustment:
    return from_json(Adjustment, json.loads(str(row["data"])))
