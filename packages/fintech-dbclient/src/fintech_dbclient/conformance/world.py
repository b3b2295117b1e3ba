"""The world of a check: an engine behind raw HTTP, tables of the kit's own, keys nobody else has.

Requests go out once and as they are. The client of this package is not used here: its retries
would hide what an engine does.
"""

import asyncio
import itertools
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString, NoReturn, TypeAlias

import httpx

from fintech_dbclient.database import Health
from fintech_dbclient.errors import Refused, StatementFailed, SyntaxRefused, Unsupported
from fintech_dbclient.literals import inline
from fintech_dbclient.replies import (
    MalformedReply,
    StatementOverloaded,
    StatementUnknown,
    parse_batch,
    parse_object,
    parse_result,
    parse_sequence,
)
from fintech_dbclient.results import Result
from fintech_dbclient.statements import Statement, Value
from fintech_dbclient.transport import KeepAliveTransport

HTTP_OK = 200
HTTP_UNAUTHORIZED = 401
HTTP_SERVER_ERROR = 500

SHOWN_LENGTH_MAX = 400
"""Characters of a statement or reply that a report shows."""

Step: TypeAlias = tuple[LiteralString, tuple[Value, ...]]
"""A statement of a sequence: text with ``$rows`` or ``$lines``, and parameters."""

TABLES: dict[str, LiteralString] = {
    "rows": (
        "CREATE TABLE IF NOT EXISTS $rows (k TEXT NOT NULL PRIMARY KEY, grp TEXT NOT NULL, "
        "u TEXT NOT NULL UNIQUE, n BIGINT NOT NULL CHECK (n > 0 AND n <= 1000000000000000), "
        "t TEXT, b BIGINT)"
    ),
    "lines": (
        "CREATE TABLE IF NOT EXISTS $lines (k TEXT NOT NULL PRIMARY KEY, grp TEXT NOT NULL, "
        "row_k TEXT NOT NULL, n BIGINT NOT NULL)"
    ),
}


class CheckFailed(Exception):
    """The engine does not keep a promise."""


class FormNotSupported(Exception):
    """The engine says that it does not know a form of statement, or lacks a capability."""


class CheckSkipped(Exception):
    """The check needs something that the run was not given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where the engine is, and how to restart it.

    Attributes:
        url: base URL of the service.
        token: its bearer token.
        restart_command: a shell command that kills the service (``kill -9``) and starts it again
            at the same URL; without it the checks that need a crash are skipped.
        rounds: how often each race is run.
        clients: how many clients take part in a race.
    """

    url: str
    token: str | None = None
    restart_command: str | None = None
    rounds: int = 20
    clients: int = 64


