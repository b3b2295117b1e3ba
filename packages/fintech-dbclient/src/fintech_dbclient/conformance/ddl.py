"""Checks of the ddl profile: an engine that makes its tables itself, from the contract's statements."""

import asyncio

from fintech_dbclient.conformance.checks import Profile, check
from fintech_dbclient.conformance.world import World, expect
from fintech_dbclient.errors import UniqueViolation

EXTRA_TABLES = ("extra_constraints", "extra_rival", "extra_altered")
"""Tables of these checks, behind the run's prefix; dropped at the end."""


@check(Profile.DDL, "F3")
async def create_table_with_every_constraint(world: World) -> None:
    """CREATE TABLE IF NOT EXISTS with TEXT, BIGINT, NOT NULL, PRIMARY KEY, UNIQUE, CHECK, DEFAULT."""
    create = (
        "CREATE TABLE IF NOT EXISTS $extra_constraints (a TEXT NOT NULL PRIMARY KEY, "
        "b BIGINT NOT NULL DEFAULT 7, c TEXT NOT NULL DEFAULT '', d TEXT UNIQUE, "
        "e BIGINT CHECK (e > 0), f TEXT NOT NULL DEFAULT 'it''s', UNIQUE (b, c))"
    )
    await world.ok(create)
    await world.ok(create)
    insert = "INSERT INTO $extra_constraints (a, c, d, e) VALUES (?, ?, ?, ?)"
    await world.ok(insert, "1", "x", "d", 1)
    row = (await world.ok("SELECT b, e, f FROM $extra_constraints WHERE a = ?", "1")).rows[0]
    expect(that=tuple(row.values()) == (7, 1, "it's"), otherwise=f"defaults gave {dict(row)}")
    await world.fails("unique_violation", insert, "1", "y", "e", 1)
    await world.fails("unique_violation", insert, "2", "y", "d", 1)
    await world.fails("unique_violation", insert, "2", "x", "e", 1)
    await world.fails("check_violation", insert, "2", "y", "e", 0)
    await world.fails("not_null_violation", insert, None, "y", "e", 1)
    await world.ok(insert, "2", "y", None, None)
    await world.ok(insert, "3", "z", None, None)


@check(Profile.DDL, "F3")
async def create_index_if_not_exists(world: World) -> None:
    """CREATE INDEX IF NOT EXISTS and CREATE UNIQUE INDEX IF NOT EXISTS, more than once."""
    for _ in range(2):
        await world.ok("CREATE INDEX IF NOT EXISTS $rows_by_group ON $rows (grp, n)")
        await world.ok("CREATE UNIQUE INDEX IF NOT EXISTS $lines_key ON $lines (k, grp)")


@check(Profile.DDL, "F3")
async def alter_table_add_column(world: World) -> None:
    """ALTER TABLE .. ADD COLUMN keeps the rows there are, with NULL or the default."""
    await world.ok("CREATE TABLE IF NOT EXISTS $extra_altered (a TEXT NOT NULL PRIMARY KEY)")
    await world.ok("INSERT INTO $extra_altered (a) VALUES (?)", "old")
    await world.ok("ALTER TABLE $extra_altered ADD COLUMN b TEXT")
    await world.ok("ALTER TABLE $extra_altered ADD COLUMN c BIGINT NOT NULL DEFAULT 3")
    row = (await world.ok("SELECT b, c FROM $extra_altered WHERE a = ?", "old")).rows[0]
    expect(that=tuple(row.values()) == (None, 3), otherwise=f"an old row has {dict(row)}")
    again = await world.do("ALTER TABLE $extra_altered ADD COLUMN b TEXT")
    expect(that=again.error is not None, otherwise="a column was added twice")


@check(Profile.DDL, "F3")
async def rival_creations_of_a_table_end_with_the_table(world: World) -> None:
    """Many clients CREATE TABLE IF NOT EXISTS at once: success or unique_violation, and it is there."""
    create = "CREATE TABLE IF NOT EXISTS $extra_rival (a TEXT NOT NULL PRIMARY KEY, b BIGINT)"
    clients = min(16, world.endpoint.clients)
    results = await asyncio.gather(*[world.do(create) for _ in range(clients)])
    for result in results:
        if result.error is not None and not isinstance(result.error, UniqueViolation):
            world.give_up(result.error, "expected success or unique_violation")
    expect(that=any(result.error is None for result in results), otherwise="nobody succeeded")
    await world.ok("INSERT INTO $extra_rival (a, b) VALUES (?, ?)", "1", 1)
