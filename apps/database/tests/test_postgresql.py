"""What is PostgreSQL's own: its order of text, deadlocks, timeouts, connections that break."""

# ruff: noqa: S608 - the names in these texts are the tests own

import asyncio
import ssl
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from fintech_database.engines import EngineUnavailable
from fintech_database.engines.postgresql import PostgresqlEngine
from fintech_database.engines.postgresql_driver import connect_postgresql
from fintech_database.forms import read_form
from fintech_database.limits import Limits
from fintech_database.statements import Statement
from fintech_database.testing import RunningService, create_database

# Plain HTTP only: without this, every client would load all certificates of the system.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


pytestmark = pytest.mark.postgres


def statement(sql, *params):
    return Statement(sql, params, read_form(sql))


async def admin(url, sql):
    connection = await connect_postgresql(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


@pytest.fixture
def url(postgresql):
    return create_database(postgresql)


def codes(outcomes):
    return [[step.error and step.error.code for step in steps] for steps in outcomes]


def test_a_database_that_does_not_sort_by_bytes_is_refused_with_the_command_to_make_one(postgresql):
    async def main():
        await admin(
            postgresql,
            "CREATE DATABASE linguistic TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en'",
        )
        await PostgresqlEngine.open(postgresql.rpartition("/")[0] + "/linguistic", Limits())

    with pytest.raises(EngineUnavailable, match="LC_COLLATE 'C'"):
        asyncio.run(main())


def test_a_late_statement_is_stopped_and_was_not_applied(url):
    async def main():
        engine = await PostgresqlEngine.open(url, Limits(statement_seconds=0.3))
        create = statement("CREATE TABLE t (id BIGINT NOT NULL PRIMARY KEY)")
        await engine.run([[create, statement("INSERT INTO t (id) VALUES (1), (2), (3), (4), (5)")]])
        joins = " ".join(f"JOIN t AS t{n} ON 1 = 1" for n in range(12))
        late = statement(f"INSERT INTO t (id) SELECT COUNT(*) + 100 FROM t {joins}")
        outcomes = await engine.run([[late, create], [statement("SELECT COUNT(*) AS n FROM t")]])
        await engine.close()
        return outcomes

    late, count = asyncio.run(main())
    assert codes([late]) == [["timeout", "not_executed"]]
    assert count[0].rows == [{"n": 5}]


WAITING = (
    "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = 'fintech-database'"
    " AND datname = current_database() AND wait_event_type = 'Lock'"
)
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


async def until(url, least, query):
    """Look until a number is no less than it must become; statistics come a moment later."""
    async with asyncio.timeout(30):
        while await admin(url, query) < least:  # noqa: ASYNC110 - another process sets no event
            await asyncio.sleep(0.05)


def test_a_statement_that_loses_a_deadlock_is_run_again(url):
    async def main():
        engine = await PostgresqlEngine.open(url, Limits())
        create = statement("CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY, n BIGINT NOT NULL)")
        await engine.run([[create, statement("INSERT INTO t (id, n) VALUES ('a', 0), ('b', 0)")]])
        in_order = statement(
            "INSERT INTO t (id, n) SELECT id, 1 FROM t ORDER BY id LIMIT 2"
            " ON CONFLICT (id) DO UPDATE SET n = t.n + 1"
        )
        rival = await connect_postgresql(url)
        async with rival.transaction():
            await rival.execute("UPDATE t SET n = n + 10 WHERE id = 'b'")
            waiting = asyncio.create_task(engine.run([[in_order]]))
            await until(url, 1, WAITING)
            # The statement holds a and waits for b. It waited first, so it is the one that notices.
            await rival.execute("UPDATE t SET n = n + 10 WHERE id = 'a'")
        ((outcome,),) = await waiting
        rows = await engine.run([[statement("SELECT n FROM t ORDER BY id")]])
        await rival.close()
        await engine.close()
        await until(url, 1, DEADLOCKS)  # else the test did not provoke what it is about
        return outcome, rows

    outcome, rows = asyncio.run(main())
    assert (outcome.error, outcome.rows_affected) == (None, 2)
    assert rows[0][0].rows == [{"n": 11}, {"n": 11}]


def test_a_lost_connection_is_unknown_and_the_next_one_works(url):
    async def main():
        engine = await PostgresqlEngine.open(url, Limits())
        await engine.run([[statement("CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY)")]])
        blocker = await connect_postgresql(url)
        async with blocker.transaction():
            await blocker.execute("INSERT INTO t (id) VALUES ('x')")
            waiting = asyncio.create_task(
                engine.run([[statement("INSERT INTO t (id) VALUES ('x')")]])
            )
            await asyncio.sleep(0.3)
            await admin(
                url,
                "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE application_name = 'fintech-database' AND datname = current_database()",
            )
            lost = await waiting
        await blocker.close()
        after = await engine.run([[statement("SELECT id FROM t")]])
        await engine.close()
        return lost, after

    lost, after = asyncio.run(main())
    assert codes(lost) == [["internal"]]
    assert after[0][0].rows == [{"id": "x"}]


def test_a_column_added_meanwhile_does_not_break_statements_that_are_prepared(on_postgresql):
    table = on_postgresql.table()
    for _ in range(3):
        assert on_postgresql.batch(*[[(f"SELECT * FROM {table}",)]] * 20)
    on_postgresql.execute(f"ALTER TABLE {table} ADD COLUMN m BIGINT")
    on_postgresql.execute(f"INSERT INTO {table} (id, m) VALUES (?, ?)", "a", 5)

    answers = on_postgresql.batch(*[[(f"SELECT * FROM {table}",)]] * 20)

    assert all(steps[0]["data"] == [{"id": "a", "n": None, "m": 5}] for steps in answers)


def test_no_acknowledged_row_is_lost_when_the_service_is_killed(url):
    service = RunningService(url, None, ())
    base_url = service.base_url
    create = {"sql": "CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY)"}
    assert httpx.post(base_url + "/execute", json=create, verify=PLAIN).json()["success"]
    acknowledged = set()

    def write(name):
        with httpx.Client(verify=PLAIN, base_url=base_url) as http:
            for number in range(100_000):
                key = f"{name}-{number}"
                body = {"sql": "INSERT INTO t (id) VALUES (?)", "params": [key]}
                try:
                    if http.post("/execute", json=body).json()["success"]:
                        acknowledged.add(key)
                except httpx.HTTPError:
                    return

    with ThreadPoolExecutor(8) as threads:
        for name in range(8):
            threads.submit(write, name)
        while len(acknowledged) < 200:
            time.sleep(0.01)
        service.kill()

    service = RunningService(url, None, ())
    rows = httpx.post(
        service.base_url + "/execute", json={"sql": "SELECT id FROM t"}, verify=PLAIN
    ).json()["data"]
    assert service.stop() == 0
    assert acknowledged <= {row["id"] for row in rows}
