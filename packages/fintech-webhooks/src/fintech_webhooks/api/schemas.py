"""What clients send and are shown about endpoints. Times are UTC milliseconds unless they are RFC 3339."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Final

from fintech_kernel.hooks import Presented
from fintech_kernel.web.schemas import StrictModel
from fintech_kernel.web.validation import Rule
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from fintech_webhooks.domain.egress import URL_CHARACTERS_MAX
from fintech_webhooks.domain.model import EndpointStatus

FILTERS_MAX: Final = 50
DESCRIPTION_CHARACTERS_MAX: Final = 200
SECONDS_PER_DAY: Final = 86_400
OVERLAP_SECONDS_DEFAULT: Final = SECONDS_PER_DAY
OVERLAP_SECONDS_MAX: Final = 7 * SECONDS_PER_DAY

_NEW_EXAMPLE: Final[dict[str, Any]] = {
    "url": "https://shop.example.com/hooks",
    "events": ["payment.*", "settlement.paid"],
    "description": "the shop's backend",
}
_ENDPOINT_EXAMPLE: Final[dict[str, Any]] = {
    "endpoint_id": "whe_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "merchant_id": "mer_01k9qq3v5kf7wsc0d3jz8y2m4t",
    **_NEW_EXAMPLE,
    "status": "enabled",
    "disabled_because": None,
    "secret_id": "whs_01k9qq3v5kf7wsc0d3jz8y2m4t",
    "previous_secret_until": None,
    "created_at": 1760000000000,
    "updated_at": 1760000000000,
}
_ISSUED_EXAMPLE: Final[dict[str, Any]] = {
    **_ENDPOINT_EXAMPLE,
    "secret": None,
    "secret_already_shown": True,
}


def _all_different(values: list[str]) -> list[str]:
    if len(set(values)) != len(values):
        raise Rule("must not hold a value twice")
    return values


Url = Annotated[
    str,
    StringConstraints(min_length=1, max_length=URL_CHARACTERS_MAX),
    Field(description="an https:// URL with a public host; where messages are posted to"),
]
Filters = Annotated[
    list[
        Annotated[
            str,
            StringConstraints(pattern=r"^(\*|[a-z][a-z0-9_]{0,39}\.(\*|[a-z][a-z0-9_]{0,59}))$"),
        ]
    ],
    Field(
        min_length=1,
        max_length=FILTERS_MAX,
        description="events, families such as `payment.*`, or `*` for everything",
    ),
    AfterValidator(_all_different),
]
Description = Annotated[
    str,
    StringConstraints(max_length=DESCRIPTION_CHARACTERS_MAX, pattern=r"^[^\x00-\x1f\x7f]*$"),
]


class CreateWebhookEndpointBody(StrictModel):
    """An endpoint to make."""

    model_config = ConfigDict(json_schema_extra={"examples": [_NEW_EXAMPLE]})

    url: Url
    events: Filters
    description: Description = ""


class UpdateWebhookEndpointBody(StrictModel):
    """What changes of an endpoint; what is not sent stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"events": ["payment.captured"]}]})

    url: Url | None = None
    events: Filters | None = None
    description: Description | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> "UpdateWebhookEndpointBody":
        sent = (getattr(self, name) for name in self.model_fields_set)
        if not self.model_fields_set or any(value is None for value in sent):
            raise Rule("must change something")
        return self


class RotateWebhookSecretBody(StrictModel):
    """How long the secret that is replaced signs on beside the new one."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlap_seconds": 3600}]})

    overlap_seconds: Annotated[
        int, Field(ge=0, le=OVERLAP_SECONDS_MAX, description="0 ends the old secret at once")
    ] = OVERLAP_SECONDS_DEFAULT


class NothingBody(StrictModel):
    """Nothing is needed: `{}`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})


class WebhookEndpointShown(BaseModel):
    """An endpoint, without its secret."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ENDPOINT_EXAMPLE]})

    endpoint_id: str
    merchant_id: str
    url: str
    events: list[str]
    description: str
    status: EndpointStatus
    disabled_because: str | None = Field(description="`requested`, `gone` (410) or `failing`")
    secret_id: str = Field(description="names the secret that signs; another after a rotation")
    previous_secret_until: int | None = Field(description="until when the secret before signs too")
    created_at: int
    updated_at: int


class IssuedWebhookSecretShown(WebhookEndpointShown):
    """An endpoint with a new secret. The secret is in the first answer and never again."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ISSUED_EXAMPLE]})

    secret: str | None = Field(description="keep it now: nobody can show it again")
    secret_already_shown: bool = Field(
        description="true: this answer is a repeat; if nobody has the secret, rotate it"
    )


class WebhookEndpointsShown(BaseModel):
    """A page of endpoints, newest first."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"data": [_ENDPOINT_EXAMPLE], "next_cursor": None}]}
    )

    data: list[WebhookEndpointShown]
    next_cursor: str | None


class EventTypeShown(BaseModel):
    """An event that merchants are told of."""

    name: str
    summary: str
    fields: list[str] = Field(description="members of `data`, beside where the event stands")


class EventTypesShown(BaseModel):
    """Every event that merchants are told of, by name."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "data": [
                        {
                            "name": "payment.captured",
                            "summary": "Money was taken.",
                            "fields": ["amount", "fee", "available_on"],
                        }
                    ]
                }
            ]
        }
    )

    data: list[EventTypeShown]


def present_issued(result: Mapping[str, Any]) -> Presented:
    """Show an endpoint that was made, as every repeat sees it."""
    return Presented(status=201, body=_without_secret(result))


def present_rotated(result: Mapping[str, Any]) -> Presented:
    """Show an endpoint whose secret was replaced, as every repeat sees it."""
    return Presented(status=200, body=_without_secret(result))


def with_secret(presented: Presented, secret: str) -> Presented:
    """Show a secret to the one request that drew it."""
    body = {**presented.body, "secret": secret, "secret_already_shown": False}
    return replace(presented, body=body)


def present_endpoint(result: Mapping[str, Any]) -> Presented:
    """Show an endpoint after a change."""
    return Presented(status=200, body=result)


def _without_secret(result: Mapping[str, Any]) -> dict[str, Any]:
    return {**result, "secret": None, "secret_already_shown": True}
