"""What a sandbox writes to us: a JSON body, signed with a key that it shares with us.

The signature covers the body, which holds the time of writing; a letter older than ``AGE_MAX_SECONDS``
is refused, so that a recorded one is worth nothing later. A real processor signs in its own way.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from fintech_kernel.canonical import Json, canonical_json
from fintech_kernel.clock import MILLISECONDS_PER_SECOND
from fintech_kernel.contracts.processors import (
    CallbackRejected,
    DisputeChanged,
    DisputeStatus,
    Outcome,
    ProcessorAnswer,
    StepAnswered,
)
from fintech_kernel.money import Money
from fintech_kernel.security.secrets import KeyRing
from fintech_kernel.strict_json import NotStrictJson, parse_strict_json

from fintech_payments.infrastructure.processors.books import DISPUTES, Call

SIGNATURE_HEADER: Final = "x-sandbox-signature"
ANSWERED: Final = "payment.answered"
DISPUTED: Final = "payment.disputed"

AGE_MAX_SECONDS: Final = 300
"""As Standard Webhooks has it."""


class Letters:
    """Writes and reads the callbacks of one sandbox."""

    def __init__(self, *, processor: str, keyring: KeyRing) -> None:
        self._purpose = f"callback:{processor}"
        self._keyring = keyring

    def write(self, call: Call, *, now: int) -> tuple[dict[str, str], bytes]:
        """Return headers and body of the callback for an entry of the books that is to be told."""
        told = _dispute(call) if call.effect in DISPUTES else _answer(call)
        common = {
            "payment_id": call.payment_id,
            "amount": call.amount.amount,
            "currency": call.amount.currency,
            "sent_at": now,
        }
        body = canonical_json({**common, **told}).encode()
        return {SIGNATURE_HEADER: self._keyring.sign(self._purpose, body)}, body

    def read(
        self, *, headers: Mapping[str, str], body: bytes, now: int
    ) -> StepAnswered | DisputeChanged:
        """Return what a callback says.

        Raises:
            CallbackRejected: it is not signed by this sandbox, is too old, or is no event of it.
        """
        signature = headers.get(SIGNATURE_HEADER, "")
        if not self._keyring.verify(self._purpose, body, signature):
            raise CallbackRejected("its signature does not fit")
        told = _object(body)
        try:
            age = abs(now - told["sent_at"])
            event = _EVENTS[told["type"]](told)
        except (KeyError, TypeError, ValueError):
            raise CallbackRejected("its members are not those of a callback") from None
        if age > AGE_MAX_SECONDS * MILLISECONDS_PER_SECOND:
            raise CallbackRejected("it is too old")
        return event


def _answer(call: Call) -> dict[str, Json]:
    return {
        "type": ANSWERED,
        "event_id": f"{call.key}:final",
        "key": call.key,
        "outcome": call.final.outcome.value,
        "decline_code": call.final.decline_code,
        "processor_reference": call.final.processor_reference,
    }


def _dispute(call: Call) -> dict[str, Json]:
    return {
        "type": DISPUTED,
        "event_id": call.key,
        "reference": call.key.partition("#")[0],
        "status": DISPUTES[call.effect].value,
        "reason": "fraudulent",
    }


def _read_answer(told: Mapping[str, Any]) -> StepAnswered:
    outcome = Outcome(told["outcome"])
    if outcome not in {Outcome.APPROVED, Outcome.DECLINED}:
        raise ValueError("no final answer")
    amount = Money(amount=told["amount"], currency=told["currency"])
    return StepAnswered(
        event_id=told["event_id"],
        payment_id=told["payment_id"],
        key=told["key"],
        answer=ProcessorAnswer(
            outcome=outcome,
            amount=amount if outcome is Outcome.APPROVED else None,
            decline_code=told["decline_code"],
            processor_reference=told["processor_reference"],
        ),
    )


def _read_dispute(told: Mapping[str, Any]) -> DisputeChanged:
    return DisputeChanged(
        event_id=told["event_id"],
        payment_id=told["payment_id"],
        reference=told["reference"],
        status=DisputeStatus(told["status"]),
        amount=Money(amount=told["amount"], currency=told["currency"]),
        reason=told["reason"],
    )


_EVENTS: Final[Mapping[str, Callable[[Mapping[str, Any]], StepAnswered | DisputeChanged]]] = {
    ANSWERED: _read_answer,
    DISPUTED: _read_dispute,
}


def _object(body: bytes) -> dict[str, Any]:
    try:
        told = parse_strict_json(body)
    except NotStrictJson as error:
        raise CallbackRejected(error.rule) from None
    if not isinstance(told, dict):
        raise CallbackRejected("it is no object")
    return dict[str, Any](json.loads(body))
