"""``fintech dev`` as a process, and ``fintech demo`` against it: what a visitor tries first."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from fintech_kernel.testing.database import database_service

FOLDER = "data"
GONE_SECONDS_MAX = 20.0


def start_dev(fintech: Any) -> Any:
    """Start ``fintech dev`` and read on until it has said everything."""
    return fintech.start("dev", "--port", "0", "--data-folder", FOLDER)


def merchant_of(server: Any) -> str:
    return server.line_with("Merchant mer_").strip().removesuffix(":").rpartition(" ")[2]


def database_of(fintech: Any) -> dict[str, Any]:
    return json.loads((fintech.folder / FOLDER / "database.json").read_text())


def wait_until_gone(pid: int) -> None:
    give_up_at = time.monotonic() + GONE_SECONDS_MAX
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < give_up_at, f"process {pid} is still there"
        time.sleep(0.05)


def test_the_demo_goes_from_onboarding_to_a_paid_settlement_and_the_books_are_right(
    visited: Any,
) -> None:
    fintech, server = visited

    told = fintech.run("demo", "--json", "--url", server.url, "--data-folder", FOLDER)

    assert told.returncode == 0, told.stderr
    facts = json.loads(told.stdout)
    assert facts["merchant_status"] == "active"
    assert facts["amount_captured"] == 10_000
    assert facts["amount_refunded"] == 3_000
    assert facts["fee"] == 350
    assert facts["settlement_status"] == "paid"
    assert facts["settlement_total"] == facts["settlement_lines_total"] == 8_532
    assert facts["merchant_balance"] == 0
    assert facts["trial_balance"] == {"KES": 0}

    shown = fintech.run("demo", "--url", server.url, "--data-folder", FOLDER)
    assert shown.returncode == 0, shown.stderr
    for text in (
        "The story of pay_",
        "The ledger's trial balance, KES",
        "Statement STL",
        "merchant active",
        "100.00 captured",
        "30.00 refunded",
        "3.50 fee taken by the pricing",
        "settlement paid: 85.32 in 5 lines",
        "trial balance KES 0.00",
    ):
        assert text in shown.stdout


def test_one_platform_token_is_enough_for_the_whole_demo(visited: Any) -> None:
    fintech, server = visited
    signed = fintech.run("token", "--role", "platform_admin", "--data-folder", FOLDER)

    told = fintech.run(
        "demo", "--json", "--url", server.url, "--platform-token", signed.stdout.strip()
    )

    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["settlement_status"] == "paid"


def test_a_server_on_a_database_that_already_runs_needs_its_url_alone(
    fintech: Any, tmp_path: Path
) -> None:
    with database_service(f"sqlite:///{tmp_path / 'own.db'}") as url:
        server = fintech.start("dev", "--port", "0", "--data-folder", FOLDER, "--database", url)
        server.line_with("Ctrl-C")

        assert httpx.get(f"{server.url}/health/ready", timeout=10).json()["status"] == "ok"
        assert not (fintech.folder / FOLDER / "database.json").exists()
        assert server.stop() == 0
        assert httpx.get(f"{url}/health", timeout=10).is_success


def test_an_earlier_run_of_the_demo_goes_on_without_doing_anything_twice(visited: Any) -> None:
    fintech, server = visited
    arguments = ("demo", "--json", "--run-id", "r1", "--url", server.url, "--data-folder", FOLDER)

    first, second = fintech.run(*arguments), fintech.run(*arguments)

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert json.loads(second.stdout) == json.loads(first.stdout)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on this machine")
def test_the_three_lines_that_dev_prints_work_when_pasted(visited: Any) -> None:
    _, server = visited
    lines = [server.line_with("curl ") for _ in range(3)]

    taken, listed, refunded = (pasted(line) for line in lines)

    assert (taken["status"], taken["amount_captured"]) == ("captured", 10_000)
    assert [payment["payment_id"] for payment in listed["data"]] == [taken["payment_id"]]
    assert (refunded["payment_id"], refunded["status"]) == (taken["payment_id"], "succeeded")
    assert refunded["amount"] == 3_000


def pasted(line: str) -> Any:
    done = subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, timeout=30, check=True
    )
    return json.loads(done.stdout)


def test_ctrl_c_ends_the_server_and_then_its_database_and_a_restart_finds_everything_again(
    fintech: Any,
) -> None:
    first = start_dev(fintech)
    merchant_id = merchant_of(first)
    secrets = (fintech.folder / FOLDER / "secrets.json").read_bytes()
    database_pid = database_of(fintech)["pid"]

    assert first.stop(signal.SIGINT) == 0
    wait_until_gone(database_pid)
    second = start_dev(fintech)

    assert merchant_of(second) == merchant_id
    assert (fintech.folder / FOLDER / "secrets.json").read_bytes() == secrets
    assert second.stop(signal.SIGTERM) == 0


def test_a_start_after_a_kill_stops_the_database_that_was_left_behind(fintech: Any) -> None:
    first = start_dev(fintech)
    merchant_id = merchant_of(first)
    left_behind = database_of(fintech)["pid"]
    first.kill()

    second = start_dev(fintech)

    assert merchant_of(second) == merchant_id
    wait_until_gone(left_behind)


def test_a_database_that_ends_by_itself_stops_the_server_with_one_clear_line(fintech: Any) -> None:
    fintech.environment["APP_JOBS"] = "false"  # the runs under way would be waited for, ten seconds
    server = start_dev(fintech)
    server.line_with("Ctrl-C")

    os.kill(database_of(fintech)["pid"], signal.SIGKILL)

    assert server.process.wait(30) == 1
    last = server.errors.read_text().splitlines()[-1]
    assert last.startswith("fintech: the database service ended by itself")
    assert "Traceback" not in server.errors.read_text()


def test_dev_is_ready_and_serves_its_documentation(visited: Any) -> None:
    _, server = visited

    assert httpx.get(f"{server.url}/health/ready", timeout=10).json()["status"] == "ok"
    assert httpx.get(f"{server.url}/docs", timeout=10).status_code == 200
