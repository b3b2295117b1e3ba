"""Which statements are let through, judged from their text."""

import pytest
from fintech_database.forms import FormCache, FormRefused, Kind, read_form

ACCEPTED = {
    "SELECT 1 AS x": Kind.READ,
    "select a from t where b = ? order by a limit ?;": Kind.READ,
    "SELECT a FROM t -- the end; of it\n ; -- and more": Kind.READ,
    "/* ; */ SELECT ';' AS \"a;b\" FROM t": Kind.READ,
    "SELECT COUNT(*) AS n, CAST(SUM(b) AS BIGINT) AS s FROM t GROUP BY a": Kind.READ,
    "SELECT a FROM t WHERE (b, c) > (?, ?) AND a IN (?, ?)": Kind.READ,
    "SELECT CASE WHEN (b > 1) THEN (1) ELSE (2) END AS x FROM t": Kind.READ,
    "SELECT a FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.a = t.a)": Kind.READ,
    "SELECT a FROM t UNION ALL (SELECT b FROM u)": Kind.READ,
    "SELECT t.a FROM t LEFT JOIN u ON (u.a = t.a)": Kind.READ,
    "SELECT 'it''s pg_sleep(1); PRAGMA x' AS x": Kind.READ,
    "INSERT INTO t (a, b) VALUES (?, ?), (?, 'x')": Kind.WRITE,
    'INSERT INTO "t" ("a") VALUES (?)': Kind.WRITE,
    "INSERT INTO t (a) VALUES (?) ON CONFLICT (a) DO UPDATE SET b = excluded.b WHERE t.b < 1": (
        Kind.WRITE
    ),
    "INSERT INTO t (a) SELECT a FROM u ORDER BY a LIMIT 5": Kind.WRITE,
    "UPDATE t SET a = (b + 1) WHERE c = ?": Kind.WRITE,
    "DELETE FROM t WHERE a = ?": Kind.WRITE,
    "CREATE TABLE IF NOT EXISTS t (a TEXT NOT NULL PRIMARY KEY, b BIGINT DEFAULT (0)"
    ", UNIQUE (a, b), CHECK (b > 0))": Kind.SCHEMA,
    "CREATE TABLE t (a TEXT, CHECK (a IN ('x', 'y')))": Kind.SCHEMA,
    "CREATE INDEX IF NOT EXISTS i ON t (a, b)": Kind.SCHEMA,
    "CREATE UNIQUE INDEX i ON t (a)": Kind.SCHEMA,
    "ALTER TABLE t ADD COLUMN c BIGINT NOT NULL DEFAULT 0": Kind.SCHEMA,
    "DROP TABLE IF EXISTS t": Kind.SCHEMA,
}

