"""The story of each workflow, from the claimed request to the finished operation.

Each ``run_*`` is written once and run by everybody who holds the operation: the first request, a
repeat, a zombie, recovery. It folds the stream, decides, calls the processor at most once per step with
the step's key, and concludes from the rows that stand.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from fintech_dbclient import Database, DatabaseError, Statement, UniqueViolation
from fintech_kernel.canonical import Json
from fintech_kernel.contracts.ledger import Ledger
from fintech_kernel.contracts.processors import Outcome, Processor, ProcessorAnswer
from fintech_kernel.contracts.writes import Write
from fintech_kernel.domain.actors import job_actor
from fintech_kernel.domain.codec import from_json
from fintech_kernel.domain.execution import (
    Appended,
    Completion,
    Execution,
    Finished,
    RaceLost,
    refused,
)
from fintech_kernel.domain.journal import Entry, Stream, stream_id_of, stream_statement
from fintech_kernel.errors import InvariantBroken, TryAgainLater
from loguru import logger

from fintech_payments.domain import decisions, disputes, events, postings
from fintech_payments.domain.commands import (
    AbandonOutcome,
    CapturePayment,
    CloseDispute,
    CreatePayment,
    ExpirePayment,
    OpenDispute,
    RefundPayment,
    ResolvePayment,
    ReverseStep,
)
from fintech_payments.domain.errors import ReferenceExists, ReferenceExistsWithDifferentAmount
from fintech_payments.domain.events import CaptureMode, Effect, PaymentEvent
from fintech_payments.domain.history import CODEC, drafts, fold_payment
from fintech_payments.domain.model import OpenOutcome, Payment, evolve
from fintech_payments.domain.projection import FIRST_POSITION, read_models
from fintech_payments.domain.resolution import Resolution
from fintech_payments.domain.steps import Step, answer_of, is_definite, may_send
from fintech_payments.domain.views import dispute_view, payment_view, refund_view
from fintech_payments.infrastructure import queries

ABANDONED: Final = "abandoned"
"""Our decline code of a call that was given up."""

RESEND_SECONDS: Final = (0.2, 1.0, 2.0)
"""Pauses before the same call is sent again while the processor's answer is unknown."""


