"""What settlements take and show. Amounts are integer minor units, times UTC milliseconds."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Final, Literal

from fintech_kernel.clock import milliseconds_of
from fintech_kernel.domain.codec import from_json
from fintech_kernel.hooks import Presented
from fintech_kernel.identifiers import MERCHANT_ID
from fintech_kernel.web.schemas import CurrencyCode, StrictModel, Timestamp, id_path
from pydantic import BaseModel, ConfigDict, Field

from fintech_settlements.domain.chain import ChainedLine
from fintech_settlements.domain.lines import StatementLine
from fintech_settlements.domain.model import Settlement, SettlementStatus
from fintech_settlements.domain.statements import StatementSums, TypeTotal

SettlementId = Annotated[str, id_path("stl", description="the settlement")]

MerchantId = Annotated[
    str, Field(pattern=f"^{MERCHANT_ID.pattern}$", examples=["mer_01k9qq3v5kf7wsc0d3jz8y2m4t"])
]

_HASH_EXAMPLE: Final = "9b4f3e0d1a7c52886f0e4d3c2b1a09f8e7d6c5b4a39281706f5e4d3c2b1a0f9e"

_SETTLEMENT_EXAMPLE: Final[dict[str, Any]] = {
    "settlement_id": "stl_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "merchant_id": "mer_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "status": "paid",
    "currency": "KES",
    "total": 6_700,
    "line_count": 3,
    "carried": 0,
    "minimum": 0,
    "cutoff": 1_790_000_000_000,
    "batch_number": "STL01K9QQ3V5KF7WSC0D3JZ8Y2M4T",
    "created_at": 1_790_000_000_000,
    "opened_by": "user_finance_1",
    "approved_by": "user_finance_1",
    "paid_by": "user_finance_2",
    "close_reason": None,
    "rail": "sandbox",
    "rail_reference": "sbx_mfrggzdfmztwq2lknnwg",
    "failure_code": None,
    "lines_hash": _HASH_EXAMPLE,
    "payout_outcome": "known",
    "confirmed_by": None,
    "failure_requested_by": None,
    "failure_approvable_at": None,
    "failed_by": None,
    "return_code": None,
    "paid_after_failure": False,
}

_LINE_EXAMPLE: Final[dict[str, Any]] = {
    "transfer_id": "op_mfrggzdfmztwq2lknnwg23tpobyxe43uov3ho6dzpiydcmrtgqzq:capture",
    "merchant_id": "mer_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "payment_id": "pay_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "reference": "order-1017",
    "type": "Settled",
    "created_at": 1_789_000_000_000,
    "currency": "KES",
    "gross_debit": 0,
    "gross_credit": 10_000,
    "fee_debit": 0,
    "fee_credit": 0,
    "net_debit": 0,
    "net_credit": 10_000,
    "batch_number": "STL01K9QQ3V5KF7WSC0D3JZ8Y2M4T",
}

_CHAINED_LINE_EXAMPLE: Final = {**_LINE_EXAMPLE, "line": 1, "line_hash": _HASH_EXAMPLE}

_TOTAL_EXAMPLE: Final[dict[str, Any]] = {
    "type": "Settled",
    "count": 1,
    "debit": 0,
    "credit": 10_000,
}


class SettlementRequest(StrictModel):
    """Settle what is due to a merchant by a cutoff."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"merchant_id": "mer_01k9qq3v5kf7wsc0d3jz8y2m4t", "currency": "KES"}]
        }
    )

    merchant_id: MerchantId
    currency: CurrencyCode
    cutoff: Timestamp | None = Field(
        default=None,
        description="lines available by then are claimed; not in the future; default: now",
    )

    @property
    def cutoff_milliseconds(self) -> int | None:
        """The cutoff in UTC milliseconds."""
        return None if self.cutoff is None else milliseconds_of(self.cutoff)


