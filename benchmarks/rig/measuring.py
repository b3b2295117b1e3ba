"""Measurements with load: who, how many clients, how long, how often; medians of alternating rounds."""

import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fintech_database.testing import free_port

from rig import machine
from rig.contenders import BENCHMARKS, NotHere, Running, count, started

SETTLE_SECONDS_MAX = 90.0
"""How long to wait until everything behind the answers is done."""

Say = Callable[[str], None]
Result = dict[str, Any]

FLAME_GRAPH = BENCHMARKS.parent / "docs" / "performance" / "flame.svg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured."""

    rounds: int
    seconds: float
    warm_seconds: float

    def changed(self, rounds: int | None, seconds: float | None) -> "Sizes":
        """Return these with what somebody asked for instead."""
        return replace(self, rounds=rounds or self.rounds, seconds=seconds or self.seconds)

    def to_json(self) -> dict[str, float]:
        """Return them for the results."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What measurements are made with."""

    sizes: Sizes
    postgresql: str
    say: Say

    def fewer(self) -> "Plan":
        """Return a plan for figures beside the main ones."""
        return replace(self, sizes=replace(self.sizes, rounds=max(1, self.sizes.rounds - 1)))

    def once(self) -> "Plan":
        """Return a plan of one round."""
        return replace(self, sizes=replace(self.sizes, rounds=1))


def measure_all(
    plan: Plan,
    contenders: Sequence[str],
    *,
    clients: int,
    workers: int = 1,
    settles: bool = False,
) -> list[Result]:
    """Measure contenders in turn, round by round; return medians."""
    rounds: dict[str, list[Result]] = {name: [] for name in contenders}
    for turn in range(plan.sizes.rounds):
        for name in contenders:
            try:
                found = measure(plan, name, clients=clients, workers=workers, settles=settles)
            except NotHere as missing:
                plan.say(f"  {name}: not measured: {missing}")
                continue
            rounds[name].append(found)
            plan.say(
                f"  round {turn + 1}: {name}, {clients} clients, {workers} workers:"
                f" {found['rate']:,.0f}/s, p50 {found['p50_ms']:.1f} ms, p99 {found['p99_ms']:.1f} ms,"
                f" CPU {found['cpu_us_per_payment']}"
            )
    return [
        {
            "contender": name,
            "clients": clients,
            "workers": workers,
            **{key: _median([one[key] for one in found]) for key in found[0]},
            "rounds": [{key: one[key] for key in ("rate", "p50_ms", "p99_ms")} for one in found],
        }
        for name, found in rounds.items()
        if found
    ]


def _median(values: Sequence[Any]) -> Any:  # noqa: ANN401 - figures, and objects of figures
    if isinstance(values[0], dict):
        return {key: _median([one.get(key, 0) for one in values]) for key in values[0]}
    if isinstance(values[0], int | float):
        return round(statistics.median(values), 3)
    return values[-1]


def measure(
    plan: Plan, name: str, *, clients: int, workers: int = 1, settles: bool = False
) -> Result:
    """Measure one contender once.

    Raises:
        RuntimeError: its books do not say what it accepted.
        NotHere: this machine cannot run it.
    """
    with started(name, postgresql=plan.postgresql, workers=workers) as running:
        is_ours = name.startswith("ours") and name != "ours_shell"
        cpu, requests = running.cpu(), running.database_requests() if is_ours else 0.0
        load = load_on(running, clients, plan.sizes.seconds, plan.sizes.warm_seconds)
        behind: Result = {}
        if is_ours and settles:
            behind["seconds_until_settled"] = _settle(running)
        used = {layer: seconds - cpu.get(layer, 0.0) for layer, seconds in running.cpu().items()}
        found: Result = {
            key: load[key] for key in ("rate", "p50_ms", "p99_ms", "max_ms", "accepted", "errors")
        }
        found |= {
            "cpu_us_per_payment": machine.per_payment(used, load["accepted"]),
            "cpu_us_of_load": round(load["cpu_us"], 1),
            "memory_mb": {layer: round(mb, 1) for layer, mb in running.memory().items()},
        }
        if is_ours:
            found["db_requests_per_payment"] = (running.database_requests() - requests) / load[
                "accepted"
            ]
        _check_books(running, load)
        return found | behind


