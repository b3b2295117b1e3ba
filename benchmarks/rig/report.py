"""``docs/performance.md``: written from ``benchmarks/results/latest.json``, never by hand.

What is said beside the figures stands in ``notes.txt``, Markdown that is written by hand.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rig.contenders import SUMMARIES
from rig.plots import write_plots

DOCS = Path(__file__).resolve().parents[2] / "docs"
NOTES = Path(__file__).parent / "notes.txt"

BARS: Mapping[str, tuple[str, float, str]] = {
    "create_capture_sqlite_vs_sqlalchemy_pg_64": (">=", 3.0, "rate on SQLite over SQLAlchemy on PostgreSQL"),
    "create_capture_sqlite_vs_sqlalchemy_sqlite_64": (">=", 5.0, "rate on SQLite over SQLAlchemy on SQLite"),
    "create_capture_pg_vs_sqlalchemy_64": (">=", 2.0, "rate on PostgreSQL over SQLAlchemy's"),
    "create_capture_pg_vs_asyncpg_64": ("", 1.0, "rate on PostgreSQL over bare asyncpg's (an aim, no bar)"),
    "p99_pg_vs_sqlalchemy_64": ("<=", 0.5, "p99 over SQLAlchemy's"),
    "p50_vs_sqlalchemy_1": ("<=", 1.0, "p50 with one client over SQLAlchemy's"),
    "vs_own_shell_64": (">=", 0.4, "rate on SQLite over our endpoint without a database"),
    "db_requests_per_payment_64": ("<=", 0.5, "HTTP requests to the database a payment, jobs included"),
    "db_requests_per_payment_1": ("<=", 3.2, "the same with one client; 3 are the payment's own"),
    "round_trips_create_capture": ("<=", 3.0, "trips of one payment, counted"),
    "growth_create": ("<=", 1.5, "create at 10^6 payments over 10^3"),
    "growth_get": ("<=", 1.3, "get at 10^6 over 10^3"),
    "growth_list": ("<=", 1.3, "list at 10^6 over 10^3"),
    "growth_balance": ("<=", 1.3, "balance at 10^6 transfers over 10^3"),
    "coalescing_64": (">=", 0.6, "share of the array rate that 64 tasks reach"),
    "elixir_vs_sqlite_64": ("", 1.0, "rate on the Elixir service over the Python service's"),
    "two_workers_vs_one": ("", 1.0, "rate of two workers over one, on PostgreSQL"),
}  # fmt: skip
"""What is judged: the bar, and what it is about."""


def write(document: Mapping[str, Any]) -> None:
    """Write the report and its plots."""
    plots = write_plots(document, DOCS / "performance")
    text = "\n".join(_lines(document, plots))
    (DOCS / "performance.md").write_text(text.rstrip() + "\n")


def _lines(document: Mapping[str, Any], plots: Sequence[str]) -> Iterator[str]:
    facts = document["machine"]
    parts: Mapping[str, Any] = document["parts"]
    yield "# Performance"
    yield ""
    yield (
        "Written by `benchmarks/payments.py` from `benchmarks/results/latest.json`. Measure it again with"
        " `nox -s bench -- benchmarks/payments.py` (`--quick` takes two minutes);"
        " `nox -s bench-check` compares exact counts and CPU with what is committed."
    )
    yield ""
    yield f"{facts['cpu']}, {facts['cores']} cores, {facts['system']}, Python {facts['python']}."
    yield (
        "The load runs on the same cores. Rates move with the machine; ratios of one run are what to compare."
    )
    yield ""
    yield from _ratios(document["ratios"])
    yield NOTES.read_text()
    for name in ("rates", "one_client", "clients", "workers", "layers", "sandbox"):
        if name in parts:
            yield from _table(name, parts[name], plots)
    yield from _slow(parts, plots)
    yield from _counts(parts)
    if "profile" in parts and "file" in parts["profile"]["results"]:
        yield "## Where the application spends its time"
        yield ""
        yield "![Flame graph](performance/flame.svg)"
        yield ""
    yield from _growth(parts)


def _ratios(ratios: Mapping[str, float]) -> Iterator[str]:
    yield "| what | measured | bar | |"
    yield "| --- | ---: | ---: | --- |"
    for name, (sign, bar, summary) in BARS.items():
        if name not in ratios:
            yield f"| {summary} | not measured | {f'{sign} {bar:g}' if sign else ''} | |"
            continue
        found = ratios[name]
        met = {">=": found >= bar, "<=": found <= bar}.get(sign)
        verdict = {True: "met", False: "**missed**", None: ""}[met]
        yield f"| {summary} | {found:.2f} | {f'{sign} {bar:g}' if sign else ''} | {verdict} |"
    yield ""


_TITLES = {
    "rates": "64 clients, one worker",
    "one_client": "One client",
    "clients": "16 and 256 clients",
    "workers": "Two and four workers",
    "layers": "CPU by layer, until everything behind the answers is done",
    "sandbox": "What the sandbox's books cost",
}
_PLOTS = {"rates": "rates.svg", "layers": "cpu.svg", "clients": "latency.svg"}


def _table(name: str, part: Mapping[str, Any], plots: Sequence[str]) -> Iterator[str]:
    plan = part["plan"]
    yield f"## {_TITLES[name]}"
    yield ""
    yield (
        f"`{part['command']}`, commit {part['commit']}, {part['measured_at']}; {plan['rounds']:g} round(s) at"
        f" most of {plan['seconds']:g} s, load average before {part['load_average_before']:g}."
    )
    yield ""
    if _PLOTS.get(name) in plots:
        yield f"![{_TITLES[name]}](performance/{_PLOTS[name]})"
        yield ""
    yield (
        "| | clients | workers | payments/s | p50 ms | p99 ms | CPU us: app, service, engine"
        " | database requests a payment | MB |"
    )
    yield "| --- | ---: | ---: | ---: | ---: | ---: | --- | ---: | ---: |"
    for one in part["results"]:
        cpu = one["cpu_us_per_payment"]
        used = ", ".join(
            f"{cpu[layer]:,.0f}" if layer in cpu else "-" for layer in ("app", "service", "engine")
        )
        requests = one.get("db_requests_per_payment")
        yield (
            f"| {SUMMARIES[one['contender']]} | {one['clients']} | {one['workers']} | {one['rate']:,.0f}"
            f" | {one['p50_ms']:.1f} | {one['p99_ms']:.1f} | {used}"
            f" | {'' if requests is None else f'{requests:.2f}'} | {sum(one['memory_mb'].values()):,.0f} |"
        )
    yield ""


def _slow(parts: Mapping[str, Any], plots: Sequence[str]) -> Iterator[str]:
    if "slow_database" not in parts:
        return
    found = parts["slow_database"]["results"]
    yield "## A database that is 50 ms away for a while"
    yield ""
    if "slow.svg" in plots:
        yield "![Payments a second](performance/slow.svg)"
        yield ""
    yield (
        f"256 clients: {found['rate_before']:,} payments/s before, {found['rate_slow']:,} meanwhile,"
        f" {found['rate_from_2_s_after']:,} from two seconds after. Answers by status: {found['statuses']}."
        f" Memory before and after: {found['memory_mb_before_and_after']} MB."
    )
    yield ""


def _counts(parts: Mapping[str, Any]) -> Iterator[str]:
    if "counts" not in parts:
        return
    found = parts["counts"]["results"]
    yield "## Trips and statements, counted"
    yield ""
    create = found["create"]
    yield (
        f"One payment, created and captured: {create['trips']} trips, {create['statements']} statements."
    )
    yield ""
    for number, names in enumerate(create["names"], start=1):
        yield f"{number}. {', '.join(f'`{name}`' for name in names)}"
    yield ""
    behind, cpu = found["behind"], found["cpu"]
    yield (
        f"Behind 60 payments (dispatch, deliveries, one seal): {behind['trips']} trips and"
        f" {behind['statements']} statements a payment. CPU of a payment without its database:"
        f" {cpu['ratio']} times that of FastAPI's minimum for the request ({cpu['ours_us']:,} us over"
        f" {cpu['plain_fastapi_us']:,} us)."
    )
    yield ""


def _growth(parts: Mapping[str, Any]) -> Iterator[str]:
    if "growth" not in parts:
        return
    yield "## Growth"
    yield ""
    for program, engines in parts["growth"]["results"]["median_ms"].items():
        for engine, by_size in engines.items():
            sizes = sorted(by_size, key=int)
            yield f"{program.removesuffix('.py')} on {engine}, median ms:"
            yield ""
            yield f"| | {' | '.join(f'{int(size):,}' for size in sizes)} |"
            yield f"| --- |{' ---: |' * len(sizes)}"
            for read in by_size[sizes[0]]:
                cells = " | ".join(f"{by_size[size][read]:.2f}" for size in sizes)
                yield f"| {read} | {cells} |"
            yield ""
