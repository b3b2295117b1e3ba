"""Every check of this repository, as sessions of nox: ``nox -l`` lists them, plain ``nox`` is what CI runs.

Each session gets an environment of its own with exactly the packages it is about. Their closure is
computed from ``[project].dependencies``; whatever comes from outside is pinned and hash-checked by
``constraints.txt``. Packages are discovered from the tree: there is no list to keep.
"""

import os
import shlex
import shutil
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Final

import nox
import nox.virtualenv
from packaging.requirements import Requirement

ROOT: Final = Path(__file__).parent
sys.path.insert(0, str(ROOT / "tools"))
from workspace import (  # noqa: E402 - beside us, and no package
    Package,
    closure,
    fingerprint,
    pinned,
    pins,
    read_choices,
    read_package,
    read_packages,
    read_toml,
)

CONSTRAINTS: Final = "constraints.txt"
WHEELS: Final = ROOT / ".nox" / "built-wheels"
DATABASE: Final = "fintech-database"
ELIXIR_ROOM: Final = "apps/elixir-database"
EXAMPLE: Final = "examples/fintech-loyalty"
KERNEL: Final = "fintech-kernel"
SERVER: Final = "fintech-server"

TESTED: Final[Mapping[str, str | None]] = {
    "PYTHONWARNINGS": "error",
    "PYTHONDONTWRITEBYTECODE": None,
    "PYTHONPYCACHEPREFIX": str(ROOT / ".nox" / "bytecode"),
}
"""The environment of tests. Sources are compiled once, whatever the caller's shell says: each worker, server
and database service of a test is a process, and compiling costs more than all else that its start does."""

MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of its own is made there
MEMORY_BYTES_MIN: Final = 4 * 2**30
"""Where Linux keeps files in memory, and what must be free there for tests to do so: containers have less."""

QUICK: Final = ("-m", "not slow")
EVERYTHING: Final = ("-m", "")
"""Selections of tests; the last ``-m`` on pytest's command line wins, so a caller's replaces ours."""

ON_BOTH_CORES: Final = ("-n", "2", "--dist", "worksteal")
"""Tests wait for the services that they start: two at once cost half the time. Workers get neighbours: what
a module has made for itself is made twice only where one helps the other."""

PACKAGES: Final = read_packages(ROOT)
SUBSETS: Final = read_choices(ROOT / "docs" / "modules.md")
"""Choices of plugins that somebody may install, as the page for users lists them: each is a session."""

PINS: Final = (ROOT / CONSTRAINTS).read_text(encoding="utf-8").splitlines()
GROUPS: Final[Mapping[str, list[str]]] = read_toml(ROOT / "pyproject.toml")["dependency-groups"]

each_package = nox.parametrize("package", [nox.param(name, id=name) for name in PACKAGES])
each_subset = nox.parametrize("subset", [nox.param(name, id=name) for name in SUBSETS])

nox.needs_version = ">=2026.10.20"  # runs sessions side by side
nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"
nox.options.error_on_external_run = True
nox.options.parallel = 2
"""Sessions that say ``allow_parallel`` share the cores; the others wait for the machine to be theirs."""


# ---- the code as it stands ----


@nox.session(allow_parallel=True)
def lint(session: nox.Session) -> None:
    """Check style and format of every Python file (ruff)."""
    install(session, groups=["lint"])
    session.run("ruff", "check", "--no-cache", *(session.posargs or ["."]))
    session.run("ruff", "format", "--no-cache", "--check", *(session.posargs or ["."]))


@nox.session(allow_parallel=True)
def types(session: nox.Session) -> None:
    """Check types, SQL as LiteralString among them (basedpyright, strict)."""
    install(session, *PACKAGES, groups=["types", "test"])
    interpreter = Path(session.bin) / "python"  # without it, a .venv beside this file is preferred
    session.run("basedpyright", f"--pythonpath={interpreter}", *session.posargs)


