"""When and to which account a merchant is paid out, as clients send and are shown it.

A bank account is sent whole and shown masked; what arrives here goes no further than its sealing.
"""

from typing import Annotated, Any, Final

from fintech_kernel.contracts.merchants import (
    BankAccountKind,
    SettlementInterval,
    SettlementSchedule,
    Weekday,
)
from fintech_kernel.money import AMOUNT_MAX
from fintech_kernel.web.schemas import StrictModel
from fintech_kernel.web.validation import Rule
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from schwifty import IBAN
from schwifty.exceptions import SchwiftyException

from fintech_merchants.api.contact_schemas import CountryCode, Line, Phone
from fintech_merchants.domain.bank_accounts import BankAccountDetails
from fintech_merchants.domain.model import SETTLEMENT_DAY_OF_MONTH_MAX, SETTLEMENT_DELAY_DAYS_MAX

SETTLEMENT_DELAY_DAYS_DEFAULT: Final = 1

ACCOUNT_BODY_EXAMPLE: Final[dict[str, Any]] = {
    "holder": "Duka Safi Ltd",
    "kenyan_bank": {
        "bank_code": "68",
        "branch_code": "001",
        "account_number": "0180-290123456",
    },
}
ACCOUNT_EXAMPLE: Final[dict[str, Any]] = {
    "account_id": "ba_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "kind": "kenyan_bank",
    "country": "KE",
    "bank_code": "68",
    "masked": "****3456",
}
_SCHEDULE_EXAMPLE: Final[dict[str, Any]] = {"interval": "weekly", "weekday": "monday"}

_KENYA: Final = "KE"


def _valid_iban(text: str) -> str:
    try:
        IBAN(text)
    except SchwiftyException:
        raise Rule("must be a valid IBAN (ISO 13616), without spaces") from None
    return text


IbanNumber = Annotated[
    str,
    Field(
        pattern="^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$",
        description="ISO 13616, without spaces",
        examples=["GB33BUKB20201555555555"],
    ),
    AfterValidator(_valid_iban),
]
"""An IBAN whose length, structure and check digits are right."""


class KenyanBankBody(StrictModel):
    """An account at a bank in Kenya."""

    model_config = ConfigDict(json_schema_extra={"examples": [ACCOUNT_BODY_EXAMPLE["kenyan_bank"]]})

    bank_code: Annotated[str, Field(pattern="^[0-9]{2}$", description="as clearing knows it")]
    branch_code: Annotated[str, Field(pattern="^[0-9]{3}$")]
    account_number: Annotated[
        str,
        Field(
            pattern="^[0-9](-?[0-9]){5,19}$",
            description="digits; hyphens are left out. One of 13 digits or more is sent with a hyphen:"
            " without one it may be taken for a card number",
        ),
    ]


