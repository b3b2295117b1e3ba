"""An engine with the core profile only, as a process: the least that the contract accepts.

It speaks ``{"sql"}`` only (no parameters, no batches), answers errors as bare strings, ``/health``
with a bare ``ok``, and knows three forms of statement. Two tables are there from the start:
``<prefix>_rows`` and ``<prefix>_lines``. In-memory SQLite does the work, one statement at a time.

``--broken`` makes it break one promise, to show that the kit sees it.
"""

import argparse
import asyncio
import contextlib
import json
import re
import sqlite3

TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<integer>\(-\d+(?: - 1)?\)|\d+)|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<sign>[(),=*]))"
)
BROKEN = [
    "keys",
    "torn",
    "collation",
    "text",
    "count",
    "stale",
    "torn_reads",
    "scripts",
    "checks",
    "integers",
    "race",
]


class Unknown(Exception):
    """An error of the engine, as a word."""


def tokens(sql: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while at < len(sql.rstrip()):
        match = TOKEN.match(sql, at)
        if match is None:
            raise Unknown("syntax_error")
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found


class Form:
    """Recognises the three statements, token by token."""

    def __init__(self, sql: str) -> None:
        self.tokens = [*tokens(sql), ("end", "")]
        self.at = 0

    def take(self, kind: str, value: str | None = None) -> str:
        found, text = self.tokens[self.at]
        if found != kind or (value is not None and text.upper() != value):
            raise Unknown("unsupported")
        self.at += 1
        return text

    def literal(self) -> str:
        found, text = self.tokens[self.at]
        if found == "word" and text.upper() != "NULL":
            raise Unknown("unsupported")
        if found not in {"text", "integer", "word"}:
            raise Unknown("unsupported")
        self.at += 1
        return text

    def listed(self, take) -> list[str]:
        items = [take()]
        while self.tokens[self.at] == ("sign", ","):
            self.at += 1
            items.append(take())
        return items

    def in_parentheses(self, take) -> list[str]:
        self.take("sign", "(")
        items = self.listed(take)
        self.take("sign", ")")
        return items

    def word(self) -> str:
        return self.take("word")

    def assignment(self) -> str:
        column = self.word()
        self.take("sign", "=")
        return f"{column} = {self.literal()}"

    def read(self) -> tuple[str, list[str]]:
        """The kind of statement, and it rewritten: for INSERT one statement per row besides."""
        kind = self.word().upper()
        if kind == "INSERT":
            self.take("word", "INTO")
            head = (
                f"INSERT INTO {self.word()} ({', '.join(self.in_parentheses(self.word))}) VALUES "  # noqa: S608 - built of the test's own words
            )
            self.take("word", "VALUES")
            rows = self.listed(lambda: f"({', '.join(self.in_parentheses(self.literal))})")
            parts = [head + ", ".join(rows), *[head + row for row in rows]]
        elif kind == "SELECT":
            columns = self.listed(self.word)
            self.take("word", "FROM")
            table = self.word()
            self.take("word", "WHERE")
            parts = [f"SELECT {', '.join(columns)} FROM {table} WHERE {self.assignment()}"]  # noqa: S608 - built of the test's own words
        elif kind == "UPDATE":
            table = self.word()
            self.take("word", "SET")
            changes = self.listed(self.assignment)
            self.take("word", "WHERE")
            parts = [f"UPDATE {table} SET {', '.join(changes)} WHERE {self.assignment()}"]  # noqa: S608 - built of the test's own words
        else:
            raise Unknown("unsupported" if kind in {"CREATE", "ALTER", "DROP"} else "syntax_error")
        self.take("end")
        return kind, parts


class Engine:
    def __init__(self, prefix: str, broken: str) -> None:
        self.broken = broken
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        collate = "COLLATE NOCASE" if broken == "collation" else ""
        key = "" if broken == "keys" else "PRIMARY KEY"
        check = "" if broken == "checks" else "CHECK (n > 0 AND n <= 1000000000000000)"
        self.connection.execute(
            f"CREATE TABLE {prefix}_rows (k TEXT NOT NULL {collate} {key}, grp TEXT NOT NULL, "
            f"u TEXT NOT NULL UNIQUE, n BIGINT NOT NULL {check}, t TEXT, b BIGINT)"
        )
        self.connection.execute(
            f"CREATE TABLE {prefix}_lines (k TEXT NOT NULL PRIMARY KEY, grp TEXT NOT NULL, "
            "row_k TEXT NOT NULL, n BIGINT NOT NULL)"
        )
        self.remembered: dict[str, tuple[list, list]] = {}
        self.reads = 0

    async def execute(self, body: bytes) -> dict:
        try:
            document = json.loads(body.decode())
            if type(document) is dict and list(document) == ["sql"]:
                sql = document["sql"]
                if isinstance(sql, str) and "\0" not in sql and sql.encode():
                    return await self.run(sql)
            return self.failure("bad_request")
        except (ValueError, RecursionError):
            return self.failure("bad_request")
        except Unknown as error:
            return self.failure(str(error))

    def failure(self, word: str) -> dict:
        return {"success": False, "data": None, "rows_affected": 0, "error": word}

    async def run(self, sql: str) -> dict:
        if self.broken == "scripts" and ";" in sql and "UPDATE" in sql:
            for one in sql.split(";"):
                await self.run(one)
            return {"success": True, "data": None, "rows_affected": 1, "error": None}
        if self.broken == "text":
            sql = sql.replace("semicolon;", "semicolon,")
        kind, parts = Form(sql).read()
        try:
            if self.broken == "torn" and kind == "INSERT":
                cursors = [self.connection.execute(part) for part in parts[1:]]
                affected = len(cursors)
                rows = []
            elif self.broken == "race" and kind == "UPDATE":
                where = parts[0].partition(" WHERE ")
                table = parts[0].split()[1]
                old = self.connection.execute(
                    f"SELECT COUNT(*) FROM {table} WHERE {where[2]}"  # noqa: S608 - built of the test's own words
                ).fetchone()[0]
                await asyncio.sleep(0.001)
                self.connection.execute(parts[0])
                affected, rows = old, []
            else:
                cursor = self.connection.execute(parts[0])
                names = [column[0] for column in cursor.description or ()]
                rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
                affected = cursor.rowcount if kind != "SELECT" else len(rows)
        except sqlite3.Error as error:
            raise Unknown(self.word_of(str(error))) from error
        if self.broken == "torn_reads" and kind == "SELECT":
            await asyncio.sleep(0.002)
            later = [
                dict(zip(names, row, strict=True)) for row in self.connection.execute(parts[0])
            ]
            rows = rows[:1] + later[1:]
        if self.broken == "stale" and kind == "SELECT":
            rows = self.stale(parts[0], rows)
        if self.broken == "integers":
            rows = [
                {k: round(float(v)) if type(v) is int else v for k, v in r.items()} for r in rows
            ]
        affected = 1 if self.broken == "count" and kind == "UPDATE" else affected
        return {"success": True, "data": rows, "rows_affected": affected, "error": None}

    def stale(self, sql: str, rows: list) -> list:
        """Answer every second read from a replica that lags one read behind."""
        self.reads += 1
        lagging, latest = self.remembered.get(sql, ([], []))
        if self.reads % 2:
            return lagging
        self.remembered[sql] = (latest, rows)
        return rows

    def word_of(self, message: str) -> str:
        for part, word in (
            ("UNIQUE constraint failed: ", "unique"),
            ("NOT NULL", "not_null_violation"),
            ("CHECK", "check_violation"),
            ("no such table", "unknown_table"),
            ("no such column", "unsupported"),
        ):
            if part in message:
                if word == "unique":
                    return (
                        "duplicate_primary_key" if message.endswith(".k") else ":duplicate_unique"
                    )
                return word
        return "syntax_error"


async def serve(engine: Engine, port: int) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                size = re.search(r"content-length: *(\d+)", head, re.IGNORECASE)
                body = await reader.readexactly(int(size[1]) if size else 0)
                if head.startswith("GET /health "):
                    answer = b"ok"
                else:
                    answer = json.dumps(await engine.execute(body)).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(answer) + answer
                )
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", port, limit=1_000_000)
    print(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)  # noqa: T201 - how a starter learns the port
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--prefix", default="engine")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--broken", default="", choices=["", *BROKEN])
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(Engine(options.prefix, options.broken), options.port))
