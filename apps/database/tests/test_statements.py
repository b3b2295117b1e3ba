"""What a statement does, alike on both engines: atomicity, errors, types, order, sequences."""

# ruff: noqa: S608 - the names in these texts are the tests own

import ssl
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

# Plain HTTP only: without this, every client would load all certificates of the system.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


LARGEST = 2**63 - 1

TEXTS = [
    "",
    " ",
    "'",
    "''; DROP TABLE t; --",
    "\\",
    "\\' \\n",
    '"',
    "a,b",
    "é",
    "e\u0301",
    "\u202eright to left",
    "🏦" * 100,
    "\t\r\n\x01\x7f",
    "\ufeff\ufffe\uffff",
    "?",
    "$1",
    "%s",
    "x" * 65_536,
]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_text_comes_back_byte_for_byte(db, text):
    table = db.table("id TEXT NOT NULL PRIMARY KEY, v TEXT")
    assert db.code(f"INSERT INTO {table} (id, v) VALUES (?, ?)", "k", text) is None

    assert db.rows(f"SELECT v FROM {table} WHERE id = ?", "k") == [{"v": text}]
    assert db.rows(f"SELECT v FROM {table} WHERE v = ?", text) == [{"v": text}]


@pytest.mark.parametrize("number", [0, 1, -1, LARGEST, -LARGEST - 1, 10**15])
def test_integers_come_back(db, number):
    table = db.table("id TEXT NOT NULL PRIMARY KEY, n BIGINT")
    assert db.code(f"INSERT INTO {table} (id, n) VALUES (?, ?)", "k", number) is None

    assert db.rows(f"SELECT n FROM {table} WHERE n = ?", number) == [{"n": number}]


def test_text_keys_sort_by_bytes(db):
    keys = ["a", "B", "b", "A", "é", "z", "Z", "_", "-", "10", "9", "ab", "a b", "🏦", "\uffee"]
    table = db.table()
    for key in keys:
        assert db.code(f"INSERT INTO {table} (id) VALUES (?)", key) is None

    found = [row["id"] for row in db.rows(f"SELECT id FROM {table} ORDER BY id")]

    assert found == sorted(keys, key=str.encode)


@pytest.mark.parametrize(
    ("sql", "params", "code"),
    [
        ("INSERT INTO {t} (id, n) VALUES (?, ?)", ["taken", 1], "unique_violation"),
        ("INSERT INTO {t} (id, n) VALUES (?, ?)", [None, 1], "not_null_violation"),
        ("INSERT INTO {t} (id, n) VALUES (?, ?)", ["new", 0], "check_violation"),
        ("SELECT id FROM absent", [], "unknown_table"),
        ("INSERT INTO absent (id) VALUES (?)", ["x"], "unknown_table"),
        ("UPDATE absent SET id = ?", ["x"], "unknown_table"),
        ("SELECT absent FROM {t}", [], "syntax_error"),
        ("SELECT id FROM {t} WHERE", [], "syntax_error"),
        ("SELECT id FROM {t} WHERE id = ?", [], "syntax_error"),
        ("SELECT id FROM {t} WHERE id = ?", ["a", "b"], "syntax_error"),
        ("INSERT INTO {t} (id) VALUES (?)", ["a", "b"], "syntax_error"),
        ("SELECT 1.5 AS x", [], "unsupported"),
        ("SELECT a.id, b.id FROM {t} AS a JOIN {t} AS b ON a.id = b.id", [], "unsupported"),
        ("SELECT abs(n - 9223372036854775807 - 2) AS x FROM {t}", [], "too_large"),
    ],
)
def test_what_went_wrong_has_the_contracts_word(db, sql, params, code):
    table = db.table()
    assert db.code(f"INSERT INTO {table} (id, n) VALUES (?, ?)", "taken", 1) is None

    assert db.code(sql.format(t=table), *params) == code
    assert db.rows(f"SELECT id, n FROM {table}") == [{"id": "taken", "n": 1}]


def test_a_violated_constraint_is_named_by_its_columns(db):
    table = db.table("id TEXT NOT NULL PRIMARY KEY, a TEXT, b TEXT NOT NULL, UNIQUE (a, b)")
    insert = f"INSERT INTO {table} (id, a, b) VALUES (?, ?, ?)"
    assert db.code(insert, "1", "x", "y") is None

    constraints = [
        db.execute(insert, *values)["error"]["constraint"]
        for values in (["1", "p", "q"], ["2", "x", "y"], ["3", "x", None])
    ]

    assert constraints == [f"{table}.id", f"{table}.a, {table}.b", f"{table}.b"]


def test_an_insert_of_many_rows_is_applied_wholly_or_not_at_all(db):
    table = db.table()
    insert = f"INSERT INTO {table} (id, n) VALUES (?, ?), (?, ?), (?, ?)"

    assert db.code(insert, "a", 1, "b", 2, "a", 3) == "unique_violation"
    assert db.code(insert, "a", 1, "b", 2, "c", 0) == "check_violation"
    assert db.code(insert, "a", 1, "b", 2, None, 3) == "not_null_violation"
    assert db.rows(f"SELECT id FROM {table}") == []

    assert db.execute(insert, "a", 1, "b", 2, "c", 3)["rows_affected"] == 3


