"""Checks of the wire: words of errors, refusals, malformed requests, batches, tokens, crashes."""

import asyncio
import contextlib
import json
import time
from collections.abc import Sequence

import httpx

from fintech_dbclient.conformance.checks import Profile, check
from fintech_dbclient.conformance.world import (
    HTTP_OK,
    HTTP_SERVER_ERROR,
    HTTP_UNAUTHORIZED,
    INSERT_ROW,
    SELECT_ROW,
    CheckFailed,
    CheckSkipped,
    Step,
    World,
    expect,
    raw_client,
)
from fintech_dbclient.errors import NotExecuted
from fintech_dbclient.replies import parse_error_code
from fintech_dbclient.results import Result

RESTART_SECONDS_MAX = 30.0
"""How long a service may take to answer ``/health`` after a restart."""

REFUSED = (
    "ATTACH DATABASE 'conformance.db' AS other",
    "PRAGMA journal_mode = OFF",
    "VACUUM INTO 'conformance.db'",
    "SELECT load_extension('conformance')",
    "SELECT readfile('/etc/hostname') AS a",
    "COPY (SELECT 1) TO '/tmp/conformance'",
    "SELECT pg_read_file('/etc/hostname') AS a",
    "SELECT pg_sleep(5) AS a",
    "SET synchronous_commit = off",
    "BEGIN",
    "COMMIT",
    "DO $$ BEGIN END $$",
    "",
    ";",
)
"""Texts that no service runs: files, other databases, settings, transactions, sleep, nothing."""

MALFORMED = (
    b"",
    b"not json",
    b"[]",
    b"null",
    b"{}",
    b'{"sql": 1}',
    b'{"sql": null}',
    b'{"sql": ["SELECT 1"]}',
    b'{"sql": "SELECT 1", "params": "x"}',
    b'{"sql": "SELECT 1", "params": {"a": 1}}',
    b'{"sql": "SELECT \\u0000"}',
    b'{"sql": "\\ud800"}',
    b"[" * 100_000,
    b'{"sql": "' + b"(" * 100_000 + b'"}',
    b'{"sql": "SELECT 1", "params": [1e400]}',
    b'{"sql": "SELECT 1", "params": [' + b"9" * 5_000 + b"]}",
    b"\xff\xfe",
)
"""Bodies that are no request."""

_UPDATE = "UPDATE $rows SET n = ? WHERE k = ?"


@check(Profile.CORE, "W8")
async def errors_have_the_contracts_words(world: World) -> None:
    """unknown_table and syntax_error are told from one another and from the rest."""
    await world.fails("unknown_table", "SELECT k FROM conformance_no_such_table WHERE k = ?", "a")
    await world.fails("syntax_error", "SELEKT k FROM $rows WHERE k = ?", "a")


@check(Profile.CORE, "W6")
async def two_statements_in_one_text_are_refused(world: World) -> None:
    """A text with two statements is refused wholly."""
    key = world.key()
    await world.put(key, 1)
    for text in (
        "UPDATE $rows SET n = 2 WHERE k = ?; UPDATE $rows SET n = 3 WHERE k = ?",
        "SELECT k FROM $rows WHERE k = ?; UPDATE $rows SET n = 3 WHERE k = ?",
    ):
        result = await world.do(text, key, key)
        expect(that=result.error is not None, otherwise="two statements in one text were accepted")
        row = (await world.ok(SELECT_ROW, key)).rows[0]
        expect(that=row["n"] == 1, otherwise="one of two statements in one text was run")


@check(Profile.CORE, "W7")
async def statements_that_leave_the_tables_are_refused(world: World) -> None:
    """ATTACH, PRAGMA, COPY, extensions, files, sleep, transaction control: refused, not run."""
    for text in REFUSED:
        started = time.monotonic()
        result = await world.do(text)
        expect(that=result.error is not None, otherwise=f"{text or 'an empty text'} was accepted")
        expect(that=time.monotonic() - started < 4, otherwise=f"{text} was run")  # noqa: PLR2004 - below pg_sleep(5)


