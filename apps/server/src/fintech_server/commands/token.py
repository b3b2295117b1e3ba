"""``fintech token``: a fresh access token, for whoever holds the key."""

from pathlib import Path
from typing import Annotated

import typer


def token(
    role: Annotated[str, typer.Option(help="For instance platform_admin or merchant_operator.")],
    merchant: Annotated[str, typer.Option(help="The merchant of a merchant's role.")] = "",
    subject: Annotated[str, typer.Option(help="Whom the token names.")] = "fintech_cli",
    data_folder: Annotated[
        Path | None,
        typer.Option(
            help="Sign with this folder's key; default: the key of the environment, else .fintech."
        ),
    ] = None,
) -> None:
    """Print an access token."""
    from fintech_server.tokens import found_tokens  # brings the kernel

    typer.echo(found_tokens(data_folder).bearer(role=role, subject=subject, merchant_id=merchant))
