"""The process around the application: its socket, its signals, its orderly end.

The application's lifespan is entered here and not by uvicorn, so that what it raises at the start is
ours to say in a line. What does not live here: what is served, which is the kernel's ``create_app``.
"""

import asyncio
import contextlib
import errno
import gc
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from types import FrameType
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from fintech_dbclient import DatabaseError, MigrationRefused, Unauthorized

from fintech_server.connections import Connection
from fintech_server.failures import CommandFailed

BACKLOG: Final = 2048
KEEP_ALIVE_SECONDS: Final = 75

COLLECT_AFTER_OBJECTS: Final = 10_000
"""New objects that outlive their references before the collector looks: a few megabytes."""

STOP_SIGNALS: Final = tuple(
    number
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if (number := getattr(signal, name, None)) is not None
)
"""Signals that ask us to stop. Windows has no SIGHUP."""

Companion = Callable[[], Awaitable[None]]
"""Runs beside the server, from when it accepts requests. What it raises stops the server."""


def take_address(host: str, port: int) -> socket.socket:
    """Take the address before anything else is started; 0 is any free port.

    Raises:
        CommandFailed: it is taken, or not ours.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        if sys.platform != "win32":  # there, it would share the port instead of reusing it
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise _address_unavailable(host, port, error) from error
    return listener


def url_of(listener: socket.socket, host: str) -> str:
    """Return the URL of an address that was taken."""
    port: int = listener.getsockname()[1]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


@contextlib.contextmanager
def stop_signals() -> Generator[None]:
    """Turn every request to stop into ``KeyboardInterrupt``, until the server handles them itself."""
    before = {number: signal.signal(number, _interrupt) for number in STOP_SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine to its end, on the quickest loop there is."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main())


async def serve(
    app: FastAPI,
    listener: socket.socket,
    *,
    host: str,
    drain_seconds: float,
    companion: Companion,
) -> None:
    """Serve until asked to stop; answer what was accepted; end the lifespan.

    Raises:
        CommandFailed: the database cannot be used, or the address was lost to another server.
        Exception: what the companion raised.
    """
    async with _lifespan(app):
        _calm_collector()
        server = _Server(app, drain_seconds)
        beside = asyncio.create_task(_accompany(server, companion))
        try:
            await server.serve(sockets=[listener])
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            port: int = listener.getsockname()[1]
            raise _address_unavailable(host, port, error) from error
        finally:
            beside.cancel()
            outcome = (await asyncio.gather(beside, return_exceptions=True))[0]
        if isinstance(outcome, Exception):
            raise outcome


def _calm_collector() -> None:
    """Have cyclic garbage looked for less often: what was built at the start lives as long as we do.

    A request makes some hundreds of objects and next to no cycles; with Python's own threshold looking for
    them took 6 % of a payment's CPU, with this one less than 2 %.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS, 20, 50)


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Run the application's lifespan.

    Raises:
        CommandFailed: the database cannot be used.
    """
    url: str = app.state.context.settings.db_base_url
    running = app.router.lifespan_context(app)
    try:
        await running.__aenter__()
    except DatabaseError as error:
        await app.state.context.database.close()
        raise database_unusable(url, error) from error
    try:
        yield
    finally:
        await running.__aexit__(*sys.exc_info())


def database_unusable(url: str, error: DatabaseError) -> CommandFailed:
    """Return what to tell a person whose database cannot be used."""
    if isinstance(error, MigrationRefused):
        return CommandFailed(f"the migrations do not fit the database at {url}: {error}")
    if isinstance(error, Unauthorized):
        return CommandFailed(f"the database at {url} refuses DB_API_TOKEN: set the service's token")
    return CommandFailed(
        f"the database at {url} cannot be used ({type(error).__name__}): start it, or set"
        " DB_BASE_URL to the one that runs"
    )


class _Server(uvicorn.Server):
    """uvicorn with our signals: a stop that was asked for ends with exit code 0."""

    def __init__(self, app: FastAPI, drain_seconds: float) -> None:
        self.accepts = asyncio.Event()
        super().__init__(
            uvicorn.Config(
                app,
                http=Connection,
                loop="none",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=max(1, round(drain_seconds)),
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept, then say so."""
        await super().startup(sockets)
        self.accepts.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Stop gracefully at the first signal; a second Ctrl-C does not wait."""
        before = {number: signal.signal(number, self.handle_exit) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


async def _accompany(server: _Server, companion: Companion) -> None:
    await server.accepts.wait()
    try:
        await companion()
    except BaseException:
        server.should_exit = True
        raise


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's loop where it is installed: it is quicker, and not made for Windows."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _interrupt(_number: int, _frame: FrameType | None) -> Any:  # noqa: ANN401 - signal's own type
    raise KeyboardInterrupt


def _address_unavailable(host: str, port: int, error: OSError) -> CommandFailed:
    reason = error.strerror or str(error)
    return CommandFailed(
        f"cannot listen on {host}:{port} ({reason}): stop what listens there, or choose another port"
        " with --port (0 takes a free one)"
    )
