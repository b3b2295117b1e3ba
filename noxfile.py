"""Every check of this repository, as sessions of nox: ``nox -l`` lists them, plain ``nox`` is what CI runs.

Each session gets an environment of its own with exactly the packages it is about. Their closure is
computed from ``[project].dependencies``; whatever comes from outside is pinned and hash-checked by
``constraints.txt``. Packages are discovered from the tree: there is no list to keep.
"""

import os
import shutil
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nox
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parent
CONSTRAINTS: Final = "constraints.txt"
DATABASE: Final = "fintech-database"
ELIXIR_ROOM: Final = "apps/elixir-database"
EXAMPLE: Final = "examples/fintech-loyalty"
KERNEL: Final = "fintech-kernel"
SERVER: Final = "fintech-server"

WARNINGS_ARE_ERRORS: Final = {"PYTHONWARNINGS": "error"}
QUICK: Final = ("-m", "not slow")
EVERYTHING: Final = ("-m", "")
"""Selections of tests; the last ``-m`` on pytest's command line wins, so a caller's replaces ours."""

ON_BOTH_CORES: Final = ("-n", "2", "--dist", "worksteal")
"""Packages' tests start a database service each and mostly wait for it: two at once cost half the time."""

SUBSETS: Final[Mapping[str, tuple[str, ...]]] = {
    "kernel": (),
    "ledger": ("ledger",),
    "merchants": ("merchants",),
    "payments": ("payments",),
    "settlements": ("settlements",),
    "ledger+merchants": ("ledger", "merchants"),
    "ledger+payments": ("ledger", "payments"),
    "ledger+merchants+payments": ("ledger", "merchants", "payments"),
    "ledger+merchants+settlements": ("ledger", "merchants", "settlements"),
    "all": ("ledger", "merchants", "payments", "settlements"),
}
"""Choices of plugins that somebody may install; ``tests/subsets`` says what each gives or refuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package of this workspace.

    Attributes:
        needs: names of the workspace's packages among its declared dependencies.
        test_needs: its own group ``test``, beyond the group that all packages share.
    """

    name: str
    folder: str
    module: str
    needs: tuple[str, ...]
    test_needs: tuple[str, ...]


def read_packages() -> dict[str, Package]:
    """Return the packages of the workspace by distribution name."""
    files = sorted([*ROOT.glob("packages/*/pyproject.toml"), *ROOT.glob("apps/*/pyproject.toml")])
    contents = {file.parent: _read_toml(file) for file in files}
    names = {canonicalize_name(content["project"]["name"]) for content in contents.values()}
    packages = (_package(folder, content, workspace=names) for folder, content in contents.items())
    return {package.name: package for package in packages}


def _package(folder: Path, content: Mapping[str, Any], *, workspace: Iterable[str]) -> Package:
    project: Mapping[str, Any] = content["project"]
    required = [
        canonicalize_name(Requirement(text).name) for text in project.get("dependencies", ())
    ]
    return Package(
        name=project["name"],
        folder=folder.relative_to(ROOT).as_posix(),
        module=project["name"].replace("-", "_"),
        needs=tuple(name for name in required if name in workspace),
        test_needs=tuple(content.get("dependency-groups", {}).get("test", ())),
    )


def _read_toml(file: Path) -> dict[str, Any]:
    return tomllib.loads(file.read_text(encoding="utf-8"))


PACKAGES: Final = read_packages()
GROUPS: Final[Mapping[str, list[str]]] = _read_toml(ROOT / "pyproject.toml")["dependency-groups"]

each_package = nox.parametrize("package", [nox.param(name, id=name) for name in PACKAGES])
each_subset = nox.parametrize("subset", [nox.param(name, id=name) for name in SUBSETS])

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"
nox.options.error_on_external_run = True


