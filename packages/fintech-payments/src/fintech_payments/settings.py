"""Settings of payments: ``PAYMENTS_*``."""

from typing import Annotated

from fintech_kernel.money import AMOUNT_MAX
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class PaymentsSettings(BaseSettings):
    """How payments behave in this deployment."""

    model_config = SettingsConfigDict(
        env_prefix="PAYMENTS_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    processor: str = Field(default="sandbox", description="processor of new payments, by name")
    processors_by_method: dict[str, str] = Field(
        default_factory=dict,
        description="processors of other payment methods, such as"
        ' {"mobile_money": "sandbox_mobile"}',
    )
    without_merchants: bool = Field(
        default=False,
        description="run without a merchant directory: any merchant of a verified token, no fees",
    )
    answer_seconds: Annotated[float, Field(gt=0, le=60)] = Field(
        default=8.0, description="how long a request waits for the processor before it answers 202"
    )
    dispute_fees: dict[str, Annotated[int, Field(ge=0, le=AMOUNT_MAX)]] = Field(
        default_factory=dict,
        description='what a dispute costs the merchant, minor units by currency: {"KES": 150000}',
    )
    authorization_days: Annotated[int, Field(ge=1, le=90)] = Field(
        default=7, description="how long an authorization may wait for its captures"
    )
    expire_every_seconds: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=60.0, description="how often authorizations that ran out are looked for"
    )
    resolve_every_seconds: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=15.0, description="how often outcomes that are open and due are asked for"
    )
    sandbox_late_seconds: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=3.0, description="when the sandboxes give an answer that comes later"
    )
