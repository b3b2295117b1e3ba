"""Reconciling: the bank's lines and our payouts as people and events bring them; and their list.

Lines and expectations come under keys that they have for ever, so whoever brings one again, at once or
months later, changes nothing. How operations run is told in ``reconciliation_workflows``.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fintech_dbclient import Database, Row, Statement
from fintech_kernel.canonical import canonical_json, sha256_hex
from fintech_kernel.clock import MILLISECONDS_PER_DAY, Clock
from fintech_kernel.contracts.merchants import MerchantDirectory
from fintech_kernel.domain.actors import PLATFORM, Actor, job_actor
from fintech_kernel.domain.codec import EventCodec, from_json, to_json
from fintech_kernel.domain.journal import Entry, Journal
from fintech_kernel.domain.operations import Answer, IdempotentCall, OperationCall, Operations
from fintech_kernel.errors import NotFound

from fintech_settlements.domain import reconciliation as model
from fintech_settlements.domain import reconciliation_events as events
from fintech_settlements.domain.bank_lines import BankLine, ContentFingerprint
from fintech_settlements.domain.history import fold_settlement
from fintech_settlements.domain.reconciliation import (
    DecideResolution,
    Reconciliation,
    ReconciliationStatus,
    ResolveDifference,
    reconciliation_id_of,
    settlement_named,
)
from fintech_settlements.domain.reconciliation_events import (
    BankLineRecorded,
    PayoutExpected,
    ReconciliationEvent,
)
from fintech_settlements.infrastructure import queries as settlement_queries
from fintech_settlements.infrastructure import reconciliation_queries as queries
from fintech_settlements.infrastructure.reconciliation_queries import ReconciliationRow

EXPECT: Final = "settlements.expect_payout"
RECORD: Final = "settlements.record_bank_line"
IMPORT: Final = "settlements.import_bank_lines"
RESOLVE: Final = "settlements.resolve_difference"
APPROVE: Final = "settlements.approve_resolution"
REJECT: Final = "settlements.reject_resolution"

EXPECTER: Final = "settlements.expectations"

LINES_PER_IMPORT_MAX: Final = 100
"""Lines of one import: its body must fit into 64 kB, and it ends within one request."""

MOVED_AT_BANK: Final[Mapping[str, bool]] = {
    "settlement.paid": True,
    "settlement.paid_after_failure": True,
    "settlement.returned": False,
}
"""What our books say after these events: that the total left our bank account, or that it is back."""

CODEC: Final[EventCodec[ReconciliationEvent]] = EventCodec(
    events.PayoutExpected,
    events.BankLineRecorded,
    events.ExpectationWaived,
    events.ResolutionProposed,
    events.ResolutionApproved,
    events.ResolutionRejected,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportBankLines:
    """Import lines. Everything about them was read before the claim."""

    lines: tuple[BankLineRecorded, ...]


class Reconciling:
    """The use cases of reconciliation. Reads fold the stream; lists use the read model.

    Args:
        sla_days: days after a payout until the bank's line for it is missing.
        days_early: days that a bank may date a line before its settlement was made.
        tolerance: minor units of difference that nobody has to look at.
        processors: names of processors that a difference can belong to.
    """

    def __init__(
        self,
        *,
        operations: Operations,
        journal: Journal,
        database: Database,
        clock: Clock,
        merchants: MerchantDirectory,
        processors: Sequence[str],
        sla_days: int,
        days_early: int,
        tolerance: int,
    ) -> None:
        self._operations = operations
        self._journal = journal
        self._database = database
        self._clock = clock
        self._merchants = merchants
        self._processors = tuple(sorted(processors))
        self._sla = sla_days * MILLISECONDS_PER_DAY
        self._early = days_early * MILLISECONDS_PER_DAY
        self._tolerance = tolerance

    # --- our side: what settlements' events say about the bank

    async def expect(self, entry: Entry) -> None:
        """Handle an event of a settlement: note what our books say that it moved at the bank."""
        if entry.type not in MOVED_AT_BANK:
            return
        stream = await self._journal.stream(entry.merchant_id, entry.object_id)
        settlement = fold_settlement(stream)
        command = PayoutExpected(
            reconciliation_id=reconciliation_id_of(settlement.settlement_id),
            settlement_id=settlement.settlement_id,
            merchant_id=settlement.merchant_id,
            batch_number=settlement.batch_number,
            currency=settlement.currency,
            amount=settlement.moved.amount if MOVED_AT_BANK[entry.type] else 0,
            due_at=entry.occurred_at + self._sla,
            seq=entry.seq,
            requested_at=entry.occurred_at,
        )
        await self._operations.run(
            OperationCall(
                kind=EXPECT,
                merchant_id=PLATFORM,
                actor=job_actor(EXPECTER),
                key=f"expect:{entry.entry_id}",
                command=to_json(command),
            )
        )

    # --- the bank's side

    async def import_lines(
        self, lines: Sequence[BankLine], *, actor: Actor, call: IdempotentCall
    ) -> Answer:
        """Import at most ``LINES_PER_IMPORT_MAX`` lines; what is known already stays as it is."""
        command = ImportBankLines(
            lines=tuple([await self._understood(line, actor) for line in lines])
        )
        return await self._operations.run(
            OperationCall(
                kind=IMPORT,
                merchant_id=PLATFORM,
                actor=actor,
                key=call.key,
                fingerprint=call.fingerprint,
                command=to_json(command),
            )
        )

    async def import_file(
        self, lines: Sequence[BankLine], *, actor: Actor
    ) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
        """Import any number of lines in parts; yield what became of each part's.

        A part's key is made of its content: a file that is imported again does nothing again.
        """
        for begin in range(0, len(lines), LINES_PER_IMPORT_MAX):
            part = lines[begin : begin + LINES_PER_IMPORT_MAX]
            content = sha256_hex("".join(f"{one.key}{one.content_hash}" for one in part))
            call = IdempotentCall(
                key=f"bank-file:{content}", fingerprint=ContentFingerprint(content)
            )
            answer = await self.import_lines(part, actor=actor, call=call)
            yield answer.result["lines"]

    async def _understood(self, line: BankLine, actor: Actor) -> BankLineRecorded:
        """Return a line with the payout that it names, or why it can be none of ours."""
        settlement_id, why = await self._payout_of(line)
        return BankLineRecorded(
            reconciliation_id=reconciliation_id_of(settlement_id)
            if settlement_id
            else line.stray_id,
            settlement_id=settlement_id,
            line_key=line.key,
            content_hash=line.content_hash,
            bank_account=line.bank_account,
            bank_id=line.bank_id,
            booked_on=line.booked_on,
            amount=line.amount,
            currency=line.currency,
            reference=line.reference,
            why=why,
            tolerance=self._tolerance if settlement_id else 0,
            recorded_by=actor.subject,
            requested_at=self._clock.now_milliseconds(),
        )

    async def _payout_of(self, line: BankLine) -> tuple[str, str]:
        settlement_id = settlement_named(line.reference)
        if not settlement_id:
            return "", "no_batch_number"
        owner = await self._database.execute(settlement_queries.owner_of(settlement_id))
        if not owner.rows:
            return "", "no_such_batch"
        merchant_id = str(owner.rows[0]["merchant_id"])
        settlement = fold_settlement(await self._journal.stream(merchant_id, settlement_id))
        if settlement.currency != line.currency:
            return "", "other_currency"
        if model.day_end(line.booked_on) + self._early < settlement.created_at:
            return "", "before_the_settlement"
        return settlement_id, ""

    # --- people

    async def resolve(
        self,
        reconciliation_id: str,
        *,
        account: str,
        reason: str,
        actor: Actor,
        call: IdempotentCall,
    ) -> Answer:
        """Explain a difference, or answer for a line that will not come.

        Raises:
            NotFound: there is no such reconciliation, or the account is of no merchant of ours.
        """
        await self._journal.existing(PLATFORM, reconciliation_id)
        owner = model.owner_of_resolvable(account)
        if owner and await self._merchants.profile(owner) is None:
            raise NotFound
        command = ResolveDifference(
            reconciliation_id=reconciliation_id,
            account=account,
            reason=reason,
            processors=self._processors,
            resolved_by=actor.subject,
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._run(RESOLVE, command, actor, call)

    async def decide(
        self, kind: str, reconciliation_id: str, *, actor: Actor, call: IdempotentCall
    ) -> Answer:
        """Approve (kind ``APPROVE``) or reject (``REJECT``) what somebody else proposed.

        Raises:
            NotFound: there is no such reconciliation.
        """
        await self._journal.existing(PLATFORM, reconciliation_id)
        command = DecideResolution(
            reconciliation_id=reconciliation_id,
            decided_by=actor.subject,
            requested_at=self._clock.now_milliseconds(),
        )
        return await self._run(kind, command, actor, call)

    # --- reads

    async def get(self, reconciliation_id: str) -> Reconciliation:
        """Return a reconciliation.

        Raises:
            NotFound: there is none.
        """
        stream = await self._journal.existing(PLATFORM, reconciliation_id)
        found = model.fold_reconciliation(CODEC.history(stream))
        if found is None:
            raise NotFound
        return found

    async def list(
        self, *, status: ReconciliationStatus | None, before: str | None, limit: int
    ) -> tuple[Reconciliation, ...]:
        """Return reconciliations, newest first. ``missing`` are the expected ones that are overdue."""
        is_missing = status is ReconciliationStatus.MISSING
        stored = ReconciliationStatus.EXPECTED if is_missing else status
        result = await self._database.execute(
            queries.reconciliations_page(
                status=None if stored is None else stored.value,
                overdue_at=self._clock.now_milliseconds() if is_missing else None,
                before=before,
                limit=limit,
            )
        )
        return tuple(_of_row(row) for row in result.rows)

    async def show(self, entry: Entry) -> None:
        """Write the read model again from the journal: it follows the finish and may have been lost."""
        stream = await self._journal.stream(PLATFORM, entry.object_id)
        found = model.fold_reconciliation(CODEC.history(stream))
        if found is not None:
            await self._database.execute(read_model(found, stream.entries[-1].seq))

    async def _run(
        self,
        kind: str,
        command: ResolveDifference | DecideResolution,
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


def read_model(found: Reconciliation, seq: int) -> Statement:
    """Return the statement that brings the list to a reconciliation at ``seq`` of its stream."""
    return queries.upsert_reconciliation(
        ReconciliationRow(
            reconciliation_id=found.reconciliation_id,
            settlement_id=found.settlement_id,
            currency=found.currency,
            status=found.status.value,
            due_at=found.due_at,
            seq=seq,
            data=canonical_json(to_json(found)),
        )
    )


def _of_row(row: Row) -> Reconciliation:
    return from_json(Reconciliation, json.loads(str(row["data"])))
