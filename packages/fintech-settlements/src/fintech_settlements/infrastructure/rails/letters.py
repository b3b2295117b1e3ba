"""What the sandbox rail writes to us: a JSON body, signed with a key that it shares with us.

The signature covers the body, which holds the time of writing; a letter older than ``AGE_MAX_SECONDS``
is refused, so that a recorded one is worth nothing later. A real rail signs in its own way.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from fintech_kernel.canonical import Json, canonical_json
from fintech_kernel.clock import MILLISECONDS_PER_SECOND
from fintech_kernel.contracts.payouts import PayoutAnswer, PayoutAnswered, PayoutSentBack
from fintech_kernel.contracts.processors import CallbackRejected, Outcome
from fintech_kernel.security.secrets import KeyRing
from fintech_kernel.strict_json import NotStrictJson, parse_strict_json

SIGNATURE_HEADER: Final = "x-sandbox-signature"
ANSWERED: Final = "payout.answered"
RETURNED: Final = "payout.returned"

AGE_MAX_SECONDS: Final = 300
"""As Standard Webhooks has it."""


class PayoutLetters:
    """Writes and reads the callbacks of the sandbox rail."""

    def __init__(self, *, rail: str, keyring: KeyRing) -> None:
        self._purpose = f"callback:rail:{rail}"
        self._keyring = keyring

    def write(self, told: Mapping[str, Json], *, now: int) -> tuple[dict[str, str], bytes]:
        """Return headers and body of a callback."""
        body = canonical_json({**told, "sent_at": now}).encode()
        return {SIGNATURE_HEADER: self._keyring.sign(self._purpose, body)}, body

    def read(
        self, *, headers: Mapping[str, str], body: bytes, now: int
    ) -> PayoutAnswered | PayoutSentBack:
        """Return what a callback says.

        Raises:
            CallbackRejected: it is not signed by this rail, is too old, or is no event of it.
        """
        signature = headers.get(SIGNATURE_HEADER, "")
        if not self._keyring.verify(self._purpose, body, signature):
            raise CallbackRejected("its signature does not fit")
        told = _members(body)
        try:
            age = abs(now - told["sent_at"])
            event = _event(told)
        except (KeyError, TypeError, ValueError):
            raise CallbackRejected("its members are not those of a callback") from None
        if age > AGE_MAX_SECONDS * MILLISECONDS_PER_SECOND:
            raise CallbackRejected("it is too old")
        return event


def _event(told: Mapping[str, Any]) -> PayoutAnswered | PayoutSentBack:
    event_id, batch_number, key = told["event_id"], told["batch_number"], told["key"]
    if told["type"] == RETURNED:
        return PayoutSentBack(
            event_id=event_id,
            batch_number=batch_number,
            key=key,
            return_code=told["return_code"],
        )
    if told["type"] != ANSWERED:
        raise ValueError("another type")
    answer = PayoutAnswer(
        outcome=Outcome(told["outcome"]),
        failure_code=told["failure_code"],
        rail_reference=told["rail_reference"],
    )
    if answer.outcome not in {Outcome.APPROVED, Outcome.DECLINED}:
        raise ValueError("no final answer")
    return PayoutAnswered(event_id=event_id, batch_number=batch_number, key=key, answer=answer)


def _members(body: bytes) -> dict[str, Any]:
    try:
        told = parse_strict_json(body)
    except NotStrictJson as error:
        raise CallbackRejected(error.rule) from None
    if not isinstance(told, dict):
        raise CallbackRejected("it is no object")
    return dict[str, Any](json.loads(body))
