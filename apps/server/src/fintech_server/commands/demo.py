"""``fintech demo``: from onboarding to a paid settlement, over HTTP, in front of your eyes."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from fintech_server.failures import CommandFailed

if TYPE_CHECKING:
    from fintech_server.demo import Demo
    from fintech_server.tokens import Credentials

MILLISECONDS: Final = 1_000


def demo(
    url: Annotated[str, typer.Option(help="The server.")] = "http://127.0.0.1:8000",
    data_folder: Annotated[
        Path | None,
        typer.Option(
            help="Sign tokens with this folder's key; default as in `fintech token issue`."
        ),
    ] = None,
    platform_token: Annotated[
        str | None,
        typer.Option(
            envvar="FINTECH_PLATFORM_TOKEN",
            help="Use this token of a platform_admin for everything instead.",
        ),
    ] = None,
    run_id: Annotated[
        str | None, typer.Option(help="Go on with an earlier run: its calls are not made twice.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the facts as JSON and nothing else.")
    ] = False,
) -> None:
    """Drive the whole path and show what came of it; fails where the books are not right."""
    from fintech_server.demo import Demo  # brings httpx and the kernel

    run = Demo(url, credentials=_credentials(data_folder, platform_token), run_id=run_id)
    try:
        run.client.check()
        _perform(run, quiet=as_json)
    finally:
        run.close()
    facts = run.facts()
    if as_json:
        typer.echo(json.dumps(asdict(facts)))
    else:
        from fintech_server import story  # brings Rich

        story.tell(story.console(), run.answers, facts)
    if faults := facts.faults():
        raise CommandFailed(*(f"run {run.run_id}: {fault}" for fault in faults))


def _credentials(data_folder: Path | None, platform_token: str | None) -> "Credentials":
    from fintech_server.tokens import OneToken, found_tokens  # brings the kernel

    if platform_token is not None:
        return OneToken(platform_token)
    return found_tokens(data_folder)


def _perform(run: "Demo", *, quiet: bool) -> None:
    """Make all calls, a line each.

    Raises:
        CommandFailed: one was refused or not answered; the line says how to go on.
    """
    steps = run.steps()
    for number, step in enumerate(steps, start=1):
        began = time.monotonic()
        try:
            run.perform(step)
        except CommandFailed as failure:
            again = f"go on with `fintech demo --run-id {run.run_id}` and the same options"
            raise CommandFailed(*failure.lines, again) from failure
        if not quiet:
            took = (time.monotonic() - began) * MILLISECONDS
            typer.echo(f"{number:>3}/{len(steps)}  {step.title:<36} {took:>7.0f} ms")
