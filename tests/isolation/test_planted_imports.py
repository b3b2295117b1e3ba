"""``nox -s imports`` has teeth: an import that is not declared is found, planted in a copy of the tree."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COPIED = ("noxfile.py", "pyproject.toml", "constraints.txt", "packages", "apps", "tools")
NOX = shlex.split(os.environ.get("NOX", shlex.join([sys.executable, "-m", "nox"])))
"""The nox that runs these tests as a session, or the one beside this Python."""

PLANTED = {
    "fintech-payments": (
        "packages/fintech-payments/src/fintech_payments/domain/service.py",
        "fintech_ledger",
        "cannot be imported: fintech_payments.domain.service",
    ),
    "fintech-merchants": (
        "packages/fintech-merchants/src/fintech_merchants/plugin.py",
        "pluggy",
        "not declared in [project].dependencies: pluggy, imported by fintech_merchants.plugin",
    ),
}
"""By package: a module, an import that does not belong there, and what is said of it.

The sibling is not installed. pluggy is, by the kernel: it may be gone with the kernel's next version.
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What the sessions need of this tree."""
    left_out = shutil.ignore_patterns("__pycache__", "tests", "_build", "deps")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=left_out)
        else:
            shutil.copy2(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "tests/isolation", tmp_path / "tests/isolation", ignore=left_out)
    (tmp_path / "docs").mkdir()
    shutil.copy2(
        ROOT / "docs/modules.md", tmp_path / "docs/modules.md"
    )  # noxfile.py reads the choices
    return tmp_path


@pytest.mark.timeout(600)
def test_an_undeclared_sibling_and_an_undeclared_pluggy_are_found(copy: Path) -> None:
    for place, imported, _ in PLANTED.values():
        module = copy / place
        module.write_text(f"{module.read_text()}\nimport {imported}\n")

    sessions = [f"imports({package})" for package in PLANTED]
    result = subprocess.run(
        [*NOX, "--noxfile", str(copy / "noxfile.py"), "--sessions", *sessions],
        cwd=copy,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        capture_output=True,
        text=True,
        check=False,
    )

    told = result.stdout + result.stderr
    assert result.returncode == 1, told
    for package, (_, _, fault) in PLANTED.items():
        assert fault in told
        assert f"imports({package}): failed" in told
