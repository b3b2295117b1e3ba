"""The process: tokens, back-pressure, an orderly end, one clear line for what cannot work."""

import json
import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from fintech_database.cli import app
from fintech_database.testing import RunningService, ServiceFailed, start_service
from typer.testing import CliRunner

# Plain HTTP only: without this, every client would load all certificates of the system.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


CREATE = "CREATE TABLE IF NOT EXISTS t (id TEXT NOT NULL PRIMARY KEY)"
INSERT = "INSERT INTO t (id) VALUES (?)"


def post(base_url, sql, *params, timeout=30):
    with httpx.Client(verify=PLAIN, base_url=base_url, timeout=timeout) as http:
        return http.post("/execute", json={"sql": sql, "params": list(params)})


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/a.db"


def test_a_request_without_the_token_is_not_run(url):
    with (
        start_service(url, token="secret") as base_url,
        httpx.Client(verify=PLAIN, base_url=base_url) as http,
    ):

        def send(authorization, body):
            headers = {"content-type": "application/json"}
            if authorization is not None:
                headers["authorization"] = authorization
            return http.post("/execute", content=body, headers=headers)

        create = json.dumps({"sql": CREATE}).encode()
        strangers = [
            None,
            "",
            "Bearer",
            "Bearer secre",
            "Bearer secret2",
            "bearer secret",
            "secret",
        ]
        # A malformed body is not told from a good one either.
        refused = [send(stranger, body) for stranger in strangers for body in (create, b"{")]
        good = send("Bearer secret", b'{"sql":"SELECT id FROM t"}')
        health = http.get("/health")

    assert {reply.status_code for reply in refused} == {401}
    assert {reply.json()["error"]["code"] for reply in refused} == {"unauthorized"}
    assert good.json()["error"]["code"] == "unknown_table"
    assert health.json()["status"] == "ok"


def test_a_token_is_needed_beyond_loopback(url):
    everywhere = "0.0.0.0"  # noqa: S104 - that is what the test is about
    with pytest.raises(ServiceFailed, match="DB_API_TOKEN"):
        RunningService(url, None, ("--host", everywhere))
    with start_service(url, "secret", "--host", everywhere) as base_url:
        here = base_url.replace(everywhere, "127.0.0.1")
        assert httpx.get(f"{here}/health", verify=PLAIN).status_code == 200


def test_too_many_waiting_statements_are_refused_and_not_run(url, tmp_path):
    with start_service(url, None, "--waiting-statements-max", "20") as base_url:
        assert post(base_url, CREATE).json()["success"]
        holder = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(60) as threads:
            replies = [threads.submit(post, base_url, INSERT, f"k{n}") for n in range(60)]
            time.sleep(1)
            health = httpx.get(base_url + "/health", verify=PLAIN)
            read = post(base_url, "SELECT id FROM t")
            holder.execute("ROLLBACK")
            answers = [(n, reply.result()) for n, reply in enumerate(replies)]
        holder.close()
        found = {row["id"] for row in post(base_url, "SELECT id FROM t").json()["data"]}

    run = {f"k{n}" for n, reply in answers if reply.status_code == 200}
    refused = [reply for _, reply in answers if reply.status_code == 503]
    assert len(run) + len(refused) == 60
    assert len(run) == 20
    assert found == run
    assert {reply.json()["error"]["code"] for reply in refused} == {"overloaded"}
    assert {reply.headers["retry-after"] for reply in refused} == {"1"}
    assert health.status_code == 200
    assert read.status_code == 503


def memory_mib(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) // 1024
    raise AssertionError


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_bounded_under_ten_times_what_may_wait(url, tmp_path):
    service = RunningService(url, None, ("--waiting-bytes-max", str(8 * 2**20)))
    try:
        assert post(service.base_url, "CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY, v TEXT)")
        holder = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        before = memory_mib(service.process.pid)
        sql, text = "INSERT INTO t (id, v) VALUES (?, ?)", "x" * 2**20
        with ThreadPoolExecutor(80) as threads:
            replies = [
                threads.submit(post, service.base_url, sql, f"k{n}", text) for n in range(80)
            ]
            peak = before
            for _ in range(30):
                time.sleep(0.05)
                peak = max(peak, memory_mib(service.process.pid))
            holder.execute("ROLLBACK")
            codes = [reply.result().status_code for reply in replies]
        holder.close()
        found = post(service.base_url, "SELECT COUNT(*) AS n FROM t").json()["data"][0]["n"]
    finally:
        service.stop()

    assert set(codes) == {200, 503}
    assert found == codes.count(200) < 20
    # A body is held as bytes, as text and as the parsed value while it waits.
    assert peak - before < 4 * 8 + 40


