"""Rules of the sources that no linter knows: where SQL stands, what the model knows, how money is counted."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SQL = re.compile(
    r"\s*(?:SELECT|INSERT\s+INTO|UPDATE|DELETE\s+FROM|CREATE|ALTER|DROP)\s+\S", re.DOTALL
)

SQL_ELSEWHERE = {
    "fintech_dbclient/migrations.py": "the table that remembers migrations is the client's own",
    "fintech_dbclient/conformance/": "the kit's statements are what it tests",
    "fintech_kernel/testing/": "test kits bring small plugins with tables of their own",
}
"""Places of SQL outside of ``infrastructure/``, and why."""

PURE = {
    "commands", "decisions", "errors", "events", "fees", "key_errors", "key_events", "keys", "model",
    "postings",
}  # fmt: skip

PURE_MAY_IMPORT = {
    "collections.abc", "dataclasses", "datetime", "enum", "functools", "itertools", "operator", "re",
    "typing",
    "fintech_kernel.clock", "fintech_kernel.errors", "fintech_kernel.identifiers", "fintech_kernel.money",
    "fintech_kernel.pricing",
}  # fmt: skip
"""What a model may know: value types. Of clock and identifiers it may take constants only, see below."""

CONSTANT = re.compile(r"[A-Z][A-Z0-9_]*")

FLOATS = {
    "fintech_kernel/domain/events.py": "seconds: delays between deliveries",
    "fintech_kernel/domain/execution.py": "seconds: pauses between attempts",
    "fintech_kernel/domain/gauges.py": "seconds: ages of what waits",
    "fintech_kernel/domain/jobs.py": "seconds: intervals of jobs, with jitter",
    "fintech_kernel/domain/operations.py": "seconds: leases, deadlines and pauses",
    "fintech_ledger/domain/claims.py": "seconds: pauses between attempts",
    "fintech_ledger/domain/folding.py": "seconds: pauses between folds and attempts",
    "fintech_payments/domain/workflows.py": "seconds: pauses between questions to a processor",
    "fintech_settlements/domain/workflows.py": "seconds: pauses between questions to a rail",
    "fintech_webhooks/domain/courier.py": "seconds: pauses of the schedule, with jitter",
}
"""Modules of a domain that hold a float or divide truly, and what they measure: never money."""

COUNTING = {"fintech_kernel/money.py", "fintech_kernel/pricing.py"}
"""Modules outside of a domain that count money."""

HOMES = re.compile(r"(?<![\w.:*$}/-])/(?:root|home|Users)/[\w.]")
REGISTRIES = re.compile(
    r"pypi\.org|pythonhosted\.org|registry\.npmjs|repo\.hex\.pm|--index-url[ =]+http"
)


def sources(packages) -> Iterator[tuple[str, Path]]:
    for package in packages:
        for file in sorted(package.source.rglob("*.py")):
            yield file.relative_to(package.source.parent).as_posix(), file


def test_sql_stands_in_infrastructure_and_nowhere_else(packages):
    ours = [package for package in packages if package.folder.parent.name == "packages"]
    misplaced = [
        f"{name}:{line}: {text}"
        for name, file in sources(ours)
        if "/infrastructure/" not in name and not name.startswith(tuple(SQL_ELSEWHERE))
        for line, text in sql_texts(ast.parse(file.read_text()))
    ]
    assert misplaced == []


def sql_texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and id(node) not in documentation and SQL.match(node.value):
            yield node.lineno, " ".join(node.value.split())[:80]


def test_the_search_for_sql_finds_it():
    tree = ast.parse('"""SELECT is a word."""\nquery = f"""\n  SELECT a FROM t {tail}"""\n')
    assert [text for _, text in sql_texts(tree)] == ["SELECT a FROM t"]


def test_pure_modules_import_value_types_and_one_another_only(plugins):
    impure = [
        f"{name}: {imported}"
        for name, file in sources(plugins)
        if Path(name).parent.name == "domain" and file.stem in PURE
        for imported in imported_names(ast.parse(file.read_text()))
        if not is_pure(imported, plugin=name.partition("/")[0])
    ]
    assert impure == []


def is_pure(imported: str, *, plugin: str) -> bool:
    module, _, name = imported.rpartition(".")
    if module == f"{plugin}.domain":
        return name in PURE
    if module.startswith(f"{plugin}.domain."):
        return module.rpartition(".")[2] in PURE
    if module.startswith("fintech_kernel.contracts."):
        return module != "fintech_kernel.contracts.writes"
    if module in {"fintech_kernel.clock", "fintech_kernel.identifiers"}:
        return CONSTANT.fullmatch(name) is not None
    return module in PURE_MAY_IMPORT or imported in PURE_MAY_IMPORT


def imported_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_a_model_asks_no_clock_and_throws_no_dice(plugins):
    asking = [
        f"{name}:{node.lineno}: {node.attr}"
        for name, file in sources(plugins)
        if Path(name).parent.name == "domain" and file.stem in PURE
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"}
    ]
    assert asking == []


def test_no_float_enters_the_counting_of_money(packages):
    found = {
        name: reason
        for name, file in sources(packages)
        if "/domain/" in name or name in COUNTING
        for reason in inexact(ast.parse(file.read_text()))
    }
    assert {name: reason for name, reason in found.items() if name not in FLOATS} == {}
    assert FLOATS.keys() - found.keys() == set(), "an exception that nothing needs any more"


def inexact(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield f"line {node.lineno}: {node.value}"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield f"line {node.lineno}: true division"
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"float", "round"}:
            yield f"line {node.lineno}: {ast.unparse(node)}"


def test_only_the_host_takes_more_of_pluggy_than_its_markers(packages):
    takes = {
        f"{name}: pluggy.{node.attr}"
        for name, file in sources(packages)
        if name != "fintech_kernel/host.py"
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pluggy"
    }
    markers = {"HookspecMarker", "HookimplMarker"}
    assert takes == {f"fintech_kernel/hooks.py: pluggy.{marker}" for marker in markers}


def test_the_standard_library_is_what_the_model_may_import_besides_ours():
    ours = {name for name in PURE_MAY_IMPORT if name.startswith("fintech_")}
    assert {name.partition(".")[0] for name in PURE_MAY_IMPORT - ours} <= sys.stdlib_module_names


def test_no_file_remembers_a_machine_or_where_packages_were_downloaded(repository):
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=repository, capture_output=True, text=True, check=True
    )
    found = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name in filter(None, listing.stdout.split("\0"))
        if name != Path(__file__).relative_to(repository).as_posix()
        for number, line in enumerate(text_lines(repository / name), start=1)
        if str(repository) in line or HOMES.search(line) or REGISTRIES.search(line)
    ]
    assert found == []


def text_lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (UnicodeDecodeError, FileNotFoundError):
        return []  # a picture, or a file that was just removed
