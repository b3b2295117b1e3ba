import asyncio
import time
from typing import Any

import pytest
from fintech_kernel.hooks import HealthCheck
from fintech_kernel.web.health import health_router

pytestmark = pytest.mark.anyio


async def fine() -> None: ...


async def broken() -> None:
    raise ConnectionError("canary postgres://user:secret@db")


async def hanging() -> None:
    await asyncio.sleep(60)


def check(name: str, run: Any, **options: Any) -> HealthCheck:
    return HealthCheck(name=name, check=run, **options)


async def test_live_does_no_io(new_app, client_of) -> None:
    async with client_of(new_app(health_router([check("database", broken)]))) as client:
        response = await client.get("/v1/health/live")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_ready_when_all_checks_pass(new_app, client_of) -> None:
    async with client_of(new_app(health_router([check("a", fine), check("b", fine)]))) as client:
        response = await client.get("/v1/health/ready")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "failing": []})


async def test_a_critical_failure_is_503_and_names_the_failing_only(
    new_app, client_of, lines
) -> None:
    checks = [
        check("fine", fine),
        check("database", broken),
        check("slow", hanging, timeout_seconds=0.05),
    ]
    started = time.perf_counter()
    async with client_of(new_app(health_router(checks))) as client:
        response = await client.get("/v1/health/ready")
    assert time.perf_counter() - started < 2
    assert response.status_code == 503
    assert response.json()["code"] == "not_ready"
    assert response.json()["facts"] == {"failing": ["database", "slow"]}
    assert "canary" not in response.text + str(lines())


async def test_another_failure_degrades(new_app, client_of) -> None:
    checks = [check("fine", fine), check("mail", broken, critical=False)]
    async with client_of(new_app(health_router(checks))) as client:
        response = await client.get("/v1/health/ready")
    assert (response.status_code, response.json()) == (
        200,
        {"status": "degraded", "failing": ["mail"]},
    )


async def test_checks_run_at_once(new_app, client_of) -> None:
    async def slow() -> None:
        await asyncio.sleep(0.1)

    checks = [check(str(number), slow) for number in range(20)]
    started = time.perf_counter()
    async with client_of(new_app(health_router(checks))) as client:
        assert (await client.get("/v1/health/ready")).status_code == 200
    assert time.perf_counter() - started < 1