class World:
    """One engine and one group of keys."""

    def __init__(self, endpoint: Endpoint, *, health: Health, prefix: str) -> None:
        self.endpoint = endpoint
        self.health = health
        self.prefix = prefix
        self.group = secrets.token_hex(6)
        self.seen: list[tuple[str, str]] = []
        """Statements and replies, latest last; the report shows the last."""
        self._counter = itertools.count(1)
        self._client = raw_client(endpoint)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def key(self, word: str = "k") -> str:
        """A key that nobody else uses."""
        return f"{self.group}-{word}-{next(self._counter)}"

    def sql(self, text: str) -> str:
        """Write the names of the kit's tables into a statement."""
        for table in (*TABLES, "extra"):
            text = text.replace(f"${table}", f"{self.prefix}_{table}")
        return text

    async def do(self, text: LiteralString, *params: Value) -> Result:
        """Send a statement and return its result, failed or not.

        Raises:
            CheckFailed: the reply is not the contract's.
        """
        body = self.encode(text, params)
        response = await self.post("execute", json.dumps(body).encode())
        try:
            return parse_result(parse_object(response.content), "conformance")
        except (MalformedReply, StatementUnknown, StatementOverloaded) as error:
            raise CheckFailed(f"HTTP {response.status_code}: {error!r}") from error

    async def ok(self, text: LiteralString, *params: Value) -> Result:
        """Send a statement that must succeed.

        Raises:
            FormNotSupported: the engine says that it does not know this form.
            CheckFailed: it failed otherwise.
        """
        result = await self.do(text, *params)
        if result.error is not None:
            self.give_up(result.error)
        return result

    async def fails(self, code: str, text: LiteralString, *params: Value) -> None:
        """Send a statement that must fail with a code.

        Raises:
            CheckFailed: it succeeded, or failed otherwise.
        """
        result = await self.do(text, *params)
        if result.error is None:
            raise CheckFailed(f"succeeded, expected {code}")
        if result.error.code != code:
            if code not in {"syntax_error", "unsupported"}:
                self.give_up(result.error, f"expected {code}")
            raise CheckFailed(f"answered {result.error}, expected {code}")

    def give_up(self, error: StatementFailed, expected: str = "expected success") -> NoReturn:
        """End the check over a statement that failed.

        Raises:
            FormNotSupported: the engine says that it does not know this form.
            CheckFailed: any other failure.
        """
        said = error.code + (f" ({error.constraint})" if error.constraint else "")
        if isinstance(error, Unsupported | SyntaxRefused | Refused):
            raise FormNotSupported(f"the engine answered {said}")
        raise CheckFailed(f"the engine answered {said}, {expected}")

    async def batch(self, *sequences: Sequence[Step]) -> list[list[Result]]:
        """Send sequences as one batch.

        Raises:
            FormNotSupported: the engine has no batches.
            CheckFailed: the reply is not the contract's.
        """
        self.require("batch")
        body = {"sequences": [[self.encode(*step) for step in one] for one in sequences]}
        response = await self.post("batch", json.dumps(body).encode())
        try:
            replies = parse_batch(response.content, len(sequences))
            results: list[list[Result]] = []
            for reply, sequence in zip(replies, sequences, strict=True):
                statements = tuple(Statement(name="conformance", sql=sql) for sql, _ in sequence)
                results.append(parse_sequence(reply, statements))
        except (MalformedReply, StatementUnknown, StatementOverloaded) as error:
            raise CheckFailed(f"HTTP {response.status_code}: {error!r}") from error
        return results

    def encode(self, text: LiteralString, params: Sequence[Value]) -> dict[str, object]:
        """A statement as the contract has it, with literals where the engine has no parameters."""
        sql = self.sql(text)
        if not params:
            return {"sql": sql}
        if "params" in self.health.capabilities:
            return {"sql": sql, "params": list(params)}
        return {"sql": inline(sql, params)}

    async def post(self, path: str, body: bytes) -> httpx.Response:
        """Send a body as it is.

        Raises:
            CheckFailed: no reply.
        """
        shown = body[:SHOWN_LENGTH_MAX].decode(errors="replace")
        try:
            response = await self._client.post(path, content=body)
        except httpx.TransportError as error:
            self.seen.append((shown, repr(error)))
            raise CheckFailed(f"no reply: {error!r}") from error
        self.seen.append((shown, response.text[:SHOWN_LENGTH_MAX]))
        del self.seen[:-1]
        return response

    async def drop_after_sending(self, text: LiteralString, *params: Value) -> None:
        """Send a statement and go away before its reply."""
        url = self._client.base_url
        body = json.dumps(self.encode(text, params)).encode()
        reader, writer = await asyncio.open_connection(
            url.host, url.port or 80, ssl=url.scheme == "https" or None
        )
        del reader
        authorization = self._client.headers.get("authorization")
        lines = [
            f"POST {url.path}execute HTTP/1.1",
            f"Host: {url.host}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *([f"Authorization: {authorization}"] if authorization else []),
            "",
            "",
        ]
        writer.write("\r\n".join(lines).encode() + body)
        await writer.drain()
        writer.transport.abort()

    def require(self, capability: str) -> None:
        """End the check unless the engine has a capability.

        Raises:
            FormNotSupported: it has not.
        """
        if capability not in self.health.capabilities:
            raise FormNotSupported(f"/health does not announce {capability}")

    async def put(
        self, key: str, n: int = 1, *, t: str | None = None, grp: str | None = None
    ) -> None:
        """Insert one row into ``$rows``.

        Raises:
            FormNotSupported: the engine says that it does not know this form.
            CheckFailed: it failed otherwise.
        """
        await self.ok(INSERT_ROW, key, grp or self.group, f"u-{key}", n, t)

    async def has(self, key: str) -> bool:
        """Whether ``$rows`` has a row."""
        return bool((await self.ok(SELECT_ROW, key)).rows)


INSERT_ROW: LiteralString = "INSERT INTO $rows (k, grp, u, n, t) VALUES (?, ?, ?, ?, ?)"
SELECT_ROW: LiteralString = "SELECT k, grp, u, n, t, b FROM $rows WHERE k = ?"


def raw_client(endpoint: Endpoint) -> httpx.AsyncClient:
    """An HTTP client without retries, on as many connections as are asked of it at once."""
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    if endpoint.token is not None:
        headers["Authorization"] = f"Bearer {endpoint.token}"
    return httpx.AsyncClient(
        base_url=endpoint.url.rstrip("/") + "/",
        headers=headers,
        timeout=30.0,
        trust_env=False,
        transport=KeepAliveTransport(idle_connections_max=endpoint.clients),
    )


def expect(*, that: bool, otherwise: str) -> None:
    """End the check unless something holds.

    Raises:
        CheckFailed: it does not.
    """
    if not that:
        raise CheckFailed(otherwise)
