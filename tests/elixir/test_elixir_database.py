"""The Elixir database as a process: the contract's kit, orderly and disorderly ends, its own tests.

Elixir comes from Debian's packages. Where it is not installed these tests are skipped, and fail in
CI, where skipping them would hide that nothing was tested.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

ROOM = Path(__file__).resolve().parents[2] / "apps" / "elixir-database"
COMMAND = ROOM / "bin" / "fintech-elixir-database"
START_SECONDS = 60
MISSING = [name for name in ("elixir", "mix", "erl") if shutil.which(name) is None]
TABLE = "CREATE TABLE IF NOT EXISTS t (id TEXT NOT NULL PRIMARY KEY, pair TEXT NOT NULL)"
PAIR = "INSERT INTO t (id, pair) VALUES (?, ?), (?, ?)"
TOKEN = "a token of this test"


@pytest.fixture(scope="module", autouse=True)
def elixir():
    if MISSING:
        reason = f"no {', '.join(MISSING)}: run {ROOM.name}/bin/install-debian-packages as root"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


class Service:
    """The service on a file, as a process that can be killed and started again."""

    def __init__(self, folder, port=0, token=None, *options):
        self.folder = folder
        self.options = options
        self.environment = {k: v for k, v in os.environ.items() if k != "DB_API_TOKEN"}
        if token is not None:
            self.environment["DB_API_TOKEN"] = token
        self.log = (folder / "log").open("ab")
        command = [COMMAND, "serve", "--url", f"sqlite:///{folder}/a.db", "--port", str(port)]
        self.process = subprocess.Popen(
            [*command, *options],
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=self.environment,
            text=True,
        )
        line = self.process.stdout.readline()
        greeting, _, self.base_url = line.strip().rpartition(" ")
        if greeting != "listening on":
            self.end(signal.SIGKILL)
            pytest.fail(f"it did not start: {(folder / 'log').read_text()}")

    def end(self, signal_number):
        self.process.send_signal(signal_number)
        code = self.process.wait(timeout=START_SECONDS)
        self.process.stdout.close()
        self.log.close()
        return code


@pytest.fixture
def service(tmp_path):
    running = Service(tmp_path)
    yield running
    if running.process.poll() is None:
        running.end(signal.SIGKILL)


def execute(base_url, sql, *params):
    body = {"sql": sql, "params": params}
    return httpx.post(f"{base_url}/execute", json=body, timeout=30).json()


def run(command, timeout=110, **environment):
    """Run a command that ends by itself, in the room of the service."""
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=ROOM,
        env={**os.environ, **environment},
    )


def start_once(arguments, **environment):
    """Run the service's command where it is expected to end by itself."""
    return run([COMMAND, *arguments], timeout=START_SECONDS, **environment)


# ---------------------------------------------------------------------------- the contract


def test_the_conformance_kit_passes_all_profiles(tmp_path):
    pytest.importorskip("fintech_dbclient.conformance")
    running = Service(tmp_path, 0, TOKEN)
    port = running.base_url.rpartition(":")[2]
    again = tmp_path / "again"
    again.write_text(
        f"""#!/bin/sh
        kill -9 $(cat {tmp_path}/pid)
        {COMMAND} serve --url sqlite:///{tmp_path}/a.db --port {port} >{tmp_path}/out 2>&1 &
        echo $! >{tmp_path}/pid
        """
    )
    (tmp_path / "pid").write_text(str(running.process.pid))
    kit = [sys.executable, "-m", "fintech_dbclient.conformance", running.base_url]
    try:
        report = run([*kit, "--restart-command", f"sh {again}"], DB_API_TOKEN=TOKEN)
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
        running.end(signal.SIGKILL)
    assert report.returncode == 0, report.stdout + report.stderr
    for profile in ("core", "query", "ddl"):
        assert f"profile {profile}: met" in report.stdout
    assert "skipped" not in report.stdout


def test_its_own_tests_pass():
    tests = run([ROOM / "bin" / "test"], MIX_ENV="test")

    assert tests.returncode == 0, tests.stdout + tests.stderr
    assert " 0 failures" in tests.stdout


def test_its_sources_are_formatted_and_compile_without_warnings(tmp_path):
    for command in (
        ["mix", "format", "--check-formatted"],
        ["mix", "compile", "--warnings-as-errors"],
    ):
        done = run(command, MIX_ENV="prod", MIX_BUILD_PATH=str(tmp_path))
        assert done.returncode == 0, done.stdout + done.stderr


# ---------------------------------------------------------------------------- orderly ends


def test_a_stopping_service_answers_what_it_accepted_and_ends_with_0(service):
    execute(service.base_url, TABLE)
    outcomes = []
    stop = threading.Event()

    def write(name):
        with httpx.Client(base_url=service.base_url, timeout=30) as http:
            number = 0
            while not stop.is_set():
                key = f"{name}-{number}"
                number += 1
                body = {"sql": PAIR, "params": [f"{key}a", key, f"{key}b", key]}
                try:
                    outcomes.append(http.post("/execute", json=body).json()["success"])
                except httpx.ConnectError:
                    return
                except httpx.TransportError:
                    # An idle connection was let go as the next request was sent.
                    outcomes.append(None)

    writers = [threading.Thread(target=write, args=(name,)) for name in range(8)]
    for writer in writers:
        writer.start()
    wait_for(lambda: True in list(outcomes))
    time.sleep(0.3)
    code = service.end(signal.SIGTERM)
    stop.set()
    for writer in writers:
        writer.join()

    assert code == 0
    assert outcomes.count(True) > 0
    assert outcomes.count(False) == 0
    # A request that got no answer may have been sent into a connection that was just let go.
    assert outcomes.count(None) <= len(writers)


