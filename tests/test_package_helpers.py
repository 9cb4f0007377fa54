"""What the Debian package changes on a system, without a package: the kernel's command line, the guard, the files' places."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest

from deb import boot_options, build, upgrade_guard, wheels
from deb.boot_options import NotTouchedError, with_words, without_words
from deb.manpage import manpage
from device.config import read_configuration

ROOT = Path(__file__).resolve().parents[1]
PI = "console=serial0,115200 console=tty1 root=PARTUUID=4e639091-02 rootfstype=ext4 fsck.repair=yes rootwait\n"
ON = PI.rstrip() + " cgroup_enable=memory cgroup_memory=1\n"


# -- the memory cgroup ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (PI, ON),
        (PI.rstrip(), ON),
        (ON, ON),
        ("cgroup_memory=1 " + PI, "cgroup_memory=1 " + PI.rstrip() + " cgroup_enable=memory\n"),
        (
            PI.rstrip() + " cgroup_disable=memory\n",
            PI.rstrip() + " cgroup_disable=memory cgroup_enable=memory cgroup_memory=1\n",
        ),
    ],
)
def test_the_words_are_put_at_the_end_once(before: str, after: str) -> None:
    assert with_words(before) == after
    assert with_words(after) == after


@pytest.mark.parametrize("line", ["", "\n", "console=tty1\n", PI + "second=1\n", "\n\n", "xroot=1\n"])
def test_what_is_no_command_line_is_not_touched(line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "cmdline.txt"
    file.write_text(line)
    assert boot_options.main(["add", str(file)]) == 1
    assert "is not touched" in capsys.readouterr().err
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"cmdline.txt": line}


@pytest.mark.parametrize("raw", [b"root=1 \xff\n", b"root=1 " + b"x" * 5000])
def test_bytes_that_are_no_command_line_are_not_touched(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "cmdline.txt").write_bytes(raw)
    assert boot_options.main(["add", str(tmp_path / "cmdline.txt")]) == 1
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"cmdline.txt": raw}


def test_what_was_put_in_is_taken_out_and_nothing_else() -> None:
    assert without_words(ON, PI) == PI
    assert without_words(ON, "cgroup_memory=1 root=1\n") == PI.rstrip() + " cgroup_memory=1\n"
    assert without_words("quiet " + ON, PI) == "quiet " + PI
    assert without_words(PI, PI) == PI
    with pytest.raises(NotTouchedError):
        without_words("", PI)


def test_the_file_as_it_was_lies_beside_it_and_is_never_written_over(tmp_path: Path) -> None:
    file, backup = tmp_path / "cmdline.txt", tmp_path / "cmdline.txt.before-bodycam"
    file.write_text(PI)
    assert boot_options.main(["add", str(file)]) == 0
    file.write_text("quiet " + PI)  # somebody's hand, afterwards
    assert boot_options.main(["add", str(file)]) == 0
    assert (file.read_text(), backup.read_text()) == ("quiet " + ON, PI)
    assert boot_options.main(["remove", str(file)]) == 0
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"cmdline.txt": "quiet " + PI}
    assert boot_options.main(["remove", str(file)]) == 0
    assert file.read_text() == "quiet " + PI


def test_no_file_no_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "firmware" / "cmdline.txt"
    for way in ("add", "remove"):
        assert boot_options.main([way, str(file)]) == 0
    assert "no Raspberry Pi OS" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, backup = tmp_path / "cmdline.txt", tmp_path / "cmdline.txt.before-bodycam"
    file.write_text(PI)
    backup.write_text("as it was\n")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert boot_options.main(["add", str(file)]) == 1
    left = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert left == {"cmdline.txt": PI, "cmdline.txt.before-bodycam": "as it was\n"}


# -- never while a recording is open --------------------------------------------------------------------------------


def _status(recording: object) -> bytes:
    return json.dumps({"device": "BC-1", "state": "recording", "recording": recording}).encode()


@pytest.mark.parametrize("unit", ["inactive", "failed"])
def test_a_daemon_that_is_off_may_be_replaced(unit: str) -> None:
    assert upgrade_guard.refusal(unit, None) == ""
    assert upgrade_guard.refusal(unit, _status("000001-a")) == ""


@pytest.mark.parametrize("unit", ["active", "activating", "deactivating", "reloading", ""])
def test_an_open_recording_refuses(unit: str) -> None:
    assert "recording 000001-a is open" in upgrade_guard.refusal(unit, _status("000001-a"))
    assert upgrade_guard.refusal(unit, _status("")) == ""


@pytest.mark.parametrize("status", [None, b"", b"{", b"[]", b"{}", b"null", _status(None), _status(0), b"\xff\xfe{"])
def test_a_daemon_that_cant_be_asked_is_taken_for_one_that_records(status: bytes | None) -> None:
    assert "may be recording" in upgrade_guard.refusal("active", status)


@pytest.mark.parametrize("script", ["prerm", "postinst", "postrm"])
def test_the_scripts_are_shell_that_stops_at_a_failure(script: str) -> None:
    path = ROOT / "deb" / "debian" / script
    subprocess.run(["sh", "-n", str(path)], check=True)
    assert "\nset -e\n" in path.read_text()


def test_the_guard_is_asked_before_anything_is_stopped() -> None:
    commands = [
        line.strip() for line in (ROOT / "deb/debian/prerm").read_text().splitlines() if not line.startswith("#")
    ]
    guard = commands.index("/usr/lib/bodycam/upgrade-guard")
    assert guard < commands.index('deb-systemd-invoke stop "$unit" >/dev/null') < commands.index("py3clean -p bodycam")
    assert (
        commands[guard - 3] == 'case "$1" in' or "upgrade | failed-upgrade | remove | deconfigure)" in commands[:guard]
    )


def test_no_script_names_a_place_where_evidence_or_keys_are_but_to_say_that_they_stay() -> None:
    for name in ("prerm", "postinst", "postrm"):
        lines = (ROOT / "deb" / "debian" / name).read_text().splitlines()
        assert [
            line for line in lines if "/var/lib" in line and not line.strip().startswith('echo "bodycam: ')
        ] == [], name
        assert not re.search(r"\brm\b|\bchown\b|\bdeluser\b|\buserdel\b|rmdir|unlink", "\n".join(lines)), name


def test_the_guard_and_the_boot_options_need_nothing_but_python() -> None:
    for module in (boot_options, upgrade_guard):
        tree = ast.parse(Path(str(module.__file__)).read_text())
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


# -- what is in it --------------------------------------------------------------------------------------------------


SELF_TEST = (
    "runuser -u bodycam -g bodycam -G video -G audio -G gpio -G i2c -G tss -- "
    "bodycam selftest --config /etc/bodycam/bodycam.toml"
)


@pytest.mark.parametrize("page", ["docs/install-pi.md", "docs/bring-up.md", "deb/debian/README.Debian"])
def test_the_self_test_is_said_the_same_everywhere(page: str) -> None:
    """Without `-g` the first `-G` is the group of all that is written; the fault light has the lines while it is on."""
    text = (ROOT / page).read_text("utf-8")
    assert SELF_TEST in text
    assert "systemctl stop bodycam bodycam-fault" in text
    assert re.findall(r"runuser -u bodycam (?!-g bodycam )", text) == []


def test_every_file_of_the_service_has_a_place() -> None:
    places = {build.place(file) for file in (ROOT / "systemd").iterdir()}
    assert {"usr/lib/systemd/system/bodycam.service", "usr/lib/systemd/system/bodycam-offload.service"} <= places
    assert len(places) == len(list((ROOT / "systemd").iterdir()))
    assert build.place(Path("systemd/bodycam.sysusers.conf")) == "usr/lib/sysusers.d/bodycam.conf"
    watchdog = Path(build.place(Path("systemd/bodycam.manager.conf")))
    assert watchdog.parent == Path("usr/lib/systemd/system.conf.d")
    assert watchdog.name > "70-rpi-enable-watchdog.conf", "of Raspberry Pi OS: the last one counts"
    with pytest.raises(ValueError, match="does not say where"):
        build.place(Path("systemd/bodycam.network"))


def test_the_example_is_a_configuration_once_the_recipients_are_filled_in(tmp_path: Path) -> None:
    text = (ROOT / "deb/files/etc/bodycam/bodycam.toml.example").read_text("utf-8")
    assert text.count('"age1…"') == 2
    config = tmp_path / "bodycam.toml"
    config.write_text(text.replace("age1…", str(pyrage.x25519.Identity.generate().to_public())), "utf-8")
    identity = read_configuration(config).tables.identity
    answered = (identity.certificate, identity.provisioning, identity.provisioner, identity.media_certificate)
    folders = {Path(str(path)).parent for path in (*answered, identity.key, identity.media_key)}
    assert folders == {
        Path("/var/lib/bodycam-identity")
    }  # what the units, and `provision install` as bodycam, may write


def test_what_the_example_offers_as_comments_is_taken_too(tmp_path: Path) -> None:
    text = (ROOT / "deb/files/etc/bodycam/bodycam.toml.example").read_text("utf-8")
    config = tmp_path / "bodycam.toml"
    filled = text.replace("age1…", str(pyrage.x25519.Identity.generate().to_public()))
    config.write_text(re.sub(r"^#(\[|\w+ = )", r"\1", filled, flags=re.MULTILINE), "utf-8")
    tables = read_configuration(config).tables
    assert (tables.microphone and tables.microphone.device) == "plughw:CARD=Device"
    assert (tables.health.fuel_gauge, tables.board.dock) == (True, 26)


def test_no_line_for_temporary_files_removes_or_ages_evidence_or_keys() -> None:
    """Only `d`, without an age: it makes a folder that is not there."""
    for file in (ROOT / "systemd").glob("*.tmpfiles.conf"):
        lines = [line.split() for line in file.read_text().splitlines() if line and not line.startswith("#")]
        assert [line for line in lines if line[0] != "d" or line[5:] not in ([], ["-"])] == []


def test_swap_units_of_any_name_stay_off() -> None:
    system = ROOT / "deb/files/usr/lib/systemd/system"
    dropped = sorted(path.parent.name for path in system.glob("*.d/50-bodycam.conf"))
    assert dropped == ["dphys-swapfile.service.d", "swap.d", "zramswap.service.d"]
    for path in system.glob("*.d/50-bodycam.conf"):
        assert "\n[Unit]\nConditionPathExists=!/usr/lib/bodycam\n" in path.read_text()


def test_wheels_are_those_of_the_constraints() -> None:
    pinned = {line.lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().split()}
    bundled = re.findall(r"^(\S+==\S+)", wheels.WHEELS.read_text(), re.MULTILINE)
    assert {"av", "cryptography", "msgspec", "pyrage", "gpiozero", "botocore"} <= {
        name.split("==")[0] for name in bundled
    }
    assert set(bundled) - pinned <= {name for name in bundled if name.startswith("setuptools==")}


def test_wheels_txt_names_a_hash_for_each() -> None:
    text = wheels.written({"b==2": {"11", "00"}, "a==1": {"22"}})
    assert text.splitlines()[1:] == [
        "a==1 \\",
        "    --hash=sha256:22",
        "b==2 \\",
        "    --hash=sha256:00 \\",
        "    --hash=sha256:11",
    ]
    assert (
        len(re.findall(r"^\S+==\S+ \\\n    --hash=sha256:[0-9a-f]{64}", wheels.WHEELS.read_text(), re.MULTILINE)) >= 15
    )


@pytest.mark.parametrize(
    ("name", "shared"),
    [
        ("av-18.1.0-cp311-abi3-manylinux_2_28_aarch64.whl", True),
        ("rich-15.0.0-py3-none-any.whl", True),
        ("pyrage-1.4.0-cp310-abi3-manylinux_2_17_aarch64.manylinux2014_aarch64.whl", True),
        ("msgspec-0.22.0-cp313-cp313-manylinux2014_aarch64.manylinux_2_17_aarch64.whl", False),
    ],
)
def test_which_wheels_serve_every_python(name: str, shared: bool) -> None:
    assert wheels.fits_every_python(Path(name)) is shared


def test_no_package_says_in_which_folder_it_was_built(tmp_path: Path) -> None:
    told = tmp_path / "a-1.dist-info"
    told.mkdir()
    (told / "direct_url.json").write_text('{"url": "file:///home/somebody/a-1.whl"}')
    (told / "RECORD").write_text("a.py,sha256=x,1\na-1.dist-info/direct_url.json,sha256=y,2\na-1.dist-info/RECORD,,\n")
    wheels.forget_source(tmp_path)
    left = {path.name: path.read_text() for path in told.iterdir()}
    assert left == {"RECORD": "a.py,sha256=x,1\na-1.dist-info/RECORD,,\n"}


def test_the_changelog_is_of_the_version_that_pyproject_says() -> None:
    log = (ROOT / "deb/debian/changelog").read_text()
    assert build.changelog(log, build.version()) == log
    tried = build.changelog(log, "99.0.0")
    assert tried.startswith("bodycam (99.0.0) unstable")
    assert tried.endswith(log)
    assert build.date_of(tried) == build.date_of(log)


def test_the_man_page_names_every_command_and_nothing_is_taken_for_troff() -> None:
    page = manpage("0.1.0", 0)
    assert page.startswith('.TH BODYCAM 1 "1970-01-01" "bodycam 0.1.0" "User Commands"\n.SH NAME\n')
    for command in ("daemon", "status", "verify", "export attach", "policy sign", "provision install", "offload"):
        assert f"\n.SS bodycam {command}\n" in page, command
    assert {line.split()[0] for line in page.splitlines() if line.startswith(".")} <= {
        ".TH", ".SH", ".SS", ".TP", ".PP", ".B", ".RB", ".I", ".nf", ".fi",
    }  # fmt: skip
