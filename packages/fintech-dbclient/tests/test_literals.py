"""Literals: whatever goes in comes back byte for byte, or is refused."""

import asyncio

import pytest
from fintech_dbclient import HttpDatabase, Statement
from fintech_dbclient.literals import inline, literal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TEXTS = st.text(
    alphabet=st.one_of(
        st.sampled_from("'\"\\?;-/*%_$:@\n\r\t` ,()"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    ),
    max_size=60,
)
INTEGERS = st.integers(min_value=-(2**63), max_value=2**63 - 1)
KNOWN = [
    "",
    "'",
    "''",
    "\\'",
    "\\",
    "'; DROP TABLE x; --",
    "/* */",
    "?",
    "%s",
    "\u202eright to left: \u05e9\u05dc\u05d5\u05dd",
    "\U0001f469\u200d\U0001f680\U0001f1f0\U0001f1ea",
    "e\u0301 is not \u00e9",
    "\ufeff",
    "\uffff",
    "line\r\nline",
    "x" * 65_536,
    "'" * 1_000,
]

CREATE = Statement(
    name="create",
    sql="CREATE TABLE IF NOT EXISTS literals (k BIGINT NOT NULL PRIMARY KEY, t TEXT, n BIGINT)",
)


@pytest.mark.parametrize("value", ["a\0", "\ud83d", 2**63, -(2**63) - 1, True, 1.0, b"a"])
def test_values_without_a_literal_are_refused(value):
    with pytest.raises(ValueError, match="has no literal"):
        literal(value)


@pytest.mark.parametrize(
    ("sql", "params", "text"),
    [
        ("a = ? AND b = ?", ("x'y", 1), "a = 'x''y' AND b = 1"),
        ("a = '?' AND b = ?", (1,), "a = '?' AND b = 1"),
        ('"why?" = ? -- really?\n', (None,), '"why?" = NULL -- really?\n'),
        ("/* ? * ? */ a = ?", ("?",), "/* ? * ? */ a = '?'"),
        ("a = 'it''s ?' AND b - ? > 0", (-1,), "a = 'it''s ?' AND b - (-1) > 0"),
        ("n = ?", (-(2**63),), "n = (-9223372036854775807 - 1)"),
        ("VALUES (?,?)", (1, "b"), "VALUES (1,'b')"),
    ],
)
def test_placeholders_are_found_by_tokens(sql, params, text):
    assert inline(sql, params) == text


@pytest.mark.parametrize(
    ("sql", "params"),
    [
        ("a = ?", ()),
        ("a = ?", (1, 2)),
        ("a = 'open ?", (1,)),
        ('a = "open ?', (1,)),
        ("a = ? /* open", (1,)),
        ("a = '1'?", (1,)),
        ("a = ??", (1, 2)),
        ("a = E?", ("x",)),
        ("a = ?1", (1,)),
        ("a = E'\\' ? '", (1,)),
        ("a = $1 OR b = $?", (1,)),
    ],
)
def test_text_that_could_be_misread_is_refused(sql, params):
    with pytest.raises(ValueError, match=r"."):
        inline(sql, params)


@given(TEXTS, TEXTS)
def test_a_literal_is_one_token_and_no_placeholder_of_it_counts(left, right):
    text = inline("a = ? AND b = ?", (left, right))
    assert inline(text, ()) == text


def check_round_trip(url: str, examples: int) -> None:
    """Write each value as a literal, read it back as a parameter's equal."""
    count = 0
    batches: list[list[tuple[str | None, int]]] = []

    @settings(
        max_examples=examples // 100,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(st.tuples(TEXTS, INTEGERS), min_size=100, max_size=100))
    def collect(pairs):
        batches.append(pairs)

    collect()
    batches.append([(text, 0) for text in KNOWN])

    async def run() -> None:
        nonlocal count
        async with HttpDatabase(url, timeout_seconds=30, request_timeout_seconds=30) as database:
            await database.execute(CREATE)
            await database.execute(Statement(name="clear", sql="DELETE FROM literals"))
            for batch in batches:
                rows = [(count + at, text, number) for at, (text, number) in enumerate(batch)]
                count += len(rows)
                marks = ", ".join(["(?, ?, ?)"] * len(rows))
                sql = inline(
                    f"INSERT INTO literals (k, t, n) VALUES {marks}",  # noqa: S608 - built of the test's own words
                    [value for row in rows for value in row],
                )
                await database.execute(Statement(name="put", sql=sql))
                select = "SELECT k, t, n FROM literals WHERE k >= ? ORDER BY k"
                result = await database.execute(
                    Statement(name="get", sql=select, params=(rows[0][0],))
                )
                assert [tuple(row.values()) for row in result.rows] == rows
                by_text = inline("SELECT k FROM literals WHERE t = ? AND n = ?", rows[-1][1:])
                found = await database.execute(Statement(name="find", sql=by_text))
                assert rows[-1][0] in {row["k"] for row in found.rows}

    asyncio.run(run())
    assert count >= examples


def test_literals_come_back_byte_for_byte(database_url):
    check_round_trip(database_url, 600)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_thousand_literals_come_back_byte_for_byte(database_url):
    check_round_trip(database_url, 10_000)
