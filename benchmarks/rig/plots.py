"""Plots of the report, as SVG."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = {
    "ours_sqlite": "#1b7837",
    "ours_postgresql": "#5aae61",
    "ours_elixir": "#a6dba0",
    "ours_sandbox": "#a6dba0",
    "ours_shell": "#d9d9d9",
    "sqlalchemy_postgresql": "#762a83",
    "sqlalchemy_sqlite": "#9970ab",
    "asyncpg_postgresql": "#c2a5cf",
}
LAYERS = {"app": "#4393c3", "service": "#92c5de", "engine": "#fddbc7"}


def write_plots(document: Mapping[str, Any], folder: Path) -> list[str]:
    """Draw what was measured; return the names of the files."""
    # Text stays text and ids are fixed, so that a plot of the same figures is the same file.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "fintech"})
    folder.mkdir(parents=True, exist_ok=True)
    parts = document["parts"]
    drawn: list[str] = []
    if "rates" in parts:
        results = parts["rates"]["results"]
        figure, axes = _figure(0.45 * len(results) + 1.2)
        _rates(axes, results)
        drawn.append(_save(figure, folder / "rates.svg"))
    layers = parts.get("layers", parts.get("rates"))
    if layers:
        results = [one for one in layers["results"] if one["contender"] != "ours_shell"]
        figure, axes = _figure(0.45 * len(results) + 1.4)
        _layers(axes, results)
        drawn.append(_save(figure, folder / "cpu.svg"))
    latencies = [
        one
        for name in ("one_client", "rates", "clients")
        for one in parts.get(name, {}).get("results", [])
    ]
    if "clients" in parts:
        figure, axes = _figure(3.6)
        _by_clients(axes, latencies)
        drawn.append(_save(figure, folder / "latency.svg"))
    if "slow_database" in parts:
        figure, axes = _figure(2.6)
        _slow(axes, parts["slow_database"]["results"]["timeline_per_half_second"])
        drawn.append(_save(figure, folder / "slow.svg"))
    return drawn


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8.0, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Figure, file: Path) -> str:
    figure.savefig(file, metadata={"Date": None})
    return file.name


def _rates(axes: Axes, results: Sequence[Mapping[str, Any]]) -> None:
    ordered = sorted(results, key=lambda one: one["rate"])
    names = [one["contender"] for one in ordered]
    bars = axes.barh(names, [one["rate"] for one in ordered], color=[COLOURS[n] for n in names])
    axes.bar_label(bars, fmt="{:,.0f}", padding=3)
    axes.set_xlabel("payments a second (64 clients, one worker)")


def _layers(axes: Axes, results: Sequence[Mapping[str, Any]]) -> None:
    names = [one["contender"] for one in results]
    left = [0.0] * len(results)
    for layer, colour in LAYERS.items():
        widths = [one["cpu_us_per_payment"].get(layer, 0.0) for one in results]
        axes.barh(names, widths, left=left, color=colour, label=layer)
        left = [before + width for before, width in zip(left, widths, strict=True)]
    axes.set_xlabel("microseconds of CPU a payment (64 clients, one worker)")
    axes.legend(frameon=False)


def _by_clients(axes: Axes, results: Sequence[Mapping[str, Any]]) -> None:
    for name in dict.fromkeys(one["contender"] for one in results):
        points = sorted(
            (one["clients"], one["p50_ms"], one["p99_ms"])
            for one in results
            if one["contender"] == name
        )
        clients = [point[0] for point in points]
        axes.plot(clients, [p[1] for p in points], color=COLOURS[name], marker="o", label=name)
        axes.plot(clients, [p[2] for p in points], color=COLOURS[name], linestyle=":")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("clients")
    axes.set_ylabel("ms: p50 (line), p99 (dots)")
    axes.legend(frameon=False, fontsize="small")


def _slow(axes: Axes, timeline: Sequence[int]) -> None:
    seconds = [half / 2 for half in range(len(timeline))]
    axes.step(seconds, [2 * one for one in timeline], where="post", color=COLOURS["ours_sqlite"])
    third = len(timeline) / 6
    axes.axvspan(third, third * 2, color="#fddbc7", label="50 ms away")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("seconds")
    axes.set_ylabel("payments a second")
    axes.legend(frameon=False)
