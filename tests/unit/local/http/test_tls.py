"""TLS at the local SQS: who is served, who is refused, and that its end waits for nobody."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import socket
import ssl
import struct
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path

import pytest
from botocore.exceptions import SSLError
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization

import hadoken.local
from hadoken.cli import local as cli_local
from hadoken.errors import ConfigurationError
from hadoken.local.faults import Rule
from hadoken.local.finding import answers
from hadoken.local.http import server, tls
from tests.support.authority import WRONG, Authority, Kind
from tests.support.local_sqs import Server, Sqs, boto3_client
from tests.support.refused import refused
from tests.support.waiting import GLOBAL, wait_until


def within(main: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a coroutine function on a loop of its own, within the one time-out."""
    asyncio.run(asyncio.wait_for(main(), GLOBAL))


def test_boto3_works_over_tls_and_over_nothing_else(authority: Authority) -> None:
    """Sending, receiving, private pages and faults; who speaks plain HTTP gets no answer."""
    made = authority.certificate()
    rule = Rule(operation="SendMessage", nth=2, code="OverLimit")
    with hadoken.local.serve(cert=made.cert, key=made.key, faults=[rule]) as url:
        assert url.startswith("https://127.0.0.1:")
        assert answers(url)
        sqs = Sqs(boto3_client(url, ca_bundle=authority.bundle), list)
        queue = sqs.queue()
        assert queue.startswith(url)
        sqs.send(queue, "x" * 1_000_000)  # many records of TLS, one head
        with refused("OverLimit"):
            sqs.send(queue, "two")
        assert [len(one["Body"]) for one in sqs.receive(queue)] == [1_000_000]
        sqs.client.close()
        assert not answers(url.replace("https:", "http:"))
    assert not answers(url)


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_certificate_is_refused_by_its_client(authority: Authority, kind: Kind) -> None:
    """The client says what is wrong; the server serves the next one."""
    with Server(0, *authority.certificate(kind).options) as sqs:
        client = boto3_client(sqs.url, ca_bundle=authority.bundle)
        for _ in range(2):
            with pytest.raises(SSLError, match=r"(?i)certificate.verify.failed|match 'sqs\.invalid'"):
                client.list_queues()
        client.close()
        assert sqs.get("state")["parked"] == 0


def test_a_certificate_that_lasts_is_good_and_its_chain_is_sent(authority: Authority) -> None:
    """A certificate with an end in the future is good until then."""

    async def main() -> None:
        running = await server.start(tls=authority.server_context(lasting=3600))
        _, writer = await asyncio.open_connection("localhost", running.port, ssl=authority.client_context())
        shown = writer.get_extra_info("peercert")
        assert ("DNS", "localhost") in shown["subjectAltName"]
        writer.close()
        await writer.wait_closed()
        await running.close()

    within(main)


def test_the_end_waits_for_no_handshake(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    """A client that is silent, one that sends half a hello and one that waits for a poll are cut off at once."""
    caplog.set_level(logging.INFO, "hadoken.local")

    async def main() -> None:
        running = await server.start(tls=authority.server_context())
        loop = asyncio.get_running_loop()
        clients = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(2)]
        clients[1].sendall(b"\x16\x03\x01\x02\x00\x01")
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port, ssl=authority.client_context())
        body = b'{"QueueName": "a"}'
        head = b"POST / HTTP/1.1\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n" % len(body)
        writer.write(head + b"X-Amz-Target: AmazonSQS.CreateQueue\r\n\r\n" + body)
        await reader.readuntil(b"}")
        assert len(running.connections) == 1  # the two before it were accepted, and are at their handshakes
        began = loop.time()
        await running.close()
        assert loop.time() - began < GLOBAL / 4  # the patience for a handshake is 30 s
        assert await reader.read() == b""
        writer.close()
        for client in clients:
            client.settimeout(GLOBAL)
            assert _ended(client)
            client.close()

    within(main)


def _ended(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_garbage_ends_its_own_connection_only(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    """Plain HTTP, noise, a reset: each is one line of the log, and TLS is served on."""
    caplog.set_level(logging.INFO, "hadoken.local")

    async def main() -> None:
        running = await server.start(tls=authority.server_context())
        for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 100):
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writer.write(noise)
            assert not (await reader.read()).startswith(b"HTTP")
            writer.close()
        gone = socket.create_connection(("127.0.0.1", running.port))
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port, ssl=authority.client_context())
        writer.write(b"no request at all\r\n\r\n")
        answer = await reader.readuntil(b"}")
        assert answer.startswith(b"HTTP/1.1 400")
        writer.close()
        await writer.wait_closed()
        await running.close()

    within(main)
    assert caplog.text.count("TLS handshake with 127.0.0.1") >= 2
    assert "WRONG_VERSION_NUMBER" in caplog.text or "HTTP_REQUEST" in caplog.text
    assert "Traceback" not in caplog.text


def test_a_handshake_has_its_time(authority: Authority) -> None:
    """A client that goes silent before its handshake is done is given up, by the patience of the server."""

    async def main() -> None:
        listening = tls.listening_socket("127.0.0.1", 0)
        impatient = tls.TLSPort(listening, asyncio.Protocol, authority.server_context(), patience=0.05)
        reader, writer = await asyncio.open_connection("127.0.0.1", impatient.port)
        assert await reader.read() == b""
        writer.close()
        await impatient.close()

    within(main)


