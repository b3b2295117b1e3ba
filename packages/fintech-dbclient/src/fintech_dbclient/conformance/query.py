"""Checks of the query profile: the forms of lists, read models, settlement and reports.

Most are one statement against ten rows and what it must answer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import LiteralString, TypeAlias

from fintech_dbclient.conformance.checks import Check, Profile, check
from fintech_dbclient.conformance.world import World, expect
from fintech_dbclient.errors import UniqueViolation
from fintech_dbclient.results import Result
from fintech_dbclient.statements import Value

Rows: TypeAlias = list[tuple[Value, ...]]

_ROWS: LiteralString = "INSERT INTO $rows (k, grp, u, n, t, b) VALUES (?, ?, ?, ?, ?, ?)"
_LINE: LiteralString = "INSERT INTO $lines (k, grp, row_k, n) VALUES (?, ?, ?, ?)"
_LINES_OF: LiteralString = "SELECT k, n FROM $lines WHERE grp = ? ORDER BY k"

# Ten rows: k = g-0 .. g-9, n = 10, 20 .. 100, t = even/odd/NULL, b = 1, 2, 3 or NULL.
_DATA: tuple[tuple[int, str | None, int | None], ...] = (
    (10, "even", 1),
    (20, "odd", 2),
    (30, "even", 3),
    (40, "odd", 1),
    (50, None, 2),
    (60, "odd", 3),
    (70, "even", None),
    (80, "odd", 2),
    (90, "even", 3),
    (100, None, 1),
)

_SELECTS: tuple[tuple[str, LiteralString, tuple[Value, ...], Rows], ...] = (
    (
        "and_with_comparisons",
        "SELECT n FROM $rows WHERE grp = ? AND n > ? AND n <= ? AND n <> ? ORDER BY n",
        (20, 60, 40),
        [(30,), (50,), (60,)],
    ),
    (
        "comparisons_that_include",
        "SELECT n FROM $rows WHERE grp = ? AND n >= ? AND n < ? ORDER BY n",
        (80, 100),
        [(80,), (90,)],
    ),
    (
        "in_a_list",
        "SELECT n FROM $rows WHERE grp = ? AND n IN (?, ?, ?) ORDER BY n",
        (10, 90, 5),
        [(10,), (90,)],
    ),
    (
        "is_null_and_is_not_null",
        "SELECT n FROM $rows WHERE grp = ? AND t IS NULL AND b IS NOT NULL ORDER BY n",
        (),
        [(50,), (100,)],
    ),
    (
        "order_by_several_columns_and_limit",
        "SELECT b, n FROM $rows WHERE grp = ? AND b IS NOT NULL ORDER BY b DESC, n ASC LIMIT ?",
        (4,),
        [(3, 30), (3, 60), (3, 90), (2, 20)],
    ),
    (
        "keyset_conditions",
        (
            "SELECT b, n FROM $rows WHERE grp = ? AND b IS NOT NULL "
            "AND (b < ? OR (b = ? AND n > ?)) ORDER BY b DESC, n ASC LIMIT ?"
        ),
        (3, 3, 60, 3),
        [(3, 90), (2, 20), (2, 50)],
    ),
    (
        "count_and_sum",
        "SELECT COUNT(*) AS a, COUNT(t) AS b, CAST(SUM(n) AS BIGINT) AS c FROM $rows WHERE grp = ?",
        (),
        [(10, 8, 550)],
    ),
    (
        "sum_of_nothing",
        (
            "SELECT COUNT(*) AS a, COALESCE(CAST(SUM(n) AS BIGINT), 0) AS b FROM $rows "
            "WHERE grp = ? AND n > ?"
        ),
        (1_000,),
        [(0, 0)],
    ),
    (
        "group_by",
        (
            "SELECT t, COUNT(*) AS a, CAST(SUM(n) AS BIGINT) AS b FROM $rows "
            "WHERE grp = ? AND t IS NOT NULL GROUP BY t ORDER BY t"
        ),
        (),
        [("even", 4, 200), ("odd", 4, 200)],
    ),
    (
        "case_coalesce_cast",
        (
            "SELECT CASE WHEN n > ? THEN 'large' ELSE 'small' END AS a, COALESCE(t, 'none') AS b, "
            "CAST(n AS TEXT) AS c, CAST('12' AS BIGINT) AS d FROM $rows WHERE grp = ? AND n >= ? "
            "ORDER BY n"
        ),
        (90, "$group", 90),
        [("small", "even", "90", 12), ("large", "none", "100", 12)],
    ),
    (
        "sum_of_a_case",
        (
            "SELECT CAST(SUM(CASE WHEN t = ? THEN n ELSE 0 - n END) AS BIGINT) AS a FROM $rows "
            "WHERE grp = ? AND t IS NOT NULL"
        ),
        ("odd", "$group"),
        [(0,)],
    ),
    (
        "union_all",
        (
            "SELECT n FROM $rows WHERE grp = ? AND n < ? UNION ALL "
            "SELECT b AS n FROM $rows WHERE grp = ? AND n = ? ORDER BY n"
        ),
        (30, "$group", 10),
        [(1,), (10,), (20,)],
    ),
    (
        "inner_join",
        (
            "SELECT l.k, r.n FROM $lines AS l INNER JOIN $rows AS r ON r.k = l.row_k "
            "WHERE l.grp = ? ORDER BY l.k"
        ),
        (),
        [("$group-l1", 10), ("$group-l2", 10), ("$group-l3", 30)],
    ),
    (
        "left_join",
        (
            "SELECT r.n, l.n AS line FROM $rows AS r LEFT JOIN $lines AS l ON l.row_k = r.k "
            "WHERE r.grp = ? AND r.n <= ? ORDER BY r.n, l.n"
        ),
        (30,),
        [(10, 1), (10, 2), (20, None), (30, 3)],
    ),
    (
        "not_exists",
        (
            "SELECT r.n FROM $rows AS r WHERE r.grp = ? AND r.n <= ? "
            "AND NOT EXISTS (SELECT 1 FROM $lines AS l WHERE l.row_k = r.k) ORDER BY r.n"
        ),
        (40,),
        [(20,), (40,)],
    ),
    (
        "several_reads_in_one_select",
        (
            "SELECT (SELECT COUNT(*) FROM $lines WHERE grp = ?) AS a, "
            "(SELECT CAST(SUM(n) AS BIGINT) FROM $rows WHERE grp = ?) AS b"
        ),
        ("$group",),
        [(3, 550)],
    ),
)


def _select_check(name: str, text: LiteralString, params: tuple[Value, ...], rows: Rows) -> Check:
    async def run(world: World) -> None:
        await _fill(world)
        # A form's first ? is the group, unless its parameters name it themselves elsewhere.
        starts = "$group" not in params or name in {"union_all", "several_reads_in_one_select"}
        given = [world.group, *params] if starts else [*params]
        given = [world.group if value == "$group" else value for value in given]
        expected = [
            tuple(
                value.replace("$group", world.group) if isinstance(value, str) else value
                for value in row
            )
            for row in rows
        ]
        found = [tuple(row.values()) for row in (await world.ok(text, *given)).rows]
        expect(that=found == expected, otherwise=f"answered {found}, expected {expected}")

    words = name.replace("_", " ")
    return Check(
        name=f"select_{name}",
        summary=f"SELECT: {words}",
        profile=Profile.QUERY,
        promises=("F2",),
        run=run,
    )


SELECT_CHECKS: tuple[Check, ...] = tuple(_select_check(*form) for form in _SELECTS)


@check(Profile.QUERY, "F2", "D10")
async def text_is_ordered_by_bytes(world: World) -> None:
    """ORDER BY and comparisons of TEXT go by bytes, so that keyset pages neither skip nor repeat."""
    words = ["", " ", "A", "B", "Z", "_", "a", "ab", "b", "\u00e9", "\u05e9", "\U0001f469"]
    for number, word in enumerate(words, start=1):
        key = world.key()
        await world.ok(_ROWS, key, world.group, f"u-{key}", number, word, None)
    rows = (await world.ok("SELECT t FROM $rows WHERE grp = ? ORDER BY t", world.group)).rows
    found = [row["t"] for row in rows]
    expect(that=found == words, otherwise=f"ordered as {found}, by bytes {words}")
    text = "SELECT t FROM $rows WHERE grp = ? AND t > ? ORDER BY t LIMIT 3"
    rows = (await world.ok(text, world.group, "Z")).rows
    expect(
        that=[row["t"] for row in rows] == ["_", "a", "ab"],
        otherwise=f"behind 'Z' come {[row['t'] for row in rows]}",
    )


@check(Profile.QUERY, "F2", "D5")
async def update_with_several_conditions(world: World) -> None:
    """UPDATE .. WHERE with AND, comparisons and NOT EXISTS counts what it changed."""
    await _fill(world)
    text = (
        "UPDATE $rows SET b = ? WHERE grp = ? AND n > ? AND t IS NOT NULL AND NOT EXISTS "
        "(SELECT 1 FROM $lines AS l WHERE l.row_k = $rows.k)"
    )
    changed = await world.ok(text, 99, world.group, 20)
    expect(that=changed.rows_affected == 5, otherwise=f"{changed.rows_affected} rows, expected 5")  # noqa: PLR2004 - of ten


@check(Profile.QUERY, "F2", "D1")
async def insert_from_a_select_with_order_and_limit(world: World) -> None:
    """INSERT .. SELECT .. WHERE NOT EXISTS .. ORDER BY .. LIMIT takes the first open rows."""
    await _fill(world)
    first = await _claim(world, "c1", 3)
    second = await _claim(world, "c2", 3)
    if first.error is not None:
        world.give_up(first.error)
    expect(
        that=(first.rows_affected, second.rows_affected) == (3, 3),
        otherwise=f"{first.rows_affected} and {second.rows_affected} rows, expected 3 and 3",
    )
    rows = (await world.ok(_LINES_OF, world.group + "-claims")).rows
    expect(
        that=[row["n"] for row in rows] == [10, 20, 30, 40, 50, 60],
        otherwise=f"claimed {[row['n'] for row in rows]}",
    )


@check(Profile.QUERY, "F2", "D1")
async def insert_from_a_union_is_all_or_none(world: World) -> None:
    """INSERT .. SELECT of a marker UNION ALL the first due rows; a taken marker takes nothing."""
    await _fill(world)
    first = await _claim_with_marker(world, world.group + "-marker")
    if first.error is not None:
        world.give_up(first.error)
    again = await _claim_with_marker(world, world.group + "-marker")
    expect(
        that=isinstance(again.error, UniqueViolation),
        otherwise="a second claim with the same marker was not refused",
    )
    rows = (await world.ok(_LINES_OF, world.group + "-claims")).rows
    expect(
        that=sorted(str(row["n"]) for row in rows) == ["0", "10", "20", "30"],
        otherwise=f"claimed {[row['n'] for row in rows]}, expected the marker and three rows",
    )


@check(Profile.QUERY, "D1", "D3")
async def rival_claims_take_every_row_once(world: World) -> None:
    """Many clients claim with INSERT .. SELECT: no row is in two claims, a failed claim has none."""
    await _fill(world)
    group = world.group + "-claims"

    async def client(i: int) -> Result:
        return await _claim_with_marker(world, f"{world.group}-marker-{i}")

    results = await _together(world, client)
    for result in results:
        if result.error is not None and not isinstance(result.error, UniqueViolation):
            world.give_up(result.error, "expected success or unique_violation")
    rows = (await world.ok(_LINES_OF, group)).rows
    markers = [row for row in rows if row["n"] == 0]
    claimed = sorted(int(row["n"] or 0) for row in rows if row["n"] != 0)
    winners = sum(result.error is None for result in results)
    expect(that=len(markers) == winners, otherwise="a claim that failed left its marker")
    expect(
        that=claimed == [n for n, _, _ in _DATA][: len(claimed)] and len(claimed) >= 3,  # noqa: PLR2004 - the first claim's rows
        otherwise=f"claimed {claimed}",
    )


@check(Profile.QUERY, "F2", "D5")
async def on_conflict_do_update_where(world: World) -> None:
    """INSERT .. ON CONFLICT (key) DO UPDATE SET .. WHERE: newer replaces, older does not."""
    key = world.key()

    async def put(n: int) -> Result:
        return await world.ok(
            "INSERT INTO $lines (k, grp, row_k, n) VALUES (?, ?, ?, ?) ON CONFLICT (k) DO UPDATE "
            "SET n = excluded.n, row_k = excluded.row_k WHERE $lines.n < excluded.n",
            *(key, world.group, f"row-{n}", n),
        )

    for n, expected in ((5, 5), (7, 7), (6, 7), (7, 7), (8, 8)):
        await put(n)
        row = (await world.ok("SELECT n, row_k FROM $lines WHERE k = ?", key)).rows[0]
        expect(
            that=(row["n"], row["row_k"]) == (expected, f"row-{expected}"),
            otherwise=f"after {n} the row is {dict(row)}, expected {expected}",
        )
    await asyncio.gather(*[put(100 + i) for i in range(world.endpoint.clients)])
    row = (await world.ok("SELECT n FROM $lines WHERE k = ?", key)).rows[0]
    newest = 99 + world.endpoint.clients
    expect(that=row["n"] == newest, otherwise=f"rivals left {row['n']}, expected {newest}")


async def _fill(world: World) -> None:
    """Ten rows and three lines of this world's group."""
    group = world.group
    for at, (n, t, b) in enumerate(_DATA):
        key = f"{group}-{at}"
        await world.ok(_ROWS, key, group, f"u-{key}", n, t, b)
    for name, row, n in (("l1", 0, 1), ("l2", 0, 2), ("l3", 2, 3)):
        await world.ok(_LINE, f"{group}-{name}", group, f"{group}-{row}", n)


