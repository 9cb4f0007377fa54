"""Keys in hardware for tests: a SoftHSM token and a simulated TPM, each in a folder of the test's. They fail where the
programs are missing: what says that a key can't leave must have been tried.
"""

import os
import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from device.config import Configuration, read_configuration
from device.evidence.identity import Role
from device.evidence.keys import Key
from device.evidence.records import Attestation
from hw_sim.agency import Agency, Bench

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "8675-3090"
TOKEN = "bodycam"  # noqa: S105 - a name


def run(*command: str, **environment: str) -> str:
    """A command's standard output; the test fails with its standard error."""
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def make_token(folder: Path) -> None:
    """A token for this process: SoftHSM reads its settings once, when it is loaded."""
    (folder / "tokens").mkdir(parents=True)
    settings = folder / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(settings)
    run("softhsm2-util", "--init-token", "--free", "--label", TOKEN, "--pin", PIN, "--so-pin", "1234-5678")


def write_pin(path: Path, pin: str = PIN) -> None:
    path.touch(mode=0o600)
    path.write_text(pin + "\n")


def token_uri(token: Path, label: str) -> str:
    return f"pkcs11:token={TOKEN};object={label}?module-path={MODULE}&pin-source=file:{token / 'pin'}"


def put_key(bench: Bench, key: str, tables: str = "") -> Configuration:
    """A bench's configuration with another place for the device's key, and what is said of token and TPM."""
    text = bench.config.read_text("utf-8")
    assert text.count('key = "device.key"') == 1
    text = text.replace('key = "device.key"', f'key = "{key}"')
    bench.config.write_text(text.replace("[policy]", f"{tables}\n[policy]"), "utf-8")
    return read_configuration(bench.config)


def tpm_tables(tpm: "SimulatedTpm", more: str = "") -> str:
    return f'[identity.tpm]\ntcti = "{tpm.tcti}"\n{more}\n'


def enrol(bench: Bench, agency: Agency, key: Key, attestation: Attestation | None = None) -> None:
    """The agency's word on a device's new key: certificate and statement in the bench's places."""
    device = read_configuration(bench.config).tables.device.id
    certificate = agency.certify(device, Role.LEDGER, key.public, protection=key.protection)
    (bench.root / "device" / "device.der").write_bytes(certificate)
    statement = agency.provision(device, certificate, key.protection, attestation)
    (bench.root / "device" / "provisioning.jsonl").write_bytes(statement + b"\n")


class SimulatedTpm(msgspec.Struct):
    """A running swtpm. `state` outlives it, as a chip's does."""

    state: Path
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def tcti(self) -> str:
        return f"swtpm:host=127.0.0.1,port={self.port}"

    def start(self) -> None:
        """Power on, as firmware does; on the port that it had. Another program may be faster at taking a port."""
        self.state.mkdir(exist_ok=True)
        for _ in range(20):
            port = self.port or _free_port()
            self.process = subprocess.Popen(
                [
                    "swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.state}",
                    "--flags", "not-need-init,startup-clear",
                    "--server", f"type=tcp,port={port},bindaddr=127.0.0.1",
                    "--ctrl", f"type=tcp,port={port + 1},bindaddr=127.0.0.1",
                ],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            if self._answers(port):
                self.port = port
                return
        raise AssertionError("swtpm does not start")

    def _answers(self, port: int) -> bool:
        """Whether it takes connections; False when it has ended."""
        assert self.process is not None
        while True:
            with socket.socket() as probe:
                probe.settimeout(5)
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return self.process.poll() is None
            try:
                self.process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            return False

    def stop(self) -> None:
        """Pull the power."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@contextmanager
def simulated_tpm(folder: Path) -> Iterator[SimulatedTpm]:
    tpm = SimulatedTpm(folder / "tpm")
    tpm.start()
    try:
        yield tpm
    finally:
        tpm.stop()


def _free_port() -> int:
    """One that is free, with the next: below those that systems give to clients."""
    for _ in range(1000):
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as first, socket.socket() as second:
            if first.connect_ex(("127.0.0.1", port)) and second.connect_ex(("127.0.0.1", port + 1)):
                return port
    raise AssertionError("no free port")
