"""The files of a deployment, read by the tools of those who will read them, and held to our promises."""

import re
import sys
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from composition import VARIABLE, VariableMissing, composition
from fintech_kernel.settings import KernelSettings
from fintech_payments.settings import PaymentsSettings
from fintech_settlements.settings import SettlementsSettings
from image import instructions, ran

SECRETS = {"APP_SECRET", "JWT_SECRET", "AUDIT_SIGNING_KEY", "DB_API_TOKEN", "POSTGRES_PASSWORD"}
GIVEN = dict.fromkeys(SECRETS, "given")
OURS = ("server-1", "server-2", "database")


@pytest.fixture(scope="module")
def dockerfile(repository: Path) -> list[tuple[str, str]]:
    return list(instructions((repository / "Dockerfile").read_text()))


@pytest.fixture(scope="module")
def compose(repository: Path) -> str:
    return (repository / "compose.yaml").read_text()


def tool(name: str) -> Path:
    return Path(sys.executable).parent / name


def test_hadolint_has_nothing_to_say_of_the_dockerfile(repository: Path) -> None:
    done = ran([tool("hadolint"), "--no-color", repository / "Dockerfile"])
    assert (done.returncode, done.stdout) == (0, "")


def test_the_composition_keeps_the_schema_of_compose_files(repository: Path) -> None:
    schema = ["--builtin-schema", "vendor.compose-spec", repository / "compose.yaml"]
    done = ran([tool("check-jsonschema"), *schema])
    assert done.returncode == 0, done.stdout


def test_the_install_script_is_a_posix_shells(repository: Path) -> None:
    done = ran(["/bin/sh", "-n", repository / "deploy" / "install"])
    assert (done.returncode, done.stderr) == (0, "")


def test_the_image_runs_as_a_user_without_rights_and_knows_how_it_is(dockerfile) -> None:
    names = [name for name, _ in dockerfile]
    last = dockerfile[len(names) - names[::-1].index("FROM") :]
    assert ("USER", "10001:10001") in last
    assert any(name == "HEALTHCHECK" and "/health/live" in rest for name, rest in last)
    assert not any(name in {"RUN", "ADD"} for name, rest in last)


def test_base_images_name_a_version(dockerfile, compose: str) -> None:
    bases = [rest.split()[0] for name, rest in dockerfile if name == "FROM"]
    assert bases
    assert all(re.fullmatch(r"python:\$\{PYTHON_VERSION\}-slim", base) for base in bases)
    assert re.fullmatch(r"postgres:\d+", composition(compose, GIVEN)["postgres"]["image"])


def test_what_the_dockerfile_copies_is_let_into_the_build(repository: Path, dockerfile) -> None:
    let_in = set(re.findall(r"^!(.+)$", (repository / ".dockerignore").read_text(), re.MULTILINE))
    copied = [
        rest.split()[0] for name, rest in dockerfile if name == "COPY" and "--from" not in rest
    ]
    assert {source.partition("/")[0] for source in copied} == let_in
    assert all((repository / source).exists() for source in copied)


@pytest.mark.parametrize("secret", sorted(SECRETS))
def test_nothing_starts_without_a_secret(compose: str, secret: str) -> None:
    with pytest.raises(VariableMissing, match=f"{secret} is missing, see docs/deploy.md"):
        composition(compose, {**GIVEN, secret: ""})


def test_no_secret_has_a_default_or_stands_in_the_file(compose: str) -> None:
    defaults = {name: rest for name, mark, rest in VARIABLE.findall(compose) if mark != ":?"}
    assert not [name for name in defaults if re.search(r"SECRET\b|KEY\b|TOKEN|PASSWORD", name)]
    text = yaml.safe_load(compose)
    for service in text["services"].values():
        for name, value in service["environment"].items():
            is_secret = name in SECRETS | {"PGPASSWORD"}
            assert not is_secret or str(value).startswith("${"), name


@pytest.mark.parametrize("name", OURS)
def test_our_services_are_contained(compose: str, name: str) -> None:
    service = composition(compose, GIVEN)[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "user" not in service  # the image's
    assert {"cpus", "memory"} <= set(service["deploy"]["resources"]["limits"])


def test_the_database_is_reached_by_the_servers_alone(compose: str) -> None:
    services = composition(compose, GIVEN)
    for name in ("server-1", "server-2"):
        assert services[name]["network_mode"] == "service:database"
        assert services[name]["environment"]["DB_BASE_URL"] == "http://127.0.0.1:8800"
    assert "--host" not in services["database"]["command"]
    assert not any("8800" in port for port in services["database"]["ports"])
    assert all(port.startswith("127.0.0.1:") for port in services["database"]["ports"])
    assert "ports" not in services["postgres"]
    assert services["postgres"]["networks"] == ["inside"]
    assert yaml.safe_load(compose)["networks"]["inside"] == {"internal": True}


def test_services_wait_for_what_they_need_and_are_given_time_to_stop(compose: str) -> None:
    services = composition(compose, GIVEN)
    assert services["server-1"]["depends_on"]["database"]["condition"] == "service_healthy"
    assert services["database"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    for service in services.values():
        assert int(service["stop_grace_period"].removesuffix("s")) > 25
        assert service["restart"] == "unless-stopped"


def alarms(repository: Path) -> list[dict[str, Any]]:
    groups = yaml.safe_load((repository / "deploy" / "alarms.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_every_alarm_is_an_expression_that_prometheus_takes(repository: Path) -> None:
    rules = alarms(repository)
    assert rules
    for rule in rules:
        promql_parser.parse(rule["expr"])  # raises
        if "for" in rule:
            promql_parser.parse_duration(rule["for"])
    with pytest.raises(ValueError, match="expected type matrix"):
        promql_parser.parse("sum(rate(fintech_requests_total))")


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "deploy.md").read_text()


def test_alarms_that_the_page_names_exist(repository: Path, page: str) -> None:
    known = {rule["alert"] for rule in alarms(repository)}
    named = set(re.findall(r"\*\*([A-Z][a-z]+[A-Z]\w+)\*\*", page))
    assert named
    assert named <= known


def test_settings_that_the_page_and_the_composition_name_exist(page: str, compose: str) -> None:
    ours = {name.upper() for name in KernelSettings.model_fields}
    plugins = {f"PAYMENTS_{name.upper()}" for name in PaymentsSettings.model_fields}
    plugins |= {f"SETTLEMENTS_{name.upper()}" for name in SettlementsSettings.model_fields}
    prefixes = "APP|AUDIT|DB|JWT|OPERATION|PAYMENTS|RATE|SETTLEMENTS"
    named = set(re.findall(rf"\b(?:{prefixes})_[A-Z_]+\b", page + compose))
    assert named - ours - plugins == set()


def test_links_of_the_page_lead_somewhere(repository: Path, page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#([^)]+))?\)", page)
    assert links
    for target, anchor in links:
        file = repository / "docs" / target
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
            assert anchor in {heading.lower().replace(" ", "-") for heading in headings}


def test_secrets_that_the_page_makes_are_those_that_the_composition_asks_for(
    page: str, compose: str
) -> None:
    made = set(re.findall(r"^([A-Z_]+)=\$\(openssl", page, re.MULTILINE))
    asked = {name for name, mark, _ in VARIABLE.findall(compose) if mark == ":?"}
    assert made == asked == SECRETS
