"""Payments a second, latency, CPU by layer and trips: ours beside what people would write instead.

    python benchmarks/payments.py               everything but growth: about 13 minutes on two quiet cores
    python benchmarks/payments.py --quick       64 clients and one, one round each: about 2 minutes
    python benchmarks/payments.py --part rates  one part (repeat the option for more); --list names them
    python benchmarks/payments.py --check       exact counts and CPU against the committed ones; no load

Every contender gets servers and a database of its own, the same payload, token check (HS256), workers and
load (``rig.load``), in alternating rounds; figures are medians of rounds. After every round what was accepted
is compared with what is in its books. The processor is an instant one without books; what the sandbox
costs is a part of its own. Results go into ``benchmarks/results/latest.json``, part by part, each with
the options that it was measured with; ``docs/performance.md`` is written from there.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fintech_database.testing import start_postgresql
from rig import growth, inside_counts, machine, report
from rig.measuring import Plan, Sizes, coalescing, measure_all, profile, slowed

LATEST = Path(__file__).parent / "results" / "latest.json"

FULL = Sizes(rounds=3, seconds=5.0, warm_seconds=1.5)
QUICK = Sizes(rounds=1, seconds=3.0, warm_seconds=1.0)

ON_SQLITE = ("ours_sqlite", "sqlalchemy_sqlite")
ON_POSTGRESQL = ("ours_postgresql", "sqlalchemy_postgresql", "asyncpg_postgresql")
ALL = (*ON_SQLITE, *ON_POSTGRESQL, "ours_elixir", "ours_shell")

Part = Callable[[Plan], Any]
PARTS: Mapping[str, tuple[str, Part]] = {
    "counts": ("exact trips and statements, CPU in one process", lambda _: inside_counts.measure()),
    "rates": ("64 clients, one worker, everybody", lambda plan: measure_all(plan, ALL, clients=64)),
    "one_client": (
        "one client, one worker",
        lambda plan: measure_all(plan, (*ON_SQLITE, *ON_POSTGRESQL), clients=1),
    ),
    "clients": (
        "16 and 256 clients, one worker",
        lambda plan: [
            one
            for clients in (16, 256)
            for one in measure_all(plan.fewer(), (*ON_SQLITE, *ON_POSTGRESQL), clients=clients)
        ],
    ),
    "workers": (
        "64 clients, two and four workers",
        lambda plan: [
            one
            for workers in (2, 4)
            for one in measure_all(
                plan.fewer(),
                ("ours_sqlite", *ON_POSTGRESQL),
                clients=64,
                workers=workers,
            )
        ],
    ),
    "layers": (
        "64 clients until everything behind the answers is done: CPU by layer, memory",
        lambda plan: measure_all(
            plan.once(), (*ON_SQLITE, *ON_POSTGRESQL), clients=64, settles=True
        ),
    ),
    "sandbox": (
        "the sandbox's books beside the instant processor",
        lambda plan: measure_all(plan.fewer(), ("ours_sqlite", "ours_sandbox"), clients=64),
    ),
    "slow_database": ("256 clients while the database is 50 ms away", slowed),
    "coalescing": ("the client's sharing of requests beside arrays", coalescing),
    "profile": ("a flame graph of the application (py-spy)", profile),
    "growth": ("10^3 to 10^6 payments: create, get, list, balance", growth.measure),
}
QUICK_PARTS = ("counts", "rates", "one_client")
FULL_PARTS = tuple(name for name in PARTS if name != "growth")


def ratios_of(parts: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures that are judged, of what was measured."""
    rates = {one["contender"]: one for one in parts.get("rates", {}).get("results", [])}
    lone = {one["contender"]: one for one in parts.get("one_client", {}).get("results", [])}
    two = {
        one["contender"]: one
        for one in parts.get("workers", {}).get("results", [])
        if one["workers"] == 2  # noqa: PLR2004 - two workers
    }
    wanted: dict[str, Callable[[], float]] = {
        "create_capture_pg_vs_sqlalchemy_64": lambda: _over(
            rates, "rate", "ours_postgresql", "sqlalchemy_postgresql"
        ),
        "create_capture_pg_vs_asyncpg_64": lambda: _over(
            rates, "rate", "ours_postgresql", "asyncpg_postgresql"
        ),
        "p99_pg_vs_sqlalchemy_64": lambda: _over(
            rates, "p99_ms", "ours_postgresql", "sqlalchemy_postgresql"
        ),
        "create_capture_sqlite_vs_sqlalchemy_sqlite_64": lambda: _over(
            rates, "rate", "ours_sqlite", "sqlalchemy_sqlite"
        ),
        "create_capture_sqlite_vs_sqlalchemy_pg_64": lambda: _over(
            rates, "rate", "ours_sqlite", "sqlalchemy_postgresql"
        ),
        "elixir_vs_sqlite_64": lambda: _over(rates, "rate", "ours_elixir", "ours_sqlite"),
        "vs_own_shell_64": lambda: _over(rates, "rate", "ours_sqlite", "ours_shell"),
        "two_workers_vs_one": lambda: (
            two["ours_postgresql"]["rate"] / rates["ours_postgresql"]["rate"]
        ),
        "p50_vs_sqlalchemy_1": lambda: _over(
            lone, "p50_ms", "ours_postgresql", "sqlalchemy_postgresql"
        ),
        "db_requests_per_payment_64": lambda: max(
            rates[name]["db_requests_per_payment"] for name in ("ours_sqlite", "ours_postgresql")
        ),
        "db_requests_per_payment_1": lambda: max(
            lone[name]["db_requests_per_payment"] for name in ("ours_sqlite", "ours_postgresql")
        ),
        "coalescing_64": lambda: parts["coalescing"]["results"]["share"],
        "round_trips_create_capture": lambda: parts["counts"]["results"]["create"]["trips"],
        **{
            f"growth_{name}": lambda name=name: parts["growth"]["results"]["worst"][name]
            for name in ("create", "get", "list", "balance")
        },
    }
    found: dict[str, float] = {}
    for name, ratio in wanted.items():
        try:
            found[name] = round(ratio(), 3)
        except (KeyError, ZeroDivisionError):
            continue  # not measured
    return found


