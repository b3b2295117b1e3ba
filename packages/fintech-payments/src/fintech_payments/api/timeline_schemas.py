"""How a payment's timeline is shown."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_OPERATION = "op_mfrggzdfmztwq2lknnwg23tpobyxe43uov3ho6dzpiydcmrtgqzq"


class TransferShown(BaseModel):
    """A transfer that an entry means; it is posted with the entry, or by whoever finishes its operation."""

    transfer_id: str
    kind: str
    debit_account: str
    credit_account: str
    amount: int = Field(description="minor units")
    available_on: int


class DeliveryShown(BaseModel):
    """How far the delivery of an entry to a handler is."""

    handler: str
    state: Literal["pending", "done", "dead"]
    attempts: int
    next_run_at: int | None


class EntryShown(BaseModel):
    """An entry of the payment's journal."""

    seq: int
    type: str
    at: int
    by: Literal["merchant", "platform", "job"]
    operation_id: str
    details: dict[str, Any] = Field(description="the event's public fields")
    transfers: list[TransferShown]
    deliveries: list[DeliveryShown]


class ProcessorCallShown(BaseModel):
    """What was asked of the processor, and what it answered."""

    operation_id: str
    effect: Literal["authorize", "capture", "cancel", "refund", "expire", "reverse"]
    outcome: Literal["approved", "declined", "open", "conflicted", "expired"]
    recorded_at: int = Field(description="when its answer, or that it had none, was recorded")
    concluded_at: int | None = Field(description="when an answer that came later was recorded")


class PendingShown(BaseModel):
    """An operation on the payment that is not finished."""

    operation_id: str
    kind: str
    attempts: int
    action: str
    at: int | None


class NextShown(BaseModel):
    """What happens next, and when."""

    action: str
    at: int | None


class TimelineShown(BaseModel):
    """Everything that happened to a payment. Times are UTC milliseconds."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "payment_id": "pay_01k9qq3v5kf7wsc0d3jz8y2m4t",
                    "entries": [
                        {
                            "seq": 1,
                            "type": "payment.created",
                            "at": 1760000000000,
                            "by": "merchant",
                            "operation_id": _OPERATION,
                            "details": {
                                "amount": {"amount": 10000, "currency": "KES"},
                                "capture": "automatic",
                                "method": "card",
                                "reference": "order-1017",
                            },
                            "transfers": [],
                            "deliveries": [
                                {
                                    "handler": "payments.read_model",
                                    "state": "done",
                                    "attempts": 1,
                                    "next_run_at": None,
                                }
                            ],
                        }
                    ],
                    "processor_calls": [
                        {
                            "operation_id": _OPERATION,
                            "effect": "authorize",
                            "outcome": "open",
                            "recorded_at": 1760000000000,
                            "concluded_at": None,
                        }
                    ],
                    "pending": [],
                    "next": [
                        {
                            "action": "the processor is asked what became of its call",
                            "at": 1760000015000,
                        }
                    ],
                }
            ]
        }
    )

    payment_id: str
    entries: list[EntryShown]
    processor_calls: list[ProcessorCallShown]
    pending: list[PendingShown]
    next: list[NextShown]
