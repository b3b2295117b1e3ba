"""Settings of webhooks: ``WEBHOOKS_*``."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE

RETRY_SECONDS: Final = (
    5,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
)
"""Ten attempts over three days, as the Standard Webhooks specification 1.0.0 proposes."""


class WebhooksSettings(BaseSettings):
    """How webhooks behave in this deployment."""

    model_config = SettingsConfigDict(
        env_prefix="WEBHOOKS_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    retry_seconds: Annotated[
        tuple[Annotated[int, Field(ge=1, le=7 * 24 * HOUR)], ...],
        Field(min_length=1, max_length=50),
    ] = Field(
        default=RETRY_SECONDS,
        description="pauses after the first failed attempt, the second, ...: a JSON list of seconds",
    )
    failures_max: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=10,
        description="failed attempts in a row that disable an endpoint when a delivery fails",
    )
    endpoints_max: Annotated[int, Field(ge=1, le=100)] = Field(
        default=16, description="endpoints of one merchant that are not removed"
    )
    ports: Annotated[frozenset[Annotated[int, Field(ge=1, le=65535)]], Field(min_length=1)] = Field(
        default=frozenset({443, 8443}), description="ports that messages are sent to"
    )
    refused_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(),
        description="networks that nothing is sent to, beyond all that are not public:"
        ' the deployment\'s own public ones, such as ["198.18.7.0/24"]',
    )
    allow_loopback: bool = Field(
        default=False,
        description="send to this machine too, over plain HTTP and to any port; for development and"
        " tests, refused in staging and production",
    )
    connect_seconds: Annotated[float, Field(gt=0, le=60)] = Field(
        default=5.0, description="for a connection, its TLS handshake included"
    )
    total_seconds: Annotated[float, Field(gt=0, le=60)] = Field(
        default=15.0, description="for a whole attempt, from the name to the answer's status"
    )
    reply_bytes_max: Annotated[int, Field(ge=0, le=1_048_576)] = Field(
        default=65_536, description="how much of an answer's body is read; all of it is thrown away"
    )
    concurrency: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=32, description="attempts of one process at once"
    )
    per_endpoint: Annotated[int, Field(ge=1, le=100)] = Field(
        default=4, description="of these, to one endpoint"
    )
    send_every_seconds: Annotated[float, Field(gt=0, le=60)] = Field(
        default=1.0, description="how often what is due is looked for"
    )
