"""A real systemd runs the units of systemd/: what it does when the daemon is ready, hangs, is killed, can't start; and what
each unit's sandbox lets its process do, asked from inside. The hardware is the twin; everything else is the real thing.
"""

import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from device.evidence.identity import Role
from tests.benches import DEVICE, shown
from tests.commands import run
from tests.conftest import _want
from tests.lanes.sandbox_table import LINES, ROWS, UNITS
from tests.lanes.service_rig import CARD, CONFIG, IDENTITY, RUN_DAEMON, STATE, STORE, ServiceRig
from tests.lanes.systemd_rig import COMMANDS, ROOT

pytestmark = pytest.mark.lane

NO_REBOOT = "Skipped due to 'exec-condition'"
NO_TOML = "this is not TOML ="
TMPFILES = ROOT / "systemd" / "bodycam.tmpfiles.conf"
HOLDING = (
    'import sys, threading; sys.path[:0] = ["/opt/rig/tree", "/opt/rig/packages"]; '
    "import device.keeper; device.keeper.CALL_LIMIT_US = 3_000_000; "
    "from hw_sim.camera import TwinCamera; from hw_sim.cli import main; stop = TwinCamera.stop; "
    "TwinCamera.stop = lambda camera: threading.Event().wait() if camera._stalled else stop(camera); sys.exit(main())"
)
"""The twin, with a camera that never comes back from a stop while it is stalled; the bound of such a call is 3 s instead
of 15, to be seen sooner."""


def make_rig(root: Path) -> ServiceRig:
    missing = [command for command in COMMANDS if shutil.which(command) is None]
    _want(os.geteuid() == 0 and not missing, f"needs root, and {', '.join(missing) or 'nothing else'}")
    return ServiceRig(root / "rig")


@pytest.fixture(scope="module")
def shared_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceRig]:
    root = tmp_path_factory.mktemp("service")
    rig = make_rig(root)
    try:
        rig.start()
        rig.deliver(root / "bench")
        yield rig
    finally:
        rig.stop()


@pytest.fixture
def rig(shared_rig: ServiceRig) -> Iterator[ServiceRig]:
    shared_rig.fresh()
    yield shared_rig
    shared_rig.fresh()


@pytest.fixture(scope="module")
def answers(shared_rig: ServiceRig) -> dict[str, dict[str, str]]:
    return shared_rig.probed()


# -- the sandbox, from inside ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ROWS)
def test_what_each_unit_may_do(answers: dict[str, dict[str, str]], asked: str) -> None:
    expected = ROWS[asked]
    said = tuple(answers[unit][asked] for unit in UNITS)
    assert said == expected[:-1]
    assert expected[-1] in ("-", answers["nothing"][asked]), "without a sandbox"


def test_no_probe_goes_unasked(answers: dict[str, dict[str, str]]) -> None:
    assert answers.keys() == {*UNITS, "nothing"}
    for unit in UNITS:
        assert answers[unit].keys() - {"memlock limit", "lock memory"} == ROWS.keys(), unit


def test_each_line_of_the_daemons_sandbox_holds_something(shared_rig: ServiceRig) -> None:
    """Taken out, each makes its probe answer otherwise than above."""
    answers = shared_rig.probed_without("bodycam", [(line, probe) for line, probe, _ in LINES])
    assert [(*row[:2], said) for row, said in zip(LINES, answers, strict=True)] == LINES
    assert [line for line, probe, said in LINES if ROWS[probe][0] == said] == [], "that is no difference"


# -- the daemon's life ----------------------------------------------------------------------------------------------


def ready(rig: ServiceRig) -> None:
    rig.systemctl("start", "bodycam")
    assert rig.show("bodycam", "ActiveState") == "active"


def test_it_is_ready_when_the_daemon_says_so(rig: ServiceRig) -> None:
    ready(rig)
    assert rig.show("bodycam", "Type") == "notify"
    assert rig.show("bodycam", "StatusText").startswith("idle; faults: ")
    assert rig.show("bodycam", "NRestarts") == "0"
    said = rig.run("stat", "-c", "%U %a", "/run/bodycam/status.json", f"{CARD}/journal").stdout.split()
    assert said == ["bodycam", "644", "bodycam", "750"]


