"""Settings: read once, immutable, every fault in one error, no default for a secret."""

import os
from collections.abc import Mapping, Sequence
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from fintech_kernel.errors import StartupFault
from fintech_kernel.hooks import SettingsSpec
from fintech_kernel.quotas import Quota, read_quota

SECRET_LENGTH_MIN: Final = 32
"""Characters of a shared secret: 256 bits of hex are 64, of base64 43; 32 is the floor of RFC 7518 3.2."""

KNOWN_SECRETS: Final = (
    "secret",
    "changeme",
    "change-me",
    "password",
    "example",
    "insecure",
    "test",
)

LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "::1", "localhost"})

RATE_LIMIT_PRINCIPAL: Final = "600/minute"
RATE_LIMIT_ADDRESS: Final = "1200/minute"
RATE_LIMIT_TOKEN: Final = "30/minute"  # noqa: S105 - a quota
CONCURRENCY_MAX: Final = 512
CONCURRENCY_MERCHANT_MAX: Final = 64
"""Defaults where real clients come (staging, production). Elsewhere nothing is limited unless it is set."""

_KEYS_OF_SETTINGS: Final = ("jwt_secret", "jwt_public_key", "jwt_private_key")
"""Fields that hold one key of tokens."""

_NO_DATABASE_URL: Final = "DB_BASE_URL must be an http:// or https:// URL"

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class Environment(StrEnum):
    """Where the server runs. Production refuses what development forgives."""

    DEVELOPMENT = "development"
    TEST = "test"
    STAGING = "staging"
    PRODUCTION = "production"


