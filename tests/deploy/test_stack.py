"""The composition without containers: what the Dockerfile installs, run as compose.yaml says.

One stack on PostgreSQL serves all tests of this module, and they tell one story: it starts healthy, two
servers are one, one of them stops and comes back.
"""

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import time
import venv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from composition import composition
from fintech_database.testing import create_database, start_postgresql
from image import Build, Image, ran

pytestmark = pytest.mark.timeout(900)

READY_SECONDS = 60
STOP_SECONDS = 40
SERVERS = ("server-1", "server-2")


def free_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return str(taken.getsockname()[1])


@pytest.fixture(scope="module")
def image(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image as its Dockerfile builds it: python's own pip, then uv, then deploy/install."""
    folder = tmp_path_factory.mktemp("image")
    venv.create(folder / "base", with_pip=True)
    path = f"{folder / 'base' / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin"
    build = Build(repository, folder, arguments={}, path=path)
    return build.run((repository / "Dockerfile").read_text())


@dataclass(slots=True)
class Stack:
    """Processes as compose.yaml describes them; ports and the host of PostgreSQL are this machine's."""

    image: Image
    services: dict[str, Any]
    rewritten: dict[str, str]
    folder: Path
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self, name: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                self.command(name),
                cwd=self.folder,
                env=self.environment(name),
                stdout=log,
                stderr=log,
            )
        self.wait_until_healthy(name)

    def command(self, name: str) -> list[str]:
        service = self.services[name]
        entrypoint = service.get("entrypoint", self.image.entrypoint)
        given = service.get("command", self.image.command)
        program = self.image.root / "opt" / "fintech" / "bin" / entrypoint[0]
        return [str(program), *entrypoint[1:], *map(self.here, given)]

    def environment(self, name: str) -> dict[str, str]:
        variables = {**self.image.variables, **self.services[name].get("environment", {})}
        return {key: self.here(value) for key, value in variables.items()}

    def here(self, text: str) -> str:
        for there, place in self.rewritten.items():
            text = text.replace(there, place)
        return text

    def health(self, name: str) -> int:
        service = self.services[name]
        test = (
            service["healthcheck"]["test"][1:]
            if "healthcheck" in service
            else self.image.healthcheck
        )
        program = self.image.root / "opt" / "fintech" / "bin" / test[0]
        return ran([program, *map(self.here, test[1:])], env=self.environment(name)).returncode

    def wait_until_healthy(self, name: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while self.health(name):
            ended = self.processes[name].poll()
            assert ended is None, self.log(name)
            assert time.monotonic() < deadline, self.log(name)
            time.sleep(0.2)

    def stop(self, name: str) -> int:
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(STOP_SECONDS)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.environment(name)['APP_PORT']}"

    def fintech(self, *arguments: str, name: str = "server-1") -> str:
        done = ran(
            [self.image.root / "opt" / "fintech" / "bin" / "fintech", *arguments],
            cwd=self.folder,
            env=self.environment(name),
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")


@pytest.fixture(scope="module")
def stack(
    repository: Path, image: Image, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    given = {
        name: secrets.token_urlsafe(32)
        for name in ("APP_SECRET", "JWT_SECRET", "DB_API_TOKEN", "POSTGRES_PASSWORD")
    }
    given["AUDIT_SIGNING_KEY"] = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
    services = composition((repository / "compose.yaml").read_text(), given)
    with start_postgresql() as server:
        database = create_database(server)
        ports = {port: free_port() for port in ("8800", "8001", "8002")}
        there = services["database"]["environment"]["FINTECH_DATABASE_URL"]
        one = Stack(image, services, {there: database, **ports}, tmp_path_factory.mktemp("stack"))
        try:
            for name in ("database", *SERVERS):
                one.start(name)
            yield one
        finally:
            for process in one.processes.values():
                process.terminate()
            for process in one.processes.values():
                process.wait(STOP_SECONDS)


def test_everything_that_is_installed_is_pinned_and_nothing_else_is(image: Image) -> None:
    python = image.root / "opt" / "fintech" / "bin" / "python"
    modules = "import fintech_payments, fintech_settlements, fintech_merchants, fintech_ledger"
    assert ran([python, "-I", "-c", modules]).returncode == 0
    tools = ran([python, "-I", "-c", "import pytest"])
    assert tools.returncode != 0
    assert image.user == "10001:10001"


def test_the_modules_are_chosen_by_an_argument(
    repository: Path, image: Image, tmp_path: Path
) -> None:
    copied = image.root / "src"
    environment = {**os.environ, "PATH": f"{image.root / 'base' / 'bin'}:/usr/bin:/bin"}
    install = ["/bin/sh", copied / "deploy" / "install", tmp_path / "venv"]
    done = ran([*install, "ledger", "otel"], env=environment)
    assert done.returncode == 0, done.stderr
    assert "ledger" in done.stdout
    assert "payments" not in done.stdout
    python = tmp_path / "venv" / "bin" / "python"
    traced = "import fintech_kernel.observability.otel"
    assert ran([python, "-I", "-c", traced]).returncode == 0
    wrong = ran([*install, "ledgers"], env=environment)
    assert (wrong.returncode, "no module ledgers" in wrong.stderr) == (1, True)


def test_the_stack_is_healthy_on_postgresql(stack: Stack) -> None:
    for name in SERVERS:
        ready = httpx.get(f"{stack.url(name)}/health/ready")
        assert ready.status_code == 200, ready.text
    health = httpx.get(f"http://127.0.0.1:{stack.here('8800')}/health").json()
    assert health["engine"].startswith("postgresql")


def test_money_moves_over_one_server_and_is_seen_by_the_other(stack: Stack) -> None:
    facts = json.loads(stack.fintech("demo", "--json", "--url", stack.url("server-1")))
    token = stack.fintech("token", "issue", "--role", "platform_admin").strip()
    headers = {"Authorization": f"Bearer {token}"}
    payments = httpx.get(f"{stack.url('server-2')}/v1/ledger/trial-balance", headers=headers)
    assert payments.status_code == 200, payments.text
    assert facts


def test_an_anonymous_request_and_a_wrong_database_token_are_refused(stack: Stack) -> None:
    assert httpx.get(f"{stack.url('server-1')}/v1/payments").status_code == 401
    execute = f"http://127.0.0.1:{stack.here('8800')}/execute"
    refused = httpx.post(
        execute, json={"sql": "SELECT 1 AS one"}, headers={"Authorization": "Bearer no"}
    )
    assert refused.status_code == 401


def test_metrics_are_served_with_gauges_of_the_tables(stack: Stack) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while "fintech_audit_unsealed " not in (
        text := httpx.get(f"{stack.url('server-2')}/metrics").text
    ):
        assert time.monotonic() < deadline
        time.sleep(1)
    assert 'fintech_plugin_installed{plugin="payments",version="' in text
    assert not re.search(r"_id=|mer_|pay_", text)


def test_one_server_stops_in_order_while_the_other_serves_and_comes_back(stack: Stack) -> None:
    assert stack.stop("server-1") == 0
    assert httpx.get(f"{stack.url('server-2')}/health/ready").status_code == 200
    stack.start("server-1")
    assert httpx.get(f"{stack.url('server-1')}/health/ready").status_code == 200


def test_no_secret_is_in_any_log(stack: Stack) -> None:
    logs = "".join(stack.log(name) for name in stack.services if name != "postgres")
    values = [
        stack.environment("server-1")[name]
        for name in ("APP_SECRET", "JWT_SECRET", "AUDIT_SIGNING_KEY", "DB_API_TOKEN")
    ]
    assert [value for value in values if value in logs] == []


def test_production_refuses_the_sandboxes_and_says_what_to_do(stack: Stack) -> None:
    done = ran(
        stack.command("server-1"),
        cwd=stack.folder,
        env={**stack.environment("server-1"), "APP_ENV": "production"},
    )
    assert done.returncode == 1
    assert "PAYMENTS_PROCESSOR is a sandbox" in done.stderr
    assert "DB_BASE_URL" not in done.stderr
