"""The sandbox: a small acquirer with durable books of its own.

One key has one row and so one final answer; a repeat reads it. Its magic tokens say what happens:

=============================  ================================================================
token                          behaviour
=============================  ================================================================
``sandbox_approve``            everything is approved
``sandbox_decline_<code>``     authorization is declined with ``<code>``
``sandbox_timeout``            authorization succeeds, but the first call times out
``sandbox_capture_fails``      authorization is approved, captures are declined
``sandbox_refund_fails``       refunds are declined
=============================  ================================================================

Any other token is declined with ``unknown_token``.
"""

from collections.abc import Sequence
from typing import Any, Final

from fintech_dbclient import Database, DatabaseError, Row, UniqueViolation
from fintech_kernel.clock import Clock
from fintech_kernel.contracts.processors import Outcome, ProcessorAnswer, ProcessorCapabilities
from fintech_kernel.money import Money
from loguru import logger

from fintech_payments.infrastructure import queries

NAME: Final = "sandbox"
DECLINES: Final = "sandbox_decline_"
TIMES_OUT: Final = "sandbox_timeout"
CAPTURE_FAILS: Final = "sandbox_capture_fails"
REFUND_FAILS: Final = "sandbox_refund_fails"
APPROVED: Final = frozenset({"sandbox_approve", TIMES_OUT, CAPTURE_FAILS, REFUND_FAILS})

KEY_RETENTION_SECONDS: Final = 10 * 365 * 86_400
"""Its books are never cleared."""

IN_FLIGHT_LIMIT_SECONDS: Final = 60
"""A call reaches its books within a database deadline or not at all; a minute is generous."""


class SandboxProcessor:
    """Implements ``contracts.processors.Processor`` over its own table."""

    name: str = NAME
    capabilities: ProcessorCapabilities = ProcessorCapabilities(
        partial_capture=True,
        multiple_capture=True,
        partial_refund=True,
        asynchronous=False,
        key_retention_seconds=KEY_RETENTION_SECONDS,
        in_flight_limit_seconds=IN_FLIGHT_LIMIT_SECONDS,
    )

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def authorize(
        self, *, key: str, payment_id: str, amount: Money, payment_method: str, capture: bool
    ) -> ProcessorAnswer:
        """Reserve an amount, or take it at once; the token decides."""
        decline_code = ""
        if payment_method.startswith(DECLINES):
            decline_code = payment_method.removeprefix(DECLINES)
        elif payment_method not in APPROVED:
            decline_code = "unknown_token"
        effect = "sale" if capture else "authorize"
        return await self._answer(
            key=key,
            payment_id=payment_id,
            effect=effect,
            amount=amount,
            token=payment_method,
            decline_code=decline_code,
        )

    async def capture(self, *, key: str, payment_id: str, amount: Money) -> ProcessorAnswer:
        """Take some of what was reserved."""
        return await self._follow_up(key, payment_id, "capture", amount, CAPTURE_FAILS)

    async def cancel(self, *, key: str, payment_id: str) -> ProcessorAnswer:
        """Give up what was reserved."""
        return await self._follow_up(key, payment_id, "cancel", None, "")

    async def refund(
        self, *, key: str, payment_id: str, refund_id: str, amount: Money
    ) -> ProcessorAnswer:
        """Give back some of what was taken."""
        del refund_id  # its books know refunds by key
        return await self._follow_up(key, payment_id, "refund", amount, REFUND_FAILS)

    async def query(self, *, key: str) -> ProcessorAnswer | None:
        """Return what the books say of a key."""
        try:
            found = await self._database.execute(queries.sandbox_call(key))
        except DatabaseError as error:
            return _unknown(key, error)
        return _answer_from(found.rows[0]) if found.rows else None

    async def _follow_up(
        self, key: str, payment_id: str, effect: str, amount: Money | None, failing_token: str
    ) -> ProcessorAnswer:
        """Answer a later step by the token that the payment was authorized with."""
        try:
            calls = await self._database.execute(queries.sandbox_calls_of_payment(payment_id))
        except DatabaseError as error:
            return _unknown(key, error)
        first = _first_call(calls.rows)
        if not first or first["outcome"] != Outcome.APPROVED:
            decline_code = "no_authorization"
        elif first["token"] == failing_token:
            decline_code = f"{effect}_declined"
        else:
            decline_code = ""
        token = str(first.get("token", ""))
        currency = str(first.get("currency", "KES"))
        asked = amount or Money(amount=int(first.get("amount", 0)), currency=currency)
        return await self._answer(
            key=key,
            payment_id=payment_id,
            effect=effect,
            amount=asked,
            token=token,
            decline_code=decline_code,
        )

    async def _answer(
        self,
        *,
        key: str,
        payment_id: str,
        effect: str,
        amount: Money,
        token: str,
        decline_code: str,
    ) -> ProcessorAnswer:
        """Write the call into the books, or find that it stands there, and answer from them."""
        insert = queries.insert_sandbox_call(
            key=key,
            payment_id=payment_id,
            effect=effect,
            amount=amount.amount,
            currency=amount.currency,
            token=token,
            outcome=Outcome.DECLINED if decline_code else Outcome.APPROVED,
            decline_code=decline_code,
            recorded_at=self._clock.now_milliseconds(),
        )
        try:
            await self._database.execute(insert)
        except UniqueViolation:
            answer = await self.query(key=key)
            return answer or ProcessorAnswer(outcome=Outcome.UNKNOWN)
        except DatabaseError as error:
            return _unknown(key, error)
        if token == TIMES_OUT and effect in {"sale", "authorize"}:
            return ProcessorAnswer(outcome=Outcome.UNKNOWN)
        if decline_code:
            return ProcessorAnswer(outcome=Outcome.DECLINED, decline_code=decline_code)
        return ProcessorAnswer(outcome=Outcome.APPROVED, amount=amount, processor_reference=key)


def _first_call(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the call that authorized the payment, or nothing where the books hold none."""
    for row in rows:
        if row["effect"] in {"sale", "authorize"}:
            return dict(row)
    return {}


def _answer_from(row: Row) -> ProcessorAnswer:
    call: dict[str, Any] = dict(row)
    if call["outcome"] == Outcome.DECLINED:
        return ProcessorAnswer(outcome=Outcome.DECLINED, decline_code=call["decline_code"])
    return ProcessorAnswer(
        outcome=Outcome.APPROVED,
        amount=Money(amount=call["amount"], currency=call["currency"]),
        processor_reference=call["call_key"],
    )


def _unknown(key: str, error: DatabaseError) -> ProcessorAnswer:
    logger.warning("sandbox books out of reach", step=key, reason=type(error).__name__)
    return ProcessorAnswer(outcome=Outcome.UNKNOWN)
