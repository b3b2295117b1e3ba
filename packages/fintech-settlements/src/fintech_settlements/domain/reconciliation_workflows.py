"""How reconciliation runs: each operation is one decision in one stream, and the legs that follow from it.

What decides reads its own stream and nothing else; everybody who runs it writes the same.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from fintech_dbclient import Statement
from fintech_kernel.contracts.ledger import Ledger
from fintech_kernel.domain.actors import PLATFORM, job_actor
from fintech_kernel.domain.codec import from_json, to_json
from fintech_kernel.domain.execution import Appended, Completion, Execution, Finished, refused
from fintech_kernel.domain.journal import Draft, Stream, stream_id_of, stream_statement
from fintech_kernel.domain.operations import OperationCall, Operations

from fintech_settlements.domain import reconciliation as model
from fintech_settlements.domain.reconciliation import (
    DecideResolution,
    Reconciliation,
    ResolveDifference,
)
from fintech_settlements.domain.reconciliation_events import (
    BankLineRecorded,
    PayoutExpected,
    ReconciliationEvent,
)
from fintech_settlements.domain.reconciling import CODEC, RECORD, ImportBankLines, read_model

DECIDE_STEP: Final = "decide"
IMPORTER: Final = "settlements.bank_import"

IMPORTED: Final = "bank_lines.imported"
"""The type of the entry that says who brought which lines; each line has its own entry, once."""

_NOTHING: Final = Reconciliation(reconciliation_id="", settlement_id="", currency="")
"""What a stream that has no event yet decides on: only lines and expectations begin one."""


class ReconciliationWorkflows:
    """How each operation runs: one decision in one stream, and the legs that follow from it."""

    def __init__(self, *, ledger: Ledger, operations: Operations) -> None:
        self._ledger = ledger
        self._operations = operations

    @staticmethod
    def opening(request: Mapping[str, Any], _operation_id: str) -> Sequence[Statement]:
        """Read the reconciliation's stream in the trip of the claim."""
        return (stream_statement(PLATFORM, request["reconciliation_id"]),)

    async def run_expect(self, execution: Execution) -> Finished:
        """Note what our books say."""
        event = from_json(PayoutExpected, execution.command)
        return await self._conclude(execution, event.reconciliation_id, lambda _state: (event,))

    async def run_record(self, execution: Execution) -> Finished:
        """Note a line of the bank's."""
        event = from_json(BankLineRecorded, execution.command)
        return await self._conclude(execution, event.reconciliation_id, lambda _state: (event,))

    async def run_import(self, execution: Execution) -> Finished:
        """Record each line by an operation of its own, which it has had before if it is known."""
        command = from_json(ImportBankLines, execution.command)
        told = [await self._recorded(line) for line in command.lines]
        return await execution.conclude(
            stream=Stream(stream_id_of(PLATFORM, execution.operation_id)),
            step=DECIDE_STEP,
            decide=lambda _stream: [Draft(type=IMPORTED, data={"lines": told})],
            complete=lambda appended: Completion(result=appended.entries[0].data),
        )

    async def _recorded(self, line: BankLineRecorded) -> dict[str, Any]:
        answer = await self._operations.run(
            OperationCall(
                kind=RECORD,
                merchant_id=PLATFORM,
                actor=job_actor(IMPORTER),
                key=f"bank:{line.line_key}",
                command=to_json(line),
            )
        )
        stands = answer.result
        return {
            "line_key": line.line_key,
            "reconciliation_id": stands["reconciliation_id"],
            "status": stands["status"],
            "why": stands["why"],
            "is_other": stands["content_hash"] != line.content_hash,
        }

    async def run_resolve(self, execution: Execution) -> Finished:
        """Decide on an explanation."""
        command = from_json(ResolveDifference, execution.command)
        return await self._conclude(
            execution,
            command.reconciliation_id,
            lambda state: model.decide_resolution(state, command),
        )

    async def run_approve(self, execution: Execution) -> Finished:
        """Decide on an approval; what suspense holds moves with it."""
        command = from_json(DecideResolution, execution.command)
        return await self._conclude(
            execution,
            command.reconciliation_id,
            lambda state: model.decide_approval(state, command),
        )

    async def run_reject(self, execution: Execution) -> Finished:
        """Decide on a rejection."""
        command = from_json(DecideResolution, execution.command)
        return await self._conclude(
            execution,
            command.reconciliation_id,
            lambda state: model.decide_rejection(state, command),
        )

    async def _conclude(
        self,
        execution: Execution,
        reconciliation_id: str,
        decide: Callable[[Reconciliation], Sequence[ReconciliationEvent]],
    ) -> Finished:
        def drafts(stream: Stream) -> Sequence[Draft]:
            state = model.fold_reconciliation(CODEC.history(stream))
            decided = decide(state) if state is not None else decide(_NOTHING)
            return [CODEC.draft(event) for event in decided]

        return await execution.conclude(
            stream=execution.opened_stream(PLATFORM, reconciliation_id),
            step=DECIDE_STEP,
            decide=drafts,
            complete=self._completed,
        )

    def _completed(self, appended: Appended) -> Completion:
        """Return result, legs and read model, from the rows that stand and nothing else."""
        if appended.is_refused:
            return refused(appended.entries[0])
        entry = appended.entries[0]
        history = CODEC.history(appended.as_written)
        before, event = model.fold_reconciliation(history[:-1]), history[-1]
        after = model.evolve(before, event)
        legs, merchant_id = model.legs_of(before, event)
        writes = self._ledger.postings(
            operation_id=entry.operation_id,
            merchant_id=merchant_id,
            recorded_at=entry.occurred_at,
            legs=legs,
        )
        return Completion(
            result=result_of(after), writes=writes, read_models=(read_model(after, entry.seq),)
        )


def result_of(found: Reconciliation) -> dict[str, Any]:
    """Return a reconciliation as operations store it, with what follows from it."""
    return {
        **to_json(found),
        "status": found.status.value,
        "difference": found.difference,
        "in_suspense": found.in_suspense,
    }


def of_result(result: Mapping[str, Any]) -> Reconciliation:
    """Return the reconciliation of a stored result."""
    derived = {"status", "difference", "in_suspense"}
    return from_json(
        Reconciliation, {name: value for name, value in result.items() if name not in derived}
    )
