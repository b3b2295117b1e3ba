"""Run sessions of nox one after the other and report them: what ``nox -s full`` does.

The report is ``docs/reports/DAY-full.md``: machine, commit, and for each session its result, its time and
its last lines. It is written anew after every session: a run that is cut short leaves what it knew.
A failed session does not end the run; the exit code is 1 at the end.
"""

import argparse
import os
import platform
import re
import resource
import shlex
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
LINES_KEPT: Final = 12
"""Last lines of a session's output that the report shows: the verdict of every tool fits."""

_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_CHATTER: Final = re.compile(r"^nox > (?!Session |Command )")
"""Lines of nox that say what it is about to do; its verdicts are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one session."""

    session: str
    passed: bool
    seconds: float
    cpu_seconds: float
    last_lines: tuple[str, ...]


def main(arguments: Sequence[str]) -> int:
    """Run the sessions that the arguments name; return 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=Path, default=ROOT / "docs" / "reports")
    parser.add_argument("--noxfile", type=Path, default=ROOT / "noxfile.py")
    parser.add_argument("--part", action="store_true", help="not all sessions: another report")
    parser.add_argument("sessions", nargs="+", help="a session and its arguments, as one word each")
    given = parser.parse_args(arguments)
    started = datetime.now(UTC)
    report = given.reports / f"{started.date().isoformat()}-{'part' if given.part else 'full'}.md"
    commit = _commit()
    outcomes: list[Outcome] = []
    for number, words in enumerate(given.sessions, start=1):
        name, *rest = shlex.split(words)
        print(f"full > {number} of {len(given.sessions)}: {name}", flush=True)
        outcomes.append(run(given.noxfile, name, rest))
        report.write_text(page(outcomes, len(given.sessions), started, commit), encoding="utf-8")
    failed = [one.session for one in outcomes if not one.passed]
    print(f"full > {len(outcomes) - len(failed)} passed, {len(failed)} failed; report: {report}")
    return 1 if failed else 0


def run(noxfile: Path, session: str, arguments: Sequence[str]) -> Outcome:
    """Run a session; its output is shown as it comes."""
    begin, cpu_begin = time.monotonic(), _cpu_seconds()
    command = [sys.executable, "-m", "nox", "--noxfile", str(noxfile), "-j", "1", "-s", session]
    process = subprocess.Popen(  # noqa: S603 - nox, and no shell
        [*command, "--", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    kept: deque[str] = deque(maxlen=LINES_KEPT)
    assert process.stdout is not None  # noqa: S101 - started with a pipe
    for line in process.stdout:
        print(line, end="", flush=True)
        shown = _presentable(line)
        if shown and not _CHATTER.search(shown):
            kept.append(shown)
    passed = process.wait() == 0
    return Outcome(
        session=" ".join([session, *map(shlex.quote, arguments)]),
        passed=passed,
        seconds=time.monotonic() - begin,
        cpu_seconds=_cpu_seconds() - cpu_begin,
        last_lines=tuple(kept),
    )


def page(outcomes: Sequence[Outcome], planned: int, started: datetime, commit: str) -> str:
    """Return the report as Markdown."""
    passed = sum(one.passed for one in outcomes)
    rows = (
        f"| `{one.session}` | {'passed' if one.passed else '**failed**'}"
        f" | {one.seconds:,.0f} | {one.cpu_seconds:,.0f} |"
        for one in outcomes
    )
    summary = (
        f"{len(outcomes)} of {planned} sessions ran: {passed} passed, {len(outcomes) - passed} failed."
        f" From {started:%H:%M} UTC on, {commit}. {_machine()}"
    )
    return "\n".join(
        [
            f"# Sessions run, {started.date().isoformat()}",
            "",
            summary,
            "",
            "| session | result | seconds | seconds of CPU |",
            "| --- | --- | --: | --: |",
            *rows,
            "",
            "## Last lines",
            *_last_lines(outcomes),
            "",
        ]
    )


def _last_lines(outcomes: Iterable[Outcome]) -> Iterable[str]:
    for one in outcomes:
        yield from ("", f"### {one.session}", "", "```text", *one.last_lines, "```")


def _presentable(line: str) -> str:
    """Return a line without colours and without where this machine keeps its files."""
    text = _COLOURS.sub("", line).rstrip()
    places = {str(ROOT): ".", str(Path(sys.prefix)): "nox's environment", str(Path.home()): "~"}
    for place, name in places.items():
        text = text.replace(place, name)
    return text


def _commit() -> str:
    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - git, and no shell
        return done.stdout.strip()

    changed = " with changes that are not committed" if git("status", "--porcelain") else ""
    return f"at commit `{git('rev-parse', '--short', 'HEAD') or 'none'}`{changed}"


def _machine() -> str:
    load = os.getloadavg()[0]
    python = platform.python_version()
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {python}; load at the"
        f" last session's end {load:.1f} (where it is above the cores, other work made times longer)."
    )


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
