"""Bad links and bad servers on loopback, for tests: a proxy that cuts or alters, and a server that answers anything."""

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress

Answer = Callable[[socket.socket, bytes], None]
"""Answers one connection, given the request's head."""


class _Listener:
    """Serves connections, each on a thread of its own, until it is closed; then nothing of it is left."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self._tls = tls
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self):  # type: ignore[no-untyped-def]
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def _start(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            with suppress(TimeoutError):
                connection, _ = self._socket.accept()
                self._start(self._served, connection)

    def _served(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(5)
            if self._tls is None:
                self.serve(connection)
            else:
                with self._tls.wrap_socket(connection, server_side=True) as wrapped:
                    self.serve(wrapped)

    def serve(self, connection: socket.socket) -> None:
        raise NotImplementedError


class Wire(_Listener):
    """A proxy to a port. `cut_after`: bytes towards the server, over all connections, after which everything is cut;
    `change_at`: the byte towards the server whose lowest bit is turned. None: never."""

    def __init__(self, to_port: int, *, cut_after: int | None = None, change_at: int | None = None) -> None:
        super().__init__()
        self._to_port = to_port
        self._cut_after = cut_after
        self._change_at = change_at
        self._lock = threading.Lock()
        self.sent = 0

    def serve(self, connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self._to_port), 5) as server:
            back = threading.Thread(target=self._back, args=(server, connection))
            back.start()
            try:
                while (data := connection.recv(16_384)) and (passed := self._passed(data)):
                    server.sendall(passed)
                    if len(passed) < len(data):
                        break
            finally:
                for one in (server, connection):
                    with suppress(OSError):
                        one.shutdown(socket.SHUT_RDWR)
                back.join()

    def _passed(self, data: bytes) -> bytes:
        with self._lock:
            before, self.sent = self.sent, self.sent + len(data)
        if self._change_at is not None and before <= self._change_at < before + len(data):
            at = self._change_at - before
            data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        return data if self._cut_after is None else data[: max(0, self._cut_after - before)]

    @staticmethod
    def _back(server: socket.socket, connection: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(16_384):
                connection.sendall(data)
            connection.shutdown(socket.SHUT_RDWR)


class Hostile(_Listener):
    """A server that answers each request as it likes. `heard`: every byte that it was sent."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self._answer = answer
        self.heard: list[bytes] = []

    def serve(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head and (data := connection.recv(16_384)):
            head += data
        self.heard.append(head)
        if head:
            self._answer(connection, head)