# ---- the code as it stands ----


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format of every Python file (ruff)."""
    install(session, groups=["lint"])
    session.run("ruff", "check", "--no-cache", *(session.posargs or ["."]))
    session.run("ruff", "format", "--no-cache", "--check", *(session.posargs or ["."]))


@nox.session
def types(session: nox.Session) -> None:
    """Check types, SQL as LiteralString among them (basedpyright, strict)."""
    install(session, *PACKAGES, groups=["types", "test"])
    interpreter = Path(session.bin) / "python"  # without it, a .venv beside this file is preferred
    session.run("basedpyright", f"--pythonpath={interpreter}", *session.posargs)


@nox.session
def contracts(session: nox.Session) -> None:
    """Check who may import whom: layers, pure models, packages one way (import-linter)."""
    install(session, *PACKAGES, groups=["lint"])
    session.run("lint-imports", "--no-cache", *session.posargs)


# ---- one package at a time ----


@nox.session(reuse_venv=False)
@each_package
def imports(session: nox.Session, package: str) -> None:
    """Import every module of one package beside its declared dependencies alone, without test tools."""
    install(session, package, wheels=True)
    script = "tests/isolation/import_every_module.py"
    session.run("python", "-I", "-W", "error", script, PACKAGES[package].module)


@nox.session(reuse_venv=False)
@each_package
def tests(session: nox.Session, package: str) -> None:
    """Run one package's tests beside its declared dependencies, without its siblings."""
    one = PACKAGES[package]
    install(session, package, DATABASE, groups=["test"], extra=one.test_needs)
    run_tests(session, f"{one.folder}/tests", *ON_BOTH_CORES)


@nox.session(reuse_venv=False)
@each_subset
def subsets(session: nox.Session, subset: str) -> None:
    """Start the server with some of the plugins: it serves theirs and knows nothing of the others."""
    chosen = [f"fintech-{name}" for name in SUBSETS[subset]]
    install(session, *chosen, KERNEL, SERVER, DATABASE, groups=["test"], wheels=True)
    run_tests(session, "tests/subsets", f"--subset={','.join(SUBSETS[subset])}")


@nox.session(reuse_venv=False)
def example(session: nox.Session) -> None:
    """Install the documentation's example plugin beside wheels of what it needs, and test it there."""
    one = _package(
        ROOT / EXAMPLE, _read_toml(ROOT / EXAMPLE / "pyproject.toml"), workspace=PACKAGES
    )
    neighbours = [name for text in one.test_needs if (name := Requirement(text).name) in PACKAGES]
    itself = (f"./{EXAMPLE}", f"--refresh-package={one.name}")
    install(
        session,
        *(*one.needs, *neighbours, DATABASE, SERVER),
        groups=["test", "lint"],
        extra=itself,
        wheels=True,
    )
    session.run("fintech", "plugins", "--check")
    with session.chdir(EXAMPLE):
        session.run("lint-imports", "--no-cache")
    run_tests(session, f"{EXAMPLE}/tests", *ON_BOTH_CORES)


@nox.session
def conformance(session: nox.Session) -> None:
    """Hold the database service to its contract, on SQLite and on PostgreSQL."""
    install(session, "fintech-dbclient", DATABASE, groups=["test"])
    run_tests(session, "packages/fintech-dbclient/tests/test_conformance_kit.py")


# ---- everything installed ----


@nox.session
def architecture(session: nox.Session) -> None:
    """Check the rules of the architecture that no linter knows, and that the contracts bite."""
    install(session, *PACKAGES, groups=["test", "lint"])
    run_tests(session, "tests/architecture")


@nox.session
def integration(session: nox.Session) -> None:
    """Run tests of several packages together on the real database service."""
    across_packages(session, "tests/integration")


@nox.session
def security(session: nox.Session) -> None:
    """Run the generated matrix of routes and roles, and the corpora of hostile input."""
    across_packages(session, "tests/security")


@nox.session
def simulation(session: nox.Session) -> None:
    """Run the workflows under every fault, deterministically."""
    across_packages(session, "tests/simulation")


@nox.session
def e2e(session: nox.Session) -> None:
    """Drive the server as a process over HTTP, from onboarding to a paid settlement."""
    across_packages(session, "tests/e2e")


@nox.session
def docs(session: nox.Session) -> None:
    """Execute the commands and examples that the documentation shows."""
    across_packages(session, "tests/docs")


@nox.session
def site(session: nox.Session) -> None:
    """Build the documentation's site in build/site/html; a link or anchor that leads nowhere fails."""
    install(session, *PACKAGES, groups=["site"])
    session.run("python", "site/stage.py")
    configuration = ("--config-file", "build/site/mkdocs.yml")
    # The notice is about MkDocs 2, which the range of the group `site` excludes.
    quiet = {"NO_MKDOCS_2_WARNING": "1"}
    session.run("mkdocs", "build", "--strict", *configuration, *session.posargs, env=quiet)