def test_an_idle_service_stops_at_once(service):
    with httpx.Client(base_url=service.base_url) as http:
        http.get("/health")
        before = time.monotonic()
        assert service.end(signal.SIGTERM) == 0
    assert time.monotonic() - before < 5


def test_a_taken_port_is_one_line_and_an_exit_code(service, tmp_path):
    port = service.base_url.rpartition(":")[2]

    second = start_once(["serve", "--url", f"sqlite:///{tmp_path}/b.db", "--port", port])

    assert second.returncode == 1
    assert second.stdout == ""
    assert len(second.stderr.splitlines()) == 1
    assert f"cannot listen on 127.0.0.1:{port}" in second.stderr


@pytest.mark.parametrize("kind", ["no folder", "a folder", "another file", "not ours to read"])
def test_a_file_that_cannot_be_opened_is_one_line_and_an_exit_code(tmp_path, kind):
    path = tmp_path / "a.db"
    if kind == "no folder":
        path = tmp_path / "absent" / "a.db"
    elif kind == "a folder":
        path.mkdir()
    elif kind == "another file":
        path.write_text("this is no database at all, and longer than a header is\n" * 4)
    elif os.geteuid() == 0:
        pytest.skip("root may read everything")
    else:
        path.touch(mode=0o000)

    failed = start_once(["serve", "--url", f"sqlite:///{path}", "--port", "0"])

    assert failed.returncode == 1
    assert failed.stdout == ""
    assert len(failed.stderr.splitlines()) == 1
    assert f"{path} cannot be opened" in failed.stderr


def test_options_that_cannot_be_are_one_line_and_an_exit_code(tmp_path):
    url = f"sqlite:///{tmp_path}/a.db"
    for arguments in (
        ["serve"],
        ["serve", "--url", "postgresql://x"],
        ["serve", "--url", url, "--port", "x"],
        ["serve", "--url", url, "--nonsense"],
        ["serve", "--url", url, "--host", "0.0.0.0"],  # noqa: S104 - that is the point
    ):
        failed = start_once(arguments, DB_API_TOKEN="", FINTECH_DATABASE_URL="")
        assert failed.returncode == 1
        assert len(failed.stderr.splitlines()) == 1


def test_missing_packages_are_one_line_and_an_exit_code(tmp_path):
    for name in ("sh", "readlink", "dirname", "mkdir"):
        (tmp_path / name).symlink_to(shutil.which(name))

    failed = start_once(["serve"], PATH=str(tmp_path))

    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert "install-debian-packages" in failed.stderr


def test_a_new_file_is_for_its_owner_alone(service):
    assert execute(service.base_url, TABLE)["success"]
    assert (service.folder / "a.db").stat().st_mode & 0o777 == 0o600


def test_logs_carry_no_parameters(service):
    execute(service.base_url, TABLE)
    execute(service.base_url, PAIR, "4111-1111", "x", "4111-1111", "x")
    execute(service.base_url, "SELECT nonsense", "4111-1111")
    httpx.post(f"{service.base_url}/execute", content=b'{"sql": 4111-1111')
    service.end(signal.SIGTERM)

    assert "4111" not in (service.folder / "log").read_text()


# ---------------------------------------------------------------------------- kill -9


def wait_for(condition):
    """Wait until work has begun: on a loaded machine clients take their time to start."""
    end = time.monotonic() + 30
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)


def kill_under_load(folder, rounds):
    acknowledged = set()
    randomness = random.Random(7)  # repeatable chance

    def write(base_url, name, stop):
        with httpx.Client(base_url=base_url, timeout=10) as http:
            number = 0
            while not stop.is_set():
                key = f"{name}-{number}"
                number += 1
                body = {"sql": PAIR, "params": [f"{key}a", key, f"{key}b", key]}
                try:
                    answer = http.post("/execute", json=body)
                except httpx.HTTPError:
                    return
                if answer.status_code == 200 and answer.json()["success"]:
                    acknowledged.add(key)

    running = Service(folder, 0, None, "--result-rows-max", "10000000")
    for turn in range(rounds):
        assert execute(running.base_url, TABLE)["success"]
        stop = threading.Event()
        writers = [
            threading.Thread(target=write, args=(running.base_url, f"{turn}-{n}", stop))
            for n in range(8)
        ]
        for writer in writers:
            writer.start()
        wait_for(lambda turn=turn: any(key.startswith(f"{turn}-") for key in list(acknowledged)))
        stop.wait(randomness.uniform(0.1, 0.4))
        running.end(signal.SIGKILL)
        stop.set()
        for writer in writers:
            writer.join()

        running = Service(folder, 0, None, "--result-rows-max", "10000000")
        found = execute(running.base_url, "SELECT id, pair FROM t")["data"]
        pairs = {row["pair"] for row in found}
        assert acknowledged <= pairs
        assert 2 * len(pairs) == len(found)
    assert running.end(signal.SIGTERM) == 0
    assert len(acknowledged) > 10 * rounds
    sys.stdout.write(f"{rounds} kills, {len(acknowledged)} acknowledged pairs, none lost or torn\n")


def test_no_acknowledged_row_is_lost_when_the_service_is_killed(tmp_path):
    kill_under_load(tmp_path, rounds=3)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_acknowledged_row_is_lost_in_50_kills(tmp_path):
    kill_under_load(tmp_path, rounds=50)