class KernelSettings(BaseSettings):
    """The settings of the kernel. Plugins bring their own (``PAYMENTS_*``, ``SETTLEMENTS_*``)."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    app_env: Environment = Field(
        default=Environment.DEVELOPMENT,
        description="where the server runs; production refuses what development forgives",
    )
    app_host: str = Field(default="127.0.0.1", description="address to listen at")
    app_port: Port = Field(default=8000, description="port to listen at; 0: a free one")
    app_docs: bool | None = Field(
        default=None, description="serve /docs; default: only in development and test"
    )
    app_secret: SecretStr = Field(
        description="keys of fingerprints and cursors are derived from it; at least 32 characters"
    )
    app_secret_id: str = Field(
        default="k1",
        pattern=r"^[a-z0-9]{1,16}$",
        description="name of APP_SECRET: what was made under it carries the name",
    )
    app_secrets_previous: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="earlier secrets by id, so that stored fingerprints compare",
    )
    app_request_timeout_seconds: Seconds = Field(
        default=15.0, description="deadline of a request, and of each part of a streamed answer"
    )
    app_stream_timeout_seconds: Seconds = Field(
        default=600.0,
        description="deadline of a streamed answer (a statement, a report) as a whole",
    )
    app_body_bytes_max: Annotated[int, Field(ge=1024, le=10_000_000)] = Field(
        default=65_536, description="longest body of a request"
    )
    app_log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="lines below it are not logged"
    )
    app_migrate_on_start: bool = Field(
        default=True, description="apply pending migrations at start; else `fintech migrate` does"
    )
    app_jobs: bool = Field(
        default=True, description="run recovery, dispatch and plugins' jobs here"
    )

    db_base_url: str = Field(description="where the database service is; https:// beyond loopback")
    db_timeout_seconds: Seconds = Field(
        default=5.0,
        description="deadline of a database call where no request sets one, repeats included",
    )
    db_api_token: SecretStr | None = Field(
        default=None, description="bearer token of the database service, where it wants one"
    )

    jwt_algorithm: Literal["HS256", "HS384", "HS512", "RS256", "ES256", "EdDSA"] = Field(
        default="HS256", description="the one algorithm of access tokens under the key given here"
    )
    jwt_secret: SecretStr | None = Field(
        default=None, description="key of HS algorithms; at least 32 characters"
    )
    jwt_public_key: SecretStr | None = Field(
        default=None, description="PEM; verifies tokens of the other algorithms"
    )
    jwt_private_key: SecretStr | None = Field(
        default=None, description="PEM; signs them: without it tokens are verified and never issued"
    )
    jwt_key_id: str = Field(default="k1", description="`kid` of the key given here")
    jwt_keys_file: str | None = Field(
        default=None,
        description="JWK set of signing keys, as `fintech keys rotate` writes it; it signs, and a"
        " key that is given as well only verifies",
    )
    jwt_jwks_file: str | None = Field(
        default=None,
        description="public JWK set of an outside issuer: tokens are verified here and never issued",
    )
    jwt_issuer: str = Field(default="fintech", description="`iss` that tokens must have")
    jwt_audience: str = Field(default="fintech-api", description="`aud` that tokens must have")
    jwt_lifetime_seconds: Annotated[int, Field(ge=60, le=900)] = Field(
        default=900, description="how long an access token lives, and the longest that is taken"
    )

    operation_lease_seconds: Seconds = Field(
        default=20.0,
        description="how long an executor may hold an operation; above the request timeout",
    )
    operation_wait_seconds: Seconds = Field(
        default=2.0,
        description="how long a repeat waits for a running operation before it answers 409",
    )

    operation_retention_days: Annotated[int, Field(ge=1, le=3650)] = Field(
        default=30,
        description="after so many days request and result of a finished operation are blanked",
    )

    audit_signing_key: SecretStr | None = Field(
        default=None,
        description="Ed25519 private key that signs tree heads: PEM, or base64 of its 32 bytes;"
        " without it one is derived from APP_SECRET, which production refuses",
    )
    audit_log_origin: str = Field(
        default="fintech/audit",
        pattern=r"^[^\s+]{1,128}$",
        description="name of the transparency log in its tree heads, such as pay.example.com/audit",
    )
    audit_keys_previous: tuple[str, ...] = Field(
        default=(),
        description="verification keys of earlier signing keys, as `fintech audit key` prints them",
    )
    audit_seal_seconds: Seconds = Field(
        default=10.0, description="how often journal entries are sealed and a tree head is signed"
    )

    rate_limit_principal: str | None = Field(
        default=None,
        description="requests of one principal in this process, such as 600/minute, or off;"
        f" default: {RATE_LIMIT_PRINCIPAL} in staging and production, else off",
    )
    rate_limit_address: str | None = Field(
        default=None,
        description="requests from one address (of IPv6: one /64) in this process;"
        f" default: {RATE_LIMIT_ADDRESS} in staging and production, else off",
    )
    rate_limit_token: str | None = Field(
        default=None,
        description="refused requests for a token from one address in this process;"
        f" default: {RATE_LIMIT_TOKEN} in staging and production, else off",
    )
    app_concurrency_max: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None,
        description="requests that this process works on at once;"
        f" default: {CONCURRENCY_MAX} in staging and production, else unlimited",
    )
    app_concurrency_merchant_max: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None,
        description="requests of one merchant that this process works on at once;"
        f" default: {CONCURRENCY_MERCHANT_MAX} in staging and production, else unlimited",
    )
    app_trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(),
        description="networks of proxies whose X-Forwarded-For is believed, as a JSON list",
    )

    app_metrics: bool | None = Field(
        default=None,
        description="serve /metrics, without authentication; default: only in development and test",
    )

    app_metrics_every_seconds: Seconds = Field(
        default=15.0,
        description="how often gauges are read from tables, where /metrics is served; as often as"
        " Prometheus asks, for in between nobody would see them",
    )
    app_traces: bool = Field(
        default=False,
        description="send traces to OpenTelemetry: needs fintech-kernel[otel], and the SDK's own"
        " variables, such as OTEL_EXPORTER_OTLP_ENDPOINT",
    )

    @model_validator(mode="after")
    def _checks(self) -> "KernelSettings":
        faults = [
            *self._key_faults(),
            *self._lease_faults(),
            *self._database_faults(),
            *self._limit_faults(),
        ]
        if self.app_env is Environment.PRODUCTION:
            faults += self._production_faults()
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def docs_served(self) -> bool:
        """Whether /docs and the OpenAPI document are served."""
        if self.app_docs is not None:
            return self.app_docs
        return self.app_env in {Environment.DEVELOPMENT, Environment.TEST}

    @property
    def metrics_served(self) -> bool:
        """Whether /metrics is served."""
        if self.app_metrics is not None:
            return self.app_metrics
        return self.app_env in {Environment.DEVELOPMENT, Environment.TEST}

    @property
    def principal_quota(self) -> Quota | None:
        """Requests of one principal; None is no limit."""
        return self._quota(self.rate_limit_principal, RATE_LIMIT_PRINCIPAL)

    @property
    def address_quota(self) -> Quota | None:
        """Requests from one address; None is no limit."""
        return self._quota(self.rate_limit_address, RATE_LIMIT_ADDRESS)

    @property
    def token_quota(self) -> Quota | None:
        """Refused requests for a token from one address; None is no limit."""
        return self._quota(self.rate_limit_token, RATE_LIMIT_TOKEN)

    @property
    def concurrency_max(self) -> int | None:
        """Requests at once; None is no limit."""
        return self.app_concurrency_max or (CONCURRENCY_MAX if self._limits_by_default else None)

    @property
    def concurrency_merchant_max(self) -> int | None:
        """Requests of one merchant at once; None is no limit."""
        default = CONCURRENCY_MERCHANT_MAX if self._limits_by_default else None
        return self.app_concurrency_merchant_max or default

    @property
    def _limits_by_default(self) -> bool:
        return self.app_env in {Environment.STAGING, Environment.PRODUCTION}

    def _quota(self, given: str | None, default: str) -> Quota | None:
        if given is None:
            return read_quota(default) if self._limits_by_default else None
        return read_quota(given)

    def _limit_faults(self) -> list[str]:
        faults: list[str] = []
        for name in ("rate_limit_principal", "rate_limit_address", "rate_limit_token"):
            try:
                quota = read_quota(getattr(self, name) or "off")
            except ValueError as error:
                faults.append(f"{name.upper()} {error}")
                continue
            given_off = getattr(self, name) is not None and quota is None
            if given_off and self.app_env is Environment.PRODUCTION:
                faults.append(f"{name.upper()} must not be off in production")
        return faults

    def _key_faults(self) -> list[str]:
        faults: list[str] = []
        if len(self.app_secret.get_secret_value()) < SECRET_LENGTH_MIN:
            faults.append(f"APP_SECRET needs at least {SECRET_LENGTH_MIN} characters")
        return [*faults, *self._token_key_faults()]

    def _token_key_faults(self) -> list[str]:
        given = [name for name in _KEYS_OF_SETTINGS if getattr(self, name) is not None]
        if self.jwt_jwks_file is not None:
            others = [*given, *(["jwt_keys_file"] if self.jwt_keys_file is not None else [])]
            return [
                f"{name.upper()} must not be given with JWT_JWKS_FILE: an outside issuer's keys"
                " verify alone"
                for name in others
            ]
        if self.jwt_keys_file is not None and not given:
            return []
        if self.jwt_algorithm.startswith("HS"):
            if self.jwt_secret is None:
                return [f"JWT_SECRET is required with JWT_ALGORITHM={self.jwt_algorithm}"]
            if len(self.jwt_secret.get_secret_value()) < SECRET_LENGTH_MIN:
                return [f"JWT_SECRET needs at least {SECRET_LENGTH_MIN} characters"]
        elif self.jwt_public_key is None:
            return [f"JWT_PUBLIC_KEY is required with JWT_ALGORITHM={self.jwt_algorithm}"]
        return []

    def _lease_faults(self) -> list[str]:
        if self.operation_lease_seconds <= self.app_request_timeout_seconds:
            return ["OPERATION_LEASE_SECONDS must be above APP_REQUEST_TIMEOUT_SECONDS"]
        return []

    def _database_faults(self) -> list[str]:
        try:
            url = urlsplit(self.db_base_url)
            usable = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
        except ValueError:  # its brackets or its port
            return [_NO_DATABASE_URL]
        if not usable:
            return [_NO_DATABASE_URL]
        if "@" in url.netloc:
            return ["DB_BASE_URL must not hold a password: the service's token is DB_API_TOKEN"]
        is_exposed = url.scheme != "https" and url.hostname not in LOOPBACK_HOSTS
        if is_exposed and self.app_env is Environment.PRODUCTION:
            return ["DB_BASE_URL must be https:// where the database is not on this machine"]
        return []

    def _production_faults(self) -> list[str]:
        faults: list[str] = []
        for name, secret in (("APP_SECRET", self.app_secret), ("JWT_SECRET", self.jwt_secret)):
            text = secret.get_secret_value().lower() if secret else ""
            if any(known in text for known in KNOWN_SECRETS):
                faults.append(f"{name} looks like an example; generate one")
        if self.audit_signing_key is None:
            faults.append("AUDIT_SIGNING_KEY is required: generate an Ed25519 key of its own")
        if self.docs_served:
            faults.append("APP_DOCS must be false: documentation is served without authentication")
        return faults


def load_settings(
    specs: Sequence[SettingsSpec], values: Mapping[str, object] | None = None
) -> dict[str, BaseSettings]:
    """Read all settings models together.

    ``values`` are named like environment variables in lower case and take precedence. A ``.env``
    file is read in development and test only.

    Raises:
        StartupFault: one line for every fault of every model.
    """
    given = dict(values or {})
    loaded: dict[str, BaseSettings] = {}
    faults: list[str] = []
    env_file = None if _names_production(given) else ".env"
    for spec in specs:
        prefix = str(spec.model.model_config.get("env_prefix") or "").lower()
        fields: dict[str, Any] = {
            field: given[prefix + field]
            for field in spec.model.model_fields
            if prefix + field in given
        }
        try:
            loaded[spec.name] = spec.model(_env_file=env_file, **fields)
        except ValidationError as error:
            faults += [
                _fault_line(spec.model, fault["loc"], fault["msg"])
                for fault in error.errors(include_input=False)
            ]
    if faults:
        raise StartupFault(faults)
    return loaded


def _names_production(given: Mapping[str, object]) -> bool:
    named = str(given.get("app_env") or os.environ.get("APP_ENV", Environment.DEVELOPMENT))
    return named in {Environment.STAGING, Environment.PRODUCTION}


def _fault_line(model: type[BaseSettings], location: tuple[int | str, ...], text: str) -> str:
    prefix = str(model.model_config.get("env_prefix") or "")
    name = (prefix + "_".join(str(part) for part in location)).upper()
    message = text.removeprefix("Value error, ")
    return f"{name}: {message}" if location else message