# ---- on request ----


@nox.session
def serve(session: nox.Session) -> None:
    """Run the server with a database of its own: ``nox -s serve``, or ``nox -s serve -- --port 9000``."""
    install(session, *PACKAGES)
    program = Path(session.bin).relative_to(ROOT) / "fintech"
    session.run("fintech", "dev", *session.posargs, env={"FINTECH_PROGRAM": str(program)})


@nox.session
def demo(session: nox.Session) -> None:
    """Drive a running server from onboarding to a paid settlement, and show what moved."""
    install(session, *PACKAGES)
    session.run("fintech", "demo", *session.posargs)


@nox.session
def elixir(session: nox.Session) -> None:
    """Hold the Elixir database to the contract, kill it 50 times, and drive the server on it.

    In CI it must be there, and the kills are left to ``nox -s full``.
    """
    if shutil.which("mix") is None and not os.environ.get("CI"):
        session.skip(f"Elixir is missing: run {ELIXIR_ROOM}/bin/install-debian-packages as root")
    install(session, *PACKAGES, groups=["test"])
    room = ROOT / ELIXIR_ROOM
    session.run(str(room / "bin" / "install-debian-packages"), external=True)
    selection = QUICK if os.environ.get("CI") else EVERYTHING
    session.run("pytest", "tests/elixir", *selection, *session.posargs, env=WARNINGS_ARE_ERRORS)
    command = {"FINTECH_DATABASE_COMMAND": str(room / "bin" / "fintech-elixir-database")}
    session.env.update(command)
    run_tests(session, "tests/e2e")


@nox.session
def chaos(session: nox.Session) -> None:
    """Kill servers and databases on a bad network: 200 SIGKILLs per engine, or -- your own options."""
    install(session, *PACKAGES, groups=["test"])
    session.run("pytest", "tests/chaos/test_verdict.py", env=WARNINGS_ARE_ERRORS)
    session.run("python", "tests/chaos/chaos.py", *session.posargs)


@nox.session
def races(session: nox.Session) -> None:
    """Race 64 clients on PostgreSQL for 300 rounds, beside a naive guard that must fail."""
    install(session, *PACKAGES, groups=["test"])
    session.run("python", "tests/chaos/races.py", *session.posargs)


@nox.session
def simulate(session: nox.Session) -> None:
    """Simulate every fault, every pair of fault classes and 50,000 random schedules; takes hours."""
    install(session, *PACKAGES)
    plan = session.posargs or ["--enumerate", "--pairs", "100", "--schedules", "50000"]
    session.run("fintech", "simulate", *plan)