def test_a_client_that_sends_slowly_does_not_hold_others(on_sqlite):
    host, port = on_sqlite.base_url.removeprefix("http://").split(":")
    slow = socket.create_connection((host, int(port)))
    slow.sendall(
        b"POST /execute HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        b"content-length: 100\r\n\r\n{"
    )

    assert on_sqlite.rows("SELECT 1 AS x") == [{"x": 1}]
    slow.close()
    assert on_sqlite.rows("SELECT 1 AS x") == [{"x": 1}]


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_answers_what_was_accepted_and_exits_with_0(url, tmp_path, stop):
    service = RunningService(url, None, ())
    post(service.base_url, CREATE)
    holder = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(8) as threads:
        replies = [threads.submit(post, service.base_url, INSERT, f"k{n}") for n in range(8)]
        time.sleep(0.5)
        service.process.send_signal(stop)
        time.sleep(0.3)
        holder.execute("ROLLBACK")
        answers = [reply.result() for reply in replies]
    holder.close()

    assert [answer.json()["success"] for answer in answers] == [True] * 8
    assert service.process.wait(timeout=20) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(service.base_url + "/health", verify=PLAIN)
    service.stop()
    assert not (tmp_path / "a.db-wal").exists()


def test_the_log_is_lines_of_json_without_parameters_or_statements(url):
    service = RunningService(url, None, ("--log-level", "info"))
    for sql, params in ((CREATE, ()), (INSERT, ("canary1",)), (INSERT, ("canary1",))):
        post(service.base_url, sql, *params)
    post(service.base_url, "SELECT 'canary2' FROM absent")
    httpx.post(service.base_url + "/execute", content=b'{"canary3":"\x1b[31m"}', verify=PLAIN)
    service.process.terminate()
    service.process.wait(timeout=20)
    log = service.log()
    service.stop()

    lines = [json.loads(line) for line in log.splitlines()]
    assert [line["message"] for line in lines] == ["stopping", "stopped"]
    assert "canary" not in log


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "fintech_database", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, **environment},
    )


def test_what_cannot_work_is_one_clear_line(tmp_path, on_sqlite):
    port = on_sqlite.base_url.rpartition(":")[2]
    good = f"sqlite:///{tmp_path}/a.db"
    text = tmp_path / "text.db"
    text.write_text("no database " * 1000)
    cases = {
        f"--url {good} --port {port}": "--port",
        f"--url {good} --host 203.0.113.1": "DB_API_TOKEN",
        "--url mysql://x": "sqlite:///",
        f"--url sqlite:///{tmp_path}/absent/a.db --port 0": "folder that exists",
        f"--url sqlite:///{text} --port 0": "not a database",
        "--url postgresql://nobody@127.0.0.1:1/x --port 0": "check host",
        "--url postgresql://nobody@127.0.0.1:notaport/x --port 0": "PostgreSQL cannot be used",
    }
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda options: command("serve", *options.split()), cases))
    for done, (options, advice) in zip(results, cases.items(), strict=True):
        assert done.returncode == 1, options
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert advice in done.stderr, done.stderr
    assert command("serve").returncode == 2


def run(*arguments, **environment):
    return CliRunner().invoke(app, list(map(str, arguments)), env=environment)


def test_the_url_may_come_from_the_environment(tmp_path):
    done = run("check", FINTECH_DATABASE_URL=f"sqlite:///{tmp_path}/absent.db")

    assert done.exit_code == 1
    assert "absent.db" in done.stderr


def test_a_backup_of_a_database_in_use_can_be_restored(url, tmp_path):
    backup = tmp_path / "backup.db"
    with start_service(url) as base_url:
        post(base_url, CREATE)
        written = []
        stop = threading.Event()

        def write():
            while not stop.is_set():
                key = f"k{len(written)}"
                assert post(base_url, INSERT, key).json()["success"]
                written.append(key)

        writer = threading.Thread(target=write)
        writer.start()
        while len(written) < 10:
            time.sleep(0.01)
        before = len(written)
        done = run("backup", "--url", url, str(backup))
        stop.set()
        writer.join()
    assert done.exit_code == 0, done.stderr
    assert run("backup", "--url", url, str(backup)).exit_code == 1

    restored = f"sqlite:///{tmp_path}/restored.db"
    assert run("restore", "--url", restored, str(backup)).exit_code == 0
    assert run("restore", "--url", restored, str(backup)).exit_code == 1
    assert "sound, 1 tables" in run("check", "--url", restored).stdout
    rows = sqlite3.connect(tmp_path / "restored.db")
    keys = {key for (key,) in rows.execute("SELECT id FROM t")}
    rows.close()
    assert keys == set(written[: len(keys)])
    assert len(keys) >= before


def test_a_damaged_file_is_found_and_not_restored(url, tmp_path):
    with start_service(url) as base_url:
        post(base_url, CREATE)
        for number in range(20):
            post(base_url, "INSERT INTO t (id) VALUES (?)", f"{number}" + "x" * 2000)
    content = bytearray((tmp_path / "a.db").read_bytes())
    content[4096 : 4096 + 2000] = b"\xff" * 2000
    (tmp_path / "a.db").write_bytes(content)

    check = run("check", "--url", url)
    restore = run("restore", "--url", f"sqlite:///{tmp_path}/b.db", str(tmp_path / "a.db"))

    assert check.exit_code == restore.exit_code == 1
    assert "restore a backup" in check.stderr
    assert not (tmp_path / "b.db").exists()


def test_the_native_tools_of_postgresql_are_named():
    for name, tool in (("backup", "pg_dump"), ("restore", "pg_restore")):
        done = run(name, "--url", "postgresql://127.0.0.1/x", "file")
        assert done.exit_code == 1
        assert tool in done.stderr
