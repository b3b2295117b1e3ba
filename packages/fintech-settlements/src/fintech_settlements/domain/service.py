"""Settlements at work: freezes inputs, runs the decisions, asks the rail, reads.

The public methods build operations; the ``run_*`` methods are what an executor does with the stored
request, and may be run again by anybody at any time. Rules live in ``model``, SQL in
``infrastructure.queries``.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final

from fintech_dbclient import Database, Row
from fintech_kernel.canonical import canonical_json
from fintech_kernel.clock import Clock
from fintech_kernel.contracts.accounts import merchant_account
from fintech_kernel.contracts.ledger import Ledger
from fintech_kernel.contracts.merchants import MerchantDirectory
from fintech_kernel.contracts.payouts import PayoutAnswer, PayoutRail
from fintech_kernel.contracts.processors import Outcome
from fintech_kernel.contracts.writes import Write
from fintech_kernel.domain.actors import Actor
from fintech_kernel.domain.codec import EventCodec, from_json, to_json
from fintech_kernel.domain.execution import Appended, Completion, Execution, Finished, refused
from fintech_kernel.domain.journal import Draft, Entry, Journal, Stream, stream_id_of
from fintech_kernel.domain.operations import Answer, IdempotentCall, OperationCall, Operations
from fintech_kernel.errors import NotFound, OutcomeUnknown, Refusal
from fintech_kernel.identifiers import Identifiers
from loguru import logger

from fintech_settlements.domain import model
from fintech_settlements.domain.events import (
    PayoutStarted,
    SettlementApproved,
    SettlementCanceled,
    SettlementClosed,
    SettlementEvent,
    SettlementFailed,
    SettlementOpened,
    SettlementPaid,
)
from fintech_settlements.domain.model import (
    ApproveSettlement,
    CancelSettlement,
    CreateSettlement,
    DueLine,
    PaySettlement,
    Settlement,
)
from fintech_settlements.domain.postings import legs_of, own_transfer_id
from fintech_settlements.domain.statements import StatementLine, StatementSums, statement_line
from fintech_settlements.infrastructure import queries
from fintech_settlements.infrastructure.queries import SettlementFilter, SettlementRow

CREATE: Final = "settlements.create"
APPROVE: Final = "settlements.approve"
PAY: Final = "settlements.pay"
CANCEL: Final = "settlements.cancel"

ID_PREFIX: Final = "stl"

STATEMENT_PAGE_LINES: Final = 1_000
"""Lines of one read while a statement is streamed: the most of it that is ever in memory."""

DECIDE_STEP: Final = "decide"
PAY_STEP: Final = "pay"

CODEC: Final = EventCodec[SettlementEvent](
    SettlementOpened,
    SettlementClosed,
    SettlementApproved,
    PayoutStarted,
    SettlementPaid,
    SettlementFailed,
    SettlementCanceled,
)


class SettlementService:
    """Creates, approves, pays, cancels and shows settlements.

    Args:
        rail: name of the rail that new payouts go through; one of ``rails``.
        chunk_size: lines that one claiming statement takes.
        two_people_above: minor units; above it the payer must not be the approver.
    """

    def __init__(
        self,
        *,
        operations: Operations,
        journal: Journal,
        database: Database,
        clock: Clock,
        identifiers: Identifiers,
        ledger: Ledger,
        merchants: MerchantDirectory,
        rails: Mapping[str, PayoutRail],
        rail: str,
        chunk_size: int,
        two_people_above: int,
    ) -> None:
        self._operations = operations
        self._journal = journal
        self._database = database
        self._clock = clock
        self._identifiers = identifiers
        self._ledger = ledger
        self._merchants = merchants
        self._rails = rails
        self._rail = rail
        self._chunk_size = chunk_size
        self._two_people_above = two_people_above

    # --- operations -----------------------------------------------------------------------------

    async def create(
        self,
        actor: Actor,
        call: IdempotentCall,
        *,
        merchant_id: str,
        currency: str,
        cutoff: int | None,
    ) -> Answer:
        """Settle what is due to a merchant by ``cutoff`` (UTC milliseconds; None: now).

        Raises:
            NotFound: there is no such merchant for this principal.
            IdempotencyKeyReused, OperationRunning, OutcomeUnknown: as ``Operations.run``.
        """
        profile = await self._merchants.profile(merchant_id) if actor.may_see(merchant_id) else None
        if profile is None:
            raise NotFound(NotFound.code)
        now = self._clock.now_milliseconds()
        settlement_id = self._identifiers.new(ID_PREFIX)
        command = CreateSettlement(
            settlement_id=settlement_id,
            merchant_id=merchant_id,
            merchant_status=profile.status,
            currency=currency,
            cutoff=now if cutoff is None else cutoff,
            minimum=profile.settlement_minimum,
            batch_number=model.batch_number_of(settlement_id),
            chunk_size=self._chunk_size,
            due=await self._due(merchant_id, currency, now if cutoff is None else cutoff),
            opened_by=actor.subject,
            requested_at=now,
        )
        return await self._run(CREATE, actor, call, merchant_id, command)

    async def approve(self, actor: Actor, call: IdempotentCall, settlement_id: str) -> Answer:
        """Approve an open settlement.

        Raises:
            NotFound: there is none for this principal.
            IdempotencyKeyReused, OperationRunning, OutcomeUnknown: as ``Operations.run``.
        """
        settlement = await self.get(actor, settlement_id)
        command = ApproveSettlement(
            settlement_id=settlement_id,
            merchant_id=settlement.merchant_id,
            approved_by=actor.subject,
        )
        return await self._run(APPROVE, actor, call, settlement.merchant_id, command)

    async def pay(self, actor: Actor, call: IdempotentCall, settlement_id: str) -> Answer:
        """Pay an approved settlement out, once.

        Raises:
            NotFound: there is none for this principal.
            OutcomeUnknown: the rail has not answered yet; recovery asks it again.
            IdempotencyKeyReused, OperationRunning: as ``Operations.run``.
        """
        settlement = await self.get(actor, settlement_id)
        command = PaySettlement(
            settlement_id=settlement_id,
            merchant_id=settlement.merchant_id,
            rail=self._rail,
            two_people_above=self._two_people_above,
            paid_by=actor.subject,
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._run(PAY, actor, call, settlement.merchant_id, command)

    async def cancel(self, actor: Actor, call: IdempotentCall, settlement_id: str) -> Answer:
        """Give a settlement up before its payout is started.

        Raises:
            NotFound: there is none for this principal.
            IdempotencyKeyReused, OperationRunning, OutcomeUnknown: as ``Operations.run``.
        """
        settlement = await self.get(actor, settlement_id)
        command = CancelSettlement(
            settlement_id=settlement_id,
            merchant_id=settlement.merchant_id,
            canceled_by=actor.subject,
        )
        return await self._run(CANCEL, actor, call, settlement.merchant_id, command)

    # --- executors ------------------------------------------------------------------------------

    async def run_create(self, execution: Execution) -> Finished:
        """Judge, claim the lines, then record their total: after the claim it can only close."""
        command = from_json(CreateSettlement, execution.command)
        try:
            model.check_creation(command)
        except Refusal as refusal:
            return await execution.conclude_refused(refusal)
        stream = Stream(stream_id_of(command.merchant_id, command.settlement_id))
        if execution.resumed:
            stream = await execution.read_stream(command.merchant_id, command.settlement_id)
        if standing := stream.step(execution.key(DECIDE_STEP)):
            return await execution.finish(
                self._completion(Appended(entries=standing, stream=stream))
            )
        claimed = await self._ledger.claim(
            settlement_id=command.settlement_id,
            own_transfer_id=own_transfer_id(execution.operation_id),
            merchant_id=command.merchant_id,
            account=merchant_account(command.merchant_id, command.currency),
            cutoff=command.cutoff,
            chunk_size=command.chunk_size,
        )
        return await execution.conclude(
            stream=stream,
            step=DECIDE_STEP,
            decide=lambda _stream: _drafts(model.decide_creation(command, claimed)),
            complete=self._completion,
        )

    async def run_approve(self, execution: Execution) -> Finished:
        """Decide on an approval."""
        command = from_json(ApproveSettlement, execution.command)
        return await self._decide(
            execution, command, lambda settlement: model.decide_approval(settlement, command)
        )

    async def run_cancel(self, execution: Execution) -> Finished:
        """Decide on a cancellation; the money goes back to the merchant's account."""
        command = from_json(CancelSettlement, execution.command)
        return await self._decide(
            execution, command, lambda settlement: model.decide_cancel(settlement, command)
        )

    async def run_pay(self, execution: Execution) -> Finished:
        """Record that the payout starts, ask the rail once under one key, record its answer.

        Raises:
            OutcomeUnknown: no definite answer yet; recovery runs this again.
        """
        command = from_json(PaySettlement, execution.command)
        stream = await execution.read_stream(command.merchant_id, command.settlement_id)
        started = await execution.append(
            stream=stream,
            step=DECIDE_STEP,
            decide=lambda stream: _drafts(model.decide_payment(_settlement(stream), command)),
        )
        if started.is_refused:
            return await execution.finish(refused(started.entries[0]))
        if standing := started.stream.step(execution.key(PAY_STEP)):
            appended = Appended(entries=standing, stream=started.stream)
            return await execution.finish(self._completion(appended))
        answer = await self._ask_rail(execution, started)
        return await execution.conclude(
            stream=started.stream,
            step=PAY_STEP,
            decide=lambda stream: _drafts(model.decide_payout(_settlement(stream), answer)),
            complete=self._completion,
        )

    # --- reads ----------------------------------------------------------------------------------

    async def get(self, actor: Actor, settlement_id: str) -> Settlement:
        """Return a settlement as its stream makes it.

        Raises:
            NotFound: there is none for this principal.
        """
        merchant_id = await self._merchant_of(actor, settlement_id)
        stream = await self._journal.stream(merchant_id, settlement_id)
        if not stream.exists:
            raise NotFound(NotFound.code)
        return _settlement(stream)

    async def list(
        self,
        actor: Actor,
        *,
        merchant_id: str | None,
        where: SettlementFilter,
        before: str | None,
        limit: int,
    ) -> tuple[Settlement, ...]:
        """Return settlements from the read model, newest first, with ids below ``before``.

        ``merchant_id`` narrows what platform staff see; a merchant's principal sees its own anyway.
        """
        if merchant_id is not None and not actor.may_see(merchant_id):
            return ()
        scope = merchant_id if actor.is_platform else actor.merchant_id
        if scope is None:
            statement = queries.settlements_of_platform(where=where, before=before, limit=limit)
        else:
            statement = queries.settlements_of_merchant(
                merchant_id=scope, where=where, before=before, limit=limit
            )
        result = await self._database.execute(statement)
        return tuple(_from_row(row) for row in result.rows)

    async def lines(
        self, settlement: Settlement, *, after: str, limit: int
    ) -> tuple[StatementLine, ...]:
        """Return rows of a settlement's statement with ``transfer_id > after``, in that order."""
        found = await self._ledger.lines(
            settlement_id=settlement.settlement_id,
            merchant_id=settlement.merchant_id,
            after=after,
            limit=limit,
        )
        return tuple(statement_line(settlement, line) for line in found)

    async def statement(
        self, settlement: Settlement, sums: StatementSums
    ) -> AsyncIterator[Sequence[StatementLine]]:
        """Yield all rows of a statement in pages, counting them into ``sums``.

        Raises:
            InvariantBroken: after the last page, when the rows are not what the settlement recorded.
        """
        after = ""
        while page := await self.lines(settlement, after=after, limit=STATEMENT_PAGE_LINES):
            sums.add(page)
            yield page
            after = page[-1].transfer_id
        sums.check(settlement)

    async def project(self, entry: Entry) -> None:
        """Bring the read model up to the stream of an entry: for the dispatcher, repeatable."""
        stream = await self._journal.stream(entry.merchant_id, entry.object_id)
        row = _row(_settlement(stream), seq=stream.entries[-1].seq)
        await self._database.execute(queries.upsert_settlement(row))

    # --- parts ----------------------------------------------------------------------------------

    async def _due(self, merchant_id: str, currency: str, cutoff: int) -> tuple[DueLine, ...]:
        found = await self._ledger.due_lines(
            merchant_id=merchant_id,
            account=merchant_account(merchant_id, currency),
            cutoff=cutoff,
            limit=model.DUE_LINES_LOOKED_AT,
        )
        return tuple(DueLine(kind=line.kind, amount=line.amount) for line in found)

    async def _run(
        self, kind: str, actor: Actor, call: IdempotentCall, merchant_id: str, command: object
    ) -> Answer:
        return await self._operations.run(
            OperationCall(
                kind=kind,
                merchant_id=merchant_id,
                actor=actor,
                key=call.key,
                command=to_json(command),
                fingerprint=call.fingerprint,
            )
        )

    async def _decide(
        self,
        execution: Execution,
        command: ApproveSettlement | CancelSettlement,
        decide: Callable[[Settlement], Sequence[SettlementEvent]],
    ) -> Finished:
        """Run an operation that is one decision and what follows from it."""
        return await execution.conclude(
            stream=await execution.read_stream(command.merchant_id, command.settlement_id),
            step=DECIDE_STEP,
            decide=lambda stream: _drafts(decide(_settlement(stream))),
            complete=self._completion,
        )

    async def _ask_rail(self, execution: Execution, started: Appended) -> PayoutAnswer:
        """Return the rail's definite answer.

        The same call is sent again while the rail surely remembers its key; afterwards only its books
        are read, and "not found" is no answer.

        Raises:
            OutcomeUnknown: there is none yet, or the rail is not installed in this process.
        """
        settlement = _settlement(started.as_written)
        rail = self._rails.get(settlement.rail)
        if rail is None:
            logger.error("payout rail is not installed here", rail=settlement.rail)
            raise OutcomeUnknown(execution.operation_id)
        key = execution.key(PAY_STEP)
        now = self._clock.now_milliseconds()
        if model.may_send(rail.capabilities, started_at=started.entries[0].occurred_at, now=now):
            answer = await rail.pay(
                key=key,
                merchant_id=settlement.merchant_id,
                amount=settlement.moved,
                batch_number=settlement.batch_number,
            )
        else:
            answer = await rail.query(key=key)
        if answer is None or answer.outcome in {Outcome.PENDING, Outcome.UNKNOWN}:
            raise OutcomeUnknown(execution.operation_id)
        return answer

    async def _merchant_of(self, actor: Actor, settlement_id: str) -> str:
        """Return in whose streams to look: a merchant's own, or the owner's for platform staff.

        Raises:
            NotFound: nobody owns such a settlement.
        """
        if not actor.is_platform:
            return actor.merchant_id
        found = await self._database.execute(queries.owner_of(settlement_id))
        if not found.rows:
            raise NotFound(NotFound.code)
        return str(found.rows[0]["merchant_id"])

    def _completion(self, appended: Appended) -> Completion:
        """Return how an operation ends, from the rows that stand and nothing else."""
        if appended.is_refused:
            return refused(appended.entries[0])
        settlement = _settlement(appended.as_written)
        events = _events(appended.entries)
        row = _row(settlement, seq=appended.entries[-1].seq)
        return Completion(
            result=to_json(settlement),
            writes=(*_ownership(events), *self._postings(appended, settlement, events)),
            read_models=(queries.upsert_settlement(row),),
        )

    def _postings(
        self, appended: Appended, settlement: Settlement, events: tuple[SettlementEvent, ...]
    ) -> tuple[Write, ...]:
        legs = legs_of(settlement, events)
        if not legs:
            return ()
        return self._ledger.postings(
            operation_id=appended.entries[0].operation_id,
            merchant_id=settlement.merchant_id,
            recorded_at=appended.entries[0].occurred_at,
            legs=legs,
        )


