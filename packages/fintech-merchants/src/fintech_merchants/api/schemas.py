"""What clients send and are shown of merchants. Amounts are minor units, times UTC milliseconds."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fintech_kernel.contracts.merchants import MerchantStatus, VerificationStatus
from fintech_kernel.hooks import Presented
from fintech_kernel.web.schemas import CurrencyCode, Metadata, MetadataPatch, StrictModel
from fintech_kernel.web.validation import Rule
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from fintech_merchants.api.contact_schemas import (
    CLEARED_CONTACT,
    CONTACT_EXAMPLE,
    ContactBody,
    ContactShown,
)
from fintech_merchants.api.pricing_schemas import (
    PRICING_EXAMPLE,
    RULE_EXAMPLE,
    PricingRuleBody,
    PricingShown,
)
from fintech_merchants.api.settlement_schemas import (
    ACCOUNT_BODY_EXAMPLE,
    ACCOUNT_EXAMPLE,
    SettlementBody,
    SettlementPatchBody,
    SettlementShown,
)
from fintech_merchants.domain.commands import VerificationOutcome
from fintech_merchants.domain.model import CURRENCIES_MAX, PRICING_RULES_MAX
from fintech_merchants.domain.service import MerchantPatch, NewMerchant

NAME_CHARACTERS_MAX: Final = 120
REASON_CHARACTERS_MAX: Final = 200
VERIFICATION_REFERENCE_CHARACTERS_MAX: Final = 64

OWN_FIELDS: Final = frozenset({"contact", "metadata"})
"""What a merchant may change about itself; the rest is the platform's to say."""

_VERIFICATION_EXAMPLE: Final[dict[str, Any]] = {
    "status": "verified",
    "reference": "kyb-2026-0117",
    "reason": None,
    "at": 1760000200000,
}
_MERCHANT_EXAMPLE: Final[dict[str, Any]] = {
    "merchant_id": "mer_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "name": "Duka Safi",
    "status": "active",
    "status_reason": "documents verified",
    "verification": _VERIFICATION_EXAMPLE,
    "currencies": ["KES"],
    "pricing": PRICING_EXAMPLE,
    "settlement": {
        "delay_days": 1,
        "schedule": {"interval": "weekly", "weekday": "monday", "day_of_month": None},
        "minimum": 10000,
        "bank_account": ACCOUNT_EXAMPLE,
    },
    "contact": CONTACT_EXAMPLE,
    "metadata": {"crm": "A-1017"},
    "created_at": 1760000000000,
    "updated_at": 1760000300000,
}
_ENTRY_EXAMPLE: Final[dict[str, Any]] = {
    "seq": 2,
    "type": "merchant.verified",
    "at": 1760000200000,
    "actor": "ada",
    "request_id": "req_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "operation_id": "op_mfrggzdfmztwq2lknnwg23tpobyxe43uov3ho6dzpiydcmrtgqzq",
    "changes": {"reference": "kyb-2026-0117"},
}

Reason = Annotated[
    str,
    StringConstraints(max_length=REASON_CHARACTERS_MAX, pattern=r"^[^\x00-\x1f\x7f]*$"),
    Field(description="kept with the change, for whoever asks why; the merchant sees it"),
]

Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=NAME_CHARACTERS_MAX, pattern=r"^[^\x00-\x1f\x7f]*$"),
]


def _all_different(values: list[str]) -> list[str]:
    if len(set(values)) != len(values):
        raise Rule("must not hold a value twice")
    return values


Currencies = Annotated[
    list[CurrencyCode],
    Field(min_length=1, max_length=CURRENCIES_MAX),
    AfterValidator(_all_different),
]