class PaymentWorkflows:
    """How operations on payments run."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        processors: Mapping[str, Processor],
        resolution: Resolution,
        answer_seconds: float,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._processors = processors
        self._resolution = resolution
        self._answer_seconds = answer_seconds

    # --- creation: one call to the processor, then everything in one insert

    @staticmethod
    def opening_of_create(request: Mapping[str, Any], operation_id: str) -> Sequence[Statement]:
        """Take the reference in the trip of the claim, unless no payment comes of it."""
        command = from_json(CreatePayment, request)
        if not command.reference or not decisions.may_create(command):
            return ()
        return (
            queries.insert_reference(
                merchant_id=command.merchant_id,
                reference=command.reference,
                operation_id=operation_id,
                payment_id=command.payment_id,
                amount=command.amount.amount,
                currency=command.amount.currency,
            ),
        )

    async def run_create(self, execution: Execution) -> Finished:
        """Authorize (and capture) a new payment."""
        command = from_json(CreatePayment, execution.command)
        decisions.check_creation(command)
        await self._check_reference(execution, command)
        stream = Stream(stream_id_of(command.merchant_id, command.payment_id))
        if execution.resumed:
            stream = await execution.read_stream(command.merchant_id, command.payment_id)
        if stream.step(execution.key(Effect.AUTHORIZE)):
            answer = ProcessorAnswer(outcome=Outcome.UNKNOWN)  # the row that stands is used instead
        else:
            answer = await self._ask(
                execution,
                command.processor,
                key=execution.key(Effect.AUTHORIZE),
                since=execution.record.created_at,
                call=lambda processor: processor.authorize(
                    key=execution.key(Effect.AUTHORIZE),
                    payment_id=command.payment_id,
                    amount=command.amount,
                    payment_method=command.token,
                    capture=command.capture is CaptureMode.AUTOMATIC,
                ),
            )
        finished = await execution.conclude(
            stream=stream,
            step=Effect.AUTHORIZE,
            decide=lambda _stream: drafts(
                decisions.decide_creation(command, answer, operation_id=execution.operation_id)
            ),
            complete=lambda appended: self._completed(execution.operation_id, appended),
        )
        await self._tell_other_answer(execution, finished, Effect.AUTHORIZE, answer)
        return finished

    async def _check_reference(self, execution: Execution, command: CreatePayment) -> None:
        """Refuse a reference that another operation owns; its owner never changes."""
        if not command.reference or execution.opened[0].error is None:
            return
        if not isinstance(execution.opened[0].error, UniqueViolation):
            raise execution.opened[0].error
        found = await self._database.execute(
            queries.reference_owner(command.merchant_id, command.reference)
        )
        owner: dict[str, Any] = dict(found.rows[0])
        if owner["operation_id"] == execution.operation_id:
            return
        same = (owner["amount"], owner["currency"]) == (
            command.amount.amount,
            command.amount.currency,
        )
        refusal = ReferenceExists if same else ReferenceExistsWithDifferentAmount
        raise refusal(payment_id=owner["payment_id"], reference=command.reference)

    # --- steps on a payment that exists: decide, ask the processor, conclude

    @staticmethod
    def opening_of_step(request: Mapping[str, Any], operation_id: str) -> Sequence[Statement]:
        """Read the payment's stream in the trip of the claim."""
        del operation_id
        return (stream_statement(request["merchant_id"], request["payment_id"]),)

    async def run_capture(self, execution: Execution) -> Finished:
        """Take some of what is authorized."""
        command = from_json(CapturePayment, execution.command)
        return await self._run_step(
            execution,
            Effect.CAPTURE,
            decide=lambda payment: decisions.decide_capture(
                payment, command, self._processors[payment.processor].capabilities
            ),
        )

    async def run_cancel(self, execution: Execution) -> Finished:
        """Give up what is authorized."""
        return await self._run_step(execution, Effect.CANCEL, decide=decisions.decide_cancel)

    async def run_expire(self, execution: Execution) -> Finished:
        """Release what is left of an authorization whose time is over.

        A capture or cancellation that began meanwhile may yet leave something: then nothing is recorded
        and recovery runs this again.
        """
        command = from_json(ExpirePayment, execution.command)

        def decide(payment: Payment) -> tuple[PaymentEvent, ...]:
            if decisions.is_busy(payment):
                raise RaceLost(execution.operation_id)
            return decisions.decide_expiry(payment, command)

        return await self._run_step(execution, Effect.EXPIRE, decide=decide)

    async def run_refund(self, execution: Execution) -> Finished:
        """Give back some of what was captured."""
        command = from_json(RefundPayment, execution.command)
        return await self._run_step(
            execution,
            Effect.REFUND,
            decide=lambda payment: decisions.decide_refund(
                payment, command, self._processors[payment.processor].capabilities
            ),
        )

    async def _run_step(
        self,
        execution: Execution,
        effect: Effect,
        *,
        decide: Callable[[Payment], tuple[PaymentEvent, ...]],
    ) -> Finished:
        command = execution.command
        decided = await execution.append(
            stream=execution.opened_stream(command["merchant_id"], command["payment_id"]),
            step="decide",
            decide=lambda current: drafts(decide(fold_payment(current))),
            writes=lambda appended: self._writes(execution.operation_id, appended),
        )
        if decided.is_refused:
            return await execution.finish(refused(decided.entries[0]))
        if isinstance(CODEC.event(decided.entries[0]), events.PaymentConflicted):
            return await execution.finish(self._completed(execution.operation_id, decided))
        step = Step.of(decided, effect, execution.operation_id)
        answer = ProcessorAnswer(outcome=Outcome.UNKNOWN)
        if not decided.stream.step(execution.key(effect)):
            answer = await self._ask(
                execution,
                step.payment.processor,
                key=step.key,
                since=decided.entries[0].occurred_at,
                call=step.call,
            )
        finished = await execution.conclude(
            stream=decided.stream,
            step=effect,
            decide=lambda current: drafts(
                decisions.decide_answer(
                    fold_payment(current),
                    effect,
                    answer,
                    operation_id=execution.operation_id,
                    amount=step.amount,
                    now=command["requested_at"],
                    refund_id=step.refund_id,
                )
            ),
            complete=lambda appended: self._completed(
                execution.operation_id, appended, refund_id=step.refund_id
            ),
        )
        await self._tell_other_answer(execution, finished, effect, answer)
        return finished

    async def _tell_other_answer(
        self, execution: Execution, finished: Finished, effect: Effect, answer: ProcessorAnswer
    ) -> None:
        """Have our answer written or compared where another executor's row stands without it.

        The operation has ended; what goes wrong here the resolver learns, too.
        """
        if not is_definite(answer) or not _say_otherwise(finished.entries, answer):
            return
        entry = finished.entries[0]
        step = execution.key(effect)
        try:
            await self._resolution.learned(
                await execution.read_stream(entry.merchant_id, entry.object_id),
                step,
                answer,
                under=f"resolve:{step}",
                actor=job_actor("payments.resolve"),
            )
        except (TryAgainLater, DatabaseError) as error:
            logger.warning("answer not written yet", step=step, reason=type(error).__name__)

    # --- disputes: decided by others, and only recorded here

    async def run_open_dispute(self, execution: Execution) -> Finished:
        """Hold back what is disputed."""
        command = from_json(OpenDispute, execution.command)
        return await self._run_dispute(
            execution,
            command,
            decide=lambda payment: disputes.decide_opening(payment, command),
        )

    async def run_close_dispute(self, execution: Execution) -> Finished:
        """Give back, or give up, what was held."""
        command = from_json(CloseDispute, execution.command)
        return await self._run_dispute(
            execution,
            command,
            decide=lambda payment: disputes.decide_closing(payment, command),
        )

    async def _run_dispute(
        self,
        execution: Execution,
        command: OpenDispute | CloseDispute,
        *,
        decide: Callable[[Payment], tuple[PaymentEvent, ...]],
    ) -> Finished:
        return await execution.conclude(
            stream=execution.opened_stream(command.merchant_id, command.payment_id),
            step="decide",
            decide=lambda current: drafts(decide(fold_payment(current))),
            complete=lambda appended: (
                refused(appended.entries[0])
                if appended.is_refused
                else self._completed(
                    execution.operation_id, appended, dispute_id=command.dispute_id
                )
            ),
        )

    # --- what the processor did although it stands here as declined

    async def run_reverse(self, execution: Execution) -> Finished:
        """Have it undone."""
        command = from_json(ReverseStep, execution.command)
        return await self._run_step(
            execution,
            Effect.REVERSE,
            decide=lambda payment: decisions.decide_reversal(payment, command),
        )

    # --- an outcome that was open: concluded in the name of the original operation

    async def run_resolve(self, execution: Execution) -> Finished:
        """Write the definite answer and do what the original operation would have done with it."""
        command = from_json(ResolvePayment, execution.command)
        closed = events.OutcomeClosed(operation_id=command.operation_id)
        return await self._close_outcome(execution, command, closed, command.answer)

    async def run_abandon(self, execution: Execution) -> Finished:
        """Let a call that cannot have arrived count as declined."""
        command = from_json(AbandonOutcome, execution.command)
        closed = events.OutcomeAbandoned(
            operation_id=command.operation_id, abandoned_at=command.requested_at
        )
        declined = ProcessorAnswer(outcome=Outcome.DECLINED, decline_code=ABANDONED)
        return await self._close_outcome(execution, command, closed, declined)

    async def _close_outcome(
        self,
        execution: Execution,
        command: ResolvePayment | AbandonOutcome,
        closed: PaymentEvent,
        answer: ProcessorAnswer,
    ) -> Finished:
        """Append under one step, so that of several answers one stands; everybody uses that one."""
        stream = execution.opened_stream(command.merchant_id, command.payment_id)
        outcome = OpenOutcome(
            effect=command.effect,
            operation_id=command.operation_id,
            opened_at=command.requested_at,
            refund_id=command.refund_id,
        )
        step = Step.reopened(stream, outcome)
        return await execution.conclude(
            stream=stream,
            step=f"{command.effect}:final",
            step_of=command.operation_id,
            decide=lambda current: drafts(
                (
                    closed,
                    *decisions.decide_answer(
                        fold_payment(current),
                        command.effect,
                        answer,
                        operation_id=command.operation_id,
                        amount=step.amount,
                        now=command.requested_at,
                        refund_id=command.refund_id,
                    ),
                )
            ),
            complete=lambda appended: self._completed(
                command.operation_id, appended, refund_id=command.refund_id
            ),
        )

    # --- what follows from the rows that stand

    def _completed(
        self,
        operation_id: str,
        appended: Appended,
        *,
        refund_id: str = "",
        dispute_id: str = "",
    ) -> Completion:
        """Return result, ledger legs and read model, as a function of the operation's own rows."""
        payment, writes = self._rolled_forward(operation_id, appended)
        if payment is None:
            raise InvariantBroken(f"{operation_id} completes a payment without events")
        view = payment_view(payment)
        return Completion(
            result=_result(payment, view, refund_id, dispute_id),
            writes=writes,
            read_models=read_models(
                payment,
                view,
                seq=appended.entries[-1].seq,
                is_new=appended.entries[0].seq == FIRST_POSITION,
            ),
        )

    def _writes(self, operation_id: str, appended: Appended) -> list[Write]:
        """Return the ledger legs of rows."""
        return self._rolled_forward(operation_id, appended)[1]

    def _rolled_forward(
        self, operation_id: str, appended: Appended
    ) -> tuple[Payment | None, list[Write]]:
        """Return the payment as the rows left it, and their legs.

        Each event's legs are one insert, named for the operation. The stream is folded once, and the legs
        taken on the way.
        """
        payment: Payment | None = None
        writes: list[Write] = []
        appended_ids = {entry.entry_id for entry in appended.entries}
        for entry in appended.as_written.entries:
            event = CODEC.event(entry)
            if event is None:
                continue
            payment = evolve(payment, event)
            if entry.entry_id in appended_ids:
                writes += self._ledger.postings(
                    operation_id=operation_id,
                    merchant_id=entry.merchant_id,
                    recorded_at=entry.occurred_at,
                    legs=postings.legs_of(payment, event),
                )
        return payment, writes

    # --- the processor

    async def _ask(
        self,
        execution: Execution,
        name: str,
        *,
        key: str,
        since: int,
        call: Callable[[Processor], Awaitable[ProcessorAnswer]],
    ) -> ProcessorAnswer:
        """Call the processor; while its answer is unknown send the same call again, for a while.

        Only while it surely remembers the key: whoever recovers a step a day later (``since`` is when it
        was decided, UTC milliseconds) must not have it done twice, and asks its books instead. What it
        raises against its contract is no answer either: the outcome stays open, and the operation ends.
        """
        processor = self._processors[name]
        unknown = ProcessorAnswer(outcome=Outcome.UNKNOWN)
        try:
            async with asyncio.timeout(self._answer_seconds):
                for pause in (*RESEND_SECONDS, None):
                    now = execution.clock.now_milliseconds()
                    if not may_send(processor.capabilities, since=since, now=now):
                        return await processor.query(key=key) or unknown
                    answer = await call(processor)
                    if answer.outcome is not Outcome.UNKNOWN or pause is None:
                        return answer
                    await asyncio.sleep(pause)
        except TimeoutError:
            return unknown
        except Exception as error:  # noqa: BLE001 - a processor's fault must not keep money in limbo
            logger.error("processor raised", processor=name, step=key, reason=type(error).__name__)
        return unknown


def _say_otherwise(entries: Sequence[Entry], answer: ProcessorAnswer) -> bool:
    """Whether a step's rows leave open, or contradict, what a definite answer says."""
    is_open = any(entry.type == events.OutcomeOpened.type for entry in entries)
    return is_open or answer_of(entries) not in {None, answer.outcome}


def _result(
    payment: Payment, view: dict[str, Json], refund_id: str, dispute_id: str
) -> dict[str, Json]:
    """Return the view of what the operation was about; where it came to nothing, the payment's."""
    refund = payment.refund(refund_id)
    if refund is not None:
        return refund_view(payment, refund)
    dispute = payment.dispute(dispute_id)
    return view if dispute is None else dispute_view(payment, dispute)
