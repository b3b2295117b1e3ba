"""What a payout rail is to us: it sends money to a merchant, once per key.

Within ``key_retention_seconds`` one key has one payout and one final answer. A timeout is no answer;
"not found" is none either, since the first call may still be on its way. A rail that calls us back is a
``PayoutCallbackReader`` too. Money that was paid may still come back: that is told by a callback, or by
people, and never by another answer to the key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from fintech_kernel.contracts.merchants import BankAccountKind
from fintech_kernel.contracts.processors import Outcome
from fintech_kernel.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutAnswer:
    """An answer. ``failure_code`` is ours (stable), ``rail_reference`` the rail's own."""

    outcome: Outcome
    failure_code: str = ""
    rail_reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RailCapabilities:
    """What a rail can do, for how long it remembers a key and lets a call be under way.

    Attributes:
        in_flight_limit_seconds: nothing that was sent so long ago can still be paid for the first time.
        answered_by_people: it says ``PENDING`` until people confirm a payout or give it up.
        currencies: what it pays; empty means any.
        account_kinds: accounts that it pays to; empty means that it needs to know none.
    """

    key_retention_seconds: int
    in_flight_limit_seconds: int
    answered_by_people: bool = False
    currencies: tuple[str, ...] = ()
    account_kinds: tuple[BankAccountKind, ...] = ()


class PayoutRail(Protocol):
    """A rail. ``key`` is ``operation:step``; the batch number goes out as the bank reference.

    Methods never raise for what the rail or the network does: they answer ``UNKNOWN``.
    """

    @property
    def name(self) -> str:
        """Stable name."""
        ...

    @property
    def capabilities(self) -> RailCapabilities:
        """What it declares about itself."""
        ...

    async def pay(
        self,
        *,
        key: str,
        merchant_id: str,
        amount: Money,
        batch_number: str,
        bank_account_id: str,
    ) -> PayoutAnswer:
        """Send ``amount`` to the merchant's account; the id is empty where the merchant has none."""
        ...

    async def query(self, *, key: str) -> PayoutAnswer | None:
        """Return what became of a key, or None where the rail knows nothing of it (no outcome)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutAnswered:
    """The final answer to a call of ours, told by the rail.

    Attributes:
        event_id: the rail's id of this event; repeats have the same.
        batch_number: the payout, as we named it in the call.
        key: the key of the call.
    """

    event_id: str
    batch_number: str
    key: str
    answer: PayoutAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutSentBack:
    """A payout that was paid came back, told by the rail. ``return_code`` is ours (stable)."""

    event_id: str
    batch_number: str
    key: str
    return_code: str


@runtime_checkable
class PayoutCallbackReader(Protocol):
    """A rail that calls us back, and signs what it says."""

    def read_callback(
        self, *, headers: Mapping[str, str], body: bytes, now: int
    ) -> PayoutAnswered | PayoutSentBack:
        """Return what a callback says. Header names are in lower case, ``now`` is UTC milliseconds.

        Raises:
            CallbackRejected: for every fault alike; its message, for the log, says which.
        """
        ...
