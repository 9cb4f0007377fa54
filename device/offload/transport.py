"""One HTTP exchange with a server that nobody vouches for: bounded in bytes and in time, and with that server alone.

It takes the place of the S3 library's own: no proxy, no redirect, no retry, nothing decompressed, no header that was not
signed for this host. Every read has a limit on its silence and on the whole exchange, so that neither an endless body
nor a server that sends a byte a minute holds the process. Off-load's and the receiving side's main thread.
"""

import http.client
import io
import socket
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from device.clock import Clock
from device.errors import StoreError

MAX_ANSWER_BYTES = 2 * 1024 * 1024
"""A list of a thousand names or parts is a few hundred kilobytes."""
MAX_HEADER_BYTES = 64 * 1024
LEAST_BYTES_S = 8 * 1024
"""An exchange that is slower than this on the whole is given up."""
_BLOCK_BYTES = 64 * 1024


class Transport:
    """`tls`: None for plain HTTP, on loopback. `body_limit`: bytes of the next answer that is streamed."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None, timeout_s: float, clock: Clock) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._timeout_s = timeout_s
        self._clock = clock
        self.body_limit = MAX_ANSWER_BYTES

    def send(self, request: AWSPreparedRequest, *, streamed: bool) -> AWSResponse:
        """`StoreError` when the exchange fails or the answer is a redirect."""
        body = _bytes_of(request.body)
        answer_limit = self.body_limit if streamed else MAX_ANSWER_BYTES
        deadline = _Deadline(self._clock, self._timeout_s, len(body) + (answer_limit if streamed else 0))
        connection = self._connection(deadline, MAX_HEADER_BYTES + answer_limit)
        kept = False
        try:
            response = self._exchange(connection, request, body, deadline)
            if 300 <= response.status < 400 and response.status != 304:
                raise StoreError(f"{self._host}: it sends us elsewhere ({response.status}); no redirect is followed")
            answer = _Answer(self._host, connection, response)
            if not streamed or response.status >= 300:
                content = b"".join(answer.stream(limit=MAX_ANSWER_BYTES))
                return AWSResponse(request.url, response.status, dict(response.getheaders()), _Content(content))
            kept = True
            return AWSResponse(request.url, response.status, dict(response.getheaders()), answer)
        except ssl.SSLCertVerificationError as failure:
            why = failure.verify_message or "it can't be verified"
            raise StoreError(f"{self._host}: its certificate: {why}; name its CA in [offload] ca") from failure
        except (OSError, http.client.HTTPException, ValueError) as failure:
            raise StoreError(f"{self._host}: {_why(failure)}") from failure
        finally:
            if not kept:
                connection.close()

    def _exchange(
        self, connection: http.client.HTTPConnection, request: AWSPreparedRequest, body: bytes, deadline: "_Deadline"
    ) -> http.client.HTTPResponse:
        asked = urlsplit(request.url)
        port = asked.port or (443 if asked.scheme == "https" else 80)
        assert (asked.hostname, port) == (self._host, self._port), "only the end point's own host is ever asked"
        target = f"{asked.path}?{asked.query}" if asked.query else asked.path
        connection.putrequest(request.method, target, skip_accept_encoding=True)
        for name, value in request.headers.items():
            if name.lower() not in ("host", "expect", "content-length"):
                connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        for start in range(0, len(body), _BLOCK_BYTES):
            connection.sock.settimeout(deadline.left_s())
            connection.send(memoryview(body)[start : start + _BLOCK_BYTES])
        return connection.getresponse()

    def _connection(self, deadline: "_Deadline", limit: int) -> http.client.HTTPConnection:
        if self._tls is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        else:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=self._timeout_s, context=self._tls
            )  # fmt: skip

        def response(sock: socket.socket, *arguments: Any, **named: Any) -> http.client.HTTPResponse:
            return http.client.HTTPResponse(_Metered(sock, deadline, limit), *arguments, **named)  # type: ignore[arg-type]

        connection.response_class = response  # type: ignore[assignment]
        return connection


class _Deadline:
    """How long an exchange may be silent, and how long it may take: twice that, and the time for so many bytes."""

    def __init__(self, clock: Clock, timeout_s: float, size: int) -> None:
        self._clock = clock
        self._timeout_s = timeout_s
        self._until_us = clock.now_us() + round((2 * timeout_s + size / LEAST_BYTES_S) * 1e6)

    def left_s(self) -> float:
        left_s = (self._until_us - self._clock.now_us()) / 1e6
        if left_s <= 0:
            raise TimeoutError(f"slower than {LEAST_BYTES_S} bytes a second on the whole")
        return min(self._timeout_s, left_s)


class _Metered:
    """A socket as `http.client` reads it."""

    def __init__(self, sock: socket.socket, deadline: _Deadline, limit: int) -> None:
        self._sock = sock
        self._deadline = deadline
        self._limit = limit

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_MeteredReader(self._sock, self._deadline, self._limit))


class _MeteredReader(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: _Deadline, limit: int) -> None:
        super().__init__()
        self._sock = sock
        self._deadline = deadline
        self._left = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._left <= 0:
            raise http.client.HTTPException("an answer without end")
        self._sock.settimeout(self._deadline.left_s())
        count = self._sock.recv_into(memoryview(buffer)[: self._left])
        self._left -= count
        return count


class _Content:
    """An answer that was read whole."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> Iterator[bytes]:
        yield self._content


class _Answer:
    """An answer's body that is read as it comes. Never more than a block is asked for at once, whatever length the
    server claims."""

    def __init__(
        self, host: str, connection: http.client.HTTPConnection, response: http.client.HTTPResponse
    ) -> None:  # fmt: skip
        self._host = host
        self._connection = connection
        self._response = response

    def read(self, amount: int | None = None) -> bytes:
        try:
            return self._response.read(min(amount or _BLOCK_BYTES, _BLOCK_BYTES))
        except (OSError, http.client.HTTPException, ValueError) as failure:
            raise StoreError(f"{self._host}: {_why(failure)}") from failure

    def stream(self, limit: int) -> Iterator[bytes]:
        while block := self.read():
            limit -= len(block)
            if limit < 0:
                raise StoreError(f"{self._host}: an answer without end")
            yield block

    def close(self) -> None:
        self._response.close()
        self._connection.close()


def _bytes_of(body: Any) -> bytes:
    if body is None:
        return b""
    whole = body.read() if hasattr(body, "read") else body
    return whole.encode() if isinstance(whole, str) else bytes(whole)


def _why(failure: Exception) -> str:
    """What happened, in words of ours: a server's own words are not shown."""
    if isinstance(failure, TimeoutError):
        return "it is silent or too slow"
    if isinstance(failure, http.client.HTTPException | ValueError):
        return "what it answers is not HTTP as it should be"
    return (isinstance(failure, OSError) and failure.strerror) or "the link was cut"