def test_a_start_leaves_each_folder_as_the_package_made_it(rig: ServiceRig) -> None:
    """The units and tmpfiles speak of the same folders; each start of a unit sets the mode that the unit says."""
    folders = [line.split() for line in TMPFILES.read_text("utf-8").splitlines() if line.startswith("d ")]
    ready(rig)
    rig.systemctl("start", "bodycam-offload")
    for _, folder, mode, user, group, _ in folders:
        assert rig.run("stat", "-c", "%04a %U %G", folder).stdout.split() == [mode, user, group], folder


def test_it_waits_for_no_network_and_for_nothing_of_the_systems_start(rig: ServiceRig) -> None:
    """Whatever it is ordered after, near or far."""
    far, waiting = set(), ["bodycam.service"]
    while waiting:
        for unit in rig.show(waiting.pop(), "After").split():
            if unit not in far:
                far.add(unit)
                waiting.append(unit)
    assert {"local-fs.target", "var-lib-bodycam.mount", "systemd-tmpfiles-setup.service"} <= far
    assert far & {"basic.target", "sysinit.target", "time-set.target", "sound.target"} == set()
    assert [unit for unit in far if "network" in unit or "resolve" in unit] == []


def test_a_clean_stop_closes_the_recording(rig: ServiceRig) -> None:
    ready(rig)
    rig.record()
    rig.systemctl("stop", "bodycam")
    assert (rig.show("bodycam", "Result"), rig.show("bodycam", "ExecMainStatus")) == ("success", "0")
    last = rig.verdict().recordings[-1]
    assert (last.exit_status, last.answers.extent_said) == (0, "closed (shutdown) and journaled")


def test_a_camera_that_does_not_let_go_ends_the_daemon_which_starts_anew_and_records(rig: ServiceRig) -> None:
    ready(rig)
    rig.record()
    rig.play("hang")
    rig.until("systemd restarts it", lambda: rig.show("bodycam", "NRestarts") == "1")
    rig.until("it is ready again", lambda: rig.state() == "idle")
    said = rig.journal("bodycam")
    assert "camera: restart 1: no pictures" in said
    assert "the camera does not let go" in said
    assert "status=1/FAILURE" in said, "it ends by itself, and within the watchdog's time"
    assert "Watchdog timeout" not in said
    rig.record()
    rig.systemctl("stop", "bodycam")
    failed, closed = rig.verdict().recordings[-2:]
    assert (failed.exit_status, failed.answers.extent_said) == (0, "closed (failed) and journaled")
    assert (closed.exit_status, closed.answers.extent_said) == (0, "closed (shutdown) and journaled")


def test_a_daemon_that_hangs_starves_the_watchdog_and_starts_anew(rig: ServiceRig) -> None:
    """No thread of it turns: it has been stopped as a whole."""
    ready(rig)
    rig.record()
    before = rig.main_pid()
    rig.systemctl("kill", "--kill-whom=main", "--signal=STOP", "bodycam")
    rig.until("systemd restarts it", lambda: rig.show("bodycam", "NRestarts") == "1")
    rig.until("it is ready again", lambda: rig.state() == "idle")
    said = rig.journal("bodycam")
    assert "Watchdog timeout" in said
    assert f"Killing process {before}" in said
    assert "status=6/ABRT" in said, "killed, and no core was dumped"
    assert "core-dump" not in said
    rig.systemctl("stop", "bodycam")
    verdict = rig.verdict()
    assert verdict.recordings[-1].exit_status == 4, shown(verdict)
    assert verdict.recordings[-1].answers.extent == "power-loss"


def test_a_camera_that_holds_its_keeper_starves_the_watchdog(rig: ServiceRig) -> None:
    """The control loop turns, and a call into the camera never comes back: after its bound nobody feeds the watchdog."""
    rig.override(f"ExecStart=\nExecStart={rig.interpreter} -c '{HOLDING}' {RUN_DAEMON}")
    ready(rig)
    rig.until("frames come", lambda: rig.state() == "idle")
    rig.play("stall")
    rig.until("systemd restarts it", lambda: rig.show("bodycam", "NRestarts") == "1")
    rig.until("it is ready again", lambda: rig.state() == "idle")
    said = rig.journal("bodycam")
    assert "camera: restart 1: no pictures" in said
    assert "restart 2" not in said
    assert "Watchdog timeout" in said
    assert "status=6/ABRT" in said


