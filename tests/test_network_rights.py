"""Off-load alone has to do with a network; the daemon has no right to one and no code for one."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from device.errors import ConfigurationError
from device.evidence.tpm_transport import open_transport

ROOT = Path(__file__).resolve().parents[1]
NETWORK = {
    "aiohttp", "asyncio", "boto3", "botocore", "ftplib", "http", "httpx", "requests", "smtplib", "socketserver", "ssl",
    "telnetlib", "urllib3", "xmlrpc",
}  # fmt: skip
SERVICE = "device/service/notify.py"
ON_A_PI = {"encoders.py", "session.py"}
"""They import picamera2, which is not here; the import contract "the network is off-load's alone" reads them too."""


def loaded_by(statement: str) -> set[str]:
    """What a Python process has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(told.stdout.split())


def test_the_daemon_loads_nothing_of_a_network() -> None:
    everything = "\n".join(
        f"import {path.relative_to(ROOT).with_suffix('').as_posix().replace('/', '.')}"
        for path in sorted((ROOT / "device").rglob("*.py"))
        if path.name != "__init__.py" and path.parent != ROOT / "device" / "offload" and path.name not in ON_A_PI
    )
    assert "import device.daemon" in everything
    loaded = loaded_by(everything)
    assert "device.evidence.recorder" in loaded
    assert {name for name in loaded if name.split(".")[0] in NETWORK} == set()
    assert {name for name in loaded if name.startswith("device.offload")} == set()


def test_off_load_is_where_the_network_is() -> None:
    """So that the test above would see it."""
    loaded = loaded_by("import device.offload.s3")
    assert {"botocore", "ssl", "http"} <= loaded


def test_the_daemons_only_sockets_are_the_service_managers_and_a_simulators() -> None:
    with_socket = []
    for path in sorted((ROOT / "device").rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        if "socket" in imported:
            with_socket.append(path.relative_to(ROOT).as_posix())
    assert with_socket == ["device/evidence/tpm_transport.py", "device/offload/transport.py", SERVICE]
    families = {
        node.attr
        for node in ast.walk(ast.parse((ROOT / SERVICE).read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr.startswith("AF_")
    }
    assert families == {"AF_UNIX"}


@pytest.mark.parametrize("host", ["10.0.0.1", "tpm.example", "127.0.0.2", "::1"])
def test_a_tpm_is_spoken_to_on_this_computer_alone(host: str) -> None:
    with pytest.raises(ConfigurationError, match="neither device:/dev/tpmrm0 nor swtpm:host=127"):
        open_transport(f"swtpm:host={host},port=2321")


def test_only_one_module_knows_the_s3_library() -> None:
    knows = [
        path.name
        for path in sorted((ROOT / "device").rglob("*.py"))
        if "botocore" in path.read_text("utf-8").replace("[offload]", "")
    ]
    assert knows == ["s3.py", "transport.py"]


def _unit(name: str) -> dict[str, list[str]]:
    """The settings of a unit, each with its values in order."""
    settings: dict[str, list[str]] = {}
    for line in (ROOT / "systemd" / name).read_text("utf-8").splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            settings.setdefault(key, []).append(value)
    return settings


def test_the_units_give_the_network_to_off_load_alone_and_the_card_to_the_daemon_alone() -> None:
    daemon, offload = _unit("bodycam.service"), _unit("bodycam-offload.service")
    assert daemon["PrivateNetwork"] == ["yes"]
    assert daemon["RestrictAddressFamilies"] == ["AF_UNIX AF_NETLINK"], (
        "netlink: udev, which libcamera asks for cameras"
    )
    assert (daemon["User"], offload["User"]) == (["bodycam"], ["bodycam-offload"])
    assert "PrivateNetwork" not in offload
    assert daemon["ReadWritePaths"] == ["/var/lib/bodycam"]
    assert (offload["ReadOnlyPaths"], offload["ReadWritePaths"]) == (["/var/lib/bodycam"], ["-/var/lib/bodycam/spool"])
    assert offload["PrivateDevices"] == ["yes"], "no token, no TPM"
    for unit in (daemon, offload):
        assert unit["CapabilityBoundingSet"] == [""]
        assert unit["ProtectSystem"] == ["strict"]
        assert unit["NoNewPrivileges"] == ["yes"]
