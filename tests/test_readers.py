"""`bodycam verify` and `bodycam export` as a person or a program runs them: exit status, output, and no traceback."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import BasicConstraints, Certificate, CertificateBuilder, Name, NameAttribute, NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device import export_writing, readers
from device.cli import main
from device.errors import EvidenceError
from device.evidence import layout, reading
from device.evidence.disclosure import write_disclosure
from device.evidence.envelope import line_digest
from device.evidence.identity import Role, common_name, load_certificate, why_not_trusted
from hw_sim.agency import VIRTUAL_TIME_BEGINS, Agency, Bench
from hw_sim.virtual import VirtualDevice
from tests.cards import copy_of, folder_of, lines_of, put_certificate, record_card

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def agency() -> Agency:
    return Agency()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, agency: Agency) -> Bench:
    return record_card(tmp_path_factory.mktemp("read") / "bench", agency, seconds=(1,))


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory, recorded: Bench) -> Bench:
    """The same card with a second recording that the power cut short."""
    bench = copy_of(recorded, tmp_path_factory.mktemp("cut") / "bench")
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    device.double()
    device.run(2.2)
    device.cut()
    return bench


@pytest.fixture
def altered(recorded: Bench, tmp_path: Path) -> Bench:
    bench = copy_of(recorded, tmp_path / "altered")
    path = folder_of(bench, 0) / "000001.m4s.age"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    return bench


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """Another agency's CA."""
    path = tmp_path / "other-ca.pem"
    path.write_bytes(Agency("Other").ca_pem())
    return path


def _run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def _verify(bench: Bench, *more: object) -> int:
    return _run("verify", bench.card, "--trust", bench.trust, *more)


def _export(bench: Bench, output: Path, *more: object) -> int:
    return _run(
        "export", folder_of(bench, 0), "--identity", bench.footage_identity, "-o", output, *_access(bench), *more
    )


def _access(bench: Bench) -> tuple[object, ...]:
    """Who exports, for whom and why; and the report that the policy wants first."""
    filed = ("--report-filed", "2026-10-01T00:00Z")
    exporter = ("--export-key", bench.export_key, "--export-certificate", bench.export_certificate)
    return (*exporter, "--recipient", "District Attorney", "--reason", "case 26-1234", *filed)


def _only_a_message(captured: Captured, *words: str) -> None:
    """One line on standard error that says these words, nothing on standard output."""
    said = captured.readouterr()
    assert said.out == ""
    assert said.err.startswith("bodycam: ")
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err
    for word in words:
        assert word in said.err, said.err


# -- verify ---------------------------------------------------------------------------------------------------------


def test_an_intact_card_gives_0(recorded: Bench, capsys: Captured) -> None:
    assert _verify(recorded) == 0
    said = capsys.readouterr()
    assert "intact; history not anchored" in said.out
    assert said.err == ""


def test_an_altered_card_gives_1_and_names_the_place(altered: Bench, capsys: Captured) -> None:
    assert _verify(altered) == 1
    said = capsys.readouterr()
    assert "000001.m4s.age" in said.out
    assert "ALTERED" in said.out


def test_a_signer_under_another_ca_gives_3(recorded: Bench, stranger: Path, capsys: Captured) -> None:
    assert _run("verify", recorded.card, "--trust", stranger) == 3
    assert "signer not trusted" in capsys.readouterr().out


def test_a_power_cut_gives_4(cut: Bench, capsys: Captured) -> None:
    assert _verify(cut) == 4
    assert "extent unproven" in capsys.readouterr().out


def test_the_worst_of_several_cards_counts(recorded: Bench, cut: Bench, altered: Bench, capsys: Captured) -> None:
    paths = [recorded.card, cut.card]
    assert _run("verify", *paths, "--trust", recorded.trust) == 4
    assert _run("verify", *paths, altered.card, "--trust", recorded.trust) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("which", ["recorded", "cut", "altered"])
