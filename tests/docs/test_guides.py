"""Guides show code as it is; the one to plugins all of the example, and runs what it says."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "fintech-loyalty"
GUIDE = (ROOT / "docs" / "writing-a-plugin.md").read_text(encoding="utf-8")

GUIDES = ("writing-a-plugin.md", "connecting-a-processor.md")

LINK_OR_BLOCK = re.compile(
    r"\]\(\.\./(?P<file>[^)#]+)\)|^```(?:python|toml)\n(?P<code>.*?)\n^```",
    re.DOTALL | re.MULTILINE,
)


def blocks() -> Iterator[tuple[str, str]]:
    """Yield each block of code with the file that the page linked last before it."""
    for guide in GUIDES:
        file = ""
        text = (ROOT / "docs" / guide).read_text(encoding="utf-8")
        for found in LINK_OR_BLOCK.finditer(text):
            if found["file"]:
                file = found["file"]
            else:
                yield file, found["code"]


def first_line(code: str) -> str:
    return code.strip().splitlines()[0]


@pytest.mark.parametrize(("file", "code"), [*blocks()], ids=lambda text: first_line(text)[-50:])
def test_every_block_stands_in_the_source_word_for_word(file: str, code: str) -> None:
    source = (ROOT / file).read_text(encoding="utf-8")
    assert f"\n{code}\n" in f"\n{source}\n", f"{file} reads otherwise"


def test_the_guide_to_plugins_tells_of_every_module_of_the_example() -> None:
    modules = {
        path.relative_to(EXAMPLE).as_posix()
        for path in EXAMPLE.glob("src/**/*.py")
        if path.name != "__init__.py"
    }
    assert modules - set(re.findall(r"\.\./examples/fintech-loyalty/([^)#]+)\)", GUIDE)) == set()


def test_what_the_guide_to_plugins_tells_to_run_is_what_the_session_runs() -> None:
    (command,) = re.findall(r"^```sh\n(.*?)\n^```", GUIDE, re.DOTALL | re.MULTILINE)
    session = (ROOT / "noxfile.py").read_text(encoding="utf-8").partition("def example(")[2]
    install, check = command.split(" && ")
    assert install == f"pip install ./{EXAMPLE.relative_to(ROOT).as_posix()}"
    assert ", ".join(f'"{word}"' for word in check.split()) in session
