"""Exact counts (trips, statements) and CPU in one process: what ``nox -s bench-check`` is about.

No load, no rates: our application is called without sockets, on a real database service over HTTP. Counts
repeat to the last one. CPU is a ratio of one run: a payment of ours with a database that answers from memory,
over FastAPI's own minimum for the same request (body, token, answer; ``peers.shared``).
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header
from fintech_database.testing import start_service
from fintech_dbclient import CallRecord
from loguru import logger
from peers.shared import PaymentIn, PaymentOut, current_merchant, new_payment

from rig import inside

PAYMENTS = 60
"""Payments of the count behind the answers: three entries each, fewer than a dispatch pass takes."""

CPU_PAYMENTS = 400
CPU_ROUNDS = 7
CPU_TOLERANCE = 0.25
"""How much the CPU ratio may be above the committed one. It moves by 10 % with what else the machine does."""

EXACT = ("create", "behind")
AT_ONCE_TRIPS_MAX = 0.1
"""Trips a payment of 60 at once: 0.05 where all share each request, which depends on the loop's turns."""


def measure() -> dict[str, Any]:
    """Count, and measure CPU."""
    logger.remove()
    with tempfile.TemporaryDirectory() as folder, start_service(f"sqlite:///{folder}/c.db") as url:
        return asyncio.run(_measure(url))


async def _measure(url: str) -> dict[str, Any]:
    async with inside.running(url) as (app, calls):
        merchant = await inside.onboard(app, "counts")
        await _run_jobs(app)
        await inside.pay(app, merchant, "warm")
        await _run_jobs(app)
        calls.clear()
        await inside.pay(app, merchant, "one")
        create = _counted(calls)
        await _run_jobs(app)
        calls.clear()
        await asyncio.gather(*[inside.pay(app, merchant, f"many-{n}") for n in range(PAYMENTS)])
        at_once = _per_payment(calls, PAYMENTS)
        calls.clear()
        await _run_jobs(app)
        behind = _per_payment(calls, PAYMENTS)
    return {
        "create": create,
        "create_at_once": at_once,
        "behind": behind,
        "cpu": await _cpu(url),
    }


async def _run_jobs(app: FastAPI) -> None:
    context = app.state.context
    for job in context.events.jobs():
        await job.run()
    await context.sealer.seal()


def _counted(calls: list[CallRecord]) -> dict[str, Any]:
    sent = [call for call in calls if call.endpoint != "health"]
    names = [list(call.names) for call in sent]
    return {"trips": len(sent), "statements": sum(map(len, names)), "names": names}


def _per_payment(calls: list[CallRecord], payments: int) -> dict[str, float]:
    found = _counted(calls)
    return {name: round(found[name] / payments, 3) for name in ("trips", "statements")}


# ---- CPU


async def _cpu(url: str) -> dict[str, float]:
    async with inside.running(url, from_memory=True) as (app, _):
        merchant = await inside.onboard(app, "cpu")
        app.state.context.database.is_cut_off = True
        await inside.pay_many(app, merchant, "warm", CPU_PAYMENTS, 16)
        plain = _plain_endpoint()
        ours: list[float] = []
        theirs: list[float] = []
        for turn in range(CPU_ROUNDS):
            ours.append(await inside.pay_many(app, merchant, f"r{turn}", CPU_PAYMENTS, 16))
            begun = time.process_time()
            for number in range(CPU_PAYMENTS):
                await inside.pay(plain, merchant, f"{turn}-{number}")
            theirs.append(time.process_time() - begun)
    mine, floor = min(ours), min(theirs)  # what disturbs only ever adds
    return {
        "ours_us": round(mine / CPU_PAYMENTS * 1e6, 1),
        "plain_fastapi_us": round(floor / CPU_PAYMENTS * 1e6, 1),
        "ratio": round(statistics.median(a / b for a, b in zip(ours, theirs, strict=True)), 3),
    }


def _plain_endpoint() -> FastAPI:
    """Return what FastAPI takes for such a request alone: body, token, header, answer."""
    app = FastAPI()

    @app.post("/v1/payments", status_code=201)
    async def create_payment(
        body: PaymentIn,
        idempotency_key: Annotated[str, Header(max_length=255)],
        merchant_id: Annotated[str, Depends(current_merchant)],
    ) -> PaymentOut:
        del idempotency_key
        return new_payment(body, merchant_id)

    return app


# ---- the guard


def check(committed: Mapping[str, Any]) -> int:
    """Compare with what is committed; return an exit code."""
    found = measure()
    before: Mapping[str, Any] = committed["parts"]["counts"]["results"]
    faults = [
        f"{name}: {found[name]} is not the committed {before[name]}"
        for name in EXACT
        if found[name] != before[name]
    ]
    if found["create_at_once"]["trips"] > AT_ONCE_TRIPS_MAX:
        faults.append(f"create_at_once: {found['create_at_once']} shares fewer trips")
    ratio, limit = found["cpu"]["ratio"], before["cpu"]["ratio"] * (1 + CPU_TOLERANCE)
    if ratio > limit:
        faults.append(f"CPU: {ratio} times plain FastAPI, above {limit:.2f} (committed + 25 %)")
    print(f"trips and statements of a payment: {found['create']['trips']}", end=", ")
    print(f"{found['create']['statements']}; behind it {found['behind']}; CPU {found['cpu']}")
    for fault in faults:
        print(f"NOT AS COMMITTED: {fault}")
    return 1 if faults else 0