def test_without_descriptors_it_waits_and_goes_on(
    authority: Authority, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that cannot be accepted is said once a pause, and accepted when it can be."""
    monkeypatch.setattr(tls, "_PAUSE", 0.01)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        failures = [OSError(24, "Too many open files"), ConnectionAbortedError()]
        accept = loop.sock_accept

        async def failing(listening: socket.socket) -> tuple[socket.socket, object]:
            if failures:
                raise failures.pop(0)
            return await accept(listening)

        monkeypatch.setattr(loop, "sock_accept", failing)
        running = await server.start(tls=authority.server_context())
        _, writer = await asyncio.open_connection("127.0.0.1", running.port, ssl=authority.client_context())
        writer.close()
        await writer.wait_closed()
        await running.close()

    within(main)
    assert caplog.text.count("no connection can be accepted for now: [Errno 24] Too many open files") == 1


def test_a_fault_resets_and_truncates_under_tls_too(authority: Authority) -> None:
    """No answer, half an answer, and a close after the answer look as they do without TLS."""
    made = authority.certificate()
    rules = [
        Rule(operation="ListQueues", nth=1, answer="reset"),
        Rule(operation="ListQueues", nth=2, answer="truncated"),
        Rule(operation="ListQueues", nth=3, answer="close"),
    ]
    with hadoken.local.serve(cert=made.cert, key=made.key, faults=rules) as url:
        port = int(url.rpartition(":")[2])

        def asked() -> bytes:
            connection = http.client.HTTPSConnection(
                "127.0.0.1", port, timeout=GLOBAL, context=authority.client_context()
            )
            with closing(connection):
                head = {"X-Amz-Target": "AmazonSQS.ListQueues", "Content-Type": "application/x-amz-json-1.0"}
                connection.request("POST", "/", b"{}", head)
                return connection.getresponse().read()

        with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
            asked()
        with pytest.raises((http.client.IncompleteRead, ssl.SSLError)):
            asked()
        assert json.loads(asked()) == {}
        assert json.loads(asked()) == {}


def test_files_that_cannot_be_are_one_sentence(authority: Authority, tmp_path: Path) -> None:
    """A missing file, no PEM, another's key, an encrypted key, a key alone: each names the file."""
    good, other = authority.certificate(), authority.certificate()
    noise = tmp_path / "noise.pem"
    noise.write_text("-----BEGIN NOTHING-----\n")
    locked = tmp_path / "locked.pem"
    key = serialization.load_pem_private_key(good.key.read_bytes(), None)
    form = serialization.BestAvailableEncryption(b"secret")
    locked.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, form))
    for cert, given, said in (
        (tmp_path / "gone.pem", None, "gone.pem cannot be used: No such file"),
        (noise, good.key, "noise.pem with .*cannot be used"),
        (good.cert, other.key, "cannot be used: .*(mismatch|KEY_VALUES)"),
        (good.cert, None, "cannot be used"),
        (good.cert, locked, "locked.pem is encrypted"),
        (None, good.key, "no certificate"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            tls.chosen(cert, given)
    assert tls.chosen(None, None) is None
    both = tmp_path / "both.pem"
    both.write_bytes(good.key.read_bytes() + good.cert.read_bytes())
    assert tls.chosen(both, None) is not None


def test_the_child_says_what_is_wrong_with_its_certificate(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The sentence of the child is the error of `serve`, and nothing else is written."""
    with (
        pytest.raises(ConfigurationError, match=r"gone\.pem cannot be used"),
        hadoken.local.serve(cert=tmp_path / "gone.pem"),
    ):
        pass
    assert capfd.readouterr() == ("", "")


def test_the_command_says_how_to_trust_it(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """With TLS the lines to copy name the authority, and no line that would speak plain HTTP."""
    given: dict[str, object] = {}

    def run(host: str, port: int, *, ready: Callable[[str], None], **more: object) -> None:
        given.update(more)
        ready(f"http{'s' if more['tls'] else ''}://{host}:{port}")

    monkeypatch.setattr(server, "run", run)
    words = ["--port", "9324"]
    plain = CliRunner().invoke(cli_local.command, words, catch_exceptions=False).stderr
    assert given["tls"] is None
    assert "CA.pem" not in plain
    said = (
        CliRunner().invoke(cli_local.command, [*words, *authority.certificate().options], catch_exceptions=False).stderr
    )
    assert isinstance(given["tls"], ssl.SSLContext)
    assert "CA.pem is the authority that signed --cert.\nCtrl-C" in said
    assert 'verify="CA.pem")' in said
    assert said.count("AWS_CA_BUNDLE=CA.pem AWS_ACCESS_KEY_ID=local") == 3
    assert "--local" not in said


def test_the_server_keeps_one_thread_under_tls(authority: Authority) -> None:
    """Neither handshakes nor a name to listen on start a thread, and the end of its pipe ends it."""
    made = authority.certificate()
    with Server(0, *made.options) as sqs:
        assert answers(sqs.url)
        assert len(list(Path(f"/proc/{sqs.pid}/task").iterdir())) == 1
    assert wait_until(lambda: not answers(sqs.url))


def test_ipv6_is_listened_on(authority: Authority) -> None:
    """An address of the other family is bound as it is."""

    async def main() -> None:
        try:
            running = await server.start("::1", tls=authority.server_context())
        except OSError as error:
            pytest.skip(f"no IPv6 loopback here: {error}")
        assert running.url == f"https://[::1]:{running.port}"
        await running.close()

    within(main)


def test_a_taken_port_is_one_sentence(authority: Authority) -> None:
    """The port of another program is an error that names it, and TLS does not hide it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        words = ["--port", str(port), *authority.certificate().options]
        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port}"):
            CliRunner().invoke(cli_local.command, words, catch_exceptions=False)
