"""The whole application, assembled and not started: for what only looks at it. It uses no database."""

import secrets
from typing import TYPE_CHECKING

from fintech_server.tokens import NO_DATABASE

if TYPE_CHECKING:
    from fastapi import FastAPI


def assembled() -> "FastAPI":
    """Return the application of the installed plugins, with secrets that guard nothing.

    Raises:
        StartupFault: the plugins cannot be served.
    """
    from fintech_kernel.web.app import create_app  # brings FastAPI

    return create_app(
        settings={
            "app_env": "test",
            "app_secret": secrets.token_hex(),
            "jwt_algorithm": "HS256",
            "jwt_secret": secrets.token_hex(),
            "db_base_url": NO_DATABASE,
        }
    )
