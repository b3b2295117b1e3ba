"""The transport: one request at most once, connections kept and dropped rightly."""

import asyncio
import shutil
import ssl
import subprocess
from typing import Self

import httpx
import pytest
from fintech_dbclient import KeepAliveTransport

pytestmark = pytest.mark.anyio


class Peer:
    """A server that writes the given replies, one per request, whatever is asked."""

    def __init__(self, *replies: bytes, close_after: bool = False, context=None) -> None:
        self.replies = list(replies)
        self.close_after = close_after
        self.context = context
        self.requests: list[bytes] = []
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._writers = []
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.context)
        scheme = "https" if self.context else "http"
        self.url = f"{scheme}://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}/x?y=1"
        return self

    async def __aexit__(self, *_) -> None:
        self._listener.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)
        await self._listener.wait_closed()

    async def _serve(self, reader, writer) -> None:
        self.connections += 1
        self._writers.append(writer)
        try:
            while self.replies:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(self.replies.pop(0))
                await writer.drain()
                if self.close_after:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()


def ok(body: bytes, *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 200 OK", b"content-length: %d" % len(body), *headers, b"", body]
    return b"\r\n".join(lines)


async def get(transport: KeepAliveTransport, url: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
        return await client.get(url)


async def test_a_connection_is_used_again():
    async with (
        Peer(ok(b"one"), ok(b"two")) as peer,
        httpx.AsyncClient(transport=KeepAliveTransport()) as client,
    ):
        assert [(await client.get(peer.url)).text for _ in range(2)] == ["one", "two"]
    assert peer.connections == 1
    assert peer.requests[0].startswith(b"GET /x?y=1 HTTP/1.1\r\n")


async def test_a_connection_that_the_peer_wants_closed_is_not_used_again():
    replies = [ok(b"one", b"connection: close"), ok(b"two")]
    async with (
        Peer(*replies) as peer,
        httpx.AsyncClient(transport=KeepAliveTransport()) as client,
    ):
        assert [(await client.get(peer.url)).text for _ in range(2)] == ["one", "two"]
    assert peer.connections == 2


async def test_a_connection_that_the_peer_closed_while_idle_is_not_used_again():
    async with (
        Peer(ok(b"one"), ok(b"two"), close_after=True) as peer,
        httpx.AsyncClient(transport=KeepAliveTransport()) as client,
    ):
        assert (await client.get(peer.url)).text == "one"
        await asyncio.sleep(0.02)
        assert (await client.get(peer.url)).text == "two"
    assert peer.connections == 2


async def test_an_idle_connection_grows_too_old():
    transport = KeepAliveTransport(idle_seconds_max=0.01)
    async with Peer(ok(b"one"), ok(b"two")) as peer, httpx.AsyncClient(transport=transport) as it:
        await it.get(peer.url)
        await asyncio.sleep(0.03)
        await it.get(peer.url)
    assert peer.connections == 2


async def test_bytes_that_nobody_asked_for_end_the_connection():
    async with (
        Peer(ok(b"one") + ok(b"forged"), ok(b"two")) as peer,
        httpx.AsyncClient(transport=KeepAliveTransport()) as client,
    ):
        assert (await client.get(peer.url)).text == "one"
        await asyncio.sleep(0.02)
        assert (await client.get(peer.url)).text == "two"
    assert peer.connections == 2


async def test_chunked_replies_interim_replies_and_replies_without_a_length_are_read():
    chunked = (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    interim = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + ok(b"final")
    endless = b"HTTP/1.1 200 OK\r\n\r\nuntil the end"
    async with (
        Peer(chunked, interim, endless) as peer,
        httpx.AsyncClient(transport=KeepAliveTransport()) as client,
    ):
        texts = [(await client.get(peer.url)).text for _ in range(3)]
    assert texts == ["abcde", "final", "until the end"]


async def test_replies_of_any_other_shape_are_errors():
    for reply in (
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"",
    ):
        async with Peer(reply, close_after=True) as peer:
            with pytest.raises(httpx.TransportError) as caught:
                await get(KeepAliveTransport(), peer.url)
        assert not isinstance(caught.value, httpx.ConnectError)


async def test_endless_headers_are_cut_off():
    reply = b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 1_000_000 + b"\r\n\r\n"
    async with Peer(reply) as peer:
        with pytest.raises(httpx.RemoteProtocolError, match="longer than"):
            await get(KeepAliveTransport(reply_bytes_max=1_000), peer.url)


async def test_a_cancelled_request_takes_its_connection_along():
    async with (
        Peer(b"", ok(b"two")) as peer,
        httpx.AsyncClient(transport=KeepAliveTransport()) as client,
    ):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.get(peer.url)
        assert (await client.get(peer.url)).text == "two"
    assert peer.connections == 2


async def test_a_refused_connection_is_a_connect_error(unused_port):
    with pytest.raises(httpx.ConnectError):
        await get(KeepAliveTransport(), f"http://127.0.0.1:{unused_port}/")


async def test_a_closed_transport_opens_nothing():
    transport = KeepAliveTransport()
    await transport.aclose()
    with pytest.raises(httpx.ConnectError, match="closed"):
        await transport.handle_async_request(httpx.Request("GET", "http://127.0.0.1:1/"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    folder = tmp_path_factory.mktemp("tls")
    key, chain = folder / "key.pem", folder / "chain.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", key, "-out", chain),
        ],
        check=True,
        capture_output=True,
    )
    return key, chain


async def test_tls_works_with_a_trusted_certificate_and_refuses_any_other(certificate):
    key, chain = certificate
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(chain, key)
    trusting = ssl.create_default_context(cafile=str(chain))
    async with Peer(ok(b"one"), ok(b"two"), context=serving) as peer:
        assert (await get(KeepAliveTransport(ssl_context=trusting), peer.url)).text == "one"
        with pytest.raises(httpx.ConnectError, match="certificate"):
            await get(KeepAliveTransport(), peer.url)
        wrong_name = peer.url.replace("127.0.0.1", "localhost")
        with pytest.raises(httpx.ConnectError):
            await get(KeepAliveTransport(ssl_context=trusting), wrong_name)
    assert len(peer.requests) == 1
