"""Statements of many callers share a transaction on PostgreSQL, and nobody can tell."""

# ruff: noqa: S608 - the names in these texts are the tests own

import itertools
import secrets

import pytest

pytestmark = pytest.mark.postgres

INSERT = "INSERT INTO {} (id, n) VALUES (?, ?)"
TABLE = "CREATE TABLE {} (id TEXT NOT NULL PRIMARY KEY, n BIGINT CHECK (n > 0), note TEXT)"


@pytest.fixture
def table():
    return f"t_{secrets.token_hex(6)}"


@pytest.fixture
def rows(on_postgresql, table):
    on_postgresql.execute(TABLE.format(table))

    def read():
        found = on_postgresql.execute(f"SELECT id, n FROM {table} ORDER BY id")["data"]
        return {row["id"]: row["n"] for row in found}

    return read


def codes(answers):
    return [
        [step["error"]["code"] if step["error"] else step["rows_affected"] for step in steps]
        for steps in answers
    ]


def test_neighbours_of_failing_statements_are_applied_and_counted(on_postgresql, table, rows):
    on_postgresql.execute(INSERT.format(table), "standing", 1)
    insert, update = INSERT.format(table), f"UPDATE {table} SET n = ? WHERE id = ?"

    answers = on_postgresql.batch(
        [(insert, "a", 1), (update, 2, "a"), (update, 2, "nobody")],
        [(insert, "standing", 5), (insert, "never", 1)],
        [(insert, "b", 1), (insert, "c", -1), (insert, "never", 1)],
        [(f"INSERT INTO {table} (id, n) VALUES (?, ?), (?, ?)", "d", 1, "e", 2), (update, 3, "e")],
        [(insert, "f", None), (f"SELECT id, n FROM {table} WHERE id = ?", "f")],
    )

    assert codes(answers) == [
        [1, 1, 0],
        ["unique_violation", "not_executed"],
        [1, "check_violation", "not_executed"],
        [2, 1],
        [1, 1],
    ]
    assert answers[4][1]["data"] == [{"id": "f", "n": None}]
    assert rows() == {"a": 2, "b": 1, "d": 1, "e": 3, "f": None, "standing": 1}


def test_of_one_key_inserted_by_all_one_wins(on_postgresql, table, rows):
    answers = on_postgresql.batch(
        *[[(INSERT.format(table), "k", number)] for number in range(1, 40)]
    )

    won = [steps[0]["rows_affected"] for steps in answers if steps[0]["success"]]
    assert won == [1]
    assert list(rows()) == ["k"]


def test_an_upsert_counts_what_it_wrote(on_postgresql, table, rows):
    put = (
        f"INSERT INTO {table} (id, n) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET n = excluded.n"
        f" WHERE {table}.n < excluded.n"
    )

    answers = on_postgresql.batch([(put, "a", 2), (put, "a", 1), (put, "a", 3)], [(put, "b", 1)])

    assert codes(answers) == [[1, 0, 1], [1]]
    assert rows() == {"a": 3, "b": 1}


def test_sequences_that_read_answer_each_its_own_rows(on_postgresql, table, rows):
    for name, n in zip("abc", itertools.count(1)):
        on_postgresql.execute(INSERT.format(table), name, n)
    one, all_of = f"SELECT n FROM {table} WHERE id = ?", f"SELECT id FROM {table} ORDER BY id DESC"

    answers = on_postgresql.batch(
        *[[(one, name), (all_of,)] for name in "cab"],
        [(one, "nobody")],
        [("SELECT 1 / ?", 0), (one, "a")],
        [(f"SELECT a.id, b.id FROM {table} a, {table} b",)],
    )

    assert [steps[0]["data"] for steps in answers[:4]] == [[{"n": 3}], [{"n": 1}], [{"n": 2}], []]
    assert all([row["id"] for row in steps[1]["data"]] == ["c", "b", "a"] for steps in answers[:3])
    assert codes(answers[4:])[0][1] == "not_executed"
    assert codes(answers[5:]) == [["unsupported"]]


def test_a_column_may_have_any_name_of_the_contract(on_postgresql, table, rows):
    on_postgresql.execute(INSERT.format(table), "a", 1)

    answers = on_postgresql.batch([(f'SELECT n AS "call", id AS bounded FROM {table}',)])

    assert answers[0][0]["data"] == [{"call": 1, "bounded": "a"}]


def test_what_selects_while_it_writes_runs_alone(on_postgresql, table, rows):
    on_postgresql.execute(INSERT.format(table), "a", 1)
    copy = f"INSERT INTO {table} (id, n) SELECT id || ?, n FROM {table} WHERE id = ?"

    answers = on_postgresql.batch(
        [(copy, "2", "a")], [(INSERT.format(table), "b", 1)], [(copy, "2", "a")]
    )

    assert sorted(map(str, itertools.chain(*codes(answers)))) in (
        ["1", "1", "unique_violation"],
        ["1", "1", "1"],
    )
    assert rows() == {"a": 1, "a2": 1, "b": 1}


def test_writes_of_different_tables_are_one_statement_and_counted_one_by_one(
    on_postgresql, table, rows
):
    other = f"{table}_other"
    on_postgresql.execute(TABLE.format(other))
    insert, into_other = INSERT.format(table), INSERT.format(other)
    update = f"UPDATE {table} SET n = ?, note = ? WHERE id = ?"
    put = f"{into_other} ON CONFLICT (id) DO UPDATE SET n = excluded.n WHERE {other}.n < excluded.n"
    read = f"SELECT n, note FROM {table} WHERE id = ?"

    answers = on_postgresql.batch(
        [
            (insert, "a", 1),
            (into_other, "a", 1),
            (update, 2, None, "a"),
            (read, "a"),
            (put, "a", 3),
        ],
        [(f"{insert}, (?, ?)", "b", 1, "c", None), (put, "b", 1), (update, 5, "x", "nobody")],
    )
    lone = on_postgresql.batch([(insert, "d", 1), (put, "a", 2)])

    assert codes([*answers, *lone]) == [[1, 1, 1, 1, 1], [2, 1, 0], [1, 0]]
    assert answers[0][3]["data"] == [{"n": 2, "note": None}]
    assert rows() == {"a": 2, "b": 1, "c": None, "d": 1}
    assert on_postgresql.execute(f"SELECT id, n FROM {other} ORDER BY id")["data"] == [
        {"id": "a", "n": 3},
        {"id": "b", "n": 1},
    ]


def test_where_one_of_several_writes_fails_those_before_it_stand(on_postgresql, table, rows):
    other = f"{table}_other"
    on_postgresql.execute(TABLE.format(other))
    insert, into_other = INSERT.format(table), INSERT.format(other)
    on_postgresql.execute(into_other, "standing", 1)

    lone = on_postgresql.batch([(insert, "a", 1), (into_other, "standing", 2)])
    answers = on_postgresql.batch(
        [(insert, "b", 1), (into_other, "standing", 2), (insert, "never", 1)],
        [(insert, "c", 1), (into_other, "c", 2)],
        [(insert, "d", -1), (into_other, "never", 2)],
    )

    assert codes([*lone, *answers]) == [
        [1, "unique_violation"],
        [1, "unique_violation", "not_executed"],
        [1, 1],
        ["check_violation", "not_executed"],
    ]
    assert rows() == {"a": 1, "b": 1, "c": 1}
