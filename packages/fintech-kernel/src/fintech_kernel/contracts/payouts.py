"""What a payout rail is to us: it sends money to a merchant, once per key."""

from dataclasses import dataclass
from typing import Protocol

from fintech_kernel.contracts.processors import Outcome
from fintech_kernel.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutAnswer:
    """An answer. ``rail_reference`` is the rail's own reference of the payout."""

    outcome: Outcome
    failure_code: str = ""
    rail_reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RailCapabilities:
    """For how long a rail remembers a key and lets a call be under way."""

    key_retention_seconds: int
    in_flight_limit_seconds: int


class PayoutRail(Protocol):
    """A rail. ``key`` is ``operation:step``; the batch number goes out as the bank reference."""

    @property
    def name(self) -> str:
        """Stable name."""
        ...

    @property
    def capabilities(self) -> RailCapabilities:
        """What it declares about itself."""
        ...

    async def pay(
        self, *, key: str, merchant_id: str, amount: Money, batch_number: str
    ) -> PayoutAnswer:
        """Send ``amount`` to the merchant."""
        ...

    async def query(self, *, key: str) -> PayoutAnswer | None:
        """Return what became of a key, or None where the rail knows nothing of it (no outcome)."""
        ...
