"""The service as a process, on each engine, and a small client that speaks the contract raw."""

import os
import ssl
from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx
import pytest
from fintech_database.testing import (
    PostgresqlMissing,
    create_database,
    start_postgresql,
    start_service,
)

# Plain HTTP only: without this, every client would load all certificates of the system.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


_numbers = count(1)


class Client:
    def __init__(self, base_url: str, engine: str) -> None:
        self.base_url = base_url
        self.engine = engine
        self.http = httpx.Client(verify=PLAIN, base_url=base_url, timeout=30)

    def execute(self, sql: str, *params: object) -> dict[str, Any]:
        reply = self.http.post("/execute", json={"sql": sql, "params": list(params)})
        assert reply.status_code == 200, reply.text
        return reply.json()

    def rows(self, sql: str, *params: object) -> list[dict[str, Any]]:
        answer = self.execute(sql, *params)
        assert answer["success"], answer
        return answer["data"]

    def code(self, sql: str, *params: object) -> str | None:
        answer = self.execute(sql, *params)
        if answer["success"]:
            assert answer["error"] is None
            return None
        assert answer["data"] is None
        assert answer["rows_affected"] == 0
        assert set(answer["error"]) == {"code", "message", "constraint"}
        return answer["error"]["code"]

    def batch(self, *sequences: list[tuple[Any, ...]]) -> list[list[dict[str, Any]]]:
        body = {"sequences": [[{"sql": s, "params": p} for s, *p in steps] for steps in sequences]}
        reply = self.http.post("/batch", json=body)
        assert reply.status_code == 200, reply.text
        return reply.json()["results"]

    def send(
        self, body: bytes, path: str = "/execute", kind: str = "application/json"
    ) -> httpx.Response:
        return self.http.post(path, content=body, headers={"content-type": kind})

    def table(self, columns: str = "id TEXT NOT NULL PRIMARY KEY, n BIGINT CHECK (n > 0)") -> str:
        name = f"t{next(_numbers)}"
        assert self.code(f"CREATE TABLE {name} ({columns})") is None
        return name


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    server = start_postgresql()
    try:
        url = server.__enter__()
    except PostgresqlMissing as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))
    try:
        yield url
    finally:
        server.__exit__(None, None, None)


@pytest.fixture(scope="session")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    path = tmp_path_factory.mktemp("sqlite") / "service.db"
    with start_service(f"sqlite:///{path}") as base_url:
        client = Client(base_url, "sqlite")
        yield client
        client.http.close()


@pytest.fixture(scope="session")
def on_postgresql(postgresql: str) -> Iterator[Client]:
    with start_service(create_database(postgresql)) as base_url:
        client = Client(base_url, "postgresql")
        yield client
        client.http.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def db(request: pytest.FixtureRequest) -> Client:
    return request.getfixturevalue(f"on_{request.param}")