def load_on(running: Running, clients: int, seconds: float, warm_seconds: float) -> dict[str, Any]:
    """Load a contender; return what ``rig.load`` says."""
    order = {
        "ports": running.ports,
        "tokens": running.tokens,
        "clients": clients,
        "seconds": seconds,
        "warm_seconds": warm_seconds,
        "run": f"{running.name}-{secrets.token_hex(3)}",
    }
    done = subprocess.run(
        [sys.executable, "-m", "rig.load"],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        cwd=BENCHMARKS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the load failed: {done.stderr[-2_000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _check_books(running: Running, load: Result) -> None:
    if running.name == "ours_shell":
        return
    faults = running.books().faults(load["accepted"])
    unanswered = load["statuses"].get("0", 0)
    if faults and not unanswered:
        raise RuntimeError(f"{running.name}: the books differ: {'; '.join(faults)}")


def _settle(running: Running) -> float:
    """Wait until every entry is dispatched, delivered and sealed; return the seconds."""
    begun = time.monotonic()
    while time.monotonic() - begun < SETTLE_SECONDS_MAX:
        if not any(count(running.service_url, sql) for sql in _BACKLOG):
            break
        time.sleep(0.5)
    return round(time.monotonic() - begun, 1)


_BACKLOG = (
    "SELECT COUNT(*) AS n FROM journal WHERE dispatched = 0 OR sealed = 0",
    "SELECT COUNT(*) AS n FROM deliveries WHERE state = 'pending'",
)


# ---- a slow database


def slowed(plan: Plan) -> Result:
    """Load ours with 256 clients; 50 ms away for the middle third; say how it went by half seconds."""
    third = max(5.0, plan.sizes.seconds)
    halves = int(third * 2)
    with started("ours_sqlite", postgresql=plan.postgresql, slow_port=free_port()) as running:
        memory = [sum(running.memory().values())]
        switches = [
            threading.Timer(at, os.kill, (running.proxy, number))
            for number, at in ((signal.SIGUSR1, third), (signal.SIGUSR2, third * 2))
        ]
        for switch in switches:
            switch.start()
        load = load_on(running, 256, third * 3, 0.0)
        memory.append(sum(running.memory().values()))
        _check_books(running, load)
    timeline: list[int] = load["timeline"]
    return {
        "statuses": load["statuses"],
        "timeline_per_half_second": timeline,
        "rate_before": round(statistics.median(timeline[2:halves]) * 2),
        "rate_slow": round(statistics.median(timeline[halves + 2 : halves * 2]) * 2),
        "rate_from_2_s_after": round(statistics.median(timeline[halves * 2 + 4 :]) * 2),
        "memory_mb_before_and_after": [round(one, 1) for one in memory],
        "p99_ms": load["p99_ms"],
    }


# ---- beside


def coalescing(plan: Plan) -> Result:
    """Run ``benchmarks/coalescing.py`` and take its figures."""
    command = [sys.executable, "coalescing.py", "--rounds", str(plan.sizes.rounds)]
    done = subprocess.run(  # noqa: S603 - our own
        command, cwd=BENCHMARKS, capture_output=True, text=True, check=False
    )
    text, _, _ = done.stdout.rpartition("bars")
    found: Result = json.loads(text)
    return found


def profile(plan: Plan) -> Result:
    """Draw where the application spends its time under 64 clients (py-spy, if it may)."""
    FLAME_GRAPH.parent.mkdir(exist_ok=True)
    with started("ours_sqlite", postgresql=plan.postgresql) as running:
        command = [str(Path(sys.executable).with_name("py-spy")), "record"]
        command += ["--format", "flamegraph", "--rate", "200", "--duration", "6"]
        command += ["--pid", str(running.layers["app"][0]), "-o", str(FLAME_GRAPH)]
        recorder = subprocess.Popen(  # noqa: S603 - our own
            command,
            stderr=subprocess.PIPE,
            text=True,
        )
        load = load_on(running, 64, 7.0, 1.0)
        _, said = recorder.communicate(timeout=60)
        if recorder.returncode:
            return {"missing": said.strip()[-300:]}
    # py-spy puts its command above the picture, with the paths of this machine.
    picture = FLAME_GRAPH.read_text(encoding="utf-8")
    FLAME_GRAPH.write_text(
        picture.replace(" ".join(command), "64 clients, SQLite"), encoding="utf-8"
    )
    return {"file": str(FLAME_GRAPH.name), "rate_while_profiled": round(load["rate"])}
