"""What operators choose: ``SETTLEMENTS_*``."""

from typing import Annotated, Final

from fintech_kernel.identifiers import OBJECT_ID
from fintech_kernel.money import AMOUNT_MAX
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

BANK_SLA_DAYS_MAX: Final = 60
BANK_DAYS_EARLY_MAX: Final = 10
BANK_TOLERANCE_MAX: Final = 100_000
"""A tolerance is for a bank's rounding and fees. What is more is a difference that people explain."""

CHUNK_SIZE_MAX: Final = 1_000
"""Lines of one claiming statement. A chunk is one insert, which must end within a database deadline."""

RailName = Annotated[str, Field(pattern=rf"^{OBJECT_ID.pattern}$")]
CurrencyName = Annotated[str, Field(pattern="^[A-Z]{3}$")]


class SettlementsSettings(BaseSettings):
    """The settings of settlements; all have defaults that are safe to run with."""

    model_config = SettingsConfigDict(
        env_prefix="SETTLEMENTS_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    rail: RailName = Field(
        default="sandbox", description="name of the payout rail that settlements are paid through"
    )
    rails_by_currency: dict[CurrencyName, RailName] = Field(
        default_factory=dict, description='rails of single currencies, such as {"EUR": "sepa_file"}'
    )
    chunk_size: Annotated[int, Field(ge=1, le=CHUNK_SIZE_MAX)] = Field(
        default=500, description="ledger lines that one statement claims"
    )
    two_people_above: Annotated[int, Field(ge=0, le=AMOUNT_MAX)] = Field(
        default=100_000_000,
        description="minor units; a larger settlement is not paid by who approved it",
    )
    automatic: bool = Field(
        default=True, description="settle merchants by their schedules, without being asked"
    )
    run_every_seconds: Annotated[float, Field(gt=0, le=86_400)] = Field(
        default=60.0, description="how often requested runs and due merchants are looked for"
    )
    time_zone: str = Field(
        default="UTC",
        max_length=64,
        description="where midnight, the cutoff of a day, is (IANA name)",
    )
    holidays_country: Annotated[str, Field(pattern="^([A-Z]{2})?$")] = Field(
        default="",
        description="ISO 3166-1 code of the country whose weekends and public holidays are no"
        " settlement days; empty: every day is one",
    )
    answer_seconds: Annotated[float, Field(gt=0, le=60)] = Field(
        default=8.0, description="how long a payout waits for its rail before it answers 202"
    )
    resolve_every_seconds: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=15.0, description="how often rails are asked about payouts whose outcome is open"
    )
    sepa_debtor_name: str = Field(
        default="",
        max_length=70,
        description="whose account sepa_file pays from, as the bank has it",
    )
    sepa_debtor_iban: Annotated[str, Field(pattern="^([A-Z]{2}[0-9]{2}[A-Z0-9]{11,30})?$")] = Field(
        default="", description="the IBAN of that account; needed to write files of sepa_file"
    )
    sepa_debtor_bic: Annotated[str, Field(pattern="^([A-Z0-9]{8}([A-Z0-9]{3})?)?$")] = Field(
        default="", description="the BIC of its bank, where the bank wants one"
    )
    sandbox_late_seconds: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=3.0, description="when the sandbox rail tells what comes later"
    )
    bank_sla_days: Annotated[int, Field(ge=0, le=BANK_SLA_DAYS_MAX)] = Field(
        default=3, description="days after a payout until the bank's line for it is missing"
    )
    bank_days_early: Annotated[int, Field(ge=0, le=BANK_DAYS_EARLY_MAX)] = Field(
        default=1, description="days that a bank may date a line before its settlement was made"
    )
    bank_tolerance: Annotated[int, Field(ge=0, le=BANK_TOLERANCE_MAX)] = Field(
        default=0,
        description="minor units that a bank's line may differ from a payout: a cost at once, no look",
    )