def test_after_kill_it_starts_anew_and_recovers(rig: ServiceRig) -> None:
    ready(rig)
    rig.record()
    rig.kill()
    rig.until("it is ready again", lambda: rig.state() == "idle")
    rig.record()
    rig.systemctl("stop", "bodycam")
    cut, closed = rig.verdict().recordings[-2:]
    assert (cut.exit_status, cut.answers.extent) == (4, "power-loss")
    assert (closed.exit_status, closed.answers.extent) == (0, "closed")


def test_a_configuration_error_is_not_tried_again_and_the_fault_light_shows_it(rig: ServiceRig) -> None:
    """78; not even by hand, again and again, does it come to a reboot."""
    rig.path(CONFIG).write_text(NO_TOML, "utf-8")
    rig.run("systemctl", "start", "bodycam", check=False)
    assert (rig.show("bodycam", "Result"), rig.show("bodycam", "ExecMainStatus")) == ("exit-code", "78")
    assert rig.show("bodycam", "NRestarts") == "0"
    rig.until("the fault light is on", lambda: "the fault light is on, GPIO 23" in rig.journal("bodycam-fault"))
    assert rig.show("bodycam-fault", "ActiveState") == "active"
    assert "the fault light is on the usual line, GPIO 23" in rig.journal("bodycam-fault")
    rig.until("the last step was asked", lambda: NO_REBOOT in rig.journal("bodycam-reboot"))
    assert rig.ended_by(0.5) is None


def test_no_number_of_starts_by_hand_makes_a_configuration_error_a_reason_to_reboot(rig: ServiceRig) -> None:
    rig.override('ExecStart=\nExecStart=/bin/sh -c "exit 78"')
    for _ in range(7):
        rig.run("systemctl", "start", "bodycam", check=False)
    rig.until("the limit is hit", lambda: "Start request repeated too quickly" in rig.journal("bodycam"))
    rig.until("the last step was asked", lambda: rig.journal("bodycam-reboot").count(NO_REBOOT) > 0)
    rig.until("nothing is under way", lambda: rig.run("systemctl", "list-jobs", "--no-legend").stdout == "")
    assert rig.ended_by(0.5) is None


def test_a_configuration_error_is_no_reason_to_reboot_after_any_number_of_restarts(rig: ServiceRig) -> None:
    """Four starts that fail, and a fifth that says 78."""
    turns = f"{STATE}/turns"
    rig.override(
        f'ExecStart=\nExecStart=/bin/sh -c "echo >> {turns}; test $$(wc -l < {turns}) -lt 5 || exit 78; exit 1"\nRestartSec=100ms'
    )
    rig.run("systemctl", "start", "--no-block", "bodycam")
    rig.until("the fifth has failed", lambda: rig.show("bodycam", "ExecMainStatus") == "78")
    assert rig.show("bodycam", "NRestarts") == "4"
    rig.until("the last step was asked", lambda: NO_REBOOT in rig.journal("bodycam-reboot"))
    assert rig.ended_by(0.5) is None


def test_the_light_lets_go_before_the_daemon_takes_the_pins(rig: ServiceRig) -> None:
    rig.path(CONFIG).write_text(NO_TOML, "utf-8")
    rig.run("systemctl", "start", "bodycam", check=False)
    rig.until("the fault light is on", lambda: rig.show("bodycam-fault", "ActiveState") == "active")
    rig.path(CONFIG).write_text(rig.configuration, "utf-8")
    ready(rig)
    assert rig.show("bodycam-fault", "ActiveState") == "inactive"
    dark = int(rig.show("bodycam-fault", "ExecMainExitTimestampMonotonic"))
    begun = int(rig.show("bodycam", "ExecMainStartTimestampMonotonic"))
    assert 0 < dark <= begun


def failing(rig: ServiceRig) -> None:
    """A daemon that can't come up: five starts, and the unit has failed."""
    rig.override("ExecStart=\nExecStart=/usr/bin/false\nRestartSec=100ms")
    rig.run("systemctl", "start", "--no-block", "bodycam")


