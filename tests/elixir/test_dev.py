"""``fintech dev --database elixir``: the whole server on the runtime it was conceived for."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FINTECH = str(Path(sys.executable).with_name("fintech"))
LAUNCHER = str(ROOT / "apps" / "elixir-database" / "bin" / "fintech-elixir-database")
SECONDS_MAX = 90


@pytest.fixture(autouse=True)
def elixir():
    if shutil.which("mix") is None:
        reason = "Elixir is missing: run apps/elixir-database/bin/install-debian-packages as root"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


def test_the_demo_ends_with_right_books_on_the_elixir_database(tmp_path):
    environment = {**os.environ, "FINTECH_ELIXIR_DATABASE": LAUNCHER}
    options = ["--database", "elixir", "--port", "0", "--data-folder", str(tmp_path / "data")]
    errors = (tmp_path / "errors").open("w+")
    server = subprocess.Popen(
        [FINTECH, "dev", *options],
        stdout=subprocess.PIPE,
        stderr=errors,
        env=environment,
        text=True,
    )
    try:
        assert server.stdout is not None
        greeting, _, url = server.stdout.readline().strip().rpartition(" ")
        assert greeting == "listening on", Path(errors.name).read_text()
        demo = subprocess.run(
            [FINTECH, "demo", "--json", "--url", url, "--data-folder", str(tmp_path / "data")],
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
        assert demo.returncode == 0, demo.stderr
        assert json.loads(demo.stdout)
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(SECONDS_MAX) == 0
        server.stdout.close()
        errors.close()
