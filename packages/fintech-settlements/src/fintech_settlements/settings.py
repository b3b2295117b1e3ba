"""What operators choose: ``SETTLEMENTS_*``."""

from typing import Annotated, Final

from fintech_kernel.identifiers import OBJECT_ID
from fintech_kernel.money import AMOUNT_MAX
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

CHUNK_SIZE_MAX: Final = 1_000
"""Lines of one claiming statement. A chunk is one insert, which must end within a database deadline."""


class SettlementsSettings(BaseSettings):
    """The settings of settlements; all have defaults that are safe to run with."""

    model_config = SettingsConfigDict(
        env_prefix="SETTLEMENTS_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    rail: str = Field(
        default="sandbox",
        pattern=rf"^{OBJECT_ID.pattern}$",
        description="name of the payout rail that settlements are paid through",
    )
    chunk_size: Annotated[int, Field(ge=1, le=CHUNK_SIZE_MAX)] = Field(
        default=500, description="ledger lines that one statement claims"
    )
    two_people_above: Annotated[int, Field(ge=0, le=AMOUNT_MAX)] = Field(
        default=100_000_000,
        description="minor units; a larger settlement is not paid by who approved it",
    )