def _over(found: Mapping[str, Any], figure: str, one: str, other: str) -> float:
    ratio: float = found[one][figure] / found[other][figure]
    return ratio


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--part", action="append", choices=sorted(PARTS), default=[])
    parser.add_argument("--rounds", type=int, help="instead of the plan's")
    parser.add_argument("--seconds", type=float, help="of one measurement")
    parser.add_argument("--output", type=Path, default=LATEST)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--report", action="store_true", help="write docs/performance.md anew")
    parser.add_argument("--list", action="store_true")
    asked = parser.parse_args()
    if asked.list:
        print("\n".join(f"{name:14} {summary}" for name, (summary, _) in PARTS.items()))
        return 0
    if asked.check:
        return inside_counts.check(json.loads(LATEST.read_text()))
    if not asked.report:
        _measure(asked)
    document = json.loads(asked.output.read_text())
    if asked.output == LATEST:
        report.write(document)
    print(json.dumps(document["ratios"], indent=2))
    return 0


def _measure(asked: argparse.Namespace) -> None:
    sizes: Sizes = (QUICK if asked.quick else FULL).changed(asked.rounds, asked.seconds)
    parts = tuple(asked.part) or (QUICK_PARTS if asked.quick else FULL_PARTS)
    document: dict[str, Any] = (
        json.loads(asked.output.read_text()) if asked.output.exists() else {"parts": {}}
    )
    with start_postgresql(durable=True) as postgresql:
        for name in parts:
            begun = time.monotonic()
            plan = Plan(sizes=sizes, postgresql=postgresql, say=_say)
            _say(f"{name}: {PARTS[name][0]}")
            before = machine.load_average()
            results = PARTS[name][1](plan)
            document["parts"][name] = {
                "command": " ".join(["python", *sys.argv]),
                "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "commit": machine.commit(),
                "took_seconds": round(time.monotonic() - begun),
                "load_average_before": round(before, 2),
                "plan": sizes.to_json(),
                "results": results,
            }
            document["machine"] = machine.facts()
            document["ratios"] = ratios_of(document["parts"])
            asked.output.parent.mkdir(exist_ok=True)
            asked.output.write_text(json.dumps(document, indent=2) + "\n")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