class CreateMerchantBody(StrictModel):
    """A merchant to onboard."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Duka Safi",
                    "currencies": ["KES"],
                    "settlement": {
                        "delay_days": 1,
                        "minimum": 10000,
                        "bank_account": ACCOUNT_BODY_EXAMPLE,
                    },
                    "pricing": [RULE_EXAMPLE],
                    "contact": CONTACT_EXAMPLE,
                    "metadata": {"crm": "A-1017"},
                }
            ]
        }
    )

    name: Name
    currencies: Currencies
    settlement: SettlementBody = SettlementBody()
    pricing: Annotated[
        list[PricingRuleBody],
        Field(max_length=PRICING_RULES_MAX, description="none: no fee is charged"),
    ] = Field(default_factory=list[PricingRuleBody])
    contact: ContactBody = ContactBody()
    metadata: Metadata = Field(default_factory=dict)

    def to_new(self) -> NewMerchant:
        """Return it as the domain knows it."""
        account = self.settlement.bank_account
        return NewMerchant(
            name=self.name,
            currencies=tuple(self.currencies),
            settlement_delay_days=self.settlement.delay_days,
            settlement_minimum=self.settlement.minimum,
            settlement_schedule=self.settlement.schedule.to_schedule(),
            bank_account=account.to_details() if account else None,
            contact=self.contact.to_contact(),
            metadata=self.metadata,
            rules=tuple(rule.to_rule() for rule in self.pricing),
        )


class UpdateMerchantBody(StrictModel):
    """What changes (RFC 7396): what is not sent stays, null clears what may be missing."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "contact": {"phone": "+254712345678", "website": None},
                    "metadata": {"crm": "A-1018"},
                }
            ]
        }
    )

    name: Name = Field(default_factory=str)
    currencies: Annotated[
        Currencies, Field(description="all of them: those that it has cannot be taken away")
    ] = Field(default_factory=list)
    settlement: SettlementPatchBody = Field(default_factory=SettlementPatchBody)
    contact: ContactBody | None = None
    metadata: MetadataPatch | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> "UpdateMerchantBody":
        if self.to_patch() == MerchantPatch():
            raise Rule("must change something")
        return self

    def to_patch(self) -> MerchantPatch:
        """Return it as the domain knows it."""
        sent, terms = self.model_fields_set, self.settlement
        named = terms.model_fields_set
        account = terms.bank_account
        contact = self.contact.changes() if self.contact else CLEARED_CONTACT
        return MerchantPatch(
            name=self.name if "name" in sent else None,
            currencies=tuple(self.currencies) if "currencies" in sent else None,
            contact=contact if "contact" in sent else {},
            metadata=self.metadata or {},
            clears_metadata="metadata" in sent and self.metadata is None,
            settlement_delay_days=terms.delay_days if "delay_days" in named else None,
            settlement_minimum=terms.minimum if "minimum" in named else None,
            settlement_schedule=terms.schedule.to_schedule() if "schedule" in named else None,
            bank_account=account.to_details() if account else None,
            clears_bank_account="bank_account" in named and account is None,
        )


class VerifyMerchantBody(StrictModel):
    """What came of a check, made outside, of who the merchant is."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"outcome": "verified", "reference": "kyb-2026-0117"}]}
    )

    outcome: Annotated[VerificationOutcome, Field(strict=False)]
    reference: Annotated[
        str,
        Field(
            pattern=rf"^[A-Za-z0-9][A-Za-z0-9_.:/#-]{{0,{VERIFICATION_REFERENCE_CHARACTERS_MAX - 1}}}$",
            description="what the check is called where it was made",
        ),
    ]
    reason: Reason = ""

    @model_validator(mode="after")
    def _says_why_not(self) -> "VerifyMerchantBody":
        if self.outcome is VerificationOutcome.REJECTED and not self.reason:
            raise Rule("must give a reason if it is rejected")
        return self


class ActivateMerchantBody(StrictModel):
    """Why a merchant may take payments."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "contract signed"}]})

    reason: Reason = ""


class StopMerchantBody(StrictModel):
    """Why a merchant is suspended or closed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "asked by the merchant"}]})

    reason: Annotated[Reason, Field(min_length=1)]


class VerificationShown(BaseModel):
    """The latest outcome of a check of who the merchant is."""

    status: VerificationStatus
    reference: str | None
    reason: str | None
    at: int | None


class MerchantShown(BaseModel):
    """A merchant."""

    model_config = ConfigDict(json_schema_extra={"examples": [_MERCHANT_EXAMPLE]})

    merchant_id: str
    name: str
    status: MerchantStatus
    status_reason: str | None = Field(description="why it has this status")
    verification: VerificationShown
    currencies: list[str]
    pricing: PricingShown
    settlement: SettlementShown
    contact: ContactShown
    metadata: dict[str, str]
    created_at: int
    updated_at: int


class MerchantsShown(BaseModel):
    """A page of merchants, newest first."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"data": [_MERCHANT_EXAMPLE], "next_cursor": None}]}
    )

    data: list[MerchantShown]
    next_cursor: str | None


class TimelineEntryShown(BaseModel):
    """Something that happened to a merchant, or was refused."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ENTRY_EXAMPLE]})

    seq: int = Field(description="its position in the merchant's stream")
    type: str
    at: int
    actor: str = Field(description="who did it; the platform's staff have no name for merchants")
    request_id: str
    operation_id: str
    changes: dict[str, Any]


class NextShown(BaseModel):
    """What happens next."""

    action: str
    at: int | None


class PendingOperationShown(BaseModel):
    """An operation on the merchant that is not finished."""

    operation_id: str
    kind: str
    next: NextShown


class TimelineShown(BaseModel):
    """A page of a merchant's timeline, newest first, and what is under way."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"data": [_ENTRY_EXAMPLE], "pending": [], "next_cursor": None}]
        }
    )

    data: list[TimelineEntryShown]
    pending: list[PendingOperationShown]
    next_cursor: str | None


def present_creation(result: Mapping[str, Any]) -> Presented:
    """Show a merchant that was onboarded."""
    return Presented(status=201, body=result)


def present_merchant(result: Mapping[str, Any]) -> Presented:
    """Show a merchant after a change."""
    return Presented(status=200, body=result)


def present_pricing(result: Mapping[str, Any]) -> Presented:
    """Show the version of the pricing that was set."""
    return Presented(status=200, body=result["pricing"])