def test_an_update_of_many_rows_is_applied_wholly_or_not_at_all(db):
    table = db.table("id TEXT NOT NULL PRIMARY KEY, n BIGINT CHECK (n < 5), m BIGINT")
    for number in range(4):
        db.execute(f"INSERT INTO {table} (id, n, m) VALUES (?, ?, ?)", f"{number}", number, 0)
    db.execute(f"UPDATE {table} SET m = ? WHERE id = ?", -LARGEST - 1, "3")

    assert db.code(f"UPDATE {table} SET n = n + 2") == "check_violation"
    # No constraint is in the way of this one: the third row overflows while it runs.
    assert db.code(f"UPDATE {table} SET m = abs(m), n = n - 10") == "too_large"

    assert db.rows(f"SELECT n FROM {table} ORDER BY id") == [{"n": n} for n in range(4)]


def test_counts_are_of_the_rows_changed(db):
    table = db.table()
    db.execute(f"INSERT INTO {table} (id, n) VALUES ('a', 1), ('b', 1), ('c', 2)")

    def affected(sql, *params):
        return db.execute(sql.format(t=table), *params)["rows_affected"]

    assert affected("UPDATE {t} SET n = ? WHERE n = ?", 5, 1) == 2
    assert affected("UPDATE {t} SET n = ? WHERE n = ?", 5, 1) == 0
    assert affected("UPDATE {t} SET n = n") == 3
    assert affected("INSERT INTO {t} (id, n) SELECT id || ?, n FROM {t} WHERE n = ?", "x", 5) == 2
    assert affected("INSERT INTO {t} (id, n) SELECT id || ?, n FROM {t} WHERE n = ?", "x", 9) == 0
    upsert = "INSERT INTO {t} (id, n) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET n = excluded.n"
    assert affected(upsert + " WHERE {t}.n < excluded.n", "a", 4) == 0
    assert affected(upsert + " WHERE {t}.n < excluded.n", "a", 6) == 1
    assert affected("DELETE FROM {t} WHERE id = ?", "a") == 1
    assert affected("SELECT id FROM {t}") == 4
    assert affected("ALTER TABLE {t} ADD COLUMN m BIGINT NOT NULL DEFAULT 7") == 0
    assert db.rows(f"SELECT DISTINCT m FROM {table}") == [{"m": 7}]


def test_a_placeholder_means_the_same_wherever_it_stands(db):
    table = db.table("id TEXT NOT NULL PRIMARY KEY, n BIGINT, v TEXT")
    insert = f"INSERT INTO {table} (id, n, v) SELECT ?, ?, ? UNION ALL SELECT ? || ?, ?, ?"
    assert db.code(insert, "a", 1, None, "b", "c", None, "v") is None

    assert db.rows(f"SELECT ? AS s, ? AS i FROM {table} LIMIT ?", "x", 1, 1) == [{"s": "x", "i": 1}]
    assert db.rows(f"SELECT COALESCE(v, ?) AS v FROM {table} ORDER BY id", "none") == [
        {"v": "none"},
        {"v": "v"},
    ]
    assert db.rows(
        f"SELECT CASE WHEN n > ? THEN ? ELSE ? END AS k FROM {table} ORDER BY id", 0, 7, 8
    ) == [
        {"k": 7},
        {"k": 8},
    ]
    assert db.rows("SELECT CAST(? AS BIGINT) AS n", "12") == [{"n": 12}]
    assert db.rows(f"SELECT id FROM {table} WHERE (id, ?) > (?, ?)", 1, "a", 0) == [
        {"id": "a"},
        {"id": "bc"},
    ]


def test_a_statement_fails_alone_among_its_neighbours_of_one_commit(db):
    table = db.table()
    insert = f"INSERT INTO {table} (id, n) VALUES (?, ?)"
    pair = f"INSERT INTO {table} (id, n) VALUES (?, ?), (?, ?)"
    sequences = []
    for number in range(60):
        sequences += [
            [(insert, f"good{number}", 1)],
            [(insert, "same", 1)],
            [(pair, f"torn{number}", 1, "same", 1)],
            [(insert, f"bad{number}", 0)],
            [(f"UPDATE {table} SET n = abs(-9223372036854775807 - n)",)],
            [("INSERT INTO absent (id) VALUES (?)", "x")],
            [("SELEC",)],
        ]
    with ThreadPoolExecutor(6) as threads:
        answers = list(
            threads.map(lambda start: db.batch(*sequences[start : start + 70]), range(0, 420, 70))
        )

    codes = [
        answer["error"] and answer["error"]["code"] for results in answers for (answer,) in results
    ]
    assert codes[0::7] == [None] * 60
    claims = codes[1::7] + codes[2::7]  # whoever comes first has "same", alone or with its pair
    assert sorted(map(str, claims)) == ["None"] + ["unique_violation"] * 119
    assert codes[3::7] == ["check_violation"] * 60
    assert set(codes[4::7]) <= {"too_large", None}
    assert codes[5::7] == ["unknown_table"] * 60
    assert codes[6::7] == ["syntax_error"] * 60
    ids = {row["id"] for row in db.rows(f"SELECT id FROM {table}")}
    with_pair = {f"torn{n}" for n, code in enumerate(codes[2::7]) if code is None}
    assert ids == {f"good{n}" for n in range(60)} | {"same"} | with_pair