@nox.session(allow_parallel=True)
def contracts(session: nox.Session) -> None:
    """Check who may import whom: layers, pure models, packages one way (import-linter)."""
    install(session, *PACKAGES, groups=["lint"])
    session.run("lint-imports", "--no-cache", *session.posargs)


# ---- one package at a time ----


@nox.session(reuse_venv=False, allow_parallel=True)
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


@nox.session(reuse_venv=False, allow_parallel=True)
@each_subset
def subsets(session: nox.Session, subset: str) -> None:
    """Start the server with some of the plugins: it serves theirs and knows nothing of the others."""
    chosen = [f"fintech-{name}" for name in SUBSETS[subset]]
    install(session, *chosen, KERNEL, SERVER, DATABASE, groups=["test"], wheels=True)
    run_tests(session, "tests/subsets", f"--subset={','.join(SUBSETS[subset])}")


@nox.session(reuse_venv=False)
def example(session: nox.Session) -> None:
    """Install the documentation's example plugin beside wheels of what it needs, and test it there."""
    one = read_package(ROOT, ROOT / EXAMPLE, workspace=PACKAGES)
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


@nox.session(allow_parallel=True)
def architecture(session: nox.Session) -> None:
    """Check the rules of the architecture that no linter knows, and that the contracts bite."""
    install(session, *PACKAGES, groups=["test", "lint"])
    nox_itself = {"NOX": shlex.join([sys.executable, "-m", "nox"])}  # tests run sessions on a copy
    folders = ("tests/architecture", "tests/isolation", "tests/tools")
    run_tests(session, *folders, env=nox_itself, in_memory=False)


@nox.session
def integration(session: nox.Session) -> None:
    """Run tests of several packages together on the real database service."""
    across_packages(session, "tests/integration")


@nox.session
def security(session: nox.Session) -> None:
    """Run the generated matrix of routes and roles, and the corpora of hostile input."""
    across_packages(session, "tests/security", *ON_BOTH_CORES)


@nox.session
def simulation(session: nox.Session) -> None:
    """Run the workflows under every fault, deterministically."""
    across_packages(session, "tests/simulation")


@nox.session
def e2e(session: nox.Session) -> None:
    """Drive the server as a process over HTTP, from onboarding to a paid settlement."""
    across_packages(session, "tests/e2e", *ON_BOTH_CORES)


@nox.session
def docs(session: nox.Session) -> None:
    """Execute the commands and examples that the documentation shows."""
    by_file = ("-n", "2", "--dist", "loadfile")  # a page's commands are one story
    across_packages(session, "tests/docs", *by_file, in_memory=False)


@nox.session(allow_parallel=True)
def site(session: nox.Session) -> None:
    """Build the documentation's site in build/site/html; a link or anchor that leads nowhere fails."""
    install(session, *PACKAGES, groups=["site"])
    session.run("python", "tools/site_pages.py")
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
    """Hold the Elixir database to the contract, kill it 50 times, and run the server's demo on it.

    In CI it must be there, and the kills are left to ``nox -s full``.
    """
    install_elixir(session)
    run_tests(session, "tests/elixir", selection=QUICK if os.environ.get("CI") else EVERYTHING)


@nox.session(name="elixir-e2e")
def elixir_e2e(session: nox.Session) -> None:
    """Drive the server as a process once more, with the Elixir database beneath it."""
    install_elixir(session)
    command = ROOT / ELIXIR_ROOM / "bin" / "fintech-elixir-database"
    run_tests(session, "tests/e2e", env={"FINTECH_DATABASE_COMMAND": str(command)})


@nox.session
def chaos(session: nox.Session) -> None:
    """Kill servers and databases on a bad network: 200 SIGKILLs per engine, or -- your own options."""
    install(session, *PACKAGES, groups=["test"])
    session.run("pytest", "tests/chaos/test_verdict.py", env=TESTED)
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
    install(session, *PACKAGES, groups=["test", "bench"])
    if session.posargs:
        session.run("python", *session.posargs)
        return
    for program in sorted(ROOT.glob("benchmarks/*.py")):
        session.log(f"measuring: {program.name}")
        session.run("python", program.relative_to(ROOT).as_posix())


