"""The page about security names proofs that there are."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "security.md").read_text()


def test_every_proof_that_the_page_names_is_there():
    named = re.findall(r"`((?:tests|packages)/[\w/.-]+)`", PAGE)
    assert named
    assert [name for name in named if not (REPOSITORY / name).exists()] == []


def test_every_file_of_tests_here_is_named_by_the_page():
    files = sorted(file.name for file in Path(__file__).parent.glob("test_*.py"))
    unnamed = [name for name in files if name not in PAGE and name != Path(__file__).name]
    assert unnamed == []