def test_a_bench_stays_up(rig: ServiceRig) -> None:
    rig.path("/etc/bodycam/no-reboot").touch()
    failing(rig)
    rig.until("the fault light is on", lambda: rig.show("bodycam-fault", "ActiveState") == "active")
    assert (rig.show("bodycam", "ActiveState"), rig.show("bodycam", "NRestarts")) == ("failed", "5")
    assert rig.show("bodycam-reboot", "ConditionResult") == "no"
    assert rig.ended_by(0.5) is None


def test_a_stop_that_does_not_end_well_is_no_reason_to_reboot(rig: ServiceRig) -> None:
    rig.override("ExecStopPost=/usr/bin/false")
    ready(rig)
    rig.systemctl("stop", "bodycam")
    assert rig.show("bodycam", "Result") == "exit-code"
    rig.until("the last step was asked", lambda: NO_REBOOT in rig.journal("bodycam-reboot"))
    assert rig.ended_by(0.5) is None


def test_the_last_step_is_a_reboot(tmp_path: Path) -> None:
    """In a rig of its own, which it ends as a reboot ends a PID namespace: by SIGHUP to its PID 1."""
    rig = make_rig(tmp_path)
    try:
        rig.start()
        rig.deliver(tmp_path / "bench")
        failing(rig)
        assert rig.ended_by(60) is signal.SIGHUP
    finally:
        rig.stop()


def test_a_card_that_cant_be_mounted_is_the_fault_light_and_nothing_is_recorded_beside_it(tmp_path: Path) -> None:
    """The line of install-pi.md for a partition that is not there: neither an emergency shell nor a folder in its place."""
    line = re.search(r"LABEL=evidence (/var/lib/bodycam ext4 .*)", (ROOT / "docs/install-pi.md").read_text("utf-8"))
    assert line is not None
    rig = make_rig(tmp_path)
    rig.add("etc/fstab", f"/no/such/partition {line[1]}\n")
    try:
        rig.start()
        rig.deliver(tmp_path / "bench")
        before = rig.show("var-lib-bodycam.mount", "Before").split()
        assert ("systemd-tmpfiles-setup.service" in before, "local-fs.target" in before) == (True, False)
        rig.run("systemctl", "start", "bodycam", check=False)
        rig.until("the fault light is on", lambda: rig.show("bodycam-fault", "ActiveState") == "active")
        rig.until("the last step was asked", lambda: NO_REBOOT in rig.journal("bodycam-reboot"))
        assert (rig.show("bodycam", "ActiveState"), rig.show("bodycam", "ExecMainPID")) == ("inactive", "0")
        assert [path.name for path in rig.path(CARD).iterdir()] == ["spool"]
        assert rig.ended_by(0.5) is None
    finally:
        rig.stop()


def test_what_is_touched_stays_in_memory_and_is_never_dumped(rig: ServiceRig) -> None:
    """The limit is lifted as far as this machine's own manager may. Where that is not far enough, the daemon says so; what
    it does where it may lock is shown with a capability in the limit's place."""
    assert rig.show("bodycam", "LimitMEMLOCK") == "infinity"
    rig.override("PrivateUsers=no\nCapabilityBoundingSet=CAP_IPC_LOCK\nAmbientCapabilities=CAP_IPC_LOCK")
    ready(rig)
    rig.record()
    memory = rig.memory()
    assert memory["VmLck"] > 50_000
    assert memory["VmSwap"] == 0
    assert "memory: not locked" not in rig.journal("bodycam")
    pid = rig.main_pid()
    assert rig.path(f"/proc/{pid}/environ").stat().st_uid == 0, "not dumpable: root's"
    assert rig.show("bodycam", "MemorySwapMax") == "0"
    rig.signal("ABRT")
    assert "status=6/ABRT" in rig.journal("bodycam")


def test_pictures_are_looked_at_within_the_sandbox(rig: ServiceRig) -> None:
    """The lens part and what it loads, numpy, under the unit's own rules for memory and system calls; and no fault of it."""
    ready(rig)
    rig.until("the daemon is idle", lambda: rig.state() == "idle")
    rig.play("lens frozen")
    rig.until("it has looked", lambda: "lens: frozen: the picture stands still" in rig.journal("bodycam"))
    rig.play("lens clear")
    rig.until("it has looked again", lambda: "lens: over" in rig.journal("bodycam"))
    assert "numpy" in rig.path(f"/proc/{rig.main_pid()}/maps").read_text("utf-8")
    assert rig.show("bodycam", "NRestarts") == "0"