@nox.session(name="bench-check")
def bench_check(session: nox.Session) -> None:
    """Compare trips, statements and CPU of a payment with the committed ones: no load, a minute."""
    install(session, *PACKAGES, groups=["test", "bench"])
    session.run("python", "benchmarks/payments.py", "--check", *session.posargs)


# ---- before a release ----


@nox.session(reuse_venv=False)
@each_package
def lowest(session: nox.Session, package: str) -> None:
    """Run one package's tests on the lowest versions of what it declares: floors are true."""
    one = PACKAGES[package]
    ours = closure([package, DATABASE], PACKAGES)
    sources = [part for needed in ours for part in ("--editable", f"./{needed.folder}")]
    tools = [pinned(requirement, PINS) for requirement in GROUPS["test"]]
    session.install(
        *("--no-sources", "--resolution=lowest-direct", f"--build-constraints={CONSTRAINTS}"),
        *(*sources, *tools, *one.test_needs),
    )
    run_tests(session, f"{one.folder}/tests", *ON_BOTH_CORES)


@nox.session
def wheels(session: nox.Session) -> None:
    """Build every wheel; in empty environments install, start, add and remove packages."""
    install(session, groups=["test"], extra=["httpx>=0.28,<1"])
    built = [f"--wheel={wheel_of(session, package)}" for package in PACKAGES.values()]
    run_tests(session, "tests/wheels", *built, env={"UV": nox.virtualenv.UV}, in_memory=False)


@nox.session
def compatibility(session: nox.Session) -> None:
    """Install plugins that are wrong, each in its own way: every one has its start-up error."""
    install(session, SERVER, KERNEL, groups=["test"], wheels=True)
    run_tests(session, "tests/compatibility", env={"UV": nox.virtualenv.UV}, in_memory=False)


@nox.session
def openapi(session: nox.Session) -> None:
    """Show how the API differs from docs/openapi.json, breaking changes by name; -- --base REVISION."""
    install(session, *PACKAGES)
    session.run("python", "tools/openapi_changes.py", *session.posargs)


@nox.session
def release(session: nox.Session) -> None:
    """Prepare a version: ``nox -s release -- fintech-payments minor`` (or patch, major, 1.2.3)."""
    session.install(f"--constraint={CONSTRAINTS}", "packaging")
    session.run("python", "tools/release.py", *session.posargs)


@nox.session
def deploy(session: nox.Session) -> None:
    """Lint Dockerfile, composition and alarms; run the stack that they describe, without containers."""
    install(session, *PACKAGES, groups=["test", "deploy"])
    run_tests(session, "tests/deploy")


@nox.session(venv_backend="none")
def full(session: nox.Session) -> None:
    """Run everything, slow tests included, and report it in docs/reports; -- NAMES runs a part."""
    slow = (*PACKAGE_SESSIONS["slow"], "example", "conformance", "architecture", *FOLDERS, "elixir")
    plan = [
        *(
            (name, ())
            for name in ("lint", "types", "contracts", "site", *PACKAGE_SESSIONS["quick"])
        ),
        *((name, EVERYTHING) for name in slow),
        *((name, ()) for name in ("elixir-e2e", "wheels", "compatibility", "openapi", "deploy")),
        *(
            (name, ())
            for name in ("simulate", "mutants", "chaos", "races", "fuzz", "bench-check", "bench")
        ),
    ]
    wanted = {*session.posargs}
    chosen = [
        shlex.join([name, *arguments])
        for name, arguments in plan
        if not wanted or wanted & {name, name.partition("(")[0]}
    ]
    part = ["--part"] if wanted else []
    session.run(sys.executable, "tools/full.py", *part, *chosen, external=True)


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

