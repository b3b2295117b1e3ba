"""The contract's page and what shows it agree, name for name."""

import asyncio
import re
from pathlib import Path

import pytest
from fintech_dbclient.conformance import all_checks

ROOT = Path(__file__).parents[3]
CONTRACT = ROOT / "docs" / "database-contract.md"
GUIDE = ROOT / "docs" / "bring-your-own-engine.md"

ROW = re.compile(r"^\| ([WDFC]\d+) \|.*\| ([^|]*) \|$", re.MULTILINE)
NAME = re.compile(r"`([a-z][a-z0-9_]+)`")


@pytest.fixture(scope="module")
def shown_by() -> dict[str, set[str]]:
    """Number of each promise, and the names that show it."""
    rows = ROW.findall(CONTRACT.read_text(encoding="utf-8"))
    return {number: set(NAME.findall(names)) for number, names in rows}


def test_every_promise_is_numbered_in_order_and_shown_by_something(shown_by):
    for letter, count in (("W", 8), ("D", 10), ("F", 3), ("C", 9)):
        assert [n for n in shown_by if n[0] == letter] == [f"{letter}{i + 1}" for i in range(count)]
    assert all(shown_by.values())


def test_every_check_named_by_a_promise_exists_and_shows_it(shown_by):
    checks = {one.name: one for one in all_checks()}
    for number, names in shown_by.items():
        if number[0] == "C":
            continue
        for name in names:
            assert number in checks[name].promises, f"{name} does not name {number}"


def test_every_check_stands_at_the_promises_it_shows(shown_by):
    for one in all_checks():
        for number in one.promises:
            assert one.name in shown_by[number], f"{number} does not name {one.name}"


def test_every_test_named_by_a_promise_of_the_client_exists(shown_by):
    tests = "\n".join(
        path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py")
    )
    defined = set(re.findall(r"def (test_\w+)\(", tests))
    for number, names in shown_by.items():
        if number[0] == "C":
            assert names <= defined, f"{number}: {names - defined}"


def test_every_error_word_is_on_the_page():
    from fintech_dbclient.replies import _ALIASES, _FAILURES

    text = CONTRACT.read_text(encoding="utf-8")
    for word in _FAILURES:
        assert f"| `{word}` |" in text
    guide = GUIDE.read_text(encoding="utf-8")
    for alias in re.findall(r"`([a-z_]+)`", guide.split("## Which error words")[1].split("##")[0]):
        assert alias in {*_FAILURES, *_ALIASES, "overloaded", "timeout", "internal"}, alias


def test_the_numbers_of_the_guide_are_the_kits():
    checks = all_checks()
    query = sum(one.profile == "query" for one in checks)
    assert 20 <= query <= 26, "the guide says two dozen forms"


def test_the_example_of_the_readme_runs(sqlite_url):
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    body = example.replace('"http://127.0.0.1:5433"', "url")
    create = "CREATE TABLE IF NOT EXISTS notes (note_id TEXT NOT NULL PRIMARY KEY, text TEXT)"
    lines = [
        "import asyncio",
        "async def main(url, token=None):",
        "    from fintech_dbclient import HttpDatabase, Migration, migrate",
        "    async with HttpDatabase(url) as database:",
        f"        steps = [Migration(number=1, name='create notes', statements=({create!r},))]",
        "        await migrate(database, 'readme', steps)",
        *(f"    {line}" for line in body.splitlines()),
        "    return insert",
    ]
    namespace: dict[str, object] = {}
    exec("\n".join(lines), namespace)  # noqa: S102 - the page's own example
    for _ in range(2):  # the second time it is there already
        insert = asyncio.run(namespace["main"](sqlite_url))
    assert insert.params == ("n1", "it's here")
