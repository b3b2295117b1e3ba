"""What loyalty knows of a payment: its customer, and the money that came and went back.

Payments are another plugin's. What is read here is its published language, the events of its stream;
nothing of its code is imported.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from fintech_kernel.domain.journal import Stream

from fintech_loyalty.domain.earning import Movement
from fintech_loyalty.domain.model import CUSTOMER_ID

CREATED: Final = "payment.created"
CAPTURED: Final = "payment.captured"
REFUND_REQUESTED: Final = "payment.refund_requested"
REFUND_SUCCEEDED: Final = "payment.refund_succeeded"

CUSTOMER: Final = "customer"
"""The pair of a payment's metadata that names its customer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """A payment, as far as points go by it."""

    customer_id: str
    currency: str
    movements: tuple[Movement, ...]


def read_payment(stream: Stream) -> Payment | None:
    """Return the payment of a stream; None where it names no customer that can have points."""
    created = next((entry for entry in stream.entries if entry.type == CREATED), None)
    if created is None:
        return None
    customer_id = str(created.data["metadata"].get(CUSTOMER, ""))
    if not CUSTOMER_ID.fullmatch(customer_id):
        return None
    return Payment(
        customer_id=customer_id,
        currency=str(created.data["amount"]["currency"]),
        movements=tuple(_movements(stream)),
    )


def _movements(stream: Stream) -> Iterator[Movement]:
    requested: dict[str, int] = {}
    for entry in stream.entries:
        data: Any = entry.data
        if entry.type == CAPTURED:
            yield Movement(seq=entry.seq, amount=data["amount"]["amount"])
        elif entry.type == REFUND_REQUESTED:
            requested[data["refund_id"]] = data["amount"]["amount"]
        elif entry.type == REFUND_SUCCEEDED:
            yield Movement(seq=entry.seq, amount=-requested[data["refund_id"]])
