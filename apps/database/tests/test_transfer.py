"""Export, import and verify between engines, by the commands of docs/moving-to-postgresql.md."""

import sqlite3

import pytest
from fintech_database.cli import app
from fintech_database.testing import create_database
from typer.testing import CliRunner

TABLES = [
    """CREATE TABLE IF NOT EXISTS journal (entry_id TEXT NOT NULL PRIMARY KEY, seq BIGINT NOT NULL,
    data TEXT, dispatched BIGINT NOT NULL DEFAULT 0, CHECK (seq > 0), UNIQUE (seq, data))""",
    "CREATE INDEX IF NOT EXISTS journal_open ON journal (dispatched)",
    """CREATE TABLE IF NOT EXISTS lines (stream TEXT NOT NULL, seq BIGINT NOT NULL, note TEXT,
    PRIMARY KEY (stream, seq))""",
    "CREATE TABLE IF NOT EXISTS keyless (a TEXT, b BIGINT)",
    "CREATE TABLE IF NOT EXISTS unused (id TEXT NOT NULL PRIMARY KEY)",
    "ALTER TABLE journal ADD COLUMN sealed BIGINT NOT NULL DEFAULT 0",
]


def command(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def done(*arguments):
    result = command(*arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.fixture
def source(tmp_path):
    db = sqlite3.connect(tmp_path / "source.db")
    for sql in TABLES:
        db.execute(sql)
    for number in range(1, 1201):
        text = None if number % 7 == 0 else f"é\n\"'{number}🏦\u2028"
        db.execute(
            "INSERT INTO journal (entry_id, seq, data) VALUES (?, ?, ?)",
            (f"m/{number % 13}:{number}", number, text),
        )
        db.execute("INSERT INTO lines VALUES (?, ?, ?)", ("aBc"[number % 3], number, None))
        db.execute("INSERT INTO keyless VALUES (?, ?)", (text, None if number % 5 else -(2**63)))
    db.commit()
    db.close()
    return f"sqlite:///{tmp_path}/source.db"


@pytest.mark.postgres
def test_a_database_moves_to_postgresql_and_back(source, postgresql, tmp_path):
    target, file = create_database(postgresql), tmp_path / "export.jsonl"

    exported = done("export", "--url", source, file)
    assert done("import", "--url", target, file) == exported
    assert done("verify", "--url", target, file) == exported
    # A repeated import finds everything there.
    assert done("import", "--url", target, file) == exported

    done("export", "--url", target, tmp_path / "back.jsonl")
    back = f"sqlite:///{tmp_path}/back.db"
    refused = command("import", "--url", back, tmp_path / "back.jsonl")
    assert refused.exit_code == 1
    assert "migrations" in refused.stderr
    db = sqlite3.connect(tmp_path / "back.db")
    for sql in TABLES:
        db.execute(sql)
    db.close()
    done("import", "--url", back, tmp_path / "back.jsonl")
    assert done("verify", "--url", back, file) == exported
    assert [line.partition(",")[0] for line in exported.splitlines()] == [
        "journal: 1200 rows",
        "keyless: 1200 rows",
        "lines: 1200 rows",
        "unused: 0 rows",
    ]


def test_a_difference_is_found_and_an_import_changes_nothing_then(source, tmp_path):
    file, target = tmp_path / "export.jsonl", f"sqlite:///{tmp_path}/target.db"
    done("export", "--url", source, file)
    done("import", "--url", target, file)
    db = sqlite3.connect(tmp_path / "target.db")
    db.execute("UPDATE journal SET dispatched = 1 WHERE seq = 600")
    db.execute("DROP TABLE lines")
    db.commit()
    db.close()

    verified, imported = (
        command("verify", "--url", target, file),
        command("import", "--url", target, file),
    )

    assert verified.exit_code == imported.exit_code == 1
    assert "journal: 1200 rows in the file, 1200 here" in verified.stderr
    assert "lines: 1200 rows in the file, 0 here" in verified.stderr
    db = sqlite3.connect(tmp_path / "target.db")
    assert db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'lines'").fetchone() == (0,)
    db.close()


def test_a_damaged_file_is_refused_and_nothing_is_imported(source, tmp_path):
    file = tmp_path / "export.jsonl"
    done("export", "--url", source, file)
    lines = file.read_text().splitlines(keepends=True)
    damaged = {
        "cut off": lines[:600],
        "one row less": lines[:100] + lines[101:],
        "two rows swapped": [*lines[:100], lines[101], lines[100], *lines[102:]],
        "a changed amount": [line.replace(",600,", ",601,") for line in lines],
        "not an export": ["{}\n"],
        "another statement": [line.replace("CREATE INDEX", "DROP TABLE x; --") for line in lines],
        "empty": [],
    }
    for name, content in damaged.items():
        (tmp_path / "bad.jsonl").write_text("".join(content))
        result = command(
            "import", "--url", f"sqlite:///{tmp_path}/target.db", tmp_path / "bad.jsonl"
        )
        assert result.exit_code == 1, name
        assert len(result.stderr.splitlines()) == 1, result.stderr
        db = sqlite3.connect(tmp_path / "target.db")
        assert db.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,), name
        db.close()


def test_what_the_contract_does_not_know_is_named_and_not_moved(source, tmp_path):
    db = sqlite3.connect(tmp_path / "source.db")
    db.execute("INSERT INTO lines VALUES ('x', 'abc', NULL)")
    db.execute("UPDATE keyless SET b = 1.5 WHERE b IS NOT NULL")
    db.commit()
    db.close()

    result = command("export", "--url", source, tmp_path / "export.jsonl")

    assert result.exit_code == 1
    assert "a float in b" in result.stderr
    assert not (tmp_path / "export.jsonl").exists()
