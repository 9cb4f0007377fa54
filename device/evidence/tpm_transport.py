"""How a TPM 2.0 is reached: whole commands out, whole answers back. No meaning is given to either here.

`device:/dev/tpmrm0` is the kernel's resource manager: what is loaded goes when the file is closed, and it ends a command
that takes too long. `swtpm:host=127.0.0.1,port=2321` is the simulator of the tests. Recorder thread, after the start.
"""

import os
import re
import socket
import struct
from contextlib import suppress
from typing import Protocol

from device.errors import ConfigurationError, KeyUnreachable

MAX_ANSWER_BYTES = 4096
LOOPBACK = "127.0.0.1"
"""The simulator is on this computer: the daemon speaks to no other."""
SOCKET_LIMIT_S = 30.0
"""Longer than any command of a TPM takes."""
_SWTPM = re.compile(r"swtpm:(?:host=127\.0\.0\.1,)?port=(?P<port>[0-9]{1,5})\Z")


class TpmUnreachable(KeyUnreachable):
    """The TPM gives no answer now, or one that is none."""


class Transport(Protocol):
    def exchange(self, command: bytes) -> bytes:
        """The answer, whole; `TpmUnreachable` otherwise."""

    def close(self) -> None: ...


def open_transport(tcti: str) -> Transport:
    """`ConfigurationError` for a way that is not known; `TpmUnreachable` when nothing is there."""
    if tcti.startswith("device:"):
        return _Device(tcti.removeprefix("device:"))
    match = _SWTPM.fullmatch(tcti)
    if match is None:
        raise ConfigurationError(
            f"identity.tpm.tcti is {tcti!r}: neither device:/dev/tpmrm0 nor swtpm:host=127.0.0.1,port=2321 in form"
        )
    return _Socket(LOOPBACK, int(match["port"]))


class _Device:
    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as failure:
            raise TpmUnreachable(
                f"{path}: {failure.strerror}; is there a TPM, and is this user in the group tss?"
            ) from failure

    def exchange(self, command: bytes) -> bytes:
        try:
            os.write(self._descriptor, command)
            return _whole(os.read(self._descriptor, MAX_ANSWER_BYTES))
        except OSError as failure:
            raise TpmUnreachable(f"{self._path}: {failure.strerror}") from failure

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class _Socket:
    def __init__(self, host: str, port: int) -> None:
        self._name = f"{host}, port {port}"
        try:
            self._socket = socket.create_connection((host, port), SOCKET_LIMIT_S)
        except (OSError, OverflowError) as failure:
            raise TpmUnreachable(f"{self._name}: {failure}; is swtpm running?") from failure

    def exchange(self, command: bytes) -> bytes:
        try:
            self._socket.sendall(command)
            answer = self._receive(10)
            (size,) = struct.unpack_from(">I", answer, 2)
            if not 10 <= size <= MAX_ANSWER_BYTES:
                raise TpmUnreachable(f"{self._name}: an answer of {size} bytes; the limit is {MAX_ANSWER_BYTES}")
            return _whole(answer + self._receive(size - 10))
        except OSError as failure:
            raise TpmUnreachable(f"{self._name}: {failure}") from failure

    def close(self) -> None:
        with suppress(OSError):
            self._socket.close()

    def _receive(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._socket.recv(count - len(data))
            if not more:
                raise TpmUnreachable(f"{self._name}: it ended the connection")
            data += more
        return data


def _whole(answer: bytes) -> bytes:
    if len(answer) < 10 or struct.unpack_from(">I", answer, 2)[0] != len(answer):
        raise TpmUnreachable(f"the TPM's answer of {len(answer)} bytes is not whole")
    return answer
