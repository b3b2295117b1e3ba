"""Settings: all faults at once, no default for a secret, and what production refuses."""

from typing import Any

import pytest
from fintech_kernel.errors import StartupFault
from fintech_kernel.hooks import SettingsSpec
from fintech_kernel.quotas import Quota
from fintech_kernel.settings import KernelSettings, load_settings
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

GOOD: dict[str, Any] = {
    "app_env": "test",
    "app_secret": "5d1e9a7c3b8f4062a1c5e7d9b3f10826",
    "jwt_secret": "0f6b1f0c8a5e4d3c9b7a695847362514",
    "db_base_url": "http://127.0.0.1:8800",
    "audit_signing_key": "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=",
}
KERNEL = SettingsSpec(name="kernel", model=KernelSettings)


class ToySettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="TOY_", frozen=True)

    size: int = Field(ge=1)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (*GOOD, "app_docs", "toy_size"):
        monkeypatch.delenv(name.upper(), raising=False)


def faults_of(*specs: SettingsSpec, **values: Any) -> str:
    with pytest.raises(StartupFault) as fault:
        load_settings(specs, values)
    return "\n".join(fault.value.faults)


def test_every_fault_of_every_model_is_listed_at_once() -> None:
    toy = SettingsSpec(name="toy", model=ToySettings)
    faults = faults_of(KERNEL, toy, toy_size=0, app_port="many")
    for name in ("APP_SECRET", "DB_BASE_URL", "APP_PORT", "TOY_SIZE"):
        assert name in faults


def test_a_fault_never_shows_the_value() -> None:
    assert "hunter2" not in faults_of(KERNEL, **{**GOOD, "app_secret": "hunter2"})


@pytest.mark.parametrize(
    "url",
    ["", "db", "127.0.0.1:8800", "ftp://db", "http://", "http://db:port", "http://[db", "//db"],
)
@pytest.mark.parametrize("environment", ["test", "production"])
def test_a_database_is_named_by_a_url(url: str, environment: str) -> None:
    faults = faults_of(KERNEL, **{**GOOD, "db_base_url": url, "app_env": environment})
    assert "DB_BASE_URL must be an http:// or https:// URL" in faults


def test_a_password_in_the_databases_url_is_refused_and_not_shown() -> None:
    faults = faults_of(KERNEL, **{**GOOD, "db_base_url": "http://user:hunter2@db:8800"})
    assert "DB_API_TOKEN" in faults
    assert "hunter2" not in faults


def test_values_are_named_like_the_environment_with_the_plugins_prefix() -> None:
    toy = SettingsSpec(name="toy", model=ToySettings)
    loaded = load_settings([KERNEL, toy], {**GOOD, "toy_size": 3})
    assert loaded["toy"].model_dump() == {"size": 3}


def test_the_environment_is_read_and_given_values_take_precedence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(name.upper(), value)
    monkeypatch.setenv("APP_PORT", "9000")
    loaded = load_settings([KERNEL], {"app_host": "127.0.0.2"})["kernel"]
    assert isinstance(loaded, KernelSettings)
    assert (loaded.app_port, loaded.app_host) == (9000, "127.0.0.2")


def test_a_dotenv_file_is_read_in_development_and_never_in_production(tmp_path: Any) -> None:
    (tmp_path / ".env").write_text("APP_PORT=9001\n")
    loaded = load_settings([KERNEL], GOOD)["kernel"]
    assert isinstance(loaded, KernelSettings)
    assert loaded.app_port == 9001
    loaded = load_settings([KERNEL], {**GOOD, "app_env": "production"})["kernel"]
    assert isinstance(loaded, KernelSettings)
    assert loaded.app_port == 8000


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"app_secret": "short"}, "APP_SECRET needs at least"),
        ({"jwt_secret": "changeme-changeme-changeme-changeme"}, "JWT_SECRET looks like an example"),
        ({"db_base_url": "http://database.internal:8800"}, "DB_BASE_URL must be https"),
        ({"app_docs": True}, "APP_DOCS must be false"),
        ({"audit_signing_key": None}, "AUDIT_SIGNING_KEY is required"),
        ({"jwt_algorithm": "EdDSA"}, "JWT_PUBLIC_KEY is required"),
        ({"rate_limit_principal": "off"}, "RATE_LIMIT_PRINCIPAL must not be off"),
        ({"rate_limit_address": "0"}, "RATE_LIMIT_ADDRESS must not be off"),
        ({"rate_limit_token": "off"}, "RATE_LIMIT_TOKEN must not be off"),
        ({"operation_lease_seconds": 10}, "OPERATION_LEASE_SECONDS must be above"),
    ],
)
def test_production_refuses_what_is_unsafe(change: dict[str, Any], fault: str) -> None:
    assert fault in faults_of(KERNEL, **{**GOOD, "app_env": "production", **change})


@pytest.mark.parametrize("environment", ["development", "test", "staging", "production"])
def test_limits_are_on_where_real_clients_come_and_elsewhere_only_when_set(
    environment: str,
) -> None:
    loaded = load_settings([KERNEL], {**GOOD, "app_env": environment})["kernel"]
    assert isinstance(loaded, KernelSettings)
    is_on = environment in {"staging", "production"}
    quotas = (loaded.principal_quota, loaded.address_quota, loaded.token_quota)
    caps = (loaded.concurrency_max, loaded.concurrency_merchant_max)
    assert [one is not None for one in (*quotas, *caps)] == [is_on] * 5


def test_limits_that_are_set_count_everywhere() -> None:
    given = {"rate_limit_address": "7/second", "app_concurrency_max": 9}
    loaded = load_settings([KERNEL], {**GOOD, **given})["kernel"]
    assert isinstance(loaded, KernelSettings)
    assert (loaded.address_quota, loaded.concurrency_max) == (Quota(count=7, seconds=1), 9)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rate_limit_principal", "many"),
        ("rate_limit_address", "600/day"),
        ("rate_limit_token", "-1/minute"),
        ("app_concurrency_max", 0),
        ("app_concurrency_merchant_max", -1),
        ("app_trusted_proxies", ["everybody"]),
        ("app_trusted_proxies", ["10.0.0.1/8"]),
    ],
)
def test_a_limit_that_is_none_is_a_fault(name: str, value: object) -> None:
    assert name.upper() in faults_of(KERNEL, **{**GOOD, name: value})


def test_an_outside_issuers_keys_verify_alone() -> None:
    faults = faults_of(KERNEL, **GOOD, jwt_jwks_file="jwks.json", jwt_keys_file="keys.json")
    assert "JWT_SECRET must not be given with JWT_JWKS_FILE" in faults
    assert "JWT_KEYS_FILE must not be given with JWT_JWKS_FILE" in faults
    alone = {**GOOD, "jwt_secret": None, "jwt_jwks_file": "jwks.json"}
    assert load_settings([KERNEL], alone)["kernel"].model_dump()["jwt_jwks_file"] == "jwks.json"


def test_a_key_file_needs_no_key_beside_it() -> None:
    alone = {**GOOD, "jwt_secret": None, "jwt_keys_file": "keys.json"}
    assert load_settings([KERNEL], alone)["kernel"].model_dump()["jwt_keys_file"] == "keys.json"
    without = faults_of(KERNEL, **{**GOOD, "jwt_secret": None})
    assert "JWT_SECRET is required with JWT_ALGORITHM=HS256" in without
