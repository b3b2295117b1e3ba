"""The process around the service: its socket, its signals, its orderly end.

What does not live here: options (``cli``) and requests (``service``).
"""

import contextlib
import ipaddress
import signal
import socket
import sys
from collections.abc import Callable, Generator
from types import FrameType

import uvicorn

from fintech_database.engines import open_engine
from fintech_database.limits import Limits
from fintech_database.logs import LOGGER
from fintech_database.service import Service

_SWITCH_SECONDS = 0.0005
"""How long one thread may keep Python to itself: the loop and the writer take turns."""


class AddressUnavailable(Exception):
    """The address cannot be listened on; the message says what to do about it."""


def listen(host: str, port: int) -> socket.socket:
    """Take the address, before anything else is opened.

    Raises:
        AddressUnavailable: it is taken, or not ours.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with contextlib.ExitStack() as taken:
            listener = taken.enter_context(socket.socket(family, socket.SOCK_STREAM))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(2048)
            taken.pop_all()
    except OSError as error:
        reason = error.strerror or str(error)
        raise AddressUnavailable(
            f"cannot listen on {host}:{port} ({reason}): choose another with --host and --port,"
            " or stop what listens there (--port 0 takes a free one)"
        ) from error
    listener.setblocking(False)
    return listener


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def serve(
    *,
    url: str,
    listener: socket.socket,
    host: str,
    token: str | None,
    limits: Limits,
    ready: Callable[[str], None],
) -> None:
    """Open the engine, serve until told to stop, answer what was accepted, close.

    Args:
        url: of the engine.
        listener: from ``listen``.
        host: as the operator wrote it.
        token: bearer token that requests must carry, if any.
        limits: of the service.
        ready: is called once with the base URL when connections are accepted.

    Raises:
        EngineUnavailable: the engine cannot be opened.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    engine = await open_engine(url, limits)
    try:
        service = Service(engine=engine, limits=limits, token=token)
        port: int = listener.getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        server = _Server(service, limits, lambda: ready(f"http://{name}:{port}"))
        await server.serve(sockets=[listener])
    finally:
        await engine.close()
    LOGGER.info("stopped")


class _Server(uvicorn.Server):
    """uvicorn, with our signals (a stop that was asked for ends with exit code 0)."""

    def __init__(self, service: Service, limits: Limits, ready: Callable[[], None]) -> None:
        self._ready = ready
        config = uvicorn.Config(
            service,
            http="httptools",
            loop="none",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=round(limits.drain_seconds),
        )
        super().__init__(config)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept, then say so."""
        await super().startup(sockets)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Stop gracefully at the first signal, at once at the second."""
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note that a stop is wanted."""
        LOGGER.info("stopping", extra={"signal": signal.Signals(sig).name})
        super().handle_exit(sig, frame)
