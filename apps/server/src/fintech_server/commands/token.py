"""``fintech token``: a fresh access token for whoever holds the key, and what a token says."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

STDIN = "-"


class IssueByDefault(TyperGroup):
    """``fintech token --role ...`` is ``fintech token issue --role ...``: the spelling of the first days."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - click's context, or typer's copy of click
        """Name the command where only its options are given."""
        if args and args[0].startswith("--") and args[0] != "--help":
            args = ["issue", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=IssueByDefault, help="Access tokens.", no_args_is_help=True)

DataFolderOption = Annotated[
    Path | None,
    typer.Option(
        "--data-folder",
        help="Use this folder's key; default: the key of the environment, else .fintech.",
    ),
]


@app.command("issue")
def issue(
    role: Annotated[str, typer.Option(help="For instance platform_admin or merchant_operator.")],
    merchant: Annotated[str, typer.Option(help="The merchant of a merchant's role.")] = "",
    subject: Annotated[str, typer.Option(help="Whom the token names.")] = "fintech_cli",
    data_folder: DataFolderOption = None,
) -> None:
    """Print an access token."""
    from fintech_server.tokens import found_tokens  # brings the kernel

    typer.echo(found_tokens(data_folder).bearer(role=role, subject=subject, merchant_id=merchant))


@app.command("inspect")
def inspect(
    token: Annotated[
        str, typer.Argument(help="The token; better: leave it out and pipe it in.")
    ] = STDIN,
    data_folder: DataFolderOption = None,
) -> None:
    """Print what a token says, and whether its signature and times would be accepted; if not, why."""
    from fintech_server.tokens import found_settings, inspected  # brings the kernel

    text = typer.get_text_stream("stdin").readline() if token == STDIN else token
    lines, accepted = inspected(text.strip(), found_settings(data_folder))
    for line in lines:
        typer.echo(line)
    if not accepted:
        raise typer.Exit(1)
