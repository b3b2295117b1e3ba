"""What the SQLite engine does when things go wrong inside a group, seen from inside."""

# ruff: noqa: S608 - the names in these texts are the tests own

import asyncio

import apsw
import pytest
from fintech_database.engines import EngineUnavailable, open_engine
from fintech_database.engines.sqlite import SqliteEngine
from fintech_database.forms import read_form
from fintech_database.limits import Limits
from fintech_database.statements import Statement

SLOW = (
    "SELECT COUNT(*) AS n FROM t AS a JOIN t AS b ON 1 = 1 JOIN t AS c ON 1 = 1"
    " JOIN t AS d ON 1 = 1"
)
SLOW_UPDATE = f"UPDATE t SET n = ({SLOW}) WHERE id = 'slow'"


def statement(sql, *params):
    return Statement(sql, params, read_form(sql))


def run(path, *groups, limits=None):
    """Outcomes of groups, each handed over in one piece, hence one commit."""

    async def main():
        engine = await SqliteEngine.open(str(path), limits or Limits())
        try:
            return [await engine.run(group) for group in groups]
        finally:
            await engine.close()

    return asyncio.run(main())


def codes(outcomes):
    return [[step.error and step.error.code for step in steps] for steps in outcomes]


@pytest.fixture
def path(tmp_path):
    create = statement("CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY, n BIGINT)")
    rows = [
        [statement("INSERT INTO t (id, n) VALUES (?, ?)", f"row{number}", -number)]
        for number in range(150)
    ]
    run(tmp_path / "a.db", [[create]], rows)
    return tmp_path / "a.db"


def insert(key):
    return statement("INSERT INTO t (id, n) VALUES (?, ?)", key, 1)


def select(key):
    return statement("SELECT COUNT(*) AS n FROM t WHERE id = ?", key)


def test_a_statement_that_fails_while_it_runs_is_undone_alone(path):
    smallest = statement("UPDATE t SET n = ? WHERE id = ?", -(2**63), "row99")

    _, outcomes, (after,) = run(
        path,
        [[smallest]],
        [
            [insert("before"), select("before")],
            [insert("kept"), statement("UPDATE t SET n = abs(n) + 1000"), insert("never")],
            [insert("after")],
            [insert("after")],
        ],
        [[statement("SELECT COUNT(*) AS n FROM t WHERE n >= 1000"), select("kept")]],
    )

    assert codes(outcomes) == [
        [None, None],
        [None, "too_large", "not_executed"],
        [None],
        ["unique_violation"],
    ]
    assert outcomes[0][1].rows == [{"n": 1}]
    assert [outcome.rows for outcome in after] == [[{"n": 0}], [{"n": 1}]]


def test_a_statement_that_takes_too_long_is_stopped_and_its_neighbours_are_not(path):
    outcomes, (after,) = run(
        path,
        [
            [insert("slow")],
            [insert("a"), statement(SLOW_UPDATE), insert("never")],
            [statement(SLOW_UPDATE)],
            [insert("b")],
        ],
        [[select("a"), select("b"), select("never")]],
        limits=Limits(statement_seconds=0.2),
    )

    assert codes(outcomes) == [[None], [None, "timeout", "not_executed"], ["timeout"], [None]]
    assert [outcome.rows for outcome in after] == [[{"n": 1}], [{"n": 1}], [{"n": 0}]]


def test_a_read_that_takes_too_long_is_stopped(path):
    ((read,), (other,)) = run(
        path,
        [[statement(SLOW), select("row1")]],
        [[select("row1")]],
        limits=Limits(statement_seconds=0.2),
    )

    assert codes([read]) == [["timeout", "not_executed"]]
    assert other[0].rows == [{"n": 1}]


def test_a_commit_that_fails_is_answered_as_unknown_and_the_next_group_works(path):
    async def main():
        engine = await SqliteEngine.open(str(path), Limits())
        writer = engine._writer_connection
        control = writer._control

        def failing(sql):
            if sql == "COMMIT":
                raise apsw.IOError("disk I/O error")
            control(sql)

        writer._control = failing
        broken = await engine.run([[insert("x")], [insert("y"), insert("y")]])
        writer._control = control
        after = await engine.run([[insert("x")]])
        await engine.close()
        return broken, after

    broken, after = asyncio.run(main())
    assert codes(broken) == [["internal"], ["internal", "internal"]]
    assert codes(after) == [[None]]


def test_another_process_that_holds_the_file_is_an_overload(path, monkeypatch):
    monkeypatch.setattr("fintech_database.engines.sqlite._BUSY_MILLISECONDS", 50)
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")

    held = asyncio.run(_held(path))

    other.execute("ROLLBACK")
    other.close()
    assert codes(held) == [["overloaded", "not_executed"], [None]]


async def _held(path):
    engine = await SqliteEngine.open(str(path), Limits())
    try:
        return await engine.run([[insert("x"), insert("y")], [select("row1")]])
    finally:
        await engine.close()


@pytest.mark.parametrize(
    "sql",
    [
        "ATTACH 'other.db' AS other",
        "PRAGMA synchronous = OFF",
        "COMMIT",
        "SAVEPOINT x",
        "CREATE VIEW v AS SELECT 1",
        "CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END",
        "CREATE TEMP TABLE x (a TEXT)",
        "VACUUM",
        "SELECT load_extension('x')",
        "ANALYZE",
    ],
)
def test_the_engine_refuses_by_itself_what_should_never_reach_it(path, sql):
    smuggled = Statement(sql, (), read_form("DELETE FROM t WHERE id = 'absent'"))

    ((outcome,),) = run(path, [[smuggled]])

    assert outcome[0].error is not None
    ((after,),) = run(path, [[insert("after")]])
    assert after[0].error is None


def test_a_reader_cannot_write(path):
    smuggled = Statement("DELETE FROM t", (), read_form("SELECT 1 AS x"))

    ((outcome,), (after,)) = run(path, [[smuggled]], [[select("row1")]])

    assert outcome[0].error is not None
    assert after[0].rows == [{"n": 1}]


def test_the_file_is_for_its_owner_alone(path):
    assert path.stat().st_mode & 0o077 == 0


def test_a_path_that_cannot_be_a_database_is_one_clear_error(tmp_path):
    text = tmp_path / "text"
    text.write_text("this is no database, it is a text of some length" * 100)
    for place in (tmp_path / "absent" / "a.db", tmp_path, text):
        with pytest.raises(EngineUnavailable, match=str(place)):
            asyncio.run(SqliteEngine.open(str(place), Limits()))
    for url in ("sqlite://", "sqlite:///", "sqlite:///:memory:", "mysql://x", "x", "sqlite:a.db"):
        with pytest.raises(EngineUnavailable):
            asyncio.run(open_engine(url, Limits()))
