"""The sender alone: connects to the address that was judged, in the name that was given, and nowhere else."""

import asyncio
import datetime as dt
import ipaddress
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fintech_webhooks.infrastructure.http_sender import Destination, HttpSender, system_resolver

pytestmark = pytest.mark.anyio

NAME = "shop.example.com"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate of ``NAME``, as a server's context and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=file)


def sender(resolved, *, allowed=("127.0.0.1",), **more):
    """A sender for which names resolve to what is given, and only some addresses are public."""
    asked = []

    async def resolve(host, port):
        asked.append(host)
        found = resolved.get(host)
        if found is None:
            raise OSError
        return found

    given = {"connect_seconds": 5.0, "total_seconds": 10.0, "reply_bytes_max": 1_000, **more}
    made = HttpSender(is_allowed=lambda one: str(one) in allowed, resolve=resolve, **given)
    return made, asked


def to(port, *, scheme="https", host=NAME):
    return Destination(scheme=scheme, host=host, port=port, target="/hooks?a=1")


async def test_the_resolved_address_is_called_in_the_name_of_the_host(receivers, certificate):
    server, trusting = certificate
    names = []
    server.sni_callback = lambda _socket, name, _context: names.append(name)
    receiver = await receivers(ssl=server)
    sending, asked = sender({NAME: ["127.0.0.1"]}, ssl_context=trusting)

    reply = await sending.send(to(receiver.port), headers={"webhook-id": "a"}, body=b"{}")

    assert (reply.status, reply.error) == (204, "")
    (got,) = receiver.received
    assert got.headers["host"] == f"{NAME}:{receiver.port}"
    assert (got.path, got.body, got.headers["webhook-id"]) == ("/hooks?a=1", "{}", "a")
    assert (names, asked) == ([NAME], [NAME])


async def test_a_certificate_of_another_name_or_of_nobody_is_refused(receivers, certificate):
    server, trusting = certificate
    receiver = await receivers(ssl=server)
    other, _ = sender({"other.example.com": ["127.0.0.1"]}, ssl_context=trusting)
    strict, _ = sender({NAME: ["127.0.0.1"]})

    replies = [
        await other.send(to(receiver.port, host="other.example.com"), headers={}, body=b""),
        await strict.send(to(receiver.port), headers={}, body=b""),
    ]

    assert [one.error for one in replies] == ["tls_failed", "tls_failed"]
    assert receiver.received == []


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["169.254.169.254"], ["::1"], ["fe80::1%1"]],
)
async def test_a_name_with_one_address_that_is_not_public_is_not_called_at_all(receiver, addresses):
    sending, _ = sender({NAME: addresses}, allowed=("8.8.8.8",))

    reply = await sending.send(to(receiver.port, scheme="http"), headers={}, body=b"")

    assert reply.error == "address_refused"
    assert receiver.received == []


async def test_a_name_that_changes_its_address_between_two_looks_is_looked_at_once(receivers):
    public, private = await receivers(), await receivers()
    answers = [["127.0.0.1"], ["127.0.0.2"]]  # the second is what the guard would not let through

    async def rebinding(host, port):
        return answers.pop(0)

    sending = HttpSender(
        is_allowed=lambda one: one == ipaddress.ip_address("127.0.0.1"),
        connect_seconds=5,
        total_seconds=10,
        reply_bytes_max=10,
        resolve=rebinding,
    )
    reply = await sending.send(to(public.port, scheme="http"), headers={}, body=b"")

    assert reply.status == 204
    assert (len(public.received), len(private.received), len(answers)) == (1, 0, 1)


async def test_the_next_address_is_tried_where_nobody_listens_at_the_first(receiver):
    sending, _ = sender({NAME: ["127.0.0.9", "127.0.0.1"]}, allowed=("127.0.0.9", "127.0.0.1"))

    reply = await sending.send(to(receiver.port, scheme="http"), headers={}, body=b"")

    assert reply.status == 204
    assert len(receiver.received) == 1


async def test_what_does_not_resolve_listen_or_answer_is_told_apart(receiver):
    async def never(_received):
        await asyncio.sleep(3_600)

    receiver.answer = never
    unknown, _ = sender({})
    impatient, _ = sender({NAME: ["127.0.0.1"]}, total_seconds=0.5)

    errors = [
        (await unknown.send(to(1, scheme="http"), headers={}, body=b"")).error,
        (await impatient.send(to(9, scheme="http"), headers={}, body=b"")).error,
        (await impatient.send(to(receiver.port, scheme="http"), headers={}, body=b"")).error,
    ]

    assert errors == ["name_not_resolved", "connection_failed", "timeout"]


async def test_a_proxy_of_the_environment_is_not_asked(receivers, monkeypatch):
    receiver, proxy = await receivers(), await receivers()
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
    sending, _ = sender({NAME: ["127.0.0.1"]})

    reply = await sending.send(to(receiver.port, scheme="http"), headers={}, body=b"")

    assert (reply.status, proxy.received) == (204, [])


async def test_a_cookie_that_one_receiver_sets_is_not_told_to_the_next(receivers):
    first, second = await receivers(), await receivers()

    async def set_cookie(_received):
        return b"HTTP/1.1 204 Fine\r\nSet-Cookie: a=b\r\n\r\n"

    first.answer = set_cookie
    sending, _ = sender({NAME: ["127.0.0.1"]})
    for receiver in (first, first, second):
        await sending.send(to(receiver.port, scheme="http"), headers={}, body=b"")

    got = [*first.received, *second.received]
    assert [one.headers.get("cookie") for one in got] == [None] * 3


async def test_the_system_resolves_names():
    assert "127.0.0.1" in await system_resolver("localhost", 80)