PACKAGE_SESSIONS: Final = {
    "quick": tuple(f"{name}({one})" for name in ("imports", "lowest") for one in PACKAGES),
    "slow": tuple(
        f"{name}({one})"
        for name, all_of in (("tests", PACKAGES), ("subsets", SUBSETS))
        for one in all_of
    ),
}
"""Sessions of one package or subset each: those that take no selection of tests, and those that do."""

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
        wheels: install wheels as a user would get them; otherwise sources are used in place.
    """
    ours = closure(names, PACKAGES)
    targets: list[str] = []
    for package in ours:
        folder = f"./{package.folder}"
        targets += [str(wheel_of(session, package))] if wheels else ["--editable", folder]
    outside = [*(requirement for group in groups for requirement in GROUPS[group]), *extra]
    pins = (f"--constraints={CONSTRAINTS}", f"--build-constraints={CONSTRAINTS}")
    session.install("--no-sources", *pins, *targets, *outside)
    refuse_unpinned(session)


def install_elixir(session: nox.Session) -> None:
    """Install everything, and the Elixir database's own packages; in CI Elixir must be there."""
    if shutil.which("mix") is None and not os.environ.get("CI"):
        session.skip(f"Elixir is missing: run {ELIXIR_ROOM}/bin/install-debian-packages as root")
    install(session, *PACKAGES, groups=["test"])
    session.run(str(ROOT / ELIXIR_ROOM / "bin" / "install-debian-packages"), external=True)


def wheel_of(session: nox.Session, package: Package) -> Path:
    """Return the wheel of a package's sources; it is built once, for every session and run."""
    room = WHEELS / f"{package.name}-{fingerprint(ROOT / package.folder)}"
    if not room.exists():
        making = room.with_name(f"{room.name}.{os.getpid()}")
        session.run_install(
            *("uv", "build", "--quiet", "--wheel", "--no-sources", package.folder),
            *(f"--build-constraints={CONSTRAINTS}", f"--out-dir={making}"),
        )
        try:
            making.rename(room)
        except OSError:  # another session was first
            shutil.rmtree(making)
    (wheel,) = room.glob("*.whl")
    return wheel


def refuse_unpinned(session: nox.Session) -> None:
    """Fail when something was installed that constraints.txt does not pin: it had no hash to check."""
    listing = session.run("uv", "pip", "freeze", silent=True, log=False)
    unpinned = sorted({*pins(str(listing or "").splitlines())} - {*pins(PINS)})
    if unpinned:
        session.error(f"not in {CONSTRAINTS}: {', '.join(unpinned)}; run `nox -s lock`")


def across_packages(
    session: nox.Session, folder: str, *arguments: str, in_memory: bool = True
) -> None:
    """Install everything and run a folder of tests."""
    if not (ROOT / folder).is_dir():
        session.skip(f"there is no {folder} yet")
    install(session, *PACKAGES, groups=["test"])
    run_tests(session, folder, *arguments, in_memory=in_memory)


def run_tests(
    session: nox.Session,
    *arguments: str,
    selection: Sequence[str] = QUICK,
    env: Mapping[str, str] = MappingProxyType({}),
    in_memory: bool = True,
) -> None:
    """Run pytest; slow tests only where the caller's posargs ask for them.

    Args:
        session: the session whose tests these are.
        arguments: what to run, and how.
        selection: which of it, unless the caller's posargs say so.
        env: variables beside those of all tests.
        in_memory: whether databases may be files in memory; tests that make environments fill a disk instead.
    """
    with temporary_files(in_memory=in_memory) as temporary:
        environment = {**TESTED, **temporary, **env}
        session.run("pytest", *arguments, *selection, *session.posargs, env=environment)


@contextmanager
def temporary_files(*, in_memory: bool) -> Generator[Mapping[str, str]]:
    """Yield the variable that says where temporary files go: to memory where there is room.

    A database answers when the disk has the row: milliseconds, tens of thousands of times. Nothing that
    tests show rests on the disk: a killed process leaves written files as they are, wherever they lie, and
    power is cut by a file system of the tests' own.
    """
    if not in_memory or not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < MEMORY_BYTES_MIN:
        yield {}
        return
    with TemporaryDirectory(prefix="fintech-", dir=MEMORY, ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # PostgreSQL runs as another user where we are root
        yield {"TMPDIR": folder}
