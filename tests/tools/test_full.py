"""``nox -s full`` reports what it ran: results, times and last lines, whatever fails."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHON = shlex.split(os.environ.get("NOX", sys.executable))[0]
"""The one that runs nox."""

NOXFILE = """
import nox

@nox.session(venv_backend="none")
def good(session):
    session.run("python", "-c", "import sys; print('three fine figures', sys.argv[1:])", *session.posargs)

@nox.session(venv_backend="none")
def bad(session):
    session.run("python", "-c", "print('all is lost'); raise SystemExit(1)")
"""


def test_a_run_goes_on_behind_a_failure_and_its_report_shows_both(tmp_path):
    noxfile = tmp_path / "noxfile.py"
    noxfile.write_text(NOXFILE)
    command = [PYTHON, ROOT / "tools/full.py", "--reports", tmp_path, "--noxfile", noxfile]

    done = subprocess.run(
        [*command, "bad", "good -m ''"], capture_output=True, text=True, check=False
    )

    (report,) = tmp_path.glob("*-full.md")
    page = report.read_text()
    assert done.returncode == 1, done.stderr
    assert "2 of 2 sessions ran: 1 passed, 1 failed." in page
    assert "| `bad` | **failed** |" in page
    assert "| `good -m ''` | passed |" in page
    assert "### bad\n\n```text\nall is lost\nnox > Command" in page
    assert "three fine figures ['-m', '']\nnox > Session good was successful" in page
    assert str(ROOT) not in page
    assert "all is lost" in done.stdout