def test_programs_get_json(which: str, request: pytest.FixtureRequest, capsys: Captured) -> None:
    bench: Bench = request.getfixturevalue(which)
    status = _verify(bench, "--json", "--identity", bench.footage_identity)
    (verdict,) = json.loads(capsys.readouterr().out)
    assert verdict["exit_status"] == status == {"recorded": 0, "cut": 4, "altered": 1}[which]
    answers = verdict["recordings"][0]["answers"]
    assert answers["read"] == {"recorded": "opened", "cut": "opened", "altered": "not-opened"}[which]
    assert answers["content"] == {"recorded": "matches", "cut": "matches", "altered": "altered"}[which]


def test_one_recording_is_verified_by_its_folder(recorded: Bench, cut: Bench, capsys: Captured) -> None:
    assert _run("verify", folder_of(recorded, 0), "--trust", recorded.trust) == 0
    assert _run("verify", folder_of(cut, 0), "--trust", cut.trust) == 0
    assert _run("verify", folder_of(cut, 1), "--trust", cut.trust) == 4
    assert "Traceback" not in capsys.readouterr().err


def test_names_that_a_terminal_would_obey_are_shown_as_text(recorded: Bench, tmp_path: Path, capsys: Captured) -> None:
    bench = copy_of(recorded, tmp_path / "bench")
    (bench.card / "\x1b[2J\x1b]0;intact\x07").write_bytes(b"")
    (bench.card / os.fsdecode(b"\xff")).write_bytes(b"")
    assert _verify(bench) == 0
    assert _verify(bench, "--json") == 0
    said = capsys.readouterr()
    assert "\x1b" not in said.out
    assert "\\x1b[2J" in said.out


def test_what_a_ledger_says_is_shown_as_text(recorded: Bench, tmp_path: Path, capsys: Captured) -> None:
    bench = copy_of(recorded, tmp_path / "bench")
    payload = base64.b64encode(b'{"type":"\\u001b[2J\\u001b[31mintact"}')
    line = b'{"payload":"%b","payloadType":"x","signatures":[{"sig":""}]}\n' % payload
    (folder_of(bench, 0) / layout.LEDGER).write_bytes(line)
    assert _verify(bench) == 1
    assert _verify(bench, "--json") == 1
    said = capsys.readouterr()
    assert "\x1b" not in said.out
    assert "[2J" in said.out


# -- verify: what the person must change ----------------------------------------------------------------------------


def test_a_missing_path_gives_2(recorded: Bench, tmp_path: Path, capsys: Captured) -> None:
    assert _run("verify", tmp_path / "nothing", "--trust", recorded.trust) == 2
    _only_a_message(capsys, "nothing", "no such file or folder", "give one of these")


@pytest.mark.parametrize("kind", ["file", "pipe", "empty folder", "a link to nowhere", "a link to itself", "too long"])
def test_a_path_that_is_no_card_gives_2(recorded: Bench, tmp_path: Path, kind: str, capsys: Captured) -> None:
    path = tmp_path / "odd"
    make: dict[str, Callable[[], object]] = {
        "file": lambda: path.write_bytes(b"x"),
        "pipe": lambda: os.mkfifo(path),
        "empty folder": path.mkdir,
        "a link to nowhere": lambda: path.symlink_to("nowhere"),
        "a link to itself": lambda: path.symlink_to("odd"),
        "too long": lambda: None,
    }
    make[kind]()
    given_path = {"too long": tmp_path / ("x" * 300)}.get(kind, path)
    assert _run("verify", given_path, "--trust", recorded.trust) == 2
    _only_a_message(capsys)


