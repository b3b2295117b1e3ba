"""What imports and resolutions take, and what reconciliations show. Amounts are integer minor units."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Final

from fintech_kernel.canonical import Json
from fintech_kernel.hooks import Presented
from fintech_kernel.money import AMOUNT_MAX
from fintech_kernel.web.schemas import DAY_PATTERN, CurrencyCode, StrictModel, id_path
from fintech_kernel.web.validation import Rule
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from fintech_settlements.domain.bank_lines import (
    REFERENCE_CHARACTERS_MAX,
    BankLine,
    Occurrences,
)
from fintech_settlements.domain.reconciliation import Reconciliation, ReconciliationStatus
from fintech_settlements.domain.reconciliation_workflows import of_result
from fintech_settlements.domain.reconciling import LINES_PER_IMPORT_MAX

REASON_CHARACTERS_MAX: Final = 500
BANK_ID_CHARACTERS_MAX: Final = 64

ReconciliationId = Annotated[str, id_path("rec", description="the reconciliation")]

_PRINTABLE: Final = r"^[^\x00-\x1f\x7f]*$"
_ID: Final = "rec_01k9qq3v5kf7wsc0d3jz8y2m4t"

_EXAMPLE: Final[dict[str, Any]] = {
    "reconciliation_id": _ID,
    "settlement_id": "stl_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "batch_number": "STL01K9QQ3V5KF7WSC0D3JZ8Y2M4T",
    "status": "over",
    "currency": "KES",
    "expected": 6_700,
    "received": 7_000,
    "difference": 300,
    "in_suspense": 300,
    "resolved": 0,
    "line_count": 1,
    "due_at": 1_790_259_200_000,
    "reference": "STL01K9QQ3V5KF7WSC0D3JZ8Y2M4T",
    "why": None,
    "reason": None,
    "decided_by": None,
    "proposal": None,
}
_TOLD: Final[dict[str, Any]] = {
    "line_key": "9b4f3e0d1a7c52886f0e4d3c2b1a09f8e7d6c5b4a39281706f5e4d3c2b1a0f9e",
    "reconciliation_id": _ID,
    "status": "matched",
    "why": None,
    "is_other": False,
}


class BankLineBody(StrictModel):
    """One movement as the bank tells it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "bank_id": "FT26334ABCD1",
                    "booked_on": "2026-11-30",
                    "amount": -6_700,
                    "currency": "KES",
                    "reference": "STL01K9QQ3V5KF7WSC0D3JZ8Y2M4T",
                }
            ]
        }
    )

    bank_id: Annotated[
        str,
        StringConstraints(max_length=BANK_ID_CHARACTERS_MAX, pattern=_PRINTABLE),
        Field(description="the bank's own id of the line, where it gives one"),
    ] = ""
    booked_on: Annotated[
        str,
        Field(pattern=DAY_PATTERN, description="the bank's day"),
    ]
    amount: Annotated[
        int,
        Field(
            ge=-AMOUNT_MAX,
            le=AMOUNT_MAX,
            description="minor units; negative left our account; not zero",
            json_schema_extra={"not": {"const": 0}},
        ),
    ]
    currency: CurrencyCode
    reference: Annotated[
        str,
        StringConstraints(max_length=REFERENCE_CHARACTERS_MAX, pattern=_PRINTABLE),
        Field(description="the bank's text; a batch number in it names the payout"),
    ] = ""

    @field_validator("booked_on")
    @classmethod
    def is_a_day(cls, value: str) -> str:
        """Let pass a day of the calendar."""
        try:
            date.fromisoformat(value)
        except ValueError:
            raise Rule("must be a day, as 2026-11-30") from None
        return value

    @field_validator("amount")
    @classmethod
    def is_not_zero(cls, value: int) -> int:
        """Let pass what moves something."""
        if value == 0:
            raise Rule("must not be zero")
        return value