@check(Profile.CORE, "W5")
async def malformed_requests_get_a_coded_error(world: World) -> None:
    """What is not a request of the contract gets an error with a word, never a 5xx."""
    for body in MALFORMED:
        response = await world.post("execute", body)
        coded = parse_error_code(response.content) is not None or _is_failure(response)
        expect(
            that=response.status_code < HTTP_SERVER_ERROR and coded,
            otherwise=f"HTTP {response.status_code} without a word for {body[:60]!r}",
        )


@check(Profile.CORE, "W4")
async def a_wrong_token_is_refused(world: World) -> None:
    """Without the bearer token, or with another, the answer is 401 in the contract's words."""
    if world.endpoint.token is None:
        raise CheckSkipped("no token was given to the run")
    key = world.key()
    body = json.dumps(world.encode(INSERT_ROW, (key, world.group, key, 1, None))).encode()
    async with raw_client(world.endpoint) as client:
        for header in (None, "Bearer wrong", f"Bearer {world.endpoint.token}x", "Basic eDp5"):
            client.headers.pop("authorization", None)
            if header is not None:
                client.headers["authorization"] = header
            response = await client.post("execute", content=body)
            expect(
                that=response.status_code == HTTP_UNAUTHORIZED
                and parse_error_code(response.content) is not None,
                otherwise=f"HTTP {response.status_code} for authorization {header!r:.20}",
            )
    expect(that=not await world.has(key), otherwise="a statement without the token was run")


@check(Profile.CAPABILITIES, "W2")
async def parameters_are_bound(world: World) -> None:
    """`params`: values go in the place of ?, never into the text; counts must agree."""
    world.require("params")
    key = world.key("it's ? '' \\ --")
    await world.put(key, 1, t="?")
    rows = (await world.ok("SELECT t FROM $rows WHERE k = ? AND t = '?'", key)).rows
    expect(that=len(rows) == 1, otherwise="a ? in a string was taken for a placeholder")
    for wrong in ((), (key, key)):
        body = {"sql": world.sql(SELECT_ROW), "params": list(wrong)}
        response = await world.post("execute", json.dumps(body).encode())
        expect(that=_is_failure(response), otherwise=f"{len(wrong)} parameters for one ?")


@check(Profile.CAPABILITIES, "W3", "D1")
async def a_batch_keeps_its_sequences_apart(world: World) -> None:
    """`batch`: a sequence stops at its first failure, the others go on, each statement for itself."""
    key, group = world.key(), world.group
    await world.put(key, 1)

    def insert(name: str, n: int = 1) -> Step:
        return INSERT_ROW, (name, group, f"u-{name}", n, None)

    good = [world.key() for _ in range(6)]
    results = await world.batch(
        [insert(good[0]), insert(good[1])],
        [insert(good[2]), insert(key), insert(world.key("never"))],
        [insert(world.key(), -1)],
        [],
        [("SELECT k FROM conformance_no_such_table WHERE k = ?", ("a",)), insert("never")],
        [insert(good[3]), (_UPDATE, (5, good[3])), (SELECT_ROW, (good[3],))],
        [insert(good[4]), insert(good[4]), insert(good[5])],
    )
    expected = (
        ("ok", "ok"),
        ("ok", "unique_violation", "not_executed"),
        ("check_violation",),
        (),
        ("unknown_table", "not_executed"),
        ("ok", "ok", "ok"),
        ("ok", "unique_violation", "not_executed"),
    )
    answered = tuple(tuple(_word(result) for result in one) for one in results)
    expect(that=answered == expected, otherwise=f"answered {answered}, expected {expected}")
    read = results[5][2].rows
    expect(that=[row["n"] for row in read] == [5], otherwise="a sequence did not run in order")
    for name in good[:5]:
        expect(that=await world.has(name), otherwise="a good row beside a failure is missing")
    expect(that=not await world.has(good[5]), otherwise="a statement behind a failure was run")