def test_a_link_to_a_card_is_the_card(recorded: Bench, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(recorded.card)
    assert _run("verify", tmp_path / "link", "--trust", recorded.trust) == 0
    (tmp_path / "recording").symlink_to(folder_of(recorded, 0))
    assert _run("verify", tmp_path / "recording", "--trust", recorded.trust) == 0


TRUST = ["missing", "a folder", "empty", "not PEM", "huge", "a key", "the device's own certificate"]


@pytest.mark.parametrize("kind", TRUST)
def test_a_trust_file_that_is_none_gives_2(recorded: Bench, tmp_path: Path, kind: str, capsys: Captured) -> None:
    path = tmp_path / "ca.pem"
    device = Agency().issue("BC-000001", Role.LEDGER)
    content = {
        "empty": b"",
        "not PEM": b"\xff\x00 hello",
        "a key": (recorded.root / "device" / "device.key").read_bytes(),
        "the device's own certificate": load_certificate(device.certificate).public_bytes(Encoding.PEM),
    }
    if kind in content:
        path.write_bytes(content[kind])
    elif kind == "a folder":
        path.mkdir()
    elif kind == "huge":
        path.write_bytes(recorded.trust.read_bytes())
        with path.open("r+b") as file:
            file.truncate(1 << 40)
    assert _run("verify", recorded.card, "--trust", path) == 2
    _only_a_message(capsys, "--trust", "ca.pem", "the agency's CA certificate")


@pytest.mark.parametrize("head", ["", "abc", "0" * 63, "g" * 64, "0" * 64 + "\n", "\x1b[31m"])
def test_a_head_that_is_none_gives_2(recorded: Bench, head: str, capsys: Captured) -> None:
    assert _verify(recorded, f"--head={head}") == 2
    _only_a_message(capsys, "--head", "64 hexadecimal digits")


def test_a_head_in_capitals_is_the_same(recorded: Bench) -> None:
    head = line_digest(lines_of(recorded.card / layout.epoch_file("000000"))[-1])
    assert _verify(recorded, "--head", head.upper()) == 0
    assert _verify(recorded, "--head", "0" * 64) == 1


IDENTITIES = {
    "missing": None,
    "empty": b"",
    "a comment": b"# created: today\n",
    "not a key": b"AGE-SECRET-KEY-1NONSENSE\n",
    "a recipient": b"age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq\n",
    "not text": b"\xff\xfe",
}


@pytest.mark.parametrize("kind", IDENTITIES)
@pytest.mark.parametrize("command", ["verify", "export"])
def test_an_identity_that_is_none_gives_2(
    recorded: Bench, tmp_path: Path, kind: str, command: str, capsys: Captured
) -> None:
    path, content = tmp_path / "agency.key", IDENTITIES[kind]
    if content is not None:
        path.write_bytes(content)
    output = tmp_path / "out.mp4"
    arguments = {
        "verify": ("verify", recorded.card, "--trust", recorded.trust, "--identity", path),
        "export": ("export", folder_of(recorded, 0), "--identity", path, "-o", output, *_access(recorded)),
    }
    assert _run(*arguments[command]) == 2
    _only_a_message(capsys, "--identity", "agency.key")
    assert not output.exists()


def test_the_wrong_identity_opens_nothing(recorded: Bench, capsys: Captured) -> None:
    """The agency's other key: nothing is altered, and what was asked for can't be had."""
    assert _verify(recorded, "--identity", recorded.context_identity, "--json") == 2
    (verdict,) = json.loads(capsys.readouterr().out)
    answers = verdict["recordings"][0]["answers"]
    assert (answers["content"], answers["read"]) == ("matches", "wrong-key")
    assert "not encrypted for this identity" in answers["read_said"]


# -- export ---------------------------------------------------------------------------------------------------------


def _left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_export_is_written(recorded: Bench, tmp_path: Path, capsys: Captured) -> None:
    output = tmp_path / "out.mp4"
    assert _export(recorded, output, "--trust", recorded.trust) == 0
    assert output.read_bytes()[4:8] == b"ftyp"
    assert _left(tmp_path) == ["out.mp4", "out.mp4.access.jsonl"]
    assert output.stat().st_mode & 0o077 == 0, "what was sealed is nobody else's to read"
    assert str(output.stat().st_size) in capsys.readouterr().out


def test_an_export_of_what_a_power_cut_left_gives_4(cut: Bench, tmp_path: Path, capsys: Captured) -> None:
    output = tmp_path / "out.mp4"
    arguments = ("export", folder_of(cut, 1), "--identity", cut.footage_identity, "-o", output, "--json", *_access(cut))
    assert _run(*arguments) == 4
    said = json.loads(capsys.readouterr().out)
    assert said["bytes"] == output.stat().st_size > 0
    assert said["recording"]["answers"]["extent"] == "open"


def test_an_export_under_another_ca_gives_3(recorded: Bench, tmp_path: Path, stranger: Path, capsys: Captured) -> None:
    assert _export(recorded, tmp_path / "out.mp4", "--trust", stranger) == 3
    assert "not issued under the given trust anchor" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("before", [None, b"an earlier export"])
def test_nothing_is_written_of_what_is_altered(
    altered: Bench, tmp_path: Path, before: bytes | None, capsys: Captured
) -> None:
    output = tmp_path / "exports" / "out.mp4"
    output.parent.mkdir()
    if before is not None:
        output.write_bytes(before)
    assert _export(altered, output, "--trust", altered.trust, "--force") == 1
    assert "nothing written" in capsys.readouterr().out
    assert _left(output.parent) == (["out.mp4"] if before is not None else [])
    assert before is None or output.read_bytes() == before


@pytest.mark.parametrize("kind", ["folder missing", "is a folder", "no rights", "name too long"])
def test_an_output_that_can_not_be_written_gives_2(
    recorded: Bench, tmp_path: Path, kind: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    output = {"folder missing": folder / "no" / "out.mp4", "name too long": folder / ("x" * 300)}.get(
        kind, folder / "out.mp4"
    )
    if kind == "is a folder":
        output.mkdir()
    if kind == "no rights":
        monkeypatch.setattr("tempfile.mkstemp", _refuse)
    assert _export(recorded, output) == 2
    _only_a_message(capsys, "-o ")
    assert _left(folder) == (["out.mp4"] if kind == "is a folder" else [])


def _refuse(**_: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_half_an_export_is_not_left(
    recorded: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """The segment changes between the look at it and the writing: the earlier file stays, nothing else does."""
    bench = copy_of(recorded, tmp_path / "bench")
    path = folder_of(bench, 0) / "000002.m4s.age"

    def late(*arguments: object) -> tuple[int, str]:
        path.write_bytes(path.read_bytes()[:-1])
        return write_disclosure(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(export_writing, "write_disclosure", late)
    output = tmp_path / "exports" / "out.mp4"
    output.parent.mkdir()
    output.write_bytes(b"an earlier export")
    assert _export(bench, output, "--force") == 1
    _only_a_message(capsys, "000002.m4s.age")
    assert _left(output.parent) == ["out.mp4"]
    assert output.read_bytes() == b"an earlier export"


def test_a_full_disk_gives_2_and_leaves_nothing(
    recorded: Bench, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real full disk: /dev/full takes nothing."""
    folder = tmp_path / "exports"
    folder.mkdir()

    def on_full(**asked: object) -> tuple[int, str]:
        beside = folder / f"{asked['prefix']}full"
        beside.write_bytes(b"")
        return os.open("/dev/full", os.O_WRONLY), str(beside)

    monkeypatch.setattr("tempfile.mkstemp", on_full)
    assert _export(recorded, folder / "out.mp4") == 2
    _only_a_message(capsys, "No space left on device")
    assert _left(folder) == []


def test_what_is_no_recording_is_not_exported(recorded: Bench, tmp_path: Path, capsys: Captured) -> None:
    arguments = (
        "export",
        recorded.card,
        "--identity",
        recorded.footage_identity,
        "-o",
        tmp_path / "out.mp4",
        *_access(recorded),
    )
    assert _run(*arguments) == 2
    _only_a_message(capsys, "not a recording's folder")


# -- certificates that are odd --------------------------------------------------------------------------------------


def _rsa_certificate() -> Certificate:
    key = rsa.generate_private_key(65537, 2048)
    name = Name([NameAttribute(NameOID.COMMON_NAME, "An RSA CA")])
    begins = VIRTUAL_TIME_BEGINS
    builder = CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(begins).not_valid_after(begins.replace(year=2099))
    return builder.add_extension(BasicConstraints(ca=True, path_length=0), critical=True).sign(key, hashes.SHA256())


def test_certificates_of_other_kinds_on_a_card_are_listed_and_harm_nothing(
    recorded: Bench, tmp_path: Path, capsys: Captured
) -> None:
    bench = copy_of(recorded, tmp_path / "bench")
    der = _rsa_certificate().public_bytes(Encoding.DER)
    for content in (der, b"", b"hello", der[:-1]):
        digest = hashlib.sha256(content).hexdigest()
        (bench.card / layout.certificate_file(digest)).write_bytes(content)
    put_certificate(bench.card, Agency("\x1b[31mOther").issue("\x1b[2J", Role.EXPORT))
    assert _verify(bench) == 0
    assert "not on the curve P-256" in " ".join(capsys.readouterr().out.split())


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_certificate_is_read_or_refused(data: st.DataObject, agency: Agency) -> None:
    good = agency.provisioner.certificate
    at = data.draw(st.integers(0, len(good) - 1))
    put = data.draw(st.binary(max_size=3))
    try:
        certificate = load_certificate(good[:at] + put + good[at + len(put) :])
    except EvidenceError:
        return
    common_name(certificate)
    why_not_trusted(certificate, Role.PROVISIONING, (agency.ca,), VIRTUAL_TIME_BEGINS)


# -- files that no one vouches for ----------------------------------------------------------------------------------


def test_what_can_not_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "folder link").symlink_to("folder")
    os.mkfifo(tmp_path / "pipe")
    assert reading.read_file(tmp_path / "file", 3) == b"abc"
    assert reading.read_file(tmp_path / "nothing", 3) is None
    assert reading.read_file(tmp_path / "file" / "below", 3) is None
    for name in ("folder", "link", "pipe"):
        with pytest.raises(EvidenceError, match="not a regular file"):
            reading.read_file(tmp_path / name, 3)
        with pytest.raises(EvidenceError):
            reading.digest_file(tmp_path / name, 3)
    with pytest.raises(EvidenceError, match="the limit is 2"):
        reading.read_file(tmp_path / "file", 2)
    for size in (2, 4):
        with pytest.raises(EvidenceError, match="its size changed"):
            reading.digest_file(tmp_path / "file", size)
    assert reading.names_in(tmp_path / "nothing") == []
    for name in ("folder link", "file", "pipe"):
        with pytest.raises(EvidenceError, match="not a folder"):
            reading.names_in(tmp_path / name)
    with pytest.raises(EvidenceError):
        reading.read_file(tmp_path / "a\0b", 3)
    shutil.rmtree(tmp_path / "folder")


def test_the_beginning_of_a_file_is_as_long_as_a_header_may_be(tmp_path: Path) -> None:
    content = os.urandom(3 * reading.BLOCK_BYTES + 5)
    (tmp_path / "file").write_bytes(content)
    digest, beginning = reading.digest_file(tmp_path / "file", len(content))
    assert digest == hashlib.sha256(content).hexdigest()
    assert beginning == content[: reading.BEGINNING_BYTES]


def test_an_export_overwrites_nothing_unasked_and_never_a_card(
    recorded: Bench, tmp_path: Path, capsys: Captured
) -> None:
    bench = copy_of(recorded, tmp_path / "bench")
    segment = folder_of(bench, 0) / "000000.m4s.age"
    before = segment.read_bytes()
    for output in (segment, bench.card / "new.mp4", folder_of(bench, 0) / "new.mp4"):
        assert _export(bench, output, "--force") == 2
        _only_a_message(capsys, "on a card")
    assert segment.read_bytes() == before
    output = tmp_path / "out.mp4"
    output.write_bytes(b"an earlier export")
    assert _export(bench, output) == 2
    _only_a_message(capsys, "--force")
    assert output.read_bytes() == b"an earlier export"
    assert _export(bench, output, "--force") == 0


def test_a_pipe_that_is_closed_early_is_not_called_altered(recorded: Bench) -> None:
    command = [sys.executable, "-m", "device.cli", "verify", str(recorded.card), "--trust", str(recorded.trust)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(60) == 141
    with Path("/dev/full").open("w") as full:
        assert subprocess.run(command, stdout=full, stderr=subprocess.DEVNULL, check=False).returncode == 74


def test_a_fault_of_ours_is_not_called_altered(
    recorded: Bench, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(readers, "verify", broken)
    assert _verify(recorded) == 70
    assert "ZeroDivisionError" in capsys.readouterr().err
