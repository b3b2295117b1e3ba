"""The reference database service as a process: the real thing, started in a quarter of a second."""

import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

COMMAND: Final = "fintech-database"
COMMAND_VARIABLE: Final = "FINTECH_DATABASE_COMMAND"
"""Names another service of the contract with the same command line, to run the same tests against it."""

LISTENING: Final = "listening on "
STOP_SECONDS: Final = 10.0


@contextmanager
def database_service(url: str, *, port: int = 0) -> Generator[str]:
    """Run ``fintech-database serve`` on ``url`` (``sqlite:///path``); yield its base URL.

    Raises:
        RuntimeError: it is not installed, or did not start.
    """
    process = start_database(url, port=port)
    try:
        yield base_url_of(process)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()


def start_database(url: str, *, port: int = 0) -> "subprocess.Popen[str]":
    """Start the service and return its process; ``base_url_of`` waits until it listens.

    Raises:
        RuntimeError: it is not installed.
    """
    beside = Path(sys.executable).parent / COMMAND
    named = os.environ.get(COMMAND_VARIABLE)
    command = named or (str(beside) if beside.exists() else shutil.which(COMMAND))
    if command is None:
        raise RuntimeError(f"{COMMAND} is not installed: install the package fintech-database")
    environment = {key: value for key, value in os.environ.items() if key != "DB_API_TOKEN"}
    return subprocess.Popen(  # noqa: S603 - our own command
        [command, "serve", "--url", url, "--port", str(port)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def base_url_of(process: "subprocess.Popen[str]") -> str:
    """Wait until the service says where it listens.

    Raises:
        RuntimeError: it ended instead; its reason stands on standard error.
    """
    assert process.stdout is not None  # noqa: S101 - started with a pipe
    line = process.stdout.readline().strip()
    if not line.startswith(LISTENING):
        raise RuntimeError(f"{COMMAND} did not start (exit code {process.wait()})")
    return line.removeprefix(LISTENING)
