"""The kit: it passes what keeps the contract, and names precisely what an engine lacks."""

import asyncio
import os
import shlex
import signal
import socket
import subprocess
import sys
import time

import pytest
from fintech_dbclient.conformance import (
    Profile,
    Verdict,
    all_checks,
    lines_of,
    main,
    run_conformance,
)

RACES = {
    "one_of_many_inserts_of_a_key_wins",
    "one_of_many_inserts_of_a_unique_value_wins",
    "rival_inserts_of_several_rows_are_whole_or_absent",
    "one_of_many_updates_of_a_row_sees_the_old_value",
}


def conform(url: str, **options):
    return asyncio.run(run_conformance(url, **options))


def names(report, *verdicts: Verdict) -> set[str]:
    return {result.check.name for result in report.results if result.verdict in verdicts}


def of(*profiles: Profile) -> set[str]:
    return {one.name for one in all_checks() if one.profile in profiles}


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_a_thousand_rounds_of_sixty_four_clients_have_one_winner_each(database_url):
    report = conform(database_url, only=RACES, rounds=1_000)
    assert names(report, Verdict.PASS) == RACES, "\n".join(lines_of(report))


def test_an_engine_with_the_core_profile_only_is_told_precisely_what_it_lacks(start_core_engine):
    with start_core_engine() as (url, _):
        report = conform(url, table_prefix="engine", rounds=2, clients=16)
    text = "\n".join(lines_of(report))
    skipped = {"a_wrong_token_is_refused", "acknowledged_rows_survive_a_kill"}
    assert names(report, Verdict.FAIL) == set(), text
    assert names(report, Verdict.SKIPPED) == skipped
    assert names(report, Verdict.PASS) == of(Profile.CORE) - skipped
    assert names(report, Verdict.NOT_SUPPORTED) == of(
        Profile.QUERY, Profile.DDL, Profile.CAPABILITIES
    )
    assert not report.is_met
    assert "profile core: met" in text
    assert "profile query: NOT met (22 checks)" in text
    assert "profile ddl: NOT met (4 checks)" in text
    assert "/health does not announce batch" in text
    assert "the engine answered unsupported" in text
    assert "LEFT JOIN" in text


def test_the_core_profile_alone_is_met_by_the_core_engine(start_core_engine, capsys):
    with start_core_engine() as (url, _):
        code = main(
            [
                url,
                *[
                    "--profile",
                    "core",
                    "--table-prefix",
                    "engine",
                    "--rounds",
                    "2",
                    "--clients",
                    "8",
                ],
            ]
        )
    assert code == 0
    assert "profile core: met" in capsys.readouterr().out


def test_an_engine_without_tables_is_told_how_to_make_them(start_core_engine):
    with start_core_engine() as (url, _):
        report = conform(url, only={"primary_key_is_enforced"})
    assert not report.is_met
    assert "CREATE TABLE IF NOT EXISTS conformance_" in report.note


@pytest.mark.parametrize(
    ("broken", "seen_by"),
    [
        ("keys", "primary_key_is_enforced"),
        ("keys", "one_of_many_inserts_of_a_key_wins"),
        ("torn", "a_failed_insert_of_several_rows_leaves_none"),
        ("torn", "rival_inserts_of_several_rows_are_whole_or_absent"),
        ("collation", "text_keys_compare_by_bytes"),
        ("text", "text_comes_back_byte_for_byte"),
        ("count", "an_update_reports_the_rows_it_changed"),
        ("race", "one_of_many_updates_of_a_row_sees_the_old_value"),
        ("stale", "a_row_once_read_is_read_again"),
        ("torn_reads", "one_select_sees_one_state"),
        ("scripts", "two_statements_in_one_text_are_refused"),
        ("checks", "check_constraints_are_enforced"),
        ("integers", "integers_and_null_come_back_exactly"),
    ],
)
def test_a_broken_promise_is_seen(start_core_engine, broken, seen_by):
    with start_core_engine(broken) as (url, _):
        report = conform(url, only={seen_by}, table_prefix="engine", rounds=5, clients=16)
    assert names(report, Verdict.FAIL) == {seen_by}, "\n".join(lines_of(report))
    assert not report.is_met


def test_the_token_is_checked_and_nothing_is_run_without_it(start_service, tmp_path):
    with start_service(f"sqlite:///{tmp_path}/t.db", token="right-" + "x" * 40) as (url, _):
        only = {"a_wrong_token_is_refused", "primary_key_is_enforced"}
        report = conform(url, token="right-" + "x" * 40, only=only)
        without = conform(url, only={"primary_key_is_enforced"})
    assert names(report, Verdict.PASS) == only, "\n".join(lines_of(report))
    assert not without.is_met


def test_acknowledged_rows_survive_a_kill_of_the_service(serve_command, tmp_path, unused_port):
    service = [*serve_command, "--url", f"sqlite:///{tmp_path}/k.db", "--port", str(unused_port)]
    pid = tmp_path / "pid"
    start = f"{shlex.join(service)} >/dev/null 2>>{tmp_path}/log & echo $! > {pid}"
    subprocess.run(start, shell=True, check=True)  # noqa: S602 - the command is the test's own
    try:
        wait_for(unused_port)
        report = conform(
            f"http://127.0.0.1:{unused_port}",
            only={"acknowledged_rows_survive_a_kill"},
            restart_command=f"kill -9 $(cat {pid}); {start}",
        )
        assert names(report, Verdict.PASS), "\n".join(lines_of(report))
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the service did not start")


def test_a_service_that_is_not_there_is_one_line_and_a_failure(unused_port):
    done = subprocess.run(
        [sys.executable, "-m", "fintech_dbclient.conformance", f"http://127.0.0.1:{unused_port}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "note: /health" in done.stdout
    assert done.stderr == ""


def test_every_check_has_a_name_a_summary_and_a_promise():
    checks = all_checks()
    assert len({one.name for one in checks}) == len(checks)
    assert all(one.summary.endswith(".") or one.summary.startswith("SELECT") for one in checks)
    assert all(one.promises for one in checks)
