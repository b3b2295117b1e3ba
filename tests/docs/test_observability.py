"""docs/observability.md and deploy/alarms.yaml say what the code says: no metric and no warning more."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fintech_kernel.observability.logging import FIELDS
from fintech_kernel.observability.metrics import Described
from fintech_kernel.settings import KernelSettings
from fintech_server.assembly import assembled

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")
ALARMS = yaml.safe_load((ROOT / "deploy" / "alarms.yaml").read_text(encoding="utf-8"))
RULES: list[dict[str, Any]] = [rule for group in ALARMS["groups"] for rule in group["rules"]]

FAMILY = re.compile(r"\bfintech_[a-z_]+")
SERIES = ("_bucket", "_count", "_sum")
PROMETHEUS_OWN = {"up"}
TABLE_MARK = "*table*"
LEVELS = {"warning", "error"}
LOGGING = {f"logger.{name}" for name in ("debug", "info", "warning", "error", "bind")}


def rows(text: str, header: str) -> Iterator[list[str]]:
    """Yield the cells of every table of the page whose first column is called ``header``."""
    inside = False
    for line in text.splitlines():
        if line.startswith(f"| {header} |"):
            inside = True
        elif not line.startswith("|"):
            inside = False
        elif inside and not line.startswith("| ---"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def words(cell: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]+)`", cell))


@pytest.fixture(scope="module")
def metrics() -> dict[str, Described]:
    return {one.name: one for one in assembled().state.context.metrics.described}


def test_every_metric_stands_on_the_page_with_its_labels_and_no_other_does(metrics):
    documented = {words(row[0])[0]: words(row[1]) for row in rows(PAGE, "metric")}
    assert documented == {name: one.labels for name, one in metrics.items()}


def test_every_metric_that_prometheus_is_told_is_a_described_one(metrics):
    text = assembled().state.context.metrics.text().decode()
    told = set(re.findall(r"^# TYPE (fintech_\w+) ", text, re.MULTILINE))
    assert told == set(metrics)


def test_gauges_that_a_job_reads_are_marked_so(metrics):
    marked = {words(row[0])[0] for row in rows(PAGE, "metric") if row[2].startswith(TABLE_MARK)}
    sets = assembled().state.context.gauges.sets
    assert marked == {gauge.name for one in sets for gauge in one.gauges}


def test_the_page_names_no_metric_that_there_is_not(metrics):
    named = {family(name, metrics) for name in FAMILY.findall(PAGE)}
    assert named - set(metrics) == {"fintech_metrics"}  # the hook


def family(name: str, metrics: dict[str, Described]) -> str:
    for end in SERIES:
        if name.endswith(end) and name.removesuffix(end) in metrics:
            return name.removesuffix(end)
    return name


def test_every_field_of_the_log_stands_on_the_page_and_no_other_does():
    documented = [field for row in rows(PAGE, "field") for field in words(row[0])]
    assert sorted(documented) == sorted(FIELDS)


def test_every_warning_and_error_stands_on_the_page_with_its_level_and_no_other_does():
    documented = {words(row[0])[0]: frozenset(row[1].split(", ")) for row in rows(PAGE, "message")}
    assert documented == logged()


def logged() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for place in sources():
        for message, level in log_calls(ast.parse(place.read_text(encoding="utf-8"))):
            found.setdefault(message, set()).update(level)
    return {message: frozenset(levels) for message, levels in found.items() if levels & LEVELS}


def sources() -> Iterator[Path]:
    for place in [*ROOT.glob("packages/*/src/**/*.py"), *ROOT.glob("apps/server/src/**/*.py")]:
        if not {"simulation", "testing", "simulation.py"} & set(place.parts):
            yield place


def log_calls(tree: ast.Module) -> Iterator[tuple[str, set[str]]]:
    """Yield message and level of each call of a logger, and of a name that stands for two of its methods."""
    either = {
        target.id: {one.attr for one in ast.walk(node.value) if isinstance(one, ast.Attribute)}
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.IfExp)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        text = node.args[0]
        if not isinstance(text, ast.Constant) or not isinstance(text.value, str):
            continue
        if isinstance(node.func, ast.Name) and either.get(node.func.id, set()) & LEVELS:
            yield text.value, either[node.func.id] & LEVELS
        elif isinstance(node.func, ast.Attribute) and re.search(
            r"\blogger\b|\b_log\b", ast.unparse(node.func.value)
        ):
            yield text.value, {node.func.attr}


def test_no_log_line_has_a_field_that_would_be_dropped():
    dropped = {
        f"{place.relative_to(ROOT)}: {keyword.arg}"
        for place in sources()
        for call in ast.walk(ast.parse(place.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func) in LOGGING
        for keyword in call.keywords
        if keyword.arg is not None and keyword.arg not in FIELDS
    }
    assert dropped == set()


def test_the_search_for_log_lines_finds_them():
    tree = ast.parse(
        'logger.opt(exception=e).error("a")\n_log.warning("b", x)\n'
        'say = logger.error if bad else logger.warning\nsay("c")\nprint("d")\n'
    )
    assert dict(log_calls(tree)) == {"a": {"error"}, "b": {"warning"}, "c": {"error", "warning"}}


def test_settings_that_the_page_names_exist():
    ours = {name.upper() for name in KernelSettings.model_fields}
    named = set(re.findall(r"`((?:APP|AUDIT|DB|RATE)_[A-Z_]+)", PAGE))
    assert named - ours == set()


# ---- alarms ----


def test_alarms_have_names_of_their_own():
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)
    assert len({group["name"] for group in ALARMS["groups"]}) == len(ALARMS["groups"])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alarm_says_how_bad_it_is_why_its_threshold_and_what_to_do(rule):
    assert set(rule) - {"for"} == {"alert", "expr", "labels", "annotations"}
    assert set(rule["labels"]) == {"severity"}
    assert rule["labels"]["severity"] in {"page", "ticket"}
    notes = rule["annotations"]
    assert set(notes) == {"summary", "why", "action", "docs"}
    assert all(notes[name].endswith(".") for name in ("why", "action"))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alarm_is_about_metrics_and_labels_that_there_are(rule, metrics):
    selectors = re.findall(r"\b(fintech_\w+|up\b)(?:\{([^}]*)\})?", rule["expr"])
    assert selectors
    for name, matchers in selectors:
        if name in PROMETHEUS_OWN:
            continue
        found = metrics.get(family(name, metrics))
        assert found is not None, name
        given = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
        assert given <= set(found.labels)
        counter = found.kind == "counter"
        assert counter == bool(re.search(rf"(?:rate|increase)\({name}\b", rule["expr"])) or (
            found.kind == "histogram"
        ), f"{name}: counters are rates, gauges are not"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alarm_leads_to_the_section_that_says_more_of_it(rule):
    page, _, anchor = rule["annotations"]["docs"].partition("#")
    assert page == "docs/observability.md"
    (section,) = [
        text
        for title, text in re.findall(r"^#{2,3} (.+)\n((?:(?!^#{2,3} ).*\n)*)", PAGE, re.MULTILINE)
        if re.sub(r"[^a-z0-9-]", "", title.lower().replace(" ", "-")) == anchor
    ]
    assert re.search(rf"\*\*[^*]*\b{rule['alert']}\b[^*]*\.\*\*", section)


def test_the_page_tells_of_no_alarm_that_there_is_not():
    told = {
        name
        for names in re.findall(r"^\*\*([A-Z][\w, ]+)\.\*\*", PAGE, re.MULTILINE)
        for name in names.split(", ")
    }
    assert told == {rule["alert"] for rule in RULES}
