"""The service manager's part, played by the panel: it hears from the daemon what systemd would hear.

Only whether the daemon was asked to stop is made use of: one that ends without that has failed, and is started again. A
thread of its own takes what comes, so that the daemon's socket never fills; it ends with the process.
"""

import os
import socket
import threading

from device.clock import Latch

MOST_BYTES = 4096
STOPPING = b"STOPPING=1"


class Manager:
    """To be made before the daemon, which then speaks to it. `stopping`: a signal asked the daemon to end."""

    def __init__(self) -> None:
        self.stopping = Latch()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("")  # Linux gives it an address of its own, in no folder
        address: bytes = self._socket.getsockname()
        os.environ["NOTIFY_SOCKET"] = "@" + address[1:].decode("ascii")
        threading.Thread(target=self._hear, name="manager", daemon=True).start()

    def _hear(self) -> None:
        while True:
            if self._socket.recv(MOST_BYTES) == STOPPING:
                self.stopping.set()
