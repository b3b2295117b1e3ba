defmodule FintechDatabase.FormTest do
  @moduledoc "Which statements are let through: the corpus of the Python service, and our rewriting."

  use ExUnit.Case, async: true

  alias FintechDatabase.Form
  alias FintechDatabase.Form.Tokenizer

  @accepted [
    {"SELECT 1 AS x", :read},
    {"select a from t where b = ? order by a limit ?;", :read},
    {"SELECT a FROM t -- the end; of it\n ; -- and more", :read},
    {"/* ; */ SELECT ';' AS \"a;b\" FROM t", :read},
    {"SELECT COUNT(*) AS n, CAST(SUM(b) AS BIGINT) AS s FROM t GROUP BY a", :read},
    {"SELECT a FROM t WHERE (b, c) > (?, ?) AND a IN (?, ?)", :read},
    {"SELECT CASE WHEN (b > 1) THEN (1) ELSE (2) END AS x FROM t", :read},
    {"SELECT a FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.a = t.a)", :read},
    {"SELECT a FROM t UNION ALL (SELECT b FROM u)", :read},
    {"SELECT t.a FROM t LEFT JOIN u ON (u.a = t.a)", :read},
    {"SELECT 'it''s pg_sleep(1); PRAGMA x' AS x", :read},
    {"INSERT INTO t (a, b) VALUES (?, ?), (?, 'x')", :write},
    {"INSERT INTO \"t\" (\"a\") VALUES (?)", :write},
    {"INSERT INTO t (a) VALUES (?) ON CONFLICT (a) DO UPDATE SET b = excluded.b WHERE t.b < 1",
     :write},
    {"INSERT INTO t (a) SELECT a FROM u ORDER BY a LIMIT 5", :write},
    {"UPDATE t SET a = (b + 1) WHERE c = ?", :write},
    {"DELETE FROM t WHERE a = ?", :write},
    {"CREATE TABLE IF NOT EXISTS t (a TEXT NOT NULL PRIMARY KEY, b BIGINT DEFAULT (0), UNIQUE (a, b), CHECK (b > 0))",
     :schema},
    {"CREATE TABLE t (a TEXT, CHECK (a IN ('x', 'y')))", :schema},
    {"CREATE INDEX IF NOT EXISTS i ON t (a, b)", :schema},
    {"CREATE UNIQUE INDEX i ON t (a)", :schema},
    {"ALTER TABLE t ADD COLUMN c BIGINT NOT NULL DEFAULT 0", :schema},
    {"DROP TABLE IF EXISTS t", :schema}
  ]

  @refused [
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
    "SELECT \"pg_sleep\"(10)",
    "SELECT pg_catalog.pg_sleep(10)",
    "SELECT pg_sleep/**/(10)",
    "SELECT PG_SLEEP\n(10)",
    "SELECT U&\"\\0070g_sleep\"(10)",
    "SELECT lo_import('/etc/passwd') AS x",
    "SELECT dblink('x', 'y') AS x",
    "SELECT now() AS x",
    "SELECT random() AS x",
    "SELECT randomblob(1000000000) AS x",
    "SELECT * FROM generate_series(1, 1000000000)",
    "SELECT * FROM pragma_table_info('t')",
    "SELECT * FROM sqlite_schema",
    "SELECT * FROM \"sqlite_master\"",
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
    "SELECT \\x"
  ]

  @broken [
    "",
    " \n\t",
    ";",
    "-- nothing",
    "SELEC 1",
    "FROM t",
    "1",
    "SELECT 'x",
    "SELECT \"x",
    "SELECT (1",
    "SELECT 1)",
    "SELECT 1) AS x, (SELECT 2",
    "SELECT \0",
    "'SELECT 1'"
  ]

  test "a statement of the contract is known for what it does" do
    for {sql, kind} <- @accepted, do: assert({sql, kind} == {sql, Form.read(sql).kind})
  end

  test "a statement outside the contract is refused" do
    for sql <- @refused, do: assert({_, {:error, :unsupported, _, _}} = {sql, Form.read(sql)})
  end

  test "a text that is no statement is a syntax error" do
    for sql <- @broken, do: assert({_, {:error, :syntax_error, _, _}} = {sql, Form.read(sql)})
  end

  test "sizes have limits" do
    for sql <- [
          "SELECT '" <> String.duplicate("x", 300_000) <> "'",
          "SELECT " <> String.duplicate("(", 65) <> "1" <> String.duplicate(")", 65)
        ],
        do: assert({:error, :too_large, _, _} = Form.read(sql))

    # The limit counts characters, not bytes.
    assert %Form{} = Form.read("SELECT '" <> String.duplicate("é", 200_000) <> "' AS x")
  end

  test "placeholders are those outside strings, names and comments" do
    form = Form.read("SELECT '?', \"?\", ? -- ?\n, /* ? */ ? AS x;")
    assert form.placeholders == 2
  end

  test "what ends a statement is cut off" do
    assert Form.read(" SELECT 1 AS x ; -- and more").sql == " SELECT 1 AS x"
  end

  test "a quoted name never becomes a string" do
    assert Form.read(~S|SELECT "a""b`c" FROM "t" WHERE x = '"y"'|).sql ==
             ~S|SELECT `a"b``c` FROM `t` WHERE x = '"y"'|
  end

  test "how a SELECT limits its rows is known" do
    for {sql, limit} <- [
          {"SELECT a FROM t", :none},
          {"SELECT a FROM t LIMIT 5", {:number, 5}},
          {"SELECT a FROM t WHERE b = ? LIMIT ?", {:placeholder, 2}},
          {"SELECT a FROM t LIMIT ? OFFSET ?", {:placeholder, 1}},
          {"SELECT a FROM (SELECT a FROM t LIMIT 5) AS x", :none},
          {"SELECT a FROM t UNION ALL SELECT b FROM u LIMIT 7", {:number, 7}},
          {"SELECT a FROM t LIMIT 1 + 1", :expression},
          {"SELECT a FROM t LIMIT -1", :expression},
          {"SELECT a FROM t LIMIT 1, 2", :expression},
          {"SELECT a FROM t LIMIT (1)", :expression}
        ],
        do: assert({sql, limit} == {sql, Form.read(sql).limit})
  end

  test "an INSERT of nothing but rows is known, with the text of its rows" do
    for {sql, values} <- [
          {"INSERT INTO t (a, b) VALUES (?, ?);", {1, " (?, ?)"}},
          {"INSERT INTO t VALUES (?, (1)), (2, 'x, (y)') -- end", {2, " (?, (1)), (2, 'x, (y)')"}},
          {~S|INSERT INTO "t" ("a") values(?)|, {1, "(?)"}},
          {"INSERT INTO t (a) VALUES (\"a\")", nil},
          {"INSERT INTO t (a) VALUES ((SELECT 1))", nil},
          {"INSERT INTO t (a) VALUES (?) ON CONFLICT (a) DO NOTHING", nil},
          {"INSERT INTO t (a) VALUES (?) LIMIT 1", nil},
          {"INSERT INTO t (a) VALUES (?) (?)", nil},
          {"INSERT INTO t (a) VALUES (?),", nil},
          {"INSERT INTO t (a) VALUES", nil},
          {"INSERT INTO t (a) SELECT 1", nil},
          {"DELETE FROM t", nil}
        ],
        do: assert({sql, values} == {sql, Form.read(sql).values})
  end

  test "tokens know where they stand" do
    assert {:ok, tokens} = Tokenizer.tokens("SELECT a.b, 'it''s' -- x\nFROM t WHERE c >= 1.5e3")

    assert for({group, text, _, _} <- tokens, do: {group, text}) == [
             {:word, "SELECT"},
             {:word, "a"},
             {:mark, "."},
             {:word, "b"},
             {:mark, ","},
             {:string, "'it''s'"},
             {:word, "FROM"},
             {:word, "t"},
             {:word, "WHERE"},
             {:word, "c"},
             {:mark, ">"},
             {:mark, "="},
             {:number, "1.5e3"}
           ]
  end

  test "any bytes are a form or a refusal, never a crash" do
    pieces = [
      "SELECT",
      "'",
      "\"",
      "--",
      "/*",
      "*/",
      "\n",
      "\r",
      ";",
      "?",
      "(",
      ")",
      "a",
      "1",
      " ",
      "e",
      "é",
      "\0"
    ]

    :rand.seed(:exsss, {1, 2, 3})

    for _ <- 1..5_000 do
      sql = Enum.map_join(1..:rand.uniform(12), fn _ -> Enum.random(pieces) end)
      assert match?(%Form{}, Form.read(sql)) or match?({:error, _, _, _}, Form.read(sql))
    end
  end
end
