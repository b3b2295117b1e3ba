"""What proposals take and adjustments show. Amounts are integer minor units, times UTC milliseconds."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fintech_kernel.canonical import Json
from fintech_kernel.domain.codec import from_json
from fintech_kernel.hooks import Presented
from fintech_kernel.web.schemas import CurrencyCode, MinorUnits, StrictModel, id_path
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from fintech_ledger.domain.decisions import Adjustment, AdjustmentStatus

REASON_CHARACTERS_MAX: Final = 500
REFERENCE_CHARACTERS_MAX: Final = 64

AdjustmentId = Annotated[str, id_path("adj", description="the adjustment")]

AccountField = Annotated[
    str,
    Field(
        pattern=r"^[a-z]{1,16}:[a-z]{1,16}(:[a-z0-9_]{1,64})?:[A-Z]{3}$",
        description="an account of the chart",
        examples=["suspense:reconciliation:KES"],
    ),
]
_PRINTABLE: Final = r"^[^\x00-\x1f\x7f]*$"

_ADJUSTMENT_EXAMPLE: Final[dict[str, Any]] = {
    "adjustment_id": "adj_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "merchant_id": None,
    "status": "approved",
    "debit_account": "suspense:reconciliation:KES",
    "credit_account": "assets:bank:KES",
    "amount": 1_200,
    "currency": "KES",
    "reason": "bank fee of 3 November, not booked yet",
    "reference": "statement-2026-11",
    "proposed_by": "user_finance_1",
    "proposed_at": 1_795_300_000_000,
    "decided_by": "user_finance_2",
    "decided_at": 1_795_300_600_000,
}


class AdjustmentRequest(StrictModel):
    """Move an amount by hand, with a reason."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    name: _ADJUSTMENT_EXAMPLE[name]
                    for name in (
                        "debit_account",
                        "credit_account",
                        "amount",
                        "currency",
                        "reason",
                        "reference",
                    )
                }
            ]
        }
    )

    debit_account: AccountField
    credit_account: AccountField
    amount: MinorUnits
    currency: CurrencyCode
    reason: Annotated[
        str,
        StringConstraints(min_length=1, max_length=REASON_CHARACTERS_MAX, pattern=_PRINTABLE),
        Field(description="why, for whoever decides and whoever audits"),
    ]
    reference: Annotated[
        str, StringConstraints(max_length=REFERENCE_CHARACTERS_MAX, pattern=_PRINTABLE)
    ] = ""


class AdjustmentShown(BaseModel):
    """An adjustment: proposed by one person, approved or rejected by another."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [_ADJUSTMENT_EXAMPLE]})

    adjustment_id: str
    merchant_id: str | None = Field(description="whose account moves; null where nobody's does")
    status: AdjustmentStatus
    debit_account: str
    credit_account: str
    amount: int
    currency: str
    reason: str
    reference: str
    proposed_by: str
    proposed_at: int
    decided_by: str | None
    decided_at: int | None


class AdjustmentsShown(BaseModel):
    """A page of adjustments, newest first."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={"examples": [{"data": [_ADJUSTMENT_EXAMPLE], "next_cursor": None}]},
    )

    data: list[AdjustmentShown]
    next_cursor: str | None


def adjustment_view(found: Adjustment) -> dict[str, Json]:
    """Return an adjustment as JSON."""
    return {
        "adjustment_id": found.adjustment_id,
        "merchant_id": found.merchant_id or None,
        "status": found.status.value,
        "debit_account": found.debit_account,
        "credit_account": found.credit_account,
        "amount": found.amount.amount,
        "currency": found.amount.currency,
        "reason": found.reason,
        "reference": found.reference,
        "proposed_by": found.proposed_by,
        "proposed_at": found.proposed_at,
        "decided_by": found.decided_by or None,
        "decided_at": found.decided_at,
    }


def present_proposed(result: Mapping[str, Any]) -> Presented:
    """Present a new adjustment."""
    return Presented(status=201, body=adjustment_view(from_json(Adjustment, result)))


def present_decided(result: Mapping[str, Any]) -> Presented:
    """Present an adjustment that was decided on."""
    return Presented(status=200, body=adjustment_view(from_json(Adjustment, result)))
