"""The timeline of a payment: what happened, what is under way, what happens next and when.

A function of rows that stand: the journal, the operations that are not finished, the deliveries. Times
are UTC milliseconds. Shown are the public fields of events: no token, and nobody's name.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from fintech_kernel.canonical import Json
from fintech_kernel.clock import Clock
from fintech_kernel.domain.actors import SYSTEM_ROLES
from fintech_kernel.domain.events import Delivery, Events
from fintech_kernel.domain.execution import OperationRecord
from fintech_kernel.domain.journal import Entry, Journal, Stream
from fintech_kernel.domain.operations import Operations
from fintech_kernel.domain.outlook import outlook

from fintech_payments.domain import decisions, kinds, postings, schedule
from fintech_payments.domain.events import Effect
from fintech_payments.domain.history import CODEC, fold_payment
from fintech_payments.domain.model import Payment
from fintech_payments.domain.steps import standing_answer

RUNNING_MAX: Final = 200
"""Unfinished operations of a merchant among which those of the payment are looked for, oldest first."""

PUBLIC: Final = frozenset(
    {
        "abandoned_at",
        "amount",
        "available_on",
        "capture",
        "code",
        "currency",
        "decline_code",
        "dispute_id",
        "effect",
        "expected",
        "expires_at",
        "facts",
        "fee",
        "fee_returned",
        "kind",
        "method",
        "opened_at",
        "closed_at",
        "reason",
        "reference",
        "refund_id",
        "released",
        "reported",
        "rule_id",
    }
)
"""Fields of events that a timeline shows."""

NOTHING: Final = "nothing: no step is open, and nothing is to be released"


class Timeline:
    """Tells the story of a payment."""

    def __init__(
        self, *, journal: Journal, operations: Operations, events: Events, clock: Clock
    ) -> None:
        self._journal = journal
        self._operations = operations
        self._events = events
        self._clock = clock

    async def of(self, merchant_id: str, payment_id: str) -> dict[str, Json]:
        """Return the timeline as JSON.

        Raises:
            NotFound: there is no such payment of this merchant.
        """
        stream = await self._journal.existing(merchant_id, payment_id)
        deliveries = await self._events.deliveries(merchant_id, payment_id)
        running = await self._operations.running_of(merchant_id, kinds=kinds.ALL, limit=RUNNING_MAX)
        pending = [
            self._pending(one) for one in running if one.command.get("payment_id") == payment_id
        ]
        now = self._clock.now_milliseconds()
        return {
            "payment_id": payment_id,
            "entries": [_entry(stream, entry, deliveries) for entry in stream.entries],
            "processor_calls": list(_calls(stream)),
            "pending": list(pending),
            "next": _next(fold_payment(stream), pending, deliveries, now),
        }

    def _pending(self, record: OperationRecord) -> dict[str, Json]:
        coming = outlook(record, kinds=self._operations.kinds, now=self._clock.now_milliseconds())
        return {
            "operation_id": record.operation_id,
            "kind": record.kind,
            "attempts": record.attempts,
            "action": coming.action,
            "at": coming.at,
        }


def _entry(stream: Stream, entry: Entry, deliveries: Sequence[Delivery]) -> dict[str, Json]:
    return {
        "seq": entry.seq,
        "type": entry.type,
        "at": entry.occurred_at,
        "by": _by(entry.actor),
        "operation_id": entry.operation_id,
        "details": {name: value for name, value in entry.data.items() if name in PUBLIC},
        "transfers": list(_transfers(stream, entry)),
        "deliveries": [
            {
                "handler": one.handler,
                "state": one.state,
                "attempts": one.attempts,
                "next_run_at": one.next_run_at,
            }
            for one in deliveries
            if one.seq == entry.seq
        ],
    }


def _by(actor: Mapping[str, Any]) -> str:
    """Return what kind of principal acted."""
    if tuple(actor["roles"]) == SYSTEM_ROLES:
        return "job"
    return "merchant" if actor["merchant_id"] else "platform"


def _transfers(stream: Stream, entry: Entry) -> Iterator[dict[str, Json]]:
    """Yield the transfers that an entry means: whoever finishes its operation posts exactly these."""
    event = CODEC.event(entry)
    if event is None:
        return
    for leg in postings.legs_of(fold_payment(stream.until(entry)), event):
        if leg.amount.amount:
            yield {
                "transfer_id": f"{entry.operation_id}:{leg.leg}",
                "kind": leg.kind,
                "debit_account": leg.debit_account,
                "credit_account": leg.credit_account,
                "amount": leg.amount.amount,
                "available_on": leg.available_on,
            }


def _calls(stream: Stream) -> Iterator[dict[str, Json]]:
    """Yield what was asked of the processor, in the order of the answers' first rows."""
    effects = {str(effect) for effect in Effect}
    for entry in stream.entries:
        operation_id, _, effect = entry.step_key.partition(":")
        if effect not in effects:
            continue
        final = stream.step(f"{entry.step_key}:final")
        answer = standing_answer(stream, entry.step_key)
        yield {
            "operation_id": operation_id,
            "effect": effect,
            "outcome": answer.value if answer else _outcome_of((*final, entry)),
            "recorded_at": entry.occurred_at,
            "concluded_at": final[0].occurred_at if final else None,
        }


def _outcome_of(entries: Sequence[Entry]) -> str:
    """Return what a call came to that records no approval or decline."""
    types = {entry.type.rpartition(".")[2] for entry in entries}
    if "conflicted" in types:
        return "conflicted"
    return "expired" if "expired" in types else "open"


def _next(
    payment: Payment,
    pending: Sequence[Mapping[str, Json]],
    deliveries: Sequence[Delivery],
    now: int,
) -> list[Json]:
    """Return what happens next, in words, and when."""
    coming: list[Json] = [{"action": one["action"], "at": one["at"]} for one in pending]
    ask_at = schedule.next_ask_at(payment, after=now)
    if ask_at is not None:
        coming.append({"action": "the processor is asked what became of its call", "at": ask_at})
    if decisions.is_expirable(payment):
        coming.append({"action": "what is not captured is released", "at": payment.expires_at})
    coming += [
        {"action": f"the event is delivered to {one.handler}", "at": one.next_run_at}
        for one in deliveries
        if one.next_run_at is not None
    ]
    return coming or [{"action": NOTHING, "at": None}]