def _ownership(events: tuple[SettlementEvent, ...]) -> tuple[Write, ...]:
    """Return the write that says whose a new settlement is: part of what is acknowledged."""
    return tuple(
        Write(
            statement=queries.insert_owner(
                settlement_id=event.settlement_id, merchant_id=event.merchant_id
            ),
            confirm=queries.owner_of(event.settlement_id),
            expected=({"settlement_id": event.settlement_id, "merchant_id": event.merchant_id},),
        )
        for event in events
        if isinstance(event, SettlementOpened)
    )


def _drafts(events: Sequence[SettlementEvent]) -> Sequence[Draft]:
    return [CODEC.draft(event) for event in events]


def _events(entries: Sequence[Entry]) -> tuple[SettlementEvent, ...]:
    return tuple(event for entry in entries if (event := CODEC.event(entry)) is not None)


def _settlement(stream: Stream) -> Settlement:
    return model.fold(CODEC.history(stream))


def _row(settlement: Settlement, *, seq: int) -> SettlementRow:
    return SettlementRow(
        settlement_id=settlement.settlement_id,
        merchant_id=settlement.merchant_id,
        status=settlement.status,
        currency=settlement.currency,
        created_at=settlement.created_at,
        seq=seq,
        data=canonical_json(to_json(settlement)),
    )


def _from_row(row: Row) -> Settlement:
    return from_json(Settlement, json.loads(str(row["data"])))
