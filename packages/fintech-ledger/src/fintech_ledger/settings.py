"""What operators choose: ``LEDGER_*``."""

from typing import Annotated, Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from fintech_ledger.domain.folds import FOLD_SIZE_MAX

FOLD_EVERY_SECONDS_MAX: Final = 3_600
CLOSE_AFTER_SECONDS_MAX: Final = 86_400


class LedgerSettings(BaseSettings):
    """The settings of the ledger; all have defaults that are safe to run with."""

    model_config = SettingsConfigDict(
        env_prefix="LEDGER_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    fold_size: Annotated[int, Field(ge=1, le=FOLD_SIZE_MAX)] = Field(
        default=250, description="transfers that one fold takes into balances"
    )
    fold_every_seconds: Annotated[int, Field(ge=1, le=FOLD_EVERY_SECONDS_MAX)] = Field(
        default=30, description="pause between runs of the job that folds and closes"
    )
    close_after_seconds: Annotated[int, Field(ge=0, le=CLOSE_AFTER_SECONDS_MAX)] = Field(
        default=900,
        description="how long after a day's end it is closed: late commits still belong to it",
    )
