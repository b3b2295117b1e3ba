"""The Elixir database beside the Python service: durable inserts and reads per second, in one run.

Run it as ``python benchmarks/elixir_database.py``. Both services have a SQLite file of their
own in one folder and are measured in turn, with the load of ``benchmarks/database_service.py``:

- ``singles``: ``POST /execute`` from 64 keep-alive connections, one insert each;
- ``batches``: ``POST /batch`` of 64 inserts from 2 keep-alive connections;
- ``reads``: ``POST /execute`` from 64 keep-alive connections, one row by its key each.

Rates move with the machine, which the load shares; ratios of one run are what to compare.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import database_service as bench

ROOT = Path(__file__).resolve().parents[1]
SERVICES = {
    "elixir": [str(ROOT / "apps" / "elixir-database" / "bin" / "fintech-elixir-database")],
    "python": [sys.executable, "-m", "fintech_database"],
}
SELECT = "SELECT row_id, amount FROM rows WHERE row_id = ?"


def requests(turn: int, inserts: int) -> Iterator[tuple[str, list[bytes], int]]:
    """Yield name, requests and connections of each measurement of a round."""

    def insert(prefix: str, number: int) -> dict[str, Any]:
        return {"sql": bench.INSERT, "params": bench.row(f"{prefix}{turn}", number)}

    batches = [
        {"sequences": [[insert("b", number)] for number in range(start, start + bench.BATCH)]}
        for start in range(0, inserts, bench.BATCH)
    ]
    reads = [
        {"sql": SELECT, "params": insert("s", number)["params"][:1]} for number in range(inserts)
    ]
    singles = [bench.request("/execute", insert("s", number)) for number in range(inserts)]
    yield "singles", singles, bench.CONNECTIONS
    yield "batches", [bench.request("/batch", batch) for batch in batches], 2
    yield "reads", [bench.request("/execute", read) for read in reads], bench.CONNECTIONS


def main() -> None:
    """Measure and print medians."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inserts", type=int, default=19_200)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if shutil.which("mix") is None:
        sys.stdout.write("not measured: Elixir is not on this machine\n")
        return
    inserts = options.inserts // bench.BATCH * bench.BATCH
    measured = {}
    running = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            for name, command in SERVICES.items():
                url = f"sqlite:///{folder}/{name}.db"
                process = subprocess.Popen(  # noqa: S603 - our own commands
                    [*command, "serve", "--url", url, "--port", "0"],
                    stdout=subprocess.PIPE,
                    text=True,
                )
                port = int(process.stdout.readline().rpartition(":")[2])
                running[name] = process, port
                bench.load(port, [bench.request("/execute", {"sql": bench.TABLE})], 1)
            for turn in range(options.rounds):
                for name, (process, port) in running.items():
                    for kind, all_of_them, connections in requests(turn, inserts):
                        before = bench.cpu_seconds(process.pid)
                        rate = inserts / bench.load(port, all_of_them, connections)
                        used = (bench.cpu_seconds(process.pid) - before) / inserts * 1e6
                        measured.setdefault((kind, name), []).append((rate, used))
        finally:
            for process, _port in running.values():
                process.terminate()
                process.wait(timeout=30)
                process.stdout.close()
    sys.stdout.write(f"medians of {options.rounds} rounds of {inserts} statements\n")
    for (kind, name), values in sorted(measured.items()):
        rate, used = (statistics.median(column) for column in zip(*values, strict=True))
        sys.stdout.write(f"{kind:8} {name:8} {rate:>9,.0f}/s  {used:>4.0f} us of CPU each\n")


if __name__ == "__main__":
    main()
