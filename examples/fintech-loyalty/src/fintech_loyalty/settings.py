"""What operators choose: ``LOYALTY_*``."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from fintech_loyalty.domain.model import POINTS_MAX


class LoyaltySettings(BaseSettings):
    """The settings of loyalty; all have defaults that are safe to run with."""

    model_config = SettingsConfigDict(
        env_prefix="LOYALTY_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    points_min: Annotated[int, Field(ge=1, le=POINTS_MAX)] = Field(
        default=10, description="fewest points that one redemption takes"
    )
