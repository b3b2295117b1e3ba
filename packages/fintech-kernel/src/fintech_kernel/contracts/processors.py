"""What a payment processor is to us: calls that are repeated under one key until they answer.

Within ``key_retention_seconds`` one key has one final answer, declines included. A timeout is no
answer; "not found" is none either, since the first call may still be on its way. A processor that
calls us back is a ``CallbackReader`` too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from fintech_kernel.errors import FintechError
from fintech_kernel.money import Money


class Outcome(StrEnum):
    """What a processor said, or did not say."""

    APPROVED = "approved"
    DECLINED = "declined"
    PENDING = "pending"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorAnswer:
    """An answer. ``decline_code`` is ours (stable), ``processor_reference`` the processor's."""

    outcome: Outcome
    amount: Money | None = None
    decline_code: str = ""
    processor_reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorCapabilities:
    """What a processor can do and for how long it remembers.

    ``manual_capture``: an amount can be reserved now and taken later.
    """

    partial_capture: bool
    multiple_capture: bool
    partial_refund: bool
    asynchronous: bool
    key_retention_seconds: int
    in_flight_limit_seconds: int
    manual_capture: bool = True


class Processor(Protocol):
    """A processor. ``key`` is ``operation:step``: repeats of one key have one effect.

    Methods never raise for what the processor or the network does: they answer ``UNKNOWN``.
    """

    @property
    def name(self) -> str:
        """Stable name; part of ledger accounts (``assets:processor:{name}``)."""
        ...

    @property
    def capabilities(self) -> ProcessorCapabilities:
        """What it declares about itself."""
        ...

    async def authorize(
        self, *, key: str, payment_id: str, amount: Money, payment_method: str, capture: bool
    ) -> ProcessorAnswer:
        """Reserve ``amount``; with ``capture`` take it at once (a sale)."""
        ...

    async def capture(self, *, key: str, payment_id: str, amount: Money) -> ProcessorAnswer:
        """Take some of what was authorized."""
        ...

    async def cancel(self, *, key: str, payment_id: str) -> ProcessorAnswer:
        """Give up what was authorized and not captured."""
        ...

    async def refund(
        self, *, key: str, payment_id: str, refund_id: str, amount: Money
    ) -> ProcessorAnswer:
        """Give back some of what was captured."""
        ...

    async def query(self, *, key: str) -> ProcessorAnswer | None:
        """Return what became of a key, or None where the processor knows nothing of it (no outcome)."""
        ...


class CallbackRejected(FintechError):
    """A callback is not signed by whom it claims to come from, is too old, or says nothing we know."""

    code = "callback_rejected"
    title = "The callback is not signed as its sender signs."
    remedy = "Compare the signing secrets of both sides, then send the callback again."


@dataclass(frozen=True, slots=True, kw_only=True)
class StepAnswered:
    """The final answer to a call of ours, told by the processor.

    Attributes:
        event_id: the processor's id of this event; repeats have the same.
        payment_id: the payment, as we named it in the call.
        key: the key of the call.
    """

    event_id: str
    payment_id: str
    key: str
    answer: ProcessorAnswer


class DisputeStatus(StrEnum):
    """The states of a dispute."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeChanged:
    """A customer's bank disputes a payment, or the dispute has ended; told by the processor.

    Attributes:
        event_id: the processor's id of this event; repeats have the same.
        payment_id: the payment, as we named it when it was made.
        reference: the processor's name of the dispute, the same in all of its events.
        amount: what is disputed.
        reason: the scheme's reason, a short code.
    """

    event_id: str
    payment_id: str
    reference: str
    status: DisputeStatus
    amount: Money
    reason: str = ""


@runtime_checkable
class CallbackReader(Protocol):
    """A processor that calls us back, and signs what it says."""

    def read_callback(
        self, *, headers: Mapping[str, str], body: bytes, now: int
    ) -> StepAnswered | DisputeChanged:
        """Return what a callback says. Header names are in lower case, ``now`` is UTC milliseconds.

        Raises:
            CallbackRejected: for every fault alike; its message, for the log, says which.
        """
        ...