@nox.session
def mutants(session: nox.Session) -> None:
    """Break our own protocol in every listed way, and see the simulator notice; takes an hour or two."""
    install(session, *PACKAGES, groups=["test"])
    session.run("python", "tests/simulation/mutants/run.py", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Fuzz the running server by its OpenAPI document: all checks, as staff and as a merchant."""
    install(session, *PACKAGES, groups=["fuzz"])
    session.run("python", "tests/security/fuzz/run.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure: every program in benchmarks/, or ``nox -s bench -- benchmarks/one.py --its-options``."""
    install(session, *PACKAGES, groups=["test"])
    if session.posargs:
        session.run("python", *session.posargs)
        return
    for program in sorted(ROOT.glob("benchmarks/*.py")):
        session.log(f"measuring: {program.name}")
        session.run("python", program.relative_to(ROOT).as_posix())


@nox.session(venv_backend="none")
def full(session: nox.Session) -> None:
    """Queue everything, slow tests included; takes hours, runs before a release."""
    for name in ("lint", "types", "contracts", "site"):
        session.notify(name, [])
    for name in PACKAGES:
        session.notify(f"imports({name})", [])
    for name in PACKAGES:
        session.notify(f"tests({name})", EVERYTHING)
    for name in SUBSETS:
        session.notify(f"subsets({name})", EVERYTHING)
    for name in ("example", "conformance", "architecture", *FOLDERS, "elixir"):
        session.notify(name, EVERYTHING)
    for name in ("simulate", "mutants", "chaos", "races", "fuzz", "bench"):
        session.notify(name, [])


@nox.session
def lock(session: nox.Session) -> None:
    """Pin everything anew in constraints.txt: ``nox -s lock``, or ``nox -s lock -- --upgrade``."""
    projects = [f"{package.folder}/pyproject.toml" for package in PACKAGES.values()]
    session.run(
        *("uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"),
        *("--generate-hashes", "--no-annotate", "--no-header", "--no-emit-index-url"),
        *("--no-emit-find-links", "--all-extras", "--output-file", CONSTRAINTS),
        *(f"--no-emit-package={name}" for name in PACKAGES),
        *(f"--group={name}" for name in GROUPS),
        *(
            f"--group={one.folder}/pyproject.toml:test"
            for one in PACKAGES.values()
            if one.test_needs
        ),
        *("requirements.in", *projects),
        *session.posargs,
    )


FOLDERS: Final = tuple(
    name
    for name in ("integration", "security", "simulation", "e2e", "docs")
    if (ROOT / "tests" / name).is_dir()
)
"""Folders of tests across packages that there are; each has a session of its name."""

nox.options.sessions = [
    *("lint", "types", "contracts", "architecture"),
    *("imports", "tests", "example", "subsets", "conformance"),
    *(*FOLDERS, "site", "elixir"),
]


# ---- how sessions do it ----


def install(
    session: nox.Session,
    *names: str,
    groups: Sequence[str] = (),
    extra: Sequence[str] = (),
    wheels: bool = False,
) -> None:
    """Install packages of the workspace with what they declare, and groups of tools.

    ``--no-sources`` keeps uv from finding undeclared neighbours in the workspace; what is installed
    from outside is verified against the hashes in constraints.txt, build tools included.

    Args:
        session: the session to install into.
        names: packages of the workspace.
        groups: dependency groups of the root ``pyproject.toml``.
        extra: further requirements from outside.
        wheels: build wheels as a user would get them; otherwise sources are used in place.
    """
    ours = closure(names)
    targets: list[str] = []
    for package in ours:
        path = f"./{package.folder}"
        targets += [path, f"--refresh-package={package.name}"] if wheels else ["--editable", path]
    outside = [*(requirement for group in groups for requirement in GROUPS[group]), *extra]
    pins = (f"--constraints={CONSTRAINTS}", f"--build-constraints={CONSTRAINTS}")
    session.install("--no-sources", *pins, *targets, *outside)
    refuse_unpinned(session)


def closure(names: Iterable[str]) -> list[Package]:
    """Return packages of the workspace and, below them, those that their dependencies declare."""
    found: dict[str, Package] = {}
    waiting = [*names]
    while waiting:
        package = PACKAGES[waiting.pop()]
        if package.name not in found:
            found[package.name] = package
            waiting += package.needs
    return sorted(found.values(), key=lambda package: package.name)


def refuse_unpinned(session: nox.Session) -> None:
    """Fail when something was installed that constraints.txt does not pin: it had no hash to check."""
    listing = session.run("uv", "pip", "freeze", silent=True, log=False)
    pinned = set(_pins((ROOT / CONSTRAINTS).read_text(encoding="utf-8").splitlines()))
    unpinned = sorted(set(_pins(str(listing or "").splitlines())) - pinned)
    if unpinned:
        session.error(f"not in {CONSTRAINTS}: {', '.join(unpinned)}; run `nox -s lock`")


def _pins(lines: Iterable[str]) -> Iterator[str]:
    """Yield ``name==version`` of lines that pin something; ours are installed from paths."""
    for line in lines:
        if "==" in line and line[0].isalnum() and " @ " not in line:
            yield line.split()[0]


def across_packages(session: nox.Session, folder: str) -> None:
    """Install everything and run a folder of tests."""
    if not (ROOT / folder).is_dir():
        session.skip(f"there is no {folder} yet")
    install(session, *PACKAGES, groups=["test"])
    run_tests(session, folder)


def run_tests(session: nox.Session, *arguments: str) -> None:
    """Run pytest; slow tests only where the caller's posargs ask for them."""
    session.run("pytest", *arguments, *QUICK, *session.posargs, env=WARNINGS_ARE_ERRORS)