class MobileWalletBody(StrictModel):
    """A mobile wallet, by its telephone number."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"provider": "mpesa", "msisdn": "+254712345678", "country": "KE"}]
        }
    )

    provider: Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,31}$", examples=["mpesa"])]
    msisdn: Phone
    country: CountryCode


class BankAccountBody(StrictModel):
    """An account to be paid out to: a holder and one of ``iban``, ``kenyan_bank``, ``mobile_wallet``."""

    model_config = ConfigDict(json_schema_extra={"examples": [ACCOUNT_BODY_EXAMPLE]})

    holder: Line
    iban: IbanNumber | None = None
    kenyan_bank: KenyanBankBody | None = None
    mobile_wallet: MobileWalletBody | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "BankAccountBody":
        kinds = (self.iban, self.kenyan_bank, self.mobile_wallet)
        if sum(one is not None for one in kinds) != 1:
            raise Rule("must have one of iban, kenyan_bank, mobile_wallet")
        return self

    def to_details(self) -> BankAccountDetails:
        """Return it as the domain seals it."""
        if self.iban is not None:
            return BankAccountDetails(
                kind=BankAccountKind.IBAN,
                country=self.iban[:2],
                bank_code=IBAN(self.iban).bank_code,
                number=self.iban,
                details={"holder": self.holder, "iban": self.iban},
            )
        if self.kenyan_bank is not None:
            bank = self.kenyan_bank
            number = bank.account_number.replace("-", "")
            return BankAccountDetails(
                kind=BankAccountKind.KENYAN_BANK,
                country=_KENYA,
                bank_code=bank.bank_code,
                number=number,
                details={
                    "holder": self.holder,
                    "bank_code": bank.bank_code,
                    "branch_code": bank.branch_code,
                    "account_number": number,
                },
            )
        assert self.mobile_wallet is not None  # noqa: S101 - there is one of three
        wallet = self.mobile_wallet
        return BankAccountDetails(
            kind=BankAccountKind.MOBILE_WALLET,
            country=wallet.country,
            bank_code=wallet.provider,
            number=wallet.msisdn,
            details={
                "holder": self.holder,
                "provider": wallet.provider,
                "msisdn": wallet.msisdn,
                "country": wallet.country,
            },
        )


class ScheduleBody(StrictModel):
    """When a merchant is settled: daily, weekly on a weekday, or monthly on a day."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SCHEDULE_EXAMPLE]})

    interval: Annotated[SettlementInterval, Field(strict=False)] = SettlementInterval.DAILY
    weekday: Annotated[Weekday | None, Field(strict=False, description="if weekly")] = None
    day_of_month: Annotated[
        int | None,
        Field(ge=1, le=SETTLEMENT_DAY_OF_MONTH_MAX, description="if monthly; every month has it"),
    ] = None

    @model_validator(mode="after")
    def _names_its_day(self) -> "ScheduleBody":
        if (self.weekday is not None) != (self.interval is SettlementInterval.WEEKLY):
            raise Rule("must have a weekday if it is weekly, and only then")
        if (self.day_of_month is not None) != (self.interval is SettlementInterval.MONTHLY):
            raise Rule("must have a day_of_month if it is monthly, and only then")
        return self

    def to_schedule(self) -> SettlementSchedule:
        """Return it as the domain knows it."""
        return SettlementSchedule(
            interval=self.interval, weekday=self.weekday, day_of_month=self.day_of_month
        )


DelayDays = Annotated[
    int,
    Field(
        ge=0,
        le=SETTLEMENT_DELAY_DAYS_MAX,
        description="days from a capture until it can be settled (T+n)",
    ),
]
Minimum = Annotated[
    int,
    Field(
        ge=0,
        le=AMOUNT_MAX,
        description="smaller totals are carried forward; minor units of each currency",
    ),
]


class SettlementBody(StrictModel):
    """When, from which total on and to which account a merchant is paid out."""

    delay_days: DelayDays = SETTLEMENT_DELAY_DAYS_DEFAULT
    minimum: Minimum = 0
    schedule: ScheduleBody = ScheduleBody()
    bank_account: BankAccountBody | None = None


class SettlementPatchBody(StrictModel):
    """What changes: a schedule and a bank account are replaced whole; null forgets the account."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"delay_days": 2, "schedule": _SCHEDULE_EXAMPLE}]}
    )

    delay_days: DelayDays = Field(default_factory=int)
    minimum: Minimum = Field(default_factory=int)
    schedule: ScheduleBody = Field(default_factory=ScheduleBody)
    bank_account: BankAccountBody | None = None


class ScheduleShown(BaseModel):
    """When a merchant is settled."""

    interval: SettlementInterval
    weekday: Weekday | None
    day_of_month: int | None


class BankAccountShown(BaseModel):
    """An account to be paid out to: enough to recognise it, not enough to use it."""

    model_config = ConfigDict(json_schema_extra={"examples": [ACCOUNT_EXAMPLE]})

    account_id: str
    kind: BankAccountKind
    country: str
    bank_code: str = Field(description="the bank's code, or the wallet's provider")
    masked: str = Field(description="the last four characters of its number")


class SettlementShown(BaseModel):
    """When, from which total on and to which account a merchant is paid out."""

    delay_days: int
    schedule: ScheduleShown
    minimum: int
    bank_account: BankAccountShown | None
