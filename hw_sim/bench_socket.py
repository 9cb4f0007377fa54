"""A running bench takes lines from other programs, through a Unix socket beside its configuration: one packet a line.

The bench makes it, never the device's daemon, for its own user alone (0600). Each packet is answered with one: what
`hw_sim.lines.play` has to say of the line, empty when it is done.
"""

import errno
import os
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

from device.errors import UsageError

NAME = "bench.sock"
MAX_LINE_BYTES = 1000
MAX_ANSWER_BYTES = 16_000
ANSWER_LIMIT_S = 10


class BenchSocket:
    """`play` carries out a line; it is called on a thread of this one's. `OSError` where
    the folder can't be written, or another bench answers there."""

    def __init__(self, folder: Path, play: Callable[[str], str]) -> None:
        self._path = folder / NAME
        self._play = play
        if _answers(folder):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        _remove(self._path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        os.fchmod(self._socket.fileno(), 0o600)  # what a socket's file is made with
        _in_folder(folder, self._socket.bind)
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve, name="bench socket", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Nobody else can come; who is being answered is answered."""
        _remove(self._path)
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(ANSWER_LIMIT_S)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return  # closed
            with connection:
                connection.settimeout(ANSWER_LIMIT_S)
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        try:
            while line := connection.recv(MAX_LINE_BYTES):
                said = self._play(line.decode("utf-8", "replace")) or "\n"
                connection.send(said.encode()[:MAX_ANSWER_BYTES])
        except OSError:
            return  # who asked has gone, or says nothing


def say(bench: Path, line: str) -> str:
    """Play a line on the bench that runs in a folder, or in its folder `device`; what it answers. `UsageError` where none
    does."""
    folder = next((folder for folder in (bench, bench / "device") if (folder / NAME).is_socket()), None)
    if folder is None:
        raise UsageError(f"--bench {bench}: no bench runs there; start one: bodycam-sim daemon --config FILE")
    if len(line.encode()) > MAX_LINE_BYTES:
        raise UsageError(f"the line is longer than {MAX_LINE_BYTES} bytes; say less")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(ANSWER_LIMIT_S)
        try:
            _in_folder(folder, connection.connect)
            connection.send(line.encode())
            return connection.recv(MAX_ANSWER_BYTES).decode("utf-8", "replace").strip()
        except ConnectionResetError:
            return ""  # it ended by what it was told
        except OSError as failure:
            raise UsageError(
                f"--bench {bench}: the bench does not answer: {failure.strerror or failure}; start it again"
            ) from failure


def _answers(folder: Path) -> bool:
    """Whether a bench listens there; what one that was killed left does not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(ANSWER_LIMIT_S)
        try:
            _in_folder(folder, connection.connect)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        return True


def _in_folder(folder: Path, do: Callable[[str], None]) -> None:
    """An address holds 107 bytes: the folder, however long its name, is named by a descriptor."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        do(f"/proc/self/fd/{descriptor}/{NAME}")
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    """What a bench that was killed left, and nothing else of that name."""
    try:
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()
    except FileNotFoundError:
        return