async def _claim(world: World, name: str, size: int) -> Result:
    return await world.ok(
        "INSERT INTO $lines (k, grp, row_k, n) "
        "SELECT r.u, ?, ?, r.n FROM $rows AS r WHERE r.grp = ? AND NOT EXISTS "
        "(SELECT 1 FROM $lines AS l WHERE l.k = r.u) ORDER BY r.n LIMIT ?",
        *(world.group + "-claims", name, world.group, size),
    )


async def _claim_with_marker(world: World, marker: str) -> Result:
    group = world.group + "-claims"
    return await world.do(
        "INSERT INTO $lines (k, grp, row_k, n) "
        "SELECT CAST(? AS TEXT), CAST(? AS TEXT), '', CAST(0 AS BIGINT) UNION ALL "
        "SELECT due.u, CAST(? AS TEXT), due.k, due.n FROM "
        "(SELECT r.u, r.k, r.n FROM $rows AS r WHERE r.grp = ? AND NOT EXISTS "
        "(SELECT 1 FROM $lines AS l WHERE l.k = r.u) ORDER BY r.n LIMIT 3) AS due",
        *(marker, group, group, world.group),
    )


async def _together(world: World, act: Callable[[int], Awaitable[Result]]) -> list[Result]:
    return list(await asyncio.gather(*[act(i) for i in range(world.endpoint.clients)]))