class SettlementBody(BaseModel):
    """A settlement. Lines and total never change."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [_SETTLEMENT_EXAMPLE]})

    settlement_id: str
    merchant_id: str
    status: SettlementStatus
    currency: str
    total: int = Field(description="sum of the lines in favour of the merchant; may be negative")
    line_count: int = Field(description="ledger lines that it claimed")
    carried: int = Field(description="carried to the next settlement instead of being paid out")
    minimum: int = Field(description="the merchant's smallest payout when it was opened")
    cutoff: int = Field(description="lines available by then were claimed; UTC milliseconds")
    batch_number: str = Field(description="the bank reference of its payout")
    created_at: int = Field(description="UTC milliseconds")
    opened_by: str
    approved_by: str | None
    paid_by: str | None = Field(description="who started the payout")
    close_reason: str | None = Field(
        description="why it closed without a payout: `zero` or `carried_forward`"
    )
    rail: str | None = Field(description="the payout rail that was asked")
    rail_reference: str | None = Field(description="the rail's own reference of the payout")
    failure_code: str | None = Field(
        description="why the rail refused; `given_up` where people did without its answer"
    )
    payout_outcome: Literal["known", "open"] | None = Field(
        description="open while nobody knows what became of the payout; null before one is started"
    )
    confirmed_by: str | None = Field(description="who said that the payout was done")
    failure_requested_by: str | None = Field(
        description="who asked for the payout to be given up; somebody else has to agree"
    )
    failure_approvable_at: int | None = Field(
        description="from when on somebody else may agree; UTC milliseconds"
    )
    failed_by: str | None = Field(description="who agreed")
    return_code: str | None = Field(description="why what was paid came back")
    paid_after_failure: bool = Field(
        description="the rail paid although it stands as failed: the next settlement nets it"
    )
    lines_hash: str | None = Field(
        description="last hash of the chain over its lines, recorded when the set closed; null where"
        " the settlement is older than chains"
    )


class SettlementPage(BaseModel):
    """A page of settlements, newest first."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={"examples": [{"data": [_SETTLEMENT_EXAMPLE], "next_cursor": None}]},
    )

    data: list[SettlementBody]
    next_cursor: str | None


class StatementLineBody(BaseModel):
    """One claimed ledger line. Its net is its gross less its fees; nets sum to the total."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [_LINE_EXAMPLE]})

    transfer_id: str = Field(description="the ledger line; it stands in exactly one settlement")
    merchant_id: str
    payment_id: str | None = Field(description="none where the line is of an earlier settlement")
    reference: str | None = Field(
        description="the merchant's reference, or the earlier settlement's batch number"
    )
    type: str = Field(description="Settled, Refunded, Fee, FeeRefund, PayoutFailed, Carryover, ...")
    created_at: int = Field(description="UTC milliseconds")
    currency: str
    gross_debit: int
    gross_credit: int
    fee_debit: int
    fee_credit: int
    net_debit: int
    net_credit: int
    batch_number: str


class StatementLinePage(BaseModel):
    """A page of lines, in the order of their transfer ids."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={"examples": [{"data": [_LINE_EXAMPLE], "next_cursor": None}]},
    )

    data: list[StatementLineBody]
    next_cursor: str | None


class TypeTotalBody(BaseModel):
    """The lines of one type."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [_TOTAL_EXAMPLE]})

    type: str
    count: int
    debit: int
    credit: int


class ChainedLineBody(StatementLineBody):
    """A line of a statement: numbered, and chained to the lines before it."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [_CHAINED_LINE_EXAMPLE]})

    line: int = Field(description="its number, from 1 on")
    line_hash: str = Field(description="the chain's hash up to it")


