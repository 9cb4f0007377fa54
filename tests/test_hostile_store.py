"""A server that means harm, or is broken, in the place of the store: it learns nothing, gets no key, holds nobody up, and
costs no memory. Each run ends with one message, the card is as it was, and the next run goes on."""

import random
import resource
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from device.clock import BootClock
from device.errors import StoreError
from device.offload.end_points import Bucket
from device.offload.s3 import Credentials, S3Store
from device.offload.transport import MAX_ANSWER_BYTES
from hw_sim.agency import Agency, Bench
from hw_sim.clock import VirtualClock
from tests.cards import record_card
from tests.senders import contents, look
from tests.test_offload_s3 import tls_files
from tests.wires import Answer, Hostile

SECRET = "-".join(("TOP", "SECRET", "0123456789"))
KEYS = Credentials(access_key="ACCESS", secret_key=SECRET)
TIMEOUT_S = 1.0


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return record_card(tmp_path_factory.mktemp("hostile") / "bench", Agency(), seconds=(1,))


def store(port: int, *, tls: bool = False, ca: Path | None = None) -> S3Store:
    where = Bucket(host="127.0.0.1", port=port, tls=tls, bucket="evidence")
    return S3Store(where, KEYS, BootClock(), ca=ca, part_bytes=20_000, timeout_s=TIMEOUT_S)


def answered(head: str, body: bytes = b"") -> Answer:
    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)

    return answer


def forever(data: bytes, first: bytes = b"") -> Answer:
    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(data)

    return answer


def slowly(data: bytes) -> Answer:
    """A byte now and then: never silent for long, never done."""

    def answer(connection: socket.socket, _: bytes) -> None:
        for byte in data * 1000:
            connection.sendall(bytes([byte]))
            time.sleep(0.3)

    return answer