# -- the other units ------------------------------------------------------------------------------------------------


def test_a_new_device_makes_its_keys_and_records_once_the_agency_has_answered(rig: ServiceRig, tmp_path: Path) -> None:
    rig.forget_device()
    rig.systemctl("start", "bodycam-provision")
    made = rig.run(
        "stat", "-c", "%n %U %a", *(f"{IDENTITY}/{name}" for name in ("device.key", "ledger.csr", "media.csr"))
    )
    assert made.stdout.split() == [
        f"{IDENTITY}/device.key", "bodycam", "600", f"{IDENTITY}/ledger.csr", "bodycam", "644",
        f"{IDENTITY}/media.csr", "bodycam", "644",
    ]  # fmt: skip
    key = rig.path(f"{IDENTITY}/device.key").read_bytes()
    rig.systemctl("start", "bodycam-provision")
    assert rig.show("bodycam-provision", "ConditionResult") == "no"
    assert rig.path(f"{IDENTITY}/device.key").read_bytes() == key

    rig.run("systemctl", "start", "bodycam", check=False)
    assert rig.show("bodycam", "ExecMainStatus") == "78"
    assert "device.der: No such file or directory; it must hold the device's certificate" in rig.journal("bodycam")
    rig.until("the fault light is on", lambda: rig.show("bodycam-fault", "ActiveState") == "active")

    answer(rig)
    ready(rig)
    rig.until("it holds frames", lambda: rig.state() == "idle")
    rig.systemctl("stop", "bodycam")
    rig.provision()


def answer(rig: ServiceRig) -> None:
    """What the agency does with the requests, and what a person then does on the device."""
    rig.run("install", "-d", "-o", "bodycam", "/srv/answer")
    install = ["runuser", "-u", "bodycam", "--", "bodycam", "provision", "install", "--config", CONFIG]
    for role, more in (
        (Role.LEDGER, ["--statement", "/srv/answer/statement", "--provisioner", "/srv/answer/provisioner"]),
        (Role.MEDIA, []),
    ):
        name = role.name.lower()
        request = x509.load_pem_x509_csr(rig.path(f"{IDENTITY}/{name}.csr").read_bytes())
        key = request.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        certificate = rig.agency.certify(DEVICE, role, key)
        rig.path(f"/srv/answer/{name}").write_bytes(certificate)
        if role is Role.LEDGER:
            rig.path("/srv/answer/statement").write_bytes(rig.agency.provision(DEVICE, certificate) + b"\n")
            rig.path("/srv/answer/provisioner").write_bytes(rig.agency.provisioner.certificate)
        rig.run(*install, "--role", name, "--certificate", f"/srv/answer/{name}", *more)


def test_off_load_sends_and_hands_in_the_receipt_as_a_user_of_its_own(
    rig: ServiceRig, capsys: pytest.CaptureFixture[str]
) -> None:
    ready(rig)
    rig.record()
    rig.systemctl("restart", "bodycam")
    rig.until("it is ready again", lambda: rig.state() == "idle")
    rig.systemctl("start", "bodycam-offload")
    rig.until("a recording is sent", lambda: ": sent: " in rig.journal("bodycam-offload"))
    user = rig.run("ps", "-o", "user:20=,group=", "-p", str(rig.main_pid("bodycam-offload"))).stdout.split()
    assert user == ["bodycam-offload", "bodycam"]
    bench = rig.bench
    desk = (
        "--trust",
        str(bench.trust),
        "--key",
        str(bench.receipt_key),
        "--certificate",
        str(bench.receipt_certificate),
    )
    assert run("receive", f"folder:{rig.path(STORE)}", *desk) == 0
    assert ": received" in capsys.readouterr().out
    rig.run("chown", "-R", "bodycam-offload", STORE)
    rig.until("the receipt is handed in", lambda: ": handed in: " in rig.journal("bodycam-offload"))
    rig.until("the daemon has taken it", lambda: any(rig.path(f"{CARD}/receipts").iterdir()))
    rig.until("and cleared the spool", lambda: not any(rig.path(f"{CARD}/spool").glob("*.receipt")))
    assert rig.show("bodycam-offload", "NRestarts") == "0"