REFUSED = [
    "SELECT 1 AS x; SELECT 2 AS x",
    "SELECT 1 AS x; DROP TABLE t",
    "SELECT 1 AS x;;",
    "INSERT INTO t (a) VALUES (1);/**/DELETE FROM t",
    "PRAGMA synchronous = OFF",
    "ATTACH 'x.db' AS x",
    "DETACH x",
    "VACUUM INTO 'x.db'",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT x",
    "EXPLAIN SELECT 1",
    "ANALYZE",
    "REINDEX",
    "REPLACE INTO t (a) VALUES (1)",
    "INSERT OR ROLLBACK INTO t (a) VALUES (1)",
    "INSERT OR FAIL INTO t (a) VALUES (1)",
    "UPDATE OR ROLLBACK t SET a = 1",
    "CREATE TABLE t (a TEXT UNIQUE ON CONFLICT ROLLBACK)",
    "CREATE TABLE t (a TEXT UNIQUE /* */ ON\nCONFLICT FAIL)",
    "CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END",
    "CREATE TEMP TABLE t (a TEXT)",
    "CREATE VIEW v AS SELECT 1",
    "CREATE VIRTUAL TABLE v USING fts5(a)",
    "CREATE TABLE t (a TEXT REFERENCES u (a))",
    "CREATE INDEX CONCURRENTLY i ON t (a)",
    "ALTER TABLE t DROP COLUMN a",
    "ALTER TABLE t RENAME TO u",
    "ALTER TABLE t ADD COLUMN a TEXT, DROP COLUMN b",
    "COPY t FROM PROGRAM 'id'",
    "COPY t TO '/tmp/x'",
    "DO 'BEGIN END'",
    "SET ROLE x",
    "LISTEN x",
    "NOTIFY x",
    "TRUNCATE t",
    "LOCK TABLE t",
    "GRANT ALL ON t TO x",
    "CALL x()",
    "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x",
    "SELECT * FROM (WITH RECURSIVE x AS (SELECT 1) SELECT * FROM x) AS y",
    "INSERT INTO t (a) VALUES (1) RETURNING a",
    "SELECT * INTO u FROM t",
    "SELECT 1INTO u",
    "INSERT INTO t (a) SELECT 1 INTO u",
    "SELECT load_extension('x')",
    "SELECT readfile('/etc/passwd') AS x",
    "SELECT writefile('x', 'y')",
    "SELECT pg_read_file('/etc/passwd') AS x",
    "SELECT pg_sleep(10)",
    'SELECT "pg_sleep"(10)',
    "SELECT pg_catalog.pg_sleep(10)",
    "SELECT pg_sleep/**/(10)",
    "SELECT PG_SLEEP\n(10)",
    'SELECT U&"\\0070g_sleep"(10)',
    "SELECT lo_import('/etc/passwd') AS x",
    "SELECT dblink('x', 'y') AS x",
    "SELECT now() AS x",
    "SELECT random() AS x",
    "SELECT randomblob(1000000000) AS x",
    "SELECT * FROM generate_series(1, 1000000000)",
    "SELECT * FROM pragma_table_info('t')",
    "SELECT * FROM sqlite_schema",
    'SELECT * FROM "sqlite_master"',
    "UPDATE sqlite_schema SET sql = ''",
    "SELECT * FROM pg_catalog.pg_authid",
    "SELECT * FROM information_schema.tables",
    "INSERT INTO public.t (a) VALUES (1)",
    "SELECT E'\\'' AS x",
    "SELECT X'00' AS x",
    "SELECT $$x$$ AS x",
    "SELECT $tag$ x $tag$ AS x",
    "SELECT $1 AS x",
    "SELECT ?1 AS x",
    "SELECT :a AS x",
    "SELECT @a AS x",
    "SELECT 1::text AS x",
    "SELECT [a] FROM t",
    "SELECT `a` FROM t",
    "SELECT a$b FROM t",
    "SELECT a FROM t WHERE a ~ '(a+)+$'",
    "SELECT {fn x} AS x",
    "SELECT /* /* */ 1 AS x -- */",
    "SELECT 1 -- \r , pg_sleep(1)",
    "SELECT é FROM t",
    "SELECT \\x",
]

BROKEN = [
    "",
    " \n\t",
    ";",
    "-- nothing",
    "SELEC 1",
    "FROM t",
    "1",
    "SELECT 'x",
    'SELECT "x',
    "SELECT (1",
    "SELECT 1)",
    "SELECT 1) AS x, (SELECT 2",
    "SELECT \0",
    "'SELECT 1'",
]


@pytest.mark.parametrize("sql", ACCEPTED)
def test_a_statement_of_the_contract_is_known_for_what_it_does(sql):
    assert read_form(sql).kind is ACCEPTED[sql]


@pytest.mark.parametrize("sql", REFUSED)
def test_a_statement_outside_the_contract_is_refused(sql):
    with pytest.raises(FormRefused) as refusal:
        read_form(sql)
    assert refusal.value.code == "unsupported"


@pytest.mark.parametrize("sql", BROKEN)
def test_a_text_that_is_no_statement_is_a_syntax_error(sql):
    with pytest.raises(FormRefused) as refusal:
        read_form(sql)
    assert refusal.value.code == "syntax_error"


def test_an_unclosed_comment_is_refused():
    with pytest.raises(FormRefused):
        read_form("SELECT 1 /* AS x")


def test_sizes_have_limits():
    for sql in ("SELECT '" + "x" * 300_000 + "'", "SELECT " + "(" * 65 + "1" + ")" * 65):
        with pytest.raises(FormRefused) as refusal:
            read_form(sql)
        assert refusal.value.code == "too_large"


def test_placeholders_are_those_outside_strings_names_and_comments():
    form = read_form("SELECT '?', \"?\", ? -- ?\n, /* ? */ ? AS x;")

    assert form.placeholders == 2
    assert form.pieces == ("SELECT '?', \"?\", ", " -- ?\n, /* ? */ ", " AS x")


def test_the_memory_of_forms_is_bounded():
    cache = FormCache(characters_max=1_000)

    for number in range(1_000):
        cache.read(f"SELECT {number} AS x")

    assert len(cache._forms) < 70
    assert cache._characters <= 1_000
    assert cache.read("SELECT 999 AS x") is cache.read("SELECT 999 AS x")


@pytest.mark.parametrize("sql", REFUSED)
def test_a_refused_statement_reaches_no_engine(db, sql):
    assert db.code(sql) == "unsupported"