OK = "HTTP/1.1 200 OK\nContent-Type: application/xml"
BOMB = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + b"".join(
    b'<!ENTITY %c "%b">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9)
) + b"]><ListBucketResult><Name>&j;</Name></ListBucketResult>"  # fmt: skip
HOSTILE: dict[str, Answer] = {
    "nothing": lambda _, __: None,
    "garbage": answered("\x00\x01\x02 garbage"),
    "not http": answered("SSH-2.0-OpenSSH_9.2"),
    "an old version": answered("HTTP/0.9 200 OK"),
    "no status": answered("HTTP/1.1 abc"),
    "a redirect": answered("HTTP/1.1 301 Moved\nLocation: http://127.0.0.1:1/elsewhere\nContent-Length: 0"),
    "a redirect to another region": answered(
        "HTTP/1.1 307 Temporary\nLocation: http://evil.example/\nx-amz-bucket-region: evil\nContent-Length: 0"
    ),
    "a body without end": forever(b"x" * 65_536, f"{OK}\n\n".replace("\n", "\r\n").encode()),
    "a chunked body without end": forever(
        b"4000\r\n" + b"x" * 0x4000 + b"\r\n", f"{OK}\nTransfer-Encoding: chunked\n\n".replace("\n", "\r\n").encode()
    ),
    "a length that is a lie": answered(f"{OK}\nContent-Length: 99999999999999", b"<a/>"),
    "a length that is none": answered(f"{OK}\nContent-Length: -5", b"<a/>"),
    "a header without end": forever(b"X-A: " + b"y" * 60_000, b"HTTP/1.1 200 OK\r\n"),
    "headers without end": forever(b"X-A: y\r\n", b"HTTP/1.1 200 OK\r\n"),
    "continue without end": forever(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a byte now and then": slowly(b"HTTP/1.1 200 OK\r\nX: y\r\n"),
    "silence": lambda _, __: time.sleep(TIMEOUT_S + 1),
    "no xml": answered(f"{OK}\nContent-Length: 5", b"<a><b"),
    "xml that grows": answered(f"{OK}\nContent-Length: {len(BOMB)}", BOMB),
    "deep xml": answered(f"{OK}\nContent-Length: 300000", b"<a>" * 100_000),
    "another answer": answered(f"{OK}\nContent-Length: 25", b"<DeleteResult>x</x></x>  "),
    "an empty answer": answered(f"{OK}\nContent-Length: 0"),
    "an error with words": answered(
        "HTTP/1.1 403 Forbidden\nContent-Length: 88",
        b"<Error><Code>\x1b[31mAccessDenied, call 555-EVIL</Code><Message>send your key</Message></Error>",
    ),
    "an error without end": forever(b"<Error>", b"HTTP/1.1 500 Oops\r\n\r\n"),
    "a wrong encoding": answered(f"{OK}\nContent-Encoding: gzip\nContent-Length: 4", b"\x1f\x8b\x08\x00"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_answer_ends_the_run_with_one_message(bench: Bench, kind: str) -> None:
    """To the very first question, and to the third after two honest answers: to the beginning of an upload."""
    before = contents(bench.card)
    for honest in (0, 2):
        with Hostile(after(honest, HOSTILE[kind])) as server:
            with pytest.raises(StoreError) as caught:
                look(bench, store(server.port))
            heard = server.heard
        said = str(caught.value)
        assert said.isprintable()
        assert len(said) < 400
        assert "EVIL" not in said
        assert 0 < len(heard) <= honest + 6
        assert [head for head in heard if SECRET.encode() in head or b"evil" in head] == []
    assert contents(bench.card) == before
    assert not list((bench.root / "device" / "offload").iterdir())


def after(honest: int, answer: Answer) -> Answer:
    """So many honest answers first: there is no such object; there is no cut upload."""
    empty = b"<ListMultipartUploadsResult></ListMultipartUploadsResult>"
    first = [
        answered("HTTP/1.1 404 Not Found\nContent-Length: 0"),
        answered(f"{OK}\nContent-Length: {len(empty)}", empty),
    ]
    asked = [0]

    def choose(connection: socket.socket, head: bytes) -> None:
        asked[0] += 1
        (first[asked[0] - 1] if asked[0] <= honest else answer)(connection, head)

    return choose


def test_a_redirect_is_not_followed_and_gets_no_key(bench: Bench) -> None:
    with Hostile(answered(f"{OK}\nContent-Length: 0")) as elsewhere:
        for status in (301, 302, 303, 307, 308):
            location = f"HTTP/1.1 {status} Moved\nLocation: http://127.0.0.1:{elsewhere.port}/evidence"
            with Hostile(answered(f"{location}\nContent-Length: 0")) as server, pytest.raises(StoreError) as caught:
                look(bench, store(server.port))
            assert str(caught.value) == f"127.0.0.1: it sends us elsewhere ({status}); no redirect is followed"
        assert elsewhere.heard == []


def test_a_server_with_a_wrong_certificate_hears_nothing(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "other").mkdir()
    tls_files(tmp_path / "other")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "other" / "server.pem")
    for ca in (tls_files(tmp_path / "own"), None):
        with Hostile(answered(OK), tls) as server, pytest.raises(StoreError, match="its certificate: "):
            look(bench, store(server.port, tls=True, ca=ca))
        assert server.heard == []


def test_the_environment_changes_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No proxy, no end point, no profile and no key of the environment's."""
    with Hostile(answered(f"{OK}\nContent-Length: 0")) as proxy, Hostile(HOSTILE["nothing"]) as server:
        elsewhere = f"http://127.0.0.1:{proxy.port}"
        for name in (
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "http_proxy",
            "https_proxy",
            "AWS_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_S3",
        ):
            monkeypatch.setenv(name, elsewhere)
        (tmp_path / "config").write_text(f"[default]\nendpoint_url = {elsewhere}\n[profile x]\nregion = evil\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("AWS_PROFILE", "nobody")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OTHERKEY")
        with pytest.raises(StoreError):
            look(bench, store(server.port))
        assert len(server.heard) == 1
        assert b"Credential=ACCESS/" in server.heard[0]
        assert proxy.heard == []


def test_an_endless_object_takes_no_memory(bench: Bench) -> None:
    head = f"{OK}\nContent-Length: 99999999999\n\n".replace("\n", "\r\n").encode()
    with Hostile(forever(b"x" * 65_536, head)) as server:
        asked = store(server.port)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(StoreError, match="99999999999 bytes; the limit is 1000"):
            list(asked.blocks("recordings/a", 1000))
        assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 8 * MAX_ANSWER_BYTES


@pytest.mark.parametrize("kind", ["continue without end", "headers without end", "a body without end"])
def test_bytes_are_limited_also_while_the_clock_stands_still(kind: str) -> None:
    with Hostile(HOSTILE[kind]) as server:
        where = Bucket(host="127.0.0.1", port=server.port, tls=False, bucket="evidence")
        asked = S3Store(where, KEYS, VirtualClock("boot-1"), timeout_s=60)
        with pytest.raises(StoreError):
            asked.size("recordings/a")


def test_an_object_that_is_cut_is_told(bench: Bench) -> None:
    with Hostile(answered(f"{OK}\nContent-Length: 1000", b"x" * 500)) as server, pytest.raises(StoreError):
        list(store(server.port).blocks("recordings/a", 1000))


def test_of_an_object_that_is_too_long_only_what_was_announced_is_taken(bench: Bench) -> None:
    with Hostile(answered(f"{OK}\nContent-Length: 500", b"x" * 1000)) as server:
        assert b"".join(store(server.port).blocks("recordings/a", 1000)) == b"x" * 500


def test_random_answers_are_our_errors_only(bench: Bench) -> None:
    rng = random.Random(7)
    honest = (
        b'HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nETag: "0"\r\nContent-Length: 176\r\n\r\n'
        b"<ListMultipartUploadsResult><Upload><Key>recordings/BC-000001/x.tar</Key><UploadId>u</UploadId>"
        b"<Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload></ListMultipartUploadsResult>"
    )
    asks: list[Callable[[S3Store], object]] = [
        lambda s: s.size("recordings/a"),
        lambda s: s.names("recordings/"),
        lambda s: s.small("receipts/a", 1000),
        lambda s: s._parts("recordings/a", "upload"),
        lambda s: s._cut_upload("recordings/a", lambda: [b"x"], 1000),
    ]

    def answer(connection: socket.socket, _: bytes) -> None:
        data = bytearray(honest)
        for _turn in range(rng.choice((1, 2, 5))):
            at = rng.randrange(len(data))
            data[at : at + rng.choice((0, 1, 4))] = rng.randbytes(rng.choice((0, 1, 4)))
        connection.sendall(data)

    with Hostile(answer) as server:
        asked = store(server.port)
        for n in range(100):
            with suppress(StoreError):
                asks[n % len(asks)](asked)