def test_a_sequence_runs_in_order_and_stops_at_its_first_failure(db):
    table = db.table()
    insert = f"INSERT INTO {table} (id, n) VALUES (?, ?)"

    first, second, third = db.batch(
        [
            (f"SELECT id FROM {table} WHERE id = ?", "a"),
            (insert, "a", 1),
            (f"SELECT id FROM {table} WHERE id = ?", "a"),
            (insert, "a", 1),
            (insert, "never", 1),
            (f"SELECT id FROM {table}",),
        ],
        [(insert, "b", 1), ("PRAGMA x",), (insert, "never", 1)],
        [(f"SELECT absent FROM {table}",), (f"SELECT id FROM {table}",)],
    )

    assert [answer["data"] for answer in first[:3]] == [[], [], [{"id": "a"}]]
    codes = [[a["error"] and a["error"]["code"] for a in steps] for steps in (first, second, third)]
    assert codes[0] == [None, None, None, "unique_violation", "not_executed", "not_executed"]
    assert codes[1] == [None, "unsupported", "not_executed"]
    assert codes[2] == ["syntax_error", "not_executed"]
    assert [r["id"] for r in db.rows(f"SELECT id FROM {table} ORDER BY id")] == ["a", "b"]


def race(db, rounds, clients=64):
    """Clients insert one key at once, over and over; how often each round was won."""
    table = db.table("id TEXT NOT NULL PRIMARY KEY, client BIGINT NOT NULL")
    insert = f"INSERT INTO {table} (id, client) VALUES (?, ?)"
    barrier = threading.Barrier(clients)
    wins = [[] for _ in range(rounds)]

    def client(number):
        with httpx.Client(verify=PLAIN, base_url=db.base_url, timeout=60) as http:
            for turn in range(rounds):
                barrier.wait(timeout=60)
                body = {"sql": insert, "params": [f"key{turn}", number]}
                answer = http.post("/execute", json=body).json()
                if answer["success"]:
                    wins[turn].append(number)
                else:
                    assert answer["error"]["code"] == "unique_violation"

    with ThreadPoolExecutor(clients) as threads:
        list(threads.map(client, range(clients)))
    found = db.rows(f"SELECT id, client FROM {table}")
    assert {row["id"]: row["client"] for row in found} == {
        f"key{turn}": winners[0] for turn, winners in enumerate(wins)
    }
    return [len(winners) for winners in wins]


def test_one_of_64_clients_wins_a_key(db):
    assert race(db, rounds=10) == [1] * 10


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_of_64_clients_wins_a_key_a_thousand_times(db):
    assert race(db, rounds=1000) == [1] * 1000


def test_two_updates_of_one_row_do_not_both_see_the_old_row(db):
    table = db.table("id TEXT NOT NULL PRIMARY KEY, nonce TEXT NOT NULL")
    db.execute(f"INSERT INTO {table} (id, nonce) VALUES (?, ?)", "a", "0")

    def take(number):
        with httpx.Client(verify=PLAIN, base_url=db.base_url, timeout=30) as http:
            body = {
                "sql": f"UPDATE {table} SET nonce = ? WHERE nonce = ?",
                "params": [f"by{number}", "0"],
            }
            return http.post("/execute", json=body).json()["rows_affected"]

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(take, range(16))) == 1


def test_a_table_can_be_created_by_many_at_once(db):
    name = db.table().replace("t", "many")
    sql = f"CREATE TABLE IF NOT EXISTS {name} (id TEXT NOT NULL PRIMARY KEY)"
    index = f"CREATE INDEX IF NOT EXISTS {name}_i ON {name} (id)"

    answers = db.batch(*[[(sql,), (index,)] for _ in range(20)])

    assert all(answer["success"] for steps in answers for answer in steps)


def test_a_large_result_comes_whole_and_a_larger_one_is_refused(db):
    table = db.table("id BIGINT NOT NULL PRIMARY KEY, v TEXT NOT NULL")
    db.execute(f"INSERT INTO {table} (id, v) VALUES (0, ?)", "x" * 100)
    for power in range(12):
        db.execute(f"INSERT INTO {table} (id, v) SELECT id + ?, v FROM {table}", 2**power)

    rows = db.rows(f"SELECT id, v FROM {table} ORDER BY id DESC")
    assert [row["id"] for row in rows] == list(range(4095, -1, -1))
    many = f"SELECT a.id, b.v FROM {table} AS a JOIN {table} AS b ON b.id < 16"
    assert db.code(many) == "too_large"
    seven = " || ".join(["a.v"] * 7)
    wide = f"SELECT {seven} AS v FROM {table} AS a JOIN {table} AS b ON b.id < 10"
    assert db.code(wide) == "too_large"
