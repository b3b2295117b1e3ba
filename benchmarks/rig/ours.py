"""Our server as it is shipped, with all guarantees on and a processor that approves at once.

    python -m rig.ours --database http://127.0.0.1:PORT [--shell] [--processor sandbox]

Production settings but for three: rate limits are set so high that they count and never refuse,
concurrency limits likewise, and the sandbox (which production refuses) makes it a staging server. It logs
JSON lines to stderr and says on stdout where it listens. ``--shell`` answers payments from memory.
"""

import argparse
import asyncio
import os
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fintech_dbclient import HttpDatabase
from fintech_kernel.observability.logging import configure_logging
from fintech_kernel.web.app import Overrides, create_app
from fintech_ledger import plugin as ledger
from fintech_merchants import plugin as merchants
from fintech_payments import plugin as payments
from fintech_server import server

from rig import instant
from rig.principals import AUDIENCE, ISSUER, KEY_ID, LIFETIME_SECONDS, SECRET
from rig.shell import ShellDatabase

PLUGINS: Sequence[object] = (ledger, merchants, payments, instant)
NEVER_REACHED = "1000000/second"


def settings_of(database: str, *, processor: str = instant.NAME) -> dict[str, Any]:
    """Return the settings of a server."""
    return {
        "app_env": "staging",
        "app_secret": "0f6b1f0c8a5e4d3c9b7a6958473625140f6b1f0c8a5e4d3c",
        "app_metrics": True,
        "app_concurrency_max": 10_000,
        "app_concurrency_merchant_max": 10_000,
        "rate_limit_principal": NEVER_REACHED,
        "rate_limit_address": NEVER_REACHED,
        "db_base_url": database,
        "jwt_secret": SECRET,
        "jwt_issuer": ISSUER,
        "jwt_audience": AUDIENCE,
        "jwt_key_id": KEY_ID,
        "jwt_lifetime_seconds": LIFETIME_SECONDS,
        "audit_signing_key": "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=",
        "payments_processor": processor,
    }


def build(
    database: str,
    *,
    processor: str = instant.NAME,
    overrides: Overrides | None = None,
    **more: object,
) -> FastAPI:
    """Return the application of these plugins."""
    return create_app(
        settings={**settings_of(database, processor=processor), **more},
        plugins=PLUGINS,
        overrides=overrides,
    )


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", required=True)
    parser.add_argument("--processor", default=instant.NAME)
    parser.add_argument("--shell", action="store_true")
    asked = parser.parse_args()
    shell: ShellDatabase | None = None
    if asked.shell:
        shell = ShellDatabase(HttpDatabase(asked.database))
    app = build(
        asked.database,
        processor=asked.processor,
        overrides=Overrides(database=shell),
        **({"app_jobs": False} if asked.shell else {}),
    )
    if shell is not None:
        _cut_off_on_request(app, shell)
    app.state.lines = configure_logging(app.state.context.settings.app_log_level)
    with server.stop_signals(), server.take_address("127.0.0.1", 0) as listener:
        url = server.url_of(listener, "127.0.0.1")

        async def greet() -> None:
            os.write(1, f"listening on {url}\n".encode())
            await asyncio.Event().wait()

        server.run(
            lambda: server.serve(app, listener, host="127.0.0.1", drain_seconds=10, companion=greet)
        )


def _cut_off_on_request(app: FastAPI, shell: ShellDatabase) -> None:
    """Let the bench say when its merchants are onboarded."""

    async def cut_off() -> dict[str, bool]:
        shell.is_cut_off = True
        return {"cut_off": True}

    app.add_api_route("/bench/cut-off", cut_off, methods=["POST"])


if __name__ == "__main__":
    main()