class StatementBody(BaseModel):
    """A whole statement. It breaks off before ``totals`` if its lines do not add up.

    `fintech settlements verify` proves it with the public key alone.
    """

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "settlement": _SETTLEMENT_EXAMPLE,
                    "lines": [_CHAINED_LINE_EXAMPLE],
                    "totals": [_TOTAL_EXAMPLE],
                    "opening_balance": 0,
                    "closing_balance": 0,
                    "line_count": 1,
                    "total": 10_000,
                    "lines_hash": _HASH_EXAMPLE,
                    "signed": "fintech settlement statement v1\n{...}\n\n\u2014 fintech/audit kJ3...\n",
                }
            ]
        },
    )

    settlement: SettlementBody
    lines: list[ChainedLineBody]
    totals: list[TypeTotalBody] = Field(description="by type")
    opening_balance: int = Field(description="what settlements before it carried over into it")
    closing_balance: int = Field(description="what it carries over into the next")
    line_count: int
    total: int
    lines_hash: str = Field(description="last hash of the chain over the lines")
    signed: str = Field(
        description="a signed note (C2SP) over everything but `lines`, which `lines_hash` stands for"
    )


def settlement_json(settlement: Settlement) -> dict[str, Any]:
    """Return a settlement as it is shown; what is not known yet is null."""
    body = SettlementBody(
        settlement_id=settlement.settlement_id,
        merchant_id=settlement.merchant_id,
        status=settlement.status,
        currency=settlement.currency,
        total=settlement.total,
        line_count=settlement.line_count,
        carried=settlement.carried,
        minimum=settlement.minimum,
        cutoff=settlement.cutoff,
        batch_number=settlement.batch_number,
        created_at=settlement.created_at,
        opened_by=settlement.opened_by,
        approved_by=settlement.approved_by or None,
        paid_by=settlement.paid_by or None,
        close_reason=settlement.close_reason or None,
        rail=settlement.rail or None,
        rail_reference=settlement.rail_reference or None,
        failure_code=settlement.failure_code or None,
        lines_hash=settlement.lines_hash or None,
        payout_outcome=_outcome(settlement),
        confirmed_by=settlement.confirmed_by or None,
        failure_requested_by=settlement.failure_requested_by or None,
        failure_approvable_at=settlement.failure_approvable_at,
        failed_by=settlement.failed_by or None,
        return_code=settlement.return_code or None,
        paid_after_failure=settlement.paid_after_failure,
    )
    return body.model_dump(mode="json")


def _outcome(settlement: Settlement) -> Literal["known", "open"] | None:
    if not settlement.rail:
        return None
    return "open" if settlement.status is SettlementStatus.PAYING else "known"


def line_json(line: StatementLine) -> dict[str, Any]:
    """Return a line as it is shown."""
    return {
        **asdict(line),
        "payment_id": line.payment_id or None,
        "reference": line.reference or None,
    }


def chained_json(chained: ChainedLine) -> dict[str, Any]:
    """Return a line of a statement as it is shown."""
    return {
        **line_json(chained.line),
        "line": chained.number,
        "line_hash": chained.line_hash,
    }


def summary_json(settlement: Settlement, sums: StatementSums, lines_hash: str) -> dict[str, Any]:
    """Return what a statement says besides its lines: what is signed."""
    return {
        "settlement": settlement_json(settlement),
        "totals": [total_json(total) for total in sums.by_type],
        "opening_balance": sums.opening_balance,
        "closing_balance": settlement.carried,
        "line_count": sums.count,
        "total": sums.total,
        "lines_hash": lines_hash,
    }


def total_json(total: TypeTotal) -> dict[str, Any]:
    """Return a total by type as it is shown."""
    return asdict(total)


def present_created(result: Mapping[str, Any]) -> Presented:
    """Present a new settlement."""
    return Presented(status=201, body=settlement_json(from_json(Settlement, result)))


def present_settlement(result: Mapping[str, Any]) -> Presented:
    """Present a settlement after a step: 202 while its payout's outcome is open.

    A payout that the rail refused is an outcome, no error.
    """
    settlement = from_json(Settlement, result)
    status = 202 if settlement.status is SettlementStatus.PAYING else 200
    return Presented(status=status, body=settlement_json(settlement))
