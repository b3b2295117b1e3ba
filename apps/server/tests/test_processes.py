"""The embedded database as a process: what is said of one that ended by itself."""

import os
import signal
from pathlib import Path

from fintech_server.processes import DatabaseProcess, sqlite_command


def test_the_last_words_of_a_killed_service_are_not_those_of_an_earlier_one(tmp_path: Path) -> None:
    log = tmp_path / "database.log"
    log.write_text("an earlier service stopped\n", encoding="utf-8")
    started = DatabaseProcess.start(
        sqlite_command(), file=tmp_path / "sqlite.db", token="t" * 32, log=log
    )
    try:
        os.kill(started.pid, signal.SIGKILL)
    finally:
        started.stop()

    assert "earlier" not in started.obituary()
    assert "exit code -9" in started.obituary()
