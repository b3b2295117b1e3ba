"""What clients send and are shown about API keys. Times are UTC milliseconds unless they are RFC 3339."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Final

from fintech_kernel.clock import milliseconds_of
from fintech_kernel.hooks import Presented
from fintech_kernel.web.schemas import StrictModel, Timestamp
from fintech_kernel.web.validation import Rule
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from fintech_merchants.api.schemas import NAME_CHARACTERS_MAX, Reason
from fintech_merchants.domain.key_service import NewKey
from fintech_merchants.domain.keys import LIFETIME_DAYS_MAX, KeyStatus

SCOPES_MAX: Final = 100
SECONDS_PER_DAY: Final = 86_400
LIFETIME_SECONDS_MIN: Final = 60
OVERLAP_SECONDS_DEFAULT: Final = SECONDS_PER_DAY
OVERLAP_SECONDS_MAX: Final = 7 * SECONDS_PER_DAY

_NEW_KEY_EXAMPLE: Final[dict[str, Any]] = {
    "name": "shop backend",
    "scopes": ["payments:create", "payments:read"],
    "lifetime_seconds": 7_776_000,
}
_KEY_EXAMPLE: Final[dict[str, Any]] = {
    "key_id": "key_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "merchant_id": "mer_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "name": "shop backend",
    "last_four": "x7Qa",
    "scopes": ["payments:create", "payments:read"],
    "status": "active",
    "revoked_because": None,
    "rotated_from": None,
    "rotated_to": None,
    "expires_at": 1790000000000,
    "created_at": 1760000000000,
    "updated_at": 1760000000000,
}
_USED_KEY_EXAMPLE: Final[dict[str, Any]] = {**_KEY_EXAMPLE, "last_used_at": 1760000060000}
_ISSUED_EXAMPLE: Final[dict[str, Any]] = {
    **_KEY_EXAMPLE,
    "secret": None,
    "secret_already_shown": True,
}


def _all_different(scopes: list[str]) -> list[str]:
    if len(set(scopes)) != len(scopes):
        raise Rule("must not hold a value twice")
    return scopes


Scopes = Annotated[
    list[Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]{0,39}:[a-z][a-z0-9_]{0,39}$")]],
    Field(min_length=1, max_length=SCOPES_MAX, description="permissions, such as payments:read"),
    AfterValidator(_all_different),
]


class CreateApiKeyBody(StrictModel):
    """A key to issue. Without an end it works until it is revoked."""

    model_config = ConfigDict(json_schema_extra={"examples": [_NEW_KEY_EXAMPLE]})

    name: Annotated[
        str,
        StringConstraints(
            min_length=1, max_length=NAME_CHARACTERS_MAX, pattern=r"^[^\x00-\x1f\x7f]*$"
        ),
    ]
    scopes: Scopes
    expires_at: Annotated[
        Timestamp | None, Field(description=f"at most {LIFETIME_DAYS_MAX} days from now")
    ] = None
    lifetime_seconds: Annotated[
        int | None,
        Field(
            ge=LIFETIME_SECONDS_MIN,
            le=LIFETIME_DAYS_MAX * SECONDS_PER_DAY,
            description="instead of `expires_at`",
        ),
    ] = None

    @model_validator(mode="after")
    def _has_one_end(self) -> "CreateApiKeyBody":
        if self.expires_at is not None and self.lifetime_seconds is not None:
            raise Rule("must hold expires_at or lifetime_seconds, not both")
        return self

    def to_new_key(self) -> NewKey:
        """Return it as the domain knows it."""
        return NewKey(
            name=self.name,
            scopes=tuple(self.scopes),
            expires_at=milliseconds_of(self.expires_at) if self.expires_at else None,
            lifetime_seconds=self.lifetime_seconds,
        )


class RotateApiKeyBody(StrictModel):
    """How long the key that is replaced works on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlap_seconds": 3600}]})

    overlap_seconds: Annotated[
        int, Field(ge=0, le=OVERLAP_SECONDS_MAX, description="0 ends the old key at once")
    ] = OVERLAP_SECONDS_DEFAULT


class RevokeApiKeyBody(StrictModel):
    """Why a key is revoked."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "laptop was stolen"}]})

    reason: Annotated[Reason, Field(min_length=1)]


class ApiKeyScopesBody(StrictModel):
    """The scopes of a key from now on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"scopes": ["payments:read"]}]})

    scopes: Scopes


class ApiKeyShown(BaseModel):
    """An API key, without its secret."""

    model_config = ConfigDict(json_schema_extra={"examples": [_KEY_EXAMPLE]})

    key_id: str
    merchant_id: str
    name: str
    last_four: str = Field(description="the last characters of the secret")
    scopes: list[str]
    status: KeyStatus
    revoked_because: str | None
    rotated_from: str | None = Field(description="the key that this one replaces")
    rotated_to: str | None = Field(description="the key that replaces this one")
    expires_at: int | None
    created_at: int
    updated_at: int


class UsedApiKeyShown(ApiKeyShown):
    """An API key as it is now."""

    model_config = ConfigDict(json_schema_extra={"examples": [_USED_KEY_EXAMPLE]})

    last_used_at: int | None = Field(description="coarse: up to some minutes late")


class IssuedApiKeyShown(ApiKeyShown):
    """A new API key. The secret is in the first answer and never again."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ISSUED_EXAMPLE]})

    secret: str | None = Field(description="keep it now: it is stored nowhere")
    secret_already_shown: bool = Field(
        description="true: this answer is a repeat; if nobody has the secret, rotate or revoke"
    )


class ApiKeysShown(BaseModel):
    """A page of API keys, newest first."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"data": [_USED_KEY_EXAMPLE], "next_cursor": None}]}
    )

    data: list[UsedApiKeyShown]
    next_cursor: str | None


def present_issued(result: Mapping[str, Any]) -> Presented:
    """Show a key that was issued, as every repeat sees it."""
    return Presented(status=201, body={**result, "secret": None, "secret_already_shown": True})


def with_secret(presented: Presented, secret: str) -> Presented:
    """Show a key that was issued to the one request that made it."""
    body = {**presented.body, "secret": secret, "secret_already_shown": False}
    return replace(presented, body=body)


def present_key(result: Mapping[str, Any]) -> Presented:
    """Show a key after a change."""
    return Presented(status=200, body=result)
