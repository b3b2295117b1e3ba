"""A Dockerfile without a container engine: carried out in a folder that stands for the image.

Strict and small: an instruction that it does not know fails. Paths of the image lie under ``root``;
commands run with them rewritten, so that what is installed runs where it lies.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PLACES = re.compile(r"(?<![\w./-])/(?:src|opt/fintech)\b")
"""Where the image keeps what is copied and installed."""

UNCACHED = {"UV_NO_CACHE"}
"""Variables that only keep an image small."""

OF_THE_TESTS = {"VIRTUAL_ENV", "PYTHONWARNINGS"}
"""Variables of the session that no image has: pip's own warnings are not ours to turn into errors."""


@dataclass(slots=True, kw_only=True)
class Image:
    """What a build made.

    Attributes:
        variables: the environment of what runs in it, as the last stage sets it.
        user: whom it runs as.
    """

    root: Path
    variables: dict[str, str] = field(default_factory=dict)
    user: str = ""
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)

    def placed(self, text: str) -> str:
        """Return a text with the image's paths where they lie."""
        return PLACES.sub(lambda found: f"{self.root}{found[0]}", text)


def ran(command: Sequence[str | Path], **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end; whoever asked looks at what came of it."""
    return subprocess.run(command, check=False, capture_output=True, text=True, **options)


def instructions(text: str) -> Iterator[tuple[str, str]]:
    joined = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    for line in filter(None, (line.strip() for line in joined.splitlines())):
        name, _, rest = line.partition(" ")
        yield name, rest.strip()


class Build:
    """Carries a Dockerfile out."""

    def __init__(
        self, context: Path, root: Path, *, arguments: Mapping[str, str], path: str
    ) -> None:
        self._context = context
        self._arguments = dict(arguments)
        self._path = path
        self._known: dict[str, str] = {}
        self._folder = root
        self.image = Image(root=root)

    def run(self, dockerfile: str) -> Image:
        for name, rest in instructions(dockerfile):
            getattr(self, f"_{name.lower()}")(rest)
        return self.image

    def _from(self, rest: str) -> None:
        assert self._expanded(rest).startswith("python:3."), rest
        self.image = Image(root=self.image.root)
        self._folder = self.image.root

    def _arg(self, rest: str) -> None:
        name, _, default = rest.partition("=")
        self._known[name] = self._arguments.get(name, default.strip('"'))

    def _env(self, rest: str) -> None:
        for pair in shlex.split(self._expanded(rest)):
            name, _, value = pair.partition("=")
            self.image.variables[name] = self.image.placed(value)

    def _label(self, rest: str) -> None:
        assert "=" in rest

    def _workdir(self, rest: str) -> None:
        self._folder = Path(self.image.placed(rest))
        self._folder.mkdir(parents=True, exist_ok=True)

    def _copy(self, rest: str) -> None:
        words = rest.split()
        if words[0].startswith("--from="):
            assert words[1] == words[2], "an environment cannot be moved"
            return
        source, target = words
        destination = self._folder / self.image.placed(target)
        if (self._context / source).is_dir():
            shutil.copytree(self._context / source, destination, ignore=ignored)
        else:
            destination = destination / source if target.endswith("/") else destination
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self._context / source, destination)

    def _run(self, rest: str) -> None:
        variables = {name: value for name, value in self._known.items() if name != "PYTHON_VERSION"}
        environment = {
            **{name: value for name, value in os.environ.items() if name not in OF_THE_TESTS},
            **{k: v for k, v in self.image.variables.items() if k not in UNCACHED},
            **variables,
            "PATH": self._path,
        }
        command = ["/bin/sh", "-c", self.image.placed(rest)]
        done = ran(command, cwd=self._folder, env=environment)
        assert done.returncode == 0, f"{rest}\n{done.stdout}\n{done.stderr}"

    def _user(self, rest: str) -> None:
        self.image.user = rest

    def _expose(self, rest: str) -> None:
        assert rest == self.image.variables["APP_PORT"]

    def _stopsignal(self, rest: str) -> None:
        assert rest == "SIGTERM"

    def _healthcheck(self, rest: str) -> None:
        self.image.healthcheck = json.loads(rest.partition(" CMD ")[2])

    def _entrypoint(self, rest: str) -> None:
        self.image.entrypoint = json.loads(rest)

    def _cmd(self, rest: str) -> None:
        self.image.command = json.loads(rest)

    def _expanded(self, text: str) -> str:
        known = {**self._known, "PATH": self._path}
        return re.sub(r"\$\{(\w+)\}", lambda found: known[found[1]], text)


def ignored(folder: str, names: list[str]) -> set[str]:
    """Return what .dockerignore keeps out of the build."""
    unwanted = {"tests", "__pycache__", "elixir-database", "build", "dist", ".env"}
    return {name for name in names if name in unwanted or name.endswith(".egg-info")}