class ImportRequest(StrictModel):
    """Import the bank's lines. Lines that are known already change nothing."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "bank_account": "main",
                    "lines": [
                        {
                            "bank_id": "FT26334ABCD1",
                            "booked_on": "2026-11-30",
                            "amount": -6_700,
                            "currency": "KES",
                            "reference": "STL01K9QQ3V5KF7WSC0D3JZ8Y2M4T",
                        }
                    ],
                }
            ]
        }
    )

    bank_account: Annotated[
        str,
        Field(
            pattern="^[a-z0-9_]{1,32}$",
            description="our name for the account; lines of one account have ids of their own",
        ),
    ]
    lines: Annotated[list[BankLineBody], Field(min_length=1, max_length=LINES_PER_IMPORT_MAX)]

    def bank_lines(self) -> list[BankLine]:
        """Return the lines, numbered where the bank gives them no ids."""
        occurrences = Occurrences()
        return [
            occurrences.numbered(BankLine(bank_account=self.bank_account, **one.model_dump()))
            for one in self.lines
        ]


class ImportedLine(BaseModel):
    """What became of a line when it was first imported."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [_TOLD]})

    line_key: str = Field(description="what the line is known by, for ever")
    reconciliation_id: str
    status: ReconciliationStatus = Field(description="of its reconciliation, right behind the line")
    why: str | None = Field(description="why it is no payout of ours, where it is none")
    is_other: bool = Field(
        description="the bank's id was imported before with another content, which stands"
    )


class ImportShown(BaseModel):
    """What became of each line, in their order."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [{"lines": [_TOLD]}]})

    lines: list[ImportedLine]


class ResolutionRequest(StrictModel):
    """Explain a difference."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"reason": "bank fee of 3.00, agreed", "account": "income:fees:KES"}]
        }
    )

    reason: Annotated[
        str,
        StringConstraints(min_length=1, max_length=REASON_CHARACTERS_MAX, pattern=_PRINTABLE),
        Field(description="why, for whoever decides and whoever audits"),
    ]
    account: Annotated[
        str,
        Field(
            pattern=r"^[a-z]{1,16}:[a-z]{1,16}(:[a-z0-9_]{1,64})?:[A-Z]{3}$",
            description="where what is in suspense belongs; not needed for a line that will not come",
        ),
    ] = Field(default="", validate_default=False)


class ProposalShown(BaseModel):
    """A resolution that waits for a second person."""

    account: str
    amount: int = Field(description="what was in suspense then")
    reason: str
    proposed_by: str


class ReconciliationShown(BaseModel):
    """What our books and the bank say of one payout, or of a line that is none of ours."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [_EXAMPLE]})

    reconciliation_id: str
    settlement_id: str | None
    batch_number: str | None
    status: ReconciliationStatus
    currency: str
    expected: int = Field(description="what our books say left the bank")
    received: int = Field(description="what the bank's lines say left it")
    difference: int = Field(description="received less expected, once there is a line")
    in_suspense: int = Field(description="the part that nobody has explained")
    resolved: int = Field(description="what was moved out of suspense")
    line_count: int
    due_at: int | None = Field(description="when the bank's line is missing; UTC milliseconds")
    reference: str | None = Field(description="the bank's text on the last line")
    why: str | None = Field(description="why a line is no payout of ours")
    reason: str | None = Field(description="why it was resolved")
    decided_by: str | None
    proposal: ProposalShown | None


class ReconciliationPage(BaseModel):
    """A page of reconciliations, newest first."""

    model_config = ConfigDict(
        frozen=True, json_schema_extra={"examples": [{"data": [_EXAMPLE], "next_cursor": None}]}
    )

    data: list[ReconciliationShown]
    next_cursor: str | None


def reconciliation_view(found: Reconciliation, *, status: ReconciliationStatus) -> dict[str, Json]:
    """Return a reconciliation as JSON."""
    proposal = found.proposal
    return {
        "reconciliation_id": found.reconciliation_id,
        "settlement_id": found.settlement_id or None,
        "batch_number": found.batch_number or None,
        "status": status.value,
        "currency": found.currency,
        "expected": found.expected,
        "received": found.received,
        "difference": found.difference,
        "in_suspense": found.in_suspense,
        "resolved": found.resolved,
        "line_count": found.line_count,
        "due_at": found.due_at or None,
        "reference": found.reference or None,
        "why": found.why or None,
        "reason": found.reason or None,
        "decided_by": found.decided_by or None,
        "proposal": None
        if proposal is None
        else {
            "account": proposal.account,
            "amount": proposal.amount,
            "reason": proposal.reason,
            "proposed_by": proposal.proposed_by,
        },
    }


def present_reconciliation(result: Mapping[str, Any]) -> Presented:
    """Present a reconciliation after a step; whether it is overdue is a read's to say."""
    found = of_result(result)
    return Presented(status=200, body=reconciliation_view(found, status=found.status))


def present_import(result: Mapping[str, Any]) -> Presented:
    """Present an import."""
    lines = [{**line, "why": line["why"] or None} for line in result["lines"]]
    return Presented(status=200, body={"lines": lines})
