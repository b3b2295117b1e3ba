"""``fintech version``: what is installed."""

from importlib.metadata import distributions
from typing import Final

import typer

PREFIX: Final = "fintech-"


def version() -> None:
    """Print the version of every fintech package that is installed."""
    found = {
        distribution.name: distribution.version
        for distribution in distributions()
        if distribution.name.startswith(PREFIX)
    }
    width = max(map(len, found), default=0)
    for name, number in sorted(found.items()):
        typer.echo(f"{name:<{width}}  {number}")
