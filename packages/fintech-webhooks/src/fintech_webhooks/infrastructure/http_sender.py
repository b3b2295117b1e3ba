"""Sends one POST to one address: resolved once, judged, and connected to as judged.

The name is resolved here and nowhere else; the connection goes to the address that was judged, with the
name in SNI, in the certificate's check and in ``Host``. No redirect is followed, no proxy of the
environment is asked, no cookie is kept, no connection is used twice (a second name on the same address
must not ride on the first one's certificate). What the receiver answers besides its status is read up to
a limit and thrown away.
"""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import httpx

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]

ADDRESSES_TRIED_MAX: Final = 2
"""Addresses of a name that are tried where connecting fails; nothing was sent to the first then."""

READ_SECONDS_MAX: Final = 1.0
"""How long what follows the status is listened to: it says nothing that we want to know."""

TIMEOUT: Final = "timeout"
CONNECTION_FAILED: Final = "connection_failed"
CONNECTION_LOST: Final = "connection_lost"
TLS_FAILED: Final = "tls_failed"
NAME_NOT_RESOLVED: Final = "name_not_resolved"
ADDRESS_REFUSED: Final = "address_refused"
"""Why no answer came: fixed words, shown in the delivery log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A URL taken apart. ``host`` is a name or an address without brackets, ``target`` path and query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """What stands in ``Host``: the port where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back: a status, or in ``error`` why there is none (``status`` is 0 then)."""

    status: int = 0
    error: str = ""


_PORTS: Final = {"https": 443, "http": 80}


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a name, in the order in which the system would try them.

    Raises:
        OSError: there are none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(one[4][0]) for one in found))


class HttpSender:
    """Sends messages over HTTPS.

    Args:
        is_allowed: whether an address may be connected to.
        connect_seconds: for the connection with its TLS handshake.
        total_seconds: for everything, from the name to the status of the reply.
        reply_bytes_max: how much of a reply is read.
        resolve: from a name to addresses.
        ssl_context: by default the system's trust store, with verification.
    """

    def __init__(
        self,
        *,
        is_allowed: Callable[[IpAddress], bool],
        connect_seconds: float,
        total_seconds: float,
        reply_bytes_max: int,
        resolve: Resolve = system_resolver,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._is_allowed = is_allowed
        self._connect_seconds = connect_seconds
        self._total_seconds = total_seconds
        self._reply_bytes_max = reply_bytes_max
        self._resolve = resolve
        self._ssl_context = ssl_context

    async def send(
        self, destination: Destination, *, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        """POST a body and return what came of it; whatever the network does is a reply with an error."""
        ends_at = asyncio.get_running_loop().time() + self._total_seconds
        try:
            async with asyncio.timeout_at(ends_at):
                addresses = await self._addresses(destination)
        except TimeoutError:
            return Reply(error=NAME_NOT_RESOLVED)
        if isinstance(addresses, Reply):
            return addresses
        reply = Reply(error=CONNECTION_FAILED)
        for address in addresses[:ADDRESSES_TRIED_MAX]:
            request = self._request(address, destination, headers, body)
            reply = await self._exchange(request, ends_at)
            if reply.error != CONNECTION_FAILED:
                break
        return reply

    async def _addresses(self, destination: Destination) -> Sequence[IpAddress] | Reply:
        """Return where to connect; one address that is not allowed refuses them all."""
        try:
            names = [str(ipaddress.ip_address(destination.host))]
        except ValueError:
            try:
                names = await self._resolve(destination.host, destination.port)
            except (OSError, UnicodeError):
                return Reply(error=NAME_NOT_RESOLVED)
        addresses = [ipaddress.ip_address(name) for name in names]
        if not addresses:
            return Reply(error=NAME_NOT_RESOLVED)
        if not all(self._is_allowed(address) for address in addresses):
            return Reply(error=ADDRESS_REFUSED)
        return addresses

    def _request(
        self,
        address: IpAddress,
        destination: Destination,
        headers: Mapping[str, str],
        body: bytes,
    ) -> httpx.Request:
        """Return a request to an address, in the name of the host that it was resolved from."""
        return httpx.Request(
            "POST",
            httpx.URL(
                scheme=destination.scheme,
                host=str(address),
                port=destination.port,
                raw_path=destination.target.encode(),
            ),
            headers={"Host": destination.authority, **headers},
            content=body,
            extensions={
                "sni_hostname": destination.host,
                "timeout": {"connect": self._connect_seconds},
            },
        )

    async def _exchange(self, request: httpx.Request, ends_at: float) -> Reply:
        """Send a request over a connection of its own."""
        try:
            async with httpx.AsyncHTTPTransport(
                verify=self._context(), trust_env=False, retries=0
            ) as transport:
                async with asyncio.timeout_at(ends_at):
                    response = await transport.handle_async_request(request)
                await self._read(response)
                return Reply(status=response.status_code)
        except (TimeoutError, httpx.TimeoutException):
            return Reply(error=TIMEOUT)
        except httpx.ConnectError as error:
            return Reply(error=TLS_FAILED if _is_about_tls(error) else CONNECTION_FAILED)
        except httpx.TransportError:
            return Reply(error=CONNECTION_LOST)

    async def _read(self, response: httpx.Response) -> None:
        """Read what the receiver says, up to a limit; the status stands, whatever becomes of the rest."""
        size = 0
        with contextlib.suppress(TimeoutError, httpx.TransportError):
            async with asyncio.timeout(READ_SECONDS_MAX):
                async for chunk in response.aiter_raw():
                    size += len(chunk)
                    if size > self._reply_bytes_max:
                        break
        await response.aclose()

    def _context(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            self._ssl_context = ssl.create_default_context()
        return self._ssl_context


def _is_about_tls(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
