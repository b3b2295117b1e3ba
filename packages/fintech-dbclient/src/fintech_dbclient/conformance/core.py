"""Checks of the core profile: atomicity, keys, reads, bytes. Payments and the ledger rest on these."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from fintech_dbclient.conformance.checks import Profile, check
from fintech_dbclient.conformance.world import INSERT_ROW, SELECT_ROW, World, expect
from fintech_dbclient.errors import UniqueViolation
from fintech_dbclient.results import Result

TEXTS = (
    "",
    " ",
    " trailing ",
    "it's",
    '"quoted"',
    "''''",
    "comma, semicolon; colon:",
    "back\\slash \\' \\n",
    "line\nline\r\ntab\t",
    "\x01\x1f\x7f",
    "percent % underscore _ star * question ?",
    "-- no comment /* here */",
    "$1 $$ :name @name",
    "\u05e9\u05dc\u05d5\u05dd \u202e \u0645\u0631\u062d\u0628\u0627",
    "\U0001f469\u200d\U0001f680 \U0001f1f0\U0001f1ea",
    "\u65e5\u672c\u8a9e",
    "\ufeff\ufffe\uffff",
    '{"json": [1, "two", null]}',
    "NULL",
    "123",
    "x" * 65_536,
    "\U0001f469" * 16_384,
)
"""Texts that engines have altered before."""

INTEGERS = (0, 1, -1, 2**31, -(2**31) - 1, 2**53 + 1, 10**15, 2**63 - 1, -(2**63))

KEYS_APART = ("a", "A", "\u00e9", "e\u0301", "a ", " a", "\u00df", "ss", "1", "01", "\uff41", "")
"""Keys that a collation would call equal, and bytes do not."""

_THREE_ROWS = (
    "INSERT INTO $rows (k, grp, u, n, t) VALUES (?, ?, ?, ?, ?), (?, ?, ?, ?, ?), (?, ?, ?, ?, ?)"
)
_BY_GROUP = "SELECT k, n FROM $rows WHERE grp = ?"
_TAKE = "UPDATE $rows SET t = ? WHERE t = ?"


@check(Profile.CORE, "W1")
async def health_speaks_the_contract(world: World) -> None:
    """GET /health answers this version of the contract, or a bare ok."""
    expect(that=world.health.contract == "1", otherwise="another version of the contract")
    expect(that=world.health.batch_max >= 1, otherwise="max_batch below 1")


@check(Profile.CORE, "F1", "D4")
async def rows_inserted_are_read_back(world: World) -> None:
    """INSERT .. VALUES of one and of several rows, SELECT .. WHERE column = value."""
    one = await world.do(INSERT_ROW, world.key(), world.group, world.key("u"), 5, "one")
    if one.error is not None:
        world.give_up(one.error)
    expect(that=one.rows_affected == 1, otherwise=f"{one.rows_affected} rows affected, expected 1")
    keys = [world.key() for _ in range(3)]
    three = await _insert_three(world, keys, (1, 2, 3))
    if three.error is not None:
        world.give_up(three.error)
    expect(that=three.rows_affected == 3, otherwise=f"{three.rows_affected} rows, expected 3")  # noqa: PLR2004 - three rows
    for number, key in enumerate(keys, start=1):
        row = (await world.ok(SELECT_ROW, key)).rows
        expect(
            that=len(row) == 1
            and dict(row[0])
            == {
                "k": key,
                "grp": world.group,
                "u": f"u-{key}",
                "n": number,
                "t": "three",
                "b": None,
            },
            otherwise=f"read back {row}",
        )
    rows = (await world.ok(_BY_GROUP, world.group)).rows
    expect(that=len(rows) == 4, otherwise=f"{len(rows)} rows by group, expected 4")  # noqa: PLR2004 - four rows
    absent = (await world.ok(SELECT_ROW, world.key())).rows
    expect(that=absent == (), otherwise="a row that nobody inserted")


@check(Profile.CORE, "D3")
async def primary_key_is_enforced(world: World) -> None:
    """A second row with the same primary key is refused as unique_violation."""
    key = world.key()
    await world.put(key, 1)
    await world.fails("unique_violation", INSERT_ROW, key, world.group, world.key("u"), 2, None)
    await _expect_n(world, key, 1)


@check(Profile.CORE, "D3")
async def unique_column_is_enforced(world: World) -> None:
    """A second row with the same value in a UNIQUE column is refused as unique_violation."""
    key, other = world.key(), world.key()
    await world.put(key, 1)
    await world.fails("unique_violation", INSERT_ROW, other, world.group, f"u-{key}", 2, None)
    expect(that=not await world.has(other), otherwise="the refused row is there")


@check(Profile.CORE, "W8")
async def not_null_is_enforced(world: World) -> None:
    """NULL in a NOT NULL column is refused as not_null_violation."""
    key = world.key()
    await world.fails("not_null_violation", INSERT_ROW, key, None, world.key("u"), 1, None)
    expect(that=not await world.has(key), otherwise="the refused row is there")


@check(Profile.CORE, "W8")
async def check_constraints_are_enforced(world: World) -> None:
    """A row that a CHECK forbids is refused as check_violation."""
    key = world.key()
    for amount in (0, -1, 10**15 + 1):
        await world.fails(
            "check_violation", INSERT_ROW, key, world.group, world.key("u"), amount, None
        )
    expect(that=not await world.has(key), otherwise="the refused row is there")


@check(Profile.CORE, "D1")
async def a_failed_insert_of_several_rows_leaves_none(world: World) -> None:
    """A duplicate, a NULL or a CHECK in any row of an INSERT leaves none of its rows."""
    taken = world.key()
    await world.put(taken, 9)
    for at in range(3):
        keys = [world.key() for _ in range(3)]
        keys[at] = taken
        await _expect_none(world, keys, (1, 2, 3), "unique_violation", taken)
        keys = [world.key() for _ in range(3)]
        amounts = [1, 2, 3]
        amounts[at] = -1
        await _expect_none(world, keys, tuple(amounts), "check_violation", taken)
    twice = world.key()
    await _expect_none(world, [world.key(), twice, twice], (1, 2, 3), "unique_violation", taken)
    await _expect_n(world, taken, 9)


@check(Profile.CORE, "D1", "D5")
async def an_update_reports_the_rows_it_changed(world: World) -> None:
    """UPDATE .. WHERE column = value counts the rows it found."""
    key = world.key()
    await world.put(key, 1)
    update = await world.ok("UPDATE $rows SET n = ?, t = ? WHERE k = ?", 2, "changed", key)
    expect(that=update.rows_affected == 1, otherwise=f"{update.rows_affected} rows, expected 1")
    await _expect_n(world, key, 2)
    none = await world.ok("UPDATE $rows SET n = ? WHERE k = ?", 3, world.key())
    expect(that=none.rows_affected == 0, otherwise=f"{none.rows_affected} rows, expected 0")
    await world.fails("check_violation", "UPDATE $rows SET n = ? WHERE k = ?", -1, key)
    await _expect_n(world, key, 2)


@check(Profile.CORE, "D3")
async def one_of_many_inserts_of_a_key_wins(world: World) -> None:
    """Many clients insert one key at once: exactly one is told that it did, and its row is there."""
    for _ in range(world.endpoint.rounds):
        key = world.key()
        results = await _together(
            world,
            lambda i, key=key: world.do(INSERT_ROW, key, world.group, f"{key}-{i}", i + 1, None),
        )
        winners = _winners(world, results)
        expect(that=len(winners) == 1, otherwise=f"{len(winners)} clients were told that they won")
        await _expect_n(world, key, winners[0] + 1)


@check(Profile.CORE, "D3")
async def one_of_many_inserts_of_a_unique_value_wins(world: World) -> None:
    """Many clients insert rows that share a UNIQUE value: exactly one row is there."""
    for _ in range(world.endpoint.rounds):
        unique, group = world.key("u"), world.key("g")
        results = await _together(
            world,
            lambda i, unique=unique, group=group: world.do(
                INSERT_ROW, f"{unique}-{i}", group, unique, i + 1, None
            ),
        )
        winners = _winners(world, results)
        rows = (await world.ok(_BY_GROUP, group)).rows
        expect(
            that=len(winners) == 1 and [row["n"] for row in rows] == [winners[0] + 1],
            otherwise=f"{len(winners)} clients won, {len(rows)} rows are there",
        )


@check(Profile.CORE, "D1", "D3")
async def rival_inserts_of_several_rows_are_whole_or_absent(world: World) -> None:
    """Inserts of three rows that overlap in one: one is there wholly, nothing of the others."""
    for _ in range(world.endpoint.rounds):
        shared, group = world.key("shared"), world.key("g")
        results = await _together(
            world,
            lambda i, shared=shared, group=group: _insert_three(
                world, [f"{shared}-{i}-a", shared, f"{shared}-{i}-c"], (i + 1,) * 3, group
            ),
        )
        winners = _winners(world, results)
        rows = (await world.ok(_BY_GROUP, group)).rows
        expect(
            that=len(winners) == 1 and [row["n"] for row in rows] == [winners[0] + 1] * 3,
            otherwise=f"{len(winners)} clients won, {len(rows)} rows are there, expected 3",
        )


@check(Profile.CORE, "D5", "D6")
async def one_of_many_updates_of_a_row_sees_the_old_value(world: World) -> None:
    """Many clients UPDATE .. WHERE column = old value: exactly one counts 1, and its value stands."""
    for _ in range(world.endpoint.rounds):
        key, old = world.key(), world.key("old")
        await world.put(key, 1, t=old)
        results = await _together(world, lambda i, old=old: world.ok(_TAKE, f"{old}-new-{i}", old))
        winners = [i for i, result in enumerate(results) if result.rows_affected == 1]
        row = (await world.ok(SELECT_ROW, key)).rows[0]
        expect(
            that=len(winners) == 1 and row["t"] == f"{old}-new-{winners[0]}",
            otherwise=f"{len(winners)} updates saw the old row",
        )


@check(Profile.CORE, "D7")
async def an_answered_row_is_seen_by_every_later_read(world: World) -> None:
    """What was answered, or caused a duplicate error, is read by any connection that asks after."""

    async def one(_: int) -> Result:
        key = world.key()
        await world.put(key)
        reads = await asyncio.gather(*[world.has(key) for _ in range(3)])
        expect(that=all(reads), otherwise="a row that was answered was not read")
        return Result()

    for _ in range(max(1, world.endpoint.rounds // 4)):
        await _together(world, one)
        key = world.key()

        async def rival(i: int, key: str = key) -> Result:
            result = await world.do(INSERT_ROW, key, world.group, f"{key}-{i}", 1, None)
            expect(that=await world.has(key), otherwise="a duplicate's row was not read")
            return result

        await _together(world, rival)


@check(Profile.CORE, "D7")
async def a_row_once_read_is_read_again(world: World) -> None:
    """Once any read saw a row, every read that starts later sees it."""
    for _ in range(world.endpoint.rounds):
        key = world.key()
        writing = asyncio.create_task(world.put(key))
        try:
            while not await world.has(key):  # noqa: ASYNC110 - the engine is what is watched
                await asyncio.sleep(0)
            again = await asyncio.gather(*[world.has(key) for _ in range(4)])
        finally:
            await writing
        expect(that=all(again), otherwise="a row was seen and then not")


@check(Profile.CORE, "D1", "D8")
async def one_select_sees_one_state(world: World) -> None:
    """A SELECT sees all rows of an INSERT or UPDATE, or none, while they are written."""
    for _ in range(world.endpoint.rounds):
        group = world.key("g")
        keys = [world.key() for _ in range(3)]
        seen: list[tuple[object, ...]] = []
        done = asyncio.Event()

        async def watch(group: str = group, done: asyncio.Event = done) -> None:
            while not done.is_set():
                rows = (await world.ok(_BY_GROUP, group)).rows
                seen.append(tuple(row["n"] for row in rows))  # noqa: B023 - awaited in this round

        watching = [asyncio.create_task(watch()) for _ in range(4)]
        try:
            inserted = await _insert_three(world, keys, (1, 1, 1), group)
            updates = [
                await world.ok("UPDATE $rows SET n = ? WHERE grp = ?", n, group) for n in (2, 3, 4)
            ]
        finally:
            done.set()
            await asyncio.gather(*watching)
        if inserted.error is not None:
            world.give_up(inserted.error)
        expect(
            that=[update.rows_affected for update in updates] == [3, 3, 3],
            otherwise="an UPDATE of three rows did not count three",
        )
        torn = {
            state for state in seen if state != () and state not in {(n,) * 3 for n in range(5)}
        }
        expect(that=not torn, otherwise=f"a SELECT saw {sorted(torn, key=str)}")


@check(Profile.CORE, "D9")
async def text_comes_back_byte_for_byte(world: World) -> None:
    """Quotes, backslashes, controls, emoji, right-to-left, 64 kB: as written, also as a condition."""
    for text in TEXTS:
        key = world.key()
        await world.put(key, t=text)
        rows = (await world.ok(SELECT_ROW, key)).rows
        expect(
            that=len(rows) == 1 and rows[0]["t"] == text,
            otherwise=f"wrote {text[:60]!r}, read {str(rows)[:120]}",
        )
    unusual = [world.key(text) for text in TEXTS if len(text) < 100]  # noqa: PLR2004 - as keys
    for key in unusual:
        await world.put(key)
        expect(that=await world.has(key), otherwise=f"key {key!r} is not found")


@check(Profile.CORE, "D9")
async def integers_and_null_come_back_exactly(world: World) -> None:
    """BIGINT over its whole range, and NULL."""
    for integer in (*INTEGERS, None):
        key = world.key()
        await world.ok(
            "INSERT INTO $rows (k, grp, u, n, b) VALUES (?, ?, ?, ?, ?)",
            key,
            world.group,
            world.key("u"),
            1,
            integer,
        )
        found = (await world.ok(SELECT_ROW, key)).rows[0]["b"]
        expect(that=found == integer, otherwise=f"wrote {integer}, read {found}")


@check(Profile.CORE, "D10")
async def text_keys_compare_by_bytes(world: World) -> None:
    """Keys that a collation calls equal are different rows."""
    stem = world.key()
    for number, ending in enumerate(KEYS_APART, start=1):
        await world.put(stem + ending, number)
    for number, ending in enumerate(KEYS_APART, start=1):
        await _expect_n(world, stem + ending, number)


@check(Profile.CORE, "D1", "D2")
async def a_lost_reply_is_settled_by_sending_again_and_reading(world: World) -> None:
    """A client that goes away before the reply finds the row wholly there or not at all."""
    for _ in range(world.endpoint.rounds):
        keys, group = [world.key() for _ in range(3)], world.key("g")
        params = _three(world, keys, (4, 5, 6), group)
        await world.drop_after_sending(_THREE_ROWS, *params)
        again = await world.do(_THREE_ROWS, *params)
        if again.error is not None and not isinstance(again.error, UniqueViolation):
            world.give_up(again.error)
        rows = (await world.ok(_BY_GROUP, group)).rows
        found = Counter(row["k"] for row in rows)
        expect(that=found == Counter(keys), otherwise=f"sent twice, {len(rows)} rows are there")


async def _insert_three(
    world: World, keys: list[str], amounts: tuple[int, ...], group: str | None = None
) -> Result:
    return await world.do(_THREE_ROWS, *_three(world, keys, amounts, group))


def _three(
    world: World, keys: list[str], amounts: tuple[int, ...], group: str | None
) -> tuple[str | int | None, ...]:
    params: list[str | int | None] = []
    for at, (key, amount) in enumerate(zip(keys, amounts, strict=True)):
        unique = f"u-{key}" if keys.index(key) == at else f"u-{key}-again"
        params += [key, group or world.group, unique, amount, "three"]
    return tuple(params)


async def _expect_none(
    world: World, keys: list[str], amounts: tuple[int, ...], code: str, taken: str
) -> None:
    result = await _insert_three(world, keys, amounts)
    if result.error is None or result.error.code != code:
        if result.error is not None:
            world.give_up(result.error, f"expected {code}")
        expect(that=False, otherwise=f"succeeded, expected {code}")
    for key in keys:
        expect(
            that=key == taken or not await world.has(key),
            otherwise="a row of a failed INSERT is there",
        )


async def _expect_n(world: World, key: str, n: int) -> None:
    rows = (await world.ok(SELECT_ROW, key)).rows
    expect(
        that=[row["n"] for row in rows] == [n],
        otherwise=f"the row of {key!r} is {str(rows)[:200]}, expected n = {n}",
    )


def _winners(world: World, results: list[Result]) -> list[int]:
    for result in results:
        if result.error is not None and not isinstance(result.error, UniqueViolation):
            world.give_up(result.error, "expected success or unique_violation")
    return [i for i, result in enumerate(results) if result.error is None]


async def _together(world: World, act: Callable[[int], Awaitable[Result]]) -> list[Result]:
    """Let every client of a race act at once."""
    return list(await asyncio.gather(*[act(i) for i in range(world.endpoint.clients)]))
