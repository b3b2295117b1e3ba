"""The import contracts bite: a copy of the sources with one forbidden import planted breaks them.

Without this, a contract that names a module wrongly would pass for ever.
"""

import os
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

PURE = (
    "commands", "decisions", "errors", "events", "fees", "key_errors", "key_events", "keys", "model",
    "postings",
)  # fmt: skip
"""Names of modules of a plugin's domain that are pure, where it has them."""

LAYERS = "A plugin has three layers"
INDEPENDENT = "Plugins never import one another"
PURE_MODEL = "Models, events, errors and decisions are pure"
ONE_WAY = "Packages depend one way"
NO_APPS = "No package imports an app"
ALONE = "The database service shares nothing"
FRAMEWORK = "Only a plugin's api layer knows the web framework"
NO_HTTP = "Plugins and kernel speak no HTTP outwards"
PLUGGY = "Only the host runs pluggy"
KERNEL_LAYERS = "The kernel has the layers of a plugin"
KERNEL_FRAMEWORK = "Only fintech_kernel.web knows the web framework"
KERNEL_PURE = "Contracts, money, errors, clock, identifiers"
KIT = "The client does not load the conformance kit"

PLANTED = [
    ("fintech_payments/infrastructure/queries.py", "fintech_payments.domain.model", LAYERS),
    ("fintech_ledger/domain/service.py", "fintech_ledger.api.schemas", LAYERS),
    ("fintech_merchants/api/routes.py", "fintech_merchants.plugin", LAYERS),
    ("fintech_payments/domain/service.py", "fintech_ledger.domain.model", INDEPENDENT),
    ("fintech_payments/domain/model.py", "pydantic", PURE_MODEL),
    ("fintech_settlements/domain/postings.py", "fintech_kernel.domain.journal", PURE_MODEL),
    ("fintech_merchants/domain/service.py", "fastapi", FRAMEWORK),
    ("fintech_ledger/domain/books.py", "httpx", NO_HTTP),
    ("fintech_webhooks/domain/courier.py", "httpx", NO_HTTP),
    ("fintech_payments/domain/workflows.py", "pluggy", PLUGGY),
    ("fintech_kernel/infrastructure/queries.py", "fintech_kernel.domain.journal", KERNEL_LAYERS),
    ("fintech_kernel/domain/operations.py", "starlette.requests", KERNEL_FRAMEWORK),
    ("fintech_kernel/money.py", "loguru", KERNEL_PURE),
    ("fintech_kernel/context.py", "fintech_payments.settings", ONE_WAY),
    ("fintech_dbclient/statements.py", "fintech_kernel.money", ONE_WAY),
    ("fintech_settlements/plugin.py", "fintech_database.limits", NO_APPS),
    ("fintech_database/wire.py", "fintech_dbclient.replies", ALONE),
    ("fintech_dbclient/client.py", "fintech_dbclient.conformance.kit", KIT),
]
"""A file, an import that does not belong there, and the contract that says so."""


@pytest.fixture(scope="module")
def copied_sources(packages, tmp_path_factory) -> Path:
    """The sources of every package in one folder."""
    sources = tmp_path_factory.mktemp("sources")
    for package in packages:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(package.source, sources / package.source.name, ignore=ignored)
    return sources


def check(sources: Path, config: Path) -> subprocess.CompletedProcess[str]:
    """Run the contracts on these sources instead of the installed ones."""
    command = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [command, "--no-cache", "--config", config],
        env={**os.environ, "PYTHONPATH": str(sources), "COLUMNS": "200", "PYTHONWARNINGS": ""},
        cwd=sources,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_contracts_hold_for_the_sources_as_they_are(copied_sources, repository):
    result = check(copied_sources, repository / ".importlinter")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


@pytest.mark.parametrize(
    ("place", "imported", "contract"), PLANTED, ids=[f"{one[0]}-{one[1]}" for one in PLANTED]
)
def test_a_planted_import_breaks_the_contract_that_forbids_it(
    copied_sources, repository, place, imported, contract
):
    module = copied_sources / place
    original = module.read_text()
    module.write_text(f"{original}\nimport {imported}\n")
    try:
        result = check(copied_sources, repository / ".importlinter")
    finally:
        module.write_text(original)
    broken = [line for line in result.stdout.splitlines() if " BROKEN" in line]
    assert result.returncode == 1, result.stdout + result.stderr
    assert any(line.startswith(contract) for line in broken), result.stdout


def test_a_module_beside_the_layers_of_a_plugin_breaks_the_contract(copied_sources, repository):
    stray = copied_sources / "fintech_payments" / "helpers.py"
    stray.write_text('"""A room that the architecture does not have."""\n')
    try:
        result = check(copied_sources, repository / ".importlinter")
    finally:
        stray.unlink()
    assert result.returncode == 1
    assert "fintech_payments.helpers" in result.stdout


def test_the_contracts_name_every_package_plugin_and_pure_module(repository, packages, plugins):
    config = ConfigParser()
    config.read(repository / ".importlinter")
    modules = {package.source.name for package in packages}
    plugin_modules = {plugin.source.name for plugin in plugins}
    pure = {
        f"{plugin.source.name}.domain.{name}"
        for plugin in plugins
        for name in PURE
        if (plugin.source / "domain" / f"{name}.py").exists()
    }
    assert lines(config, "importlinter", "root_packages") == modules
    assert lines(config, "importlinter:contract:plugins-independent", "modules") == plugin_modules
    assert lines(config, "importlinter:contract:plugin-layers", "containers") == plugin_modules
    assert lines(config, "importlinter:contract:pure-model", "source_modules") == pure


def lines(config: ConfigParser, section: str, option: str) -> set[str]:
    return set(config[section][option].split())
