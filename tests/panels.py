"""A panel for tests: `bodycam-sim panel` as a process, on a bench with small pictures; and a WebSocket of its own to it."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    RejectConnection,
    Request,
    TextMessage,
)

from device.clock import BootClock, pause
from device.evidence import layout
from hw_sim.agency import Bench
from tests.benches import make_bench

LIMIT_S = 60
LOOKS_AT_REST = 50
"""Five a second: about ten seconds for what a test left to come to rest by itself."""
SMALL = {"width": 160, "height": 90, "rate_hz": 10, "bitrate_bps": 100_000}


class Panel:
    """`address` is what it printed, with the token. `new`: on the bench that it lays out itself."""

    def __init__(self, root: Path, *, new: bool = False) -> None:
        self.bench = Bench(root / "bench")
        if not new:
            make_bench(self.bench.root, pre_event_s=2, post_event_s=1, camera=SMALL)
        self.log = root / "log"
        self._log = self.log.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hw_sim.cli", "panel", "--out", str(self.bench.root), "--no-browser"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split()[-1]
        self.host, _, self.token = self.address.removeprefix("http://").partition("/?token=")
        self.port = int(self.host.rpartition(":")[2])

    @property
    def cookie(self) -> str:
        return f"bodycam-panel-{self.port}={self.token}"

    def recordings(self) -> list[str]:
        """Those on the card, by name, oldest first."""
        folder = self.bench.card / layout.EVIDENCE
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def come_to_rest(self) -> None:
        """Idle, with nothing pressed or broken, whatever a test left behind: if need be, by pulling the battery."""
        looking = Socket(self)
        try:
            for _ in range(LOOKS_AT_REST):
                now = json.loads(looking.until('"kind":"now"'))
                if (now["state"], now["switches"], now["troubles"]) == ("idle", [], {}):
                    return
            looking.say('{"do":"cut-power"}')
            looking.end()
        finally:
            looking.close()
        until_us = BootClock().now_us() + LIMIT_S * 1_000_000
        while BootClock().now_us() < until_us and not self._is_listening():
            pause(BootClock(), 200_000)

    def _is_listening(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT_S).close()
        except OSError:
            return False
        return True

    def raw(self, data: bytes) -> bytes:
        """Its answer to these bytes, whatever they are, when nothing follows them."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT_S) as to:
            to.sendall(data)
            to.shutdown(socket.SHUT_WR)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while part := to.recv(65536):
                    answer += part
            return answer

    def get(self, path: str, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)
        try:
            connection.request("GET", path, headers={"Host": self.host} | headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def stop(self) -> int:
        """As Ctrl-C does."""
        self.process.terminate()
        return self.process.wait(LIMIT_S)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self._log.close()


class Socket:
    """A WebSocket to a panel, as a page would open it, but for what a test changes. `refused`: the status, if it was."""

    def __init__(self, panel: Panel, *, path: str = "/live", **changed: str) -> None:
        headers = {"host": panel.host, "origin": f"http://{panel.host}", "cookie": panel.cookie} | changed
        self._socket = socket.create_connection(("127.0.0.1", panel.port), timeout=LIMIT_S)
        self._ws = WSConnection(ConnectionType.CLIENT)
        more = [(name.encode(), value.encode()) for name, value in headers.items() if name != "host" and value]
        self._socket.sendall(self._ws.send(Request(host=headers["host"], target=path, extra_headers=more)))
        self._events: list[Event] = []
        first = self.next()
        self.refused = first.status_code if isinstance(first, RejectConnection) else 0
        assert self.refused or isinstance(first, AcceptConnection), first

    def next(self) -> Event:
        """The next that comes: a whole message, or the end."""
        while not self._events:
            data = self._socket.recv(65536)
            self._ws.receive_data(data or None)  # none: it was cut off
            self._events += self._ws.events()
        return self._events.pop(0)

    def say(self, text: str | bytes) -> None:
        whole = TextMessage(data=text) if isinstance(text, str) else BytesMessage(data=text)
        self._socket.sendall(self._ws.send(whole))

    def until(self, *words: str) -> str:
        """The first text with all these words in it."""
        text = ""
        while True:
            event = self.next()
            assert not isinstance(event, CloseConnection), event
            if isinstance(event, TextMessage):
                text += event.data
                if event.message_finished:
                    if all(word in text for word in words):
                        return text
                    text = ""

    def end(self) -> CloseConnection:
        """How it is closed."""
        while True:
            event = self.next()
            if isinstance(event, CloseConnection):
                return event

    def close(self) -> None:
        self._socket.close()
