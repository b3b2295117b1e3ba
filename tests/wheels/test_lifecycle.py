"""From built wheels alone: install a module, start, add another, restart, take it away, bring it back."""

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from conftest import SETTINGS, Database, Environment, Process

SERVED = ("fintech-server", "fintech-database")
CURRENCY = "KES"
CLIENTS = 8
KILLS_MAX = 20
PATIENCE_SECONDS = 60

PAYMENT_TABLES = (
    "payments_payments",
    "payments_references",
    "payments_metadata",
    "payments_sandbox_calls",
)
MERCHANT_TABLES = ("merchants_merchants", "merchants_currencies")
UNFINISHED = "SELECT * FROM operations WHERE state = 'running' ORDER BY operation_id"


@dataclass
class Server:
    """A server from the environment, and a client that may do everything."""

    running: Process
    client: httpx.Client
    environment: Environment

    def token(self, **options: str) -> dict[str, str]:
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        settings = {**SETTINGS, "DB_BASE_URL": self.running.url}  # a token needs no database
        told = self.environment.fintech("token", "issue", *flags, **settings)
        return {"Authorization": f"Bearer {told.stdout.strip()}"}

    def do(self, path: str, body: Any, headers: dict[str, str]) -> Any:
        keyed = {**headers, "Idempotency-Key": uuid.uuid4().hex}
        answer = self.client.post(path, json=body, headers=keyed)
        assert answer.status_code in {200, 201}, answer.text
        return answer.json()

    def paths(self) -> set[str]:
        return set(self.client.get("/openapi.json").json()["paths"])

    def stop(self) -> None:
        self.client.close()
        self.running.stop()


def start(environment: Environment, database_url: str) -> Server:
    settings = {**SETTINGS, "DB_BASE_URL": database_url, "APP_MIGRATE_ON_START": "true"}
    running = environment.start("fintech", "serve", "--port", "0", log="server.log", **settings)
    client = httpx.Client(base_url=running.url, timeout=30)
    return Server(running=running, client=client, environment=environment)


def onboard(server: Server) -> str:
    admin = server.token(role="platform_admin")
    body = {"name": "Shop", "currencies": [CURRENCY], "settlement": {"delay_days": 0}}
    merchant_id = str(server.do("/v1/merchants", body, admin)["merchant_id"])
    verified = {"outcome": "verified", "reference": "kyb-1"}
    server.do(f"/v1/merchants/{merchant_id}/verification", verified, admin)
    server.do(f"/v1/merchants/{merchant_id}/activate", {"reason": "signed"}, admin)
    return merchant_id


def new_payment(merchant_id: str) -> dict[str, Any]:
    return {
        "merchant_id": merchant_id,
        "amount": 10_000,
        "currency": CURRENCY,
        "capture": "automatic",
        "payment_method": {"type": "card", "token": "sandbox_approve"},
        "reference": uuid.uuid4().hex,
    }


def table_dump(database: Database, tables: tuple[str, ...]) -> dict[str, list[str]]:
    """Return every row of these tables, sorted: the same text is the same data."""
    texts = {name: f"SELECT * FROM {name}" for name in tables}  # noqa: S608 - names of ours
    return {name: sorted(map(str, database.rows(text))) for name, text in texts.items()}


def leave_unfinished(server: Server, database: Database, merchant_id: str) -> bool:
    """Kill the server while payments run; return whether one was left in the middle."""
    headers = server.token(role="merchant_operator", merchant=merchant_id)

    def pay() -> None:
        with suppress(httpx.TransportError):  # the server is gone, which is what this is about
            server.do("/v1/payments", new_payment(merchant_id), headers)

    with ThreadPoolExecutor(max_workers=CLIENTS) as clients:
        calls = [clients.submit(pay) for _ in range(CLIENTS)]
        while not database.rows(UNFINISHED) and not all(call.done() for call in calls):
            pass
        server.running.kill()
    server.client.close()
    return bool(database.rows(UNFINISHED))


def wait_until(what: Callable[[], bool], server: Server) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not what():
        assert time.monotonic() < give_up_at, server.running.log.read_text()
        time.sleep(0.2)


@pytest.mark.timeout(300)
def test_everything_from_wheels_fits_together(environment: Environment) -> None:
    environment.install(*environment.wheels)
    checked = environment.fintech("plugins", "--check")
    assert checked.stdout.endswith("everything fits together\n")
    for name in environment.wheels.keys() - {*SERVED, "fintech-kernel", "fintech-dbclient"}:
        assert name in checked.stdout


@pytest.mark.timeout(900)
def test_a_module_comes_goes_and_comes_back_and_data_stays(environment: Environment) -> None:
    # merchants alone
    environment.install("fintech-merchants", *SERVED)
    assert environment.installed() == {
        *("fintech-merchants", "fintech-kernel", "fintech-dbclient", *SERVED)
    }
    service = environment.start(
        "fintech-database", "serve", "--url", "sqlite:///data.db", "--port", "0", log="database.log"
    )
    database = Database(httpx.Client(base_url=service.url, timeout=30))
    server = start(environment, service.url)
    merchant_id = onboard(server)
    merchants = table_dump(database, MERCHANT_TABLES)
    assert not any(path.startswith("/v1/payments") for path in server.paths())
    server.stop()

    # payments and what they need
    environment.install("fintech-payments", "fintech-ledger")
    server = start(environment, service.url)
    headers = server.token(role="merchant_operator", merchant=merchant_id)
    paid = server.do("/v1/payments", new_payment(merchant_id), headers)
    assert paid["status"] == "captured"
    assert table_dump(database, MERCHANT_TABLES) == merchants

    # killed in the middle of payments, and uninstalled
    for _ in range(KILLS_MAX):
        if leave_unfinished(server, database, merchant_id):
            break
        server = start(environment, service.url)
    environment.uninstall("fintech-payments")
    unfinished = database.rows(UNFINISHED)
    assert unfinished, f"{KILLS_MAX} kills left nothing unfinished"
    payments = table_dump(database, PAYMENT_TABLES)
    server = start(environment, service.url)
    assert not any(path.startswith("/v1/payments") for path in server.paths())
    path = f"/v1/payments/{paid['payment_id']}"
    assert server.client.get(path, headers=headers).status_code == 404

    reported = f'fintech_operations_not_installed{{kind="payments.create"}} {len(unfinished)}.0'
    wait_until(lambda: reported in server.client.get("/metrics").text, server)
    assert (
        "operations wait for a plugin that is not installed here" in server.running.log.read_text()
    )
    server.stop()
    assert database.rows(UNFINISHED) == unfinished
    assert table_dump(database, PAYMENT_TABLES) == payments
    assert table_dump(database, MERCHANT_TABLES) == merchants

    # back again: what was left in the middle is ended
    environment.install("fintech-payments")
    server = start(environment, service.url)
    wait_until(lambda: not database.rows(UNFINISHED), server)
    headers = server.token(role="merchant_operator", merchant=merchant_id)
    assert server.client.get(path, headers=headers).json()["status"] == "captured"
    trial = server.client.get("/v1/ledger/trial-balance", headers=server.token(role="auditor"))
    assert [one["difference"] for one in trial.json()["data"]] == [0]
    server.stop()
    service.stop()
    database.client.close()
