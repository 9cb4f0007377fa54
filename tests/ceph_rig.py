"""A real object store with object lock for tests: Debian's radosgw on a one-node Ceph whose disk is memory.

Everything is in a folder of its own and on loopback only: a monitor, one object store daemon (`memstore`), one gateway.
Nothing of it outlives `CephRig.stop`, which a fixture calls whatever happened; a rig whose owner dies ends with it.
"""

import ctypes
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

COMMANDS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "ceph-authtool", "monmaptool")
START_LIMIT_S = 120
STOP_LIMIT_S = 20
MEMORY_BYTES = 512 * 1024 * 1024
PART_BYTES = 1024
"""The gateway's least part of a multipart upload; 5 MiB in the world, little here, so that many parts are quick."""
_POOLS = (
    ".rgw.root", "default.rgw.log", "default.rgw.control", "default.rgw.meta",
    "default.rgw.buckets.index", "default.rgw.buckets.data", "default.rgw.buckets.non-ec",
)  # fmt: skip
_CONFIGURATION = """\
[global]
fsid = {fsid}
mon_initial_members = a
mon_host = {monitor}
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_ipv6 = false
keyring = {root}/keyring
run_dir = {root}/run
admin_socket = {root}/run/$name.asok
pid_file = {root}/run/$name.pid
log_file = {root}/run/$name.log
mon_cluster_log_file = {root}/run/cluster.log
crash_dir = {root}/run
mon_data = {root}/mon
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_data_avail_crit = 1
osd_data = {root}/osd
osd_journal = {root}/osd/journal
osd_objectstore = memstore
memstore_device_bytes = {memory}
osd_crush_chooseleaf_type = 0
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
rgw_data = {root}/run
rgw_multipart_min_part_size = {part}
rgw_thread_pool_size = 16
"""


class CephRig:
    """`root` is new. `certificate`: a PEM file with key and certificates for the gateway's TLS port; None: no TLS."""

    def __init__(self, root: Path, certificate: Path | None = None) -> None:
        self._root = root
        self._certificate = certificate
        self._running: list[subprocess.Popen[bytes]] = []
        self.port, self.tls_port, monitor_v2, monitor_v1 = _free_ports(4)
        self._monitor = f"[v2:127.0.0.1:{monitor_v2},v1:127.0.0.1:{monitor_v1}]"
        self._fsid, self._osd = str(uuid.uuid4()), str(uuid.uuid4())

    def start(self) -> None:
        """Everything is up on return; `TimeoutError` otherwise, with the logs left in the folder."""
        root = self._root
        for folder in ("mon", "osd", "run"):
            (root / folder).mkdir(parents=True)
        (root / "ceph.conf").write_text(
            _CONFIGURATION.format(
                fsid=self._fsid, monitor=self._monitor, root=root, memory=MEMORY_BYTES, part=PART_BYTES
            ),
            "ascii",
        )
        for n, (name, caps) in enumerate((
            ("mon.", {"mon": "allow *"}),
            ("client.admin", {"mon": "allow *", "osd": "allow *"}),
            ("osd.0", {"mon": "allow profile osd", "osd": "allow *"}),
        )):  # fmt: skip
            given = [word for kind, cap in caps.items() for word in ("--cap", kind, cap)]
            create = ["--create-keyring"] if n == 0 else []
            self._run("ceph-authtool", str(root / "keyring"), *create, "--gen-key", "-n", name, *given)
        monmap = str(root / "monmap")
        self._run("monmaptool", "--create", "--fsid", self._fsid, "--addv", "a", self._monitor, monmap)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", str(root / "keyring"))
        self._begin("ceph-mon", "-f", "-i", "a")
        self._run("ceph", "osd", "new", self._osd)
        self._run("ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", self._osd)
        self._begin("ceph-osd", "-f", "-i", "0")
        for pool in _POOLS:  # the gateway would make them one after the other, two seconds each
            self._run("ceph", "osd", "pool", "create", pool, "1")
        frontend = f"beast endpoint=127.0.0.1:{self.port}"
        if self._certificate is not None:
            frontend += f" ssl_endpoint=127.0.0.1:{self.tls_port} ssl_certificate={self._certificate}"
        self._begin("radosgw", "-f", "-n", "client.admin", "--rgw-frontends", frontend)
        self._wait_for_port()

    def make_user(self, name: str) -> tuple[str, str]:
        """A user of the store: access key and secret key."""
        access, secret = f"ACCESS-{name}", secrets.token_hex(20)
        keys = ("--access-key", access, "--secret-key", secret)
        self._run("radosgw-admin", "user", "create", "--uid", name, "--display-name", name, *keys)
        return access, secret

    def stop(self) -> None:
        for process in reversed(self._running):
            process.terminate()
        for process in self._running:
            try:
                process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()
        shutil.rmtree(self._root, ignore_errors=True)

    def _run(self, *command: str) -> None:
        subprocess.run(self._with_configuration(command), check=True, capture_output=True, timeout=START_LIMIT_S)

    def _begin(self, *command: str) -> None:
        with (self._root / "run" / f"{command[0]}.out").open("wb") as output:
            self._running.append(
                subprocess.Popen(
                    self._with_configuration(command),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    preexec_fn=_end_with_parent,  # noqa: PLW1509 - one system call, before any thread of the child's
                )
            )

    def _with_configuration(self, command: tuple[str, ...]) -> list[str]:
        own = [] if command[0] in ("ceph-authtool", "monmaptool") else ["-c", str(self._root / "ceph.conf")]
        return [command[0], *own, *command[1:]]

    def _wait_for_port(self) -> None:
        until = time.monotonic() + START_LIMIT_S
        while time.monotonic() < until:
            ended = [process.args for process in self._running if process.poll() is not None]
            assert not ended, f"{ended} ended; see the logs in {self._root}/run"
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise TimeoutError(f"the gateway did not start within {START_LIMIT_S} s; see the logs in {self._root}/run")


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


if __name__ == "__main__":
    rig = CephRig(Path(sys.argv[1]))
    began = time.monotonic()
    try:
        rig.start()
        print(f"up after {time.monotonic() - began:.1f} s, port {rig.port}, keys {rig.make_user('someone')}")
        print(f"user made after {time.monotonic() - began:.1f} s")
        if len(sys.argv) > 2:
            input()
    finally:
        rig.stop()