@check(Profile.CAPABILITIES, "W3", "D3")
async def many_batches_of_rivals_have_one_winner_per_key(world: World) -> None:
    """Batches of many clients that mix the same keys, failures and good rows: one winner per key."""
    world.require("batch")
    for _ in range(max(1, world.endpoint.rounds // 4)):
        keys, group = [world.key() for _ in range(8)], world.key("g")

        async def client(i: int, keys: Sequence[str] = keys, group: str = group) -> list[int]:
            rivals: list[list[Step]] = [
                [(INSERT_ROW, (key, group, f"{key}-{i}", i + 1, None))] for key in keys
            ]
            spoiled: list[Step] = [(INSERT_ROW, (f"{keys[0]}-{i}-x", group, f"{i}", -1, None))]
            own: list[Step] = [(INSERT_ROW, (f"{keys[0]}-{i}", group, f"{group}-{i}", i + 1, None))]
            answers = await world.batch(*rivals[:4], spoiled, own, *rivals[4:])
            expect(
                that=_word(answers[4][0]) == "check_violation" and _word(answers[5][0]) == "ok",
                otherwise="a good row beside failures was refused, or a bad one accepted",
            )
            words = [_word(one[0]) for one in (*answers[:4], *answers[6:])]
            expect(that={*words} <= {"ok", "unique_violation"}, otherwise=f"answered {words}")
            return [at for at, word in enumerate(words) if word == "ok"]

        wins = await asyncio.gather(*[client(i) for i in range(min(16, world.endpoint.clients))])
        winners = sorted(at for won in wins for at in won)
        expect(that=winners == [*range(8)], otherwise=f"winners per key: {winners}")


@check(Profile.CORE, "D2")
async def acknowledged_rows_survive_a_kill(world: World) -> None:
    """Every row answered before the service was killed is there after its restart, none is torn."""
    command = world.endpoint.restart_command
    if command is None:
        raise CheckSkipped("no restart command was given to the run")
    acknowledged: list[tuple[str, str]] = []
    sent: list[tuple[str, str]] = []
    stop = asyncio.Event()

    async def client() -> None:
        while not stop.is_set():
            left, right = world.key(), world.key()
            sent.append((left, right))
            with contextlib.suppress(CheckFailed):
                result = await world.do(
                    "INSERT INTO $rows (k, grp, u, n) VALUES (?, ?, ?, ?), (?, ?, ?, ?)",
                    *(left, world.group, f"u-{left}", 1, right, world.group, f"u-{right}", 1),
                )
                if result.error is None:
                    acknowledged.append((left, right))

    clients = [asyncio.create_task(client()) for _ in range(8)]
    await asyncio.sleep(0.5)
    restarting = await asyncio.create_subprocess_shell(command)
    await asyncio.sleep(0.2)
    stop.set()
    await asyncio.gather(*clients)
    expect(that=await restarting.wait() == 0, otherwise="the restart command failed")
    await _until_healthy(world)
    expect(that=bool(acknowledged), otherwise="nothing was acknowledged before the kill")
    known = set(acknowledged)
    for left, right in sent:
        there = (await world.has(left), await world.has(right))
        expect(that=there[0] == there[1], otherwise="half of an INSERT is there after the restart")
        expect(
            that=there[0] or (left, right) not in known,
            otherwise="a row that was answered is gone after the restart",
        )


async def _until_healthy(world: World) -> None:
    deadline = time.monotonic() + RESTART_SECONDS_MAX
    async with raw_client(world.endpoint) as client:
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get("health")).status_code == HTTP_OK:
                    return
            await asyncio.sleep(0.05)
    raise CheckFailed(f"not healthy {RESTART_SECONDS_MAX} s after the restart")


def _is_failure(response: httpx.Response) -> bool:
    """Whether the reply is a result of the contract that failed."""
    try:
        reply: object = response.json()
    except ValueError:
        return False
    return isinstance(reply, dict) and '"success":false' in "".join(response.text.split())


def _word(result: Result) -> str:
    if isinstance(result.error, NotExecuted):
        return "not_executed"
    return "ok" if result.error is None else result.error.code
