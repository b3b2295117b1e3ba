"""``fintech serve``: the production server, from the environment's settings alone."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fastapi import FastAPI


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; default: APP_HOST.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="0 takes a free one; default: APP_PORT.")
    ] = None,
) -> None:
    """Serve what is installed. Nothing is generated: settings come from the environment."""
    from fintech_server import server  # brings uvicorn

    given: dict[str, object] = {"app_host": host, "app_port": port}
    app = _app({name: value for name, value in given.items() if value is not None})
    settings = app.state.context.settings
    try:
        with (
            server.stop_signals(),
            server.take_address(settings.app_host, settings.app_port) as listener,
        ):
            url = server.url_of(listener, settings.app_host)

            async def greet() -> None:
                typer.echo(f"listening on {url}")
                await asyncio.Event().wait()

            server.run(
                lambda: server.serve(
                    app,
                    listener,
                    host=settings.app_host,
                    drain_seconds=settings.app_request_timeout_seconds,
                    companion=greet,
                )
            )
    except KeyboardInterrupt:
        return  # asked to stop before it was up: that is a clean end too


def _app(given: dict[str, object]) -> "FastAPI":
    from fintech_kernel.observability.logging import configure_logging  # brings the kernel
    from fintech_kernel.web.app import create_app  # brings FastAPI

    app = create_app(settings=given)
    app.state.lines = configure_logging(app.state.context.settings.app_log_level)
    return app
