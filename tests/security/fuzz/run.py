"""Fuzz the assembled server: schemathesis 4 with all checks and phases, as staff and as a merchant.

Starts ``fintech dev`` on an empty folder, with its embedded database. The last line says how many cases
ran and how many failed: ``cases=N failures=0``; a secret in the server's log is a failure, too.
``--seconds`` and ``--examples`` bound a run of each principal; a failure prints what to send to see it
again.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fintech_kernel.testing.leaks import leaks

HERE: Final = Path(__file__).parent
COMMAND: Final = Path(sys.executable).with_name("schemathesis")
LOG: Final = "log.txt"
LISTENING: Final = "listening on "
SECONDS: Final = 150
"""Enough for every phase on two cores, and within the life of a token."""

EXAMPLES: Final = 20
STOP_SECONDS: Final = 30
"""More than a server takes to drain."""

PHASES: Final = "examples,coverage,fuzzing,stateful"


@dataclass(frozen=True, slots=True)
class Caller:
    name: str
    role: str
    merchant_id: str = ""


@dataclass(frozen=True, slots=True)
class Ran:
    cases: int
    failures: int


def main() -> int:
    """Run both principals and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=SECONDS, help="for each principal")
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="for each operation")
    parser.add_argument("--seed", type=int, default=None, help="repeats a run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as (url, data):
        merchant_id = json.loads((data / "merchant.json").read_text())["merchant_id"]
        callers = (
            Caller("staff", "platform_admin"),
            Caller("merchant", "merchant_admin", merchant_id),
        )
        ran = [
            fuzz(url, caller, data=data, merchant_id=merchant_id, options=options)
            for caller in callers
        ]
        logged = list(leaks((data.parent / LOG).read_text()))
    for leak in logged:
        print(f"logged: {leak}")  # noqa: T201 - what failed
    cases, failures = sum(one.cases for one in ran), sum(one.failures for one in ran) + len(logged)
    print(f"cases={cases} failures={failures}")  # noqa: T201 - the result of the program
    return 1 if failures or not cases else 0


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, Path]]:
    """Run a development server on a port of its own; yield its address and its data folder."""
    data = folder / "data"
    command = [sys.executable, "-m", "fintech_server", "dev", "--port", "0"]
    with (folder / LOG).open("w") as log:
        process = subprocess.Popen(
            [*command, "--data-folder", str(data)], stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            yield _address(process), data
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_SECONDS)


def _address(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line.startswith(LISTENING):
        raise SystemExit(f"the server did not start: {line}")
    for said in process.stdout:  # the merchant is there once the server says how to stop it
        if "Ctrl-C" in said:
            break
    return line.removeprefix(LISTENING)


def token(data: Path, caller: Caller) -> str:
    """Return a token; it outlives a run of the default length."""
    command = [sys.executable, "-m", "fintech_server", "token", "--role", caller.role]
    merchant = ["--merchant", caller.merchant_id] if caller.merchant_id else []
    found = subprocess.run(
        [*command, *merchant, "--data-folder", str(data)],
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout.strip()


def fuzz(
    url: str, caller: Caller, *, data: Path, merchant_id: str, options: argparse.Namespace
) -> Ran:
    """Run schemathesis as one principal and return what its report counts."""
    report = data.with_name(f"{caller.name}.json")
    authorization = f"Authorization: Bearer {token(data, caller)}"
    seed = [f"--seed={options.seed}"] if options.seed is not None else []
    environment = {
        **os.environ,
        "COLUMNS": "100",
        "FUZZ_MERCHANT_ID": merchant_id,
        "PYTHONPATH": str(HERE),
        "SCHEMATHESIS_HOOKS": "hooks",
        "PYTHONWARNINGS": "default",  # warnings of the tool's own libraries are not ours to repair
    }
    subprocess.run(
        [
            *(str(COMMAND), "--config-file", str(HERE / "schemathesis.toml")),
            *("run", f"{url}/openapi.json", "--header", authorization),
            *("--checks", "all", "--phases", PHASES, "--continue-on-failure", "--no-color"),
            *("--max-examples", str(options.examples), "--max-time", str(options.seconds)),
            *("--report", "json", "--report-json-path", str(report), *seed),
        ],
        env=environment,
        check=False,
    )
    return counted(json.loads(report.read_text()))


def counted(report: Mapping[str, Any]) -> Ran:
    """Return cases and failures of a report; an error of the tool is a failure, and so is an early end."""
    cases = report["test_cases"]
    failures = cases["with_failures"] + cases["errored"] + len(report["errors"])
    return Ran(cases["generated"], failures + (not report["complete"]))


if __name__ == "__main__":
    raise SystemExit(main())
