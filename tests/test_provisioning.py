"""`bodycam provision`: the key, what the agency says of it, installing, and the page that shows the way with openssl."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509

from device.clock import BootClock
from device.evidence import records
from device.evidence.envelope import open_line
from device.evidence.identity import Role, common_name, key_protection
from device.policy_signing import sign_policy
from hw_sim.agency import Agency, Bench
from hw_sim.virtual import VirtualDevice
from tests.benches import FIRST_PROFILE, make_bench, shown, verified, without_media
from tests.commands import run as bodycam
from tests.tokens import SimulatedTpm, put_key, token_uri, tpm_tables

PAGE = Path(__file__).resolve().parents[1] / "docs" / "provisioning.md"
Said = pytest.CaptureFixture[str]


@pytest.fixture
def agency() -> Agency:
    return Agency("City Police")


@pytest.fixture
def bench(tmp_path: Path, agency: Agency) -> Bench:
    return make_bench(tmp_path / "bench", agency=agency, pre_event_s=1, post_event_s=1)


def config(bench: Bench) -> str:
    return str(bench.config)


class Desk:
    """The agency's own computer: its provisioner, and what it writes for one device."""

    def __init__(self, folder: Path, agency: Agency) -> None:
        folder.mkdir()
        self.folder, self.agency = folder, agency
        self.key = self.put("provisioner.key", agency.provisioner.key_pem)
        self.signer = self.put("provisioner.der", agency.provisioner.certificate)
        self.anchor = self.put("ca.pem", agency.ca_pem())

    def put(self, name: str, content: bytes) -> Path:
        (self.folder / name).write_bytes(content)
        return self.folder / name

    def certify(self, request: Path, role: Role = Role.LEDGER) -> Path:
        asked = x509.load_pem_x509_csr(request.read_bytes())
        assert asked.is_signature_valid
        key = asked.public_key()
        units = asked.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATIONAL_UNIT_NAME)
        protection = str(units[0].value).removeprefix("key protection: ")
        name = str(asked.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)
        return self.put("device.der", self.agency.certify(name, role, key, protection=protection))  # type: ignore[arg-type]

    def statement(self, certificate: Path, protection: str, *more: str, device: str = "BC-000001") -> int:
        return bodycam(
            "provision", "statement", "--device", device, "--agency", "City Police", "--certificate", str(certificate),
            "--protection", protection, "--key", str(self.key), "--signer", str(self.signer),
            "-o", str(self.folder / "device.jsonl"), *more,
        )  # fmt: skip

    def install(self, bench: Bench, *more: str) -> int:
        return bodycam(
            "provision", "install", "--config", config(bench), "--certificate", str(self.folder / "device.der"),
            "--statement", str(self.folder / "device.jsonl"), "--provisioner", str(self.signer),
            "--anchor", str(self.anchor), *more,
        )  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path, agency: Agency) -> Desk:
    return Desk(tmp_path / "desk", agency)


def request_for(bench: Bench, output: Path, *more: str) -> int:
    return bodycam("provision", "key", "--config", config(bench), "-o", str(output), *more)


def installed(bench: Bench) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((bench.root / "device").iterdir()) if path.is_file()}


# -- key ------------------------------------------------------------------------------------------------------------


def test_a_request_names_the_device_the_role_and_the_protection(bench: Bench, token: Path, tmp_path: Path) -> None:
    put_key(bench, token_uri(token, "asks"))
    assert request_for(bench, tmp_path / "device.csr") == 0
    asked = x509.load_pem_x509_csr((tmp_path / "device.csr").read_bytes())
    assert asked.is_signature_valid
    assert asked.subject.rfc4514_string() == "CN=BC-000001,OU=key protection: token"
    usage = asked.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert (usage.critical, list(usage.value)) == (True, [Role.LEDGER.oid])


def test_a_key_is_never_overwritten_and_the_way_out_works(bench: Bench, tmp_path: Path, capsys: Said) -> None:
    put_key(bench, "new.key")
    assert request_for(bench, tmp_path / "one.csr") == 0
    key = (bench.root / "device" / "new.key").read_bytes()
    assert request_for(bench, tmp_path / "two.csr") == 2
    assert "a key is never overwritten" in capsys.readouterr().err
    assert not (tmp_path / "two.csr").exists()
    assert request_for(bench, tmp_path / "two.csr", "--existing") == 0
    keys = [x509.load_pem_x509_csr((tmp_path / name).read_bytes()).public_key() for name in ("one.csr", "two.csr")]
    assert keys[0] == keys[1]
    assert (bench.root / "device" / "new.key").read_bytes() == key


def test_nothing_is_made_when_the_request_can_t_be_written(bench: Bench, tmp_path: Path) -> None:
    put_key(bench, "new.key")
    (tmp_path / "device.csr").write_text("mine")
    assert request_for(bench, tmp_path / "device.csr") == 2
    assert not (bench.root / "device" / "new.key").exists()


def test_the_role_media_has_a_key_of_its_own(bench: Bench, tmp_path: Path, desk: Desk, capsys: Said) -> None:
    without_media(bench)
    (bench.root / "device" / "media.key").unlink()
    (bench.root / "device" / "media.der").unlink()
    assert request_for(bench, tmp_path / "media.csr", "--role", "media") == 2
    assert "names no key for media; set identity.media_key" in capsys.readouterr().err
    put_key(bench, "device.key", "")
    text = bench.config.read_text("utf-8")
    media = 'media_key = "media.key"\nmedia_certificate = "media.der"\nprovisioning ='
    bench.config.write_text(text.replace("provisioning =", media, 1), "utf-8")
    assert request_for(bench, tmp_path / "media.csr", "--role", "media") == 0
    certificate = desk.certify(tmp_path / "media.csr", Role.MEDIA)
    given = ("--role", "media", "--certificate", str(certificate))
    assert bodycam("provision", "install", "--config", config(bench), *given) == 0
    assert (bench.root / "device" / "media.der").read_bytes() == certificate.read_bytes()
    device = VirtualDevice(bench)
    device.boot()
    device.run(2)
    device.stop()
    lines = (bench.card / "journal" / "000000.jsonl").read_bytes().splitlines()[2:4]
    said = [json.loads(open_line(line).payload) for line in lines]
    assert [(r["type"], r["role"], r["where"]) for r in said] == [
        ("key-opened", "ledger", "pem-file"), ("key-opened", "media", "pem-file"),
    ]  # fmt: skip
    assert said[1]["certificate_sha256"] != said[0]["certificate_sha256"]


def test_what_the_agency_must_know_of_a_tpm_goes_into_the_statement(
    bench: Bench, tpm: SimulatedTpm, tmp_path: Path, desk: Desk, capsys: Said
) -> None:
    put_key(bench, "tpm:ledger.tpm", tpm_tables(tpm, 'attestation_key = "tpm:ak.tpm"'))
    assert request_for(bench, tmp_path / "device.csr") == 2
    assert "name with --attestation FILE.json" in capsys.readouterr().err
    attestation = ("--attestation", str(tmp_path / "tpm.json"))
    assert request_for(bench, tmp_path / "device.csr", *attestation) == 0
    certificate = desk.certify(tmp_path / "device.csr")
    assert desk.statement(certificate, "tpm", *attestation) == 0
    assert desk.install(bench, "--force") == 0
    device = VirtualDevice(bench)
    device.boot()
    device.run(2)
    device.record(1.2)
    device.stop()
    verdict = verified(bench)
    assert verdict.exit_status == 0, shown(verdict)
    assert verdict.journal_said.startswith("history anchored by the device's TPM up to line ")
    assert bodycam("provision", "show", "--config", config(bench), "--json") == 0
    shows = json.loads(capsys.readouterr().out.split("installed\n")[-1])
    assert shows["anchored_by_tpm"] is True


# -- statement ------------------------------------------------------------------------------------------------------


def test_a_statement_says_what_the_certificate_says(bench: Bench, desk: Desk, token: Path, tmp_path: Path) -> None:
    put_key(bench, token_uri(token, "stated"))
    assert request_for(bench, tmp_path / "device.csr") == 0
    certificate = desk.certify(tmp_path / "device.csr")
    assert desk.statement(certificate, "token") == 0
    line = (desk.folder / "device.jsonl").read_bytes()
    said = records.decode_provisioned(open_line(line.rstrip(b"\n")).payload)
    assert (said.device, said.agency, said.key_protection, said.attestation) == (
        "BC-000001",
        "City Police",
        "token",
        None,
    )


@pytest.mark.parametrize(
    ("protection", "device", "why"),
    [
        ("tpm", "BC-000001", "--protection tpm: .*device.der says file; the two must say the same"),
        ("file", "BC-000002", "--device BC-000002: .*device.der names BC-000001"),
    ],
)
def test_a_statement_that_contradicts_the_certificate_is_not_signed(
    desk: Desk, agency: Agency, capsys: Said, protection: str, device: str, why: str
) -> None:
    certificate = desk.put("device.der", agency.issue("BC-000001", Role.LEDGER).certificate)
    assert desk.statement(certificate, protection, device=device) == 2
    assert re.search(why, capsys.readouterr().err)
    assert not (desk.folder / "device.jsonl").exists()


def test_only_a_provisioner_states(desk: Desk, agency: Agency, capsys: Said) -> None:
    certificate = desk.put("device.der", agency.issue("BC-000001", Role.LEDGER).certificate)
    desk.signer = desk.put("policy.der", agency.policy_signer.certificate)
    assert desk.statement(certificate, "file") == 2
    assert "its certificate is not for the role provisioning" in capsys.readouterr().err


# -- install --------------------------------------------------------------------------------------------------------


def ready(bench: Bench, desk: Desk, tmp_path: Path) -> None:
    """A new key in a file, certified and stated."""
    put_key(bench, "new.key")
    assert request_for(bench, tmp_path / "device.csr") == 0
    assert desk.statement(desk.certify(tmp_path / "device.csr"), "file") == 0


def test_installing_wants_force_and_then_the_daemon_starts(
    bench: Bench, desk: Desk, tmp_path: Path, capsys: Said
) -> None:
    ready(bench, desk, tmp_path)
    before = installed(bench)
    assert desk.install(bench) == 2
    assert "it is there already; name another file, or give --force" in capsys.readouterr().err
    assert installed(bench) == before
    assert desk.install(bench, "--force") == 0
    device = VirtualDevice(bench)
    device.boot()
    device.stop()


Spoil = Callable[[Bench, Desk, Agency], object]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda b, d, a: d.put("ca.pem", Agency().ca_pem()), "was not issued under the given trust anchor"),
        (lambda b, d, a: d.put("ca.pem", b"none"), "--anchor .*ca.pem: "),
        (lambda b, d, a: d.put("device.der", b"none"), "device.der: not a certificate"),
        (
            lambda b, d, a: d.put("device.der", a.issue("BC-000001", Role.POLICY).certificate),
            "not for the role ledger",
        ),
        (
            lambda b, d, a: d.put("device.der", a.issue("BC-000002", Role.LEDGER).certificate),
            "names BC-000002, device.id is BC-000001",
        ),
        (
            lambda b, d, a: d.put("device.der", a.issue("BC-000001", Role.LEDGER).certificate),
            "about the device BC-000001 and another certificate",
        ),
        (lambda b, d, a: d.put("device.jsonl", b"{}\n"), "device.jsonl: not a signed line"),
        (lambda b, d, a: d.put("provisioner.der", a.receiver.certificate), "not for the role provisioning"),
        (
            lambda b, d, a: d.put("provisioner.der", a.issue("another provisioner", Role.PROVISIONING).certificate),
            "device.jsonl: it is not signed by provisioner.der",
        ),
        (
            lambda b, d, a: shutil.copy(b.root / "device" / "device.key", b.root / "device" / "new.key"),
            "this is not the key of the certificate device.der",
        ),
        (lambda b, d, a: (d.folder / "device.jsonl").unlink(), "--statement .*device.jsonl: No such file"),
    ],
)
def test_what_does_not_fit_installs_nothing(
    bench: Bench, desk: Desk, agency: Agency, tmp_path: Path, capsys: Said, spoil: Spoil, why: str
) -> None:
    ready(bench, desk, tmp_path)
    spoil(bench, desk, agency)
    before = installed(bench)
    capsys.readouterr()
    assert desk.install(bench, "--force") == 2
    said = capsys.readouterr().err
    assert re.search(why, said)
    assert said.count("\n") == 1
    assert installed(bench) == before


def test_a_file_that_can_t_be_written_leaves_the_others_as_they_were(
    bench: Bench, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(bench, desk, tmp_path)
    before = installed(bench)
    replace = Path.replace

    def failing(self: Path, target: Path) -> Path:
        if self.name.startswith(".provisioning.jsonl"):
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    assert desk.install(bench, "--force") == 74
    assert installed(bench) == before


# -- show -----------------------------------------------------------------------------------------------------------


def test_show_says_which_keys_and_what_is_wrong(bench: Bench, capsys: Said) -> None:
    assert bodycam("provision", "show", "--config", config(bench), "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["device"], said["agency"], said["problem"]) == ("BC-000001", "City Police", "")
    key, media = said["keys"]
    assert (media["role"], media["place"], media["protection"]) == ("media", "media.key", "file")
    assert (key["role"], key["place"], key["protection"]) == ("ledger", "device.key", "file")
    assert key["subject"] == "CN=BC-000001,OU=key protection: file"
    assert len(key["public_sha256"]) == len(key["certificate_sha256"]) == 64
    (bench.root / "device" / "device.key").unlink()
    assert bodycam("provision", "show", "--config", config(bench)) == 2
    assert "device.key: No such file" in capsys.readouterr().out


# -- the page -------------------------------------------------------------------------------------------------------


def page_script() -> str:
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    return "\n".join(blocks)


@pytest.mark.tools("openssl", "bash", "age-keygen")
def test_the_page_s_commands_provision_a_device_that_records_and_is_trusted(
    tmp_path: Path, token: Path, agency: Agency
) -> None:
    """CSR, openssl, install, the daemon, verify: as the page has it, with a token; the policy is by the same CA."""
    work = tmp_path / "work"
    bench = make_bench(work, agency=agency, pre_event_s=1, post_event_s=1)
    without_media(bench)
    put_key(bench, token_uri(token, "by-the-page"))
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "bodycam").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m device.cli "$@"\n')
    (commands / "bodycam").chmod(0o755)
    (work / "page.sh").write_text(page_script(), "utf-8")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "page.sh"], cwd=work, capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": str(PAGE.parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "BC-000001: made a key for ledger, protected by: token; SHA-256 " in done.stdout
    certificate = x509.load_pem_x509_certificate((work / "BC-000001.pem").read_bytes())
    assert (common_name(certificate), key_protection(certificate)) == ("BC-000001", "token")
    sign_the_policy(work, bench)
    device = VirtualDevice(Bench(work))
    a_minute_later = BootClock().wall().utc_us + 60_000_000  # openssl's certificates begin now
    device.clock.wall_offset_us = a_minute_later - device.clock.now_us()
    device.boot()
    device.run(2)
    device.record(1.2)
    device.stop()
    shutil.copy(work / "ca.pem", bench.trust)
    verdict = verified(bench)
    assert verdict.exit_status == 0, shown(verdict)
    assert verdict.recordings[0].answers.signer == "trusted"
    assert verdict.recordings[0].answers.signer_said.endswith("; key protected by: token")


def sign_the_policy(work: Path, bench: Bench) -> None:
    """A policy of this bench's, with the key that the page made for policies."""
    text = FIRST_PROFILE.read_text("utf-8").replace("length_s = 30", "length_s = 1")
    (work / "policy.toml").write_text(text.replace("length_s = 10\n", "length_s = 1\n"), "utf-8")
    document, key, certificate = str(work / "policy.toml"), work / "policy.key", work / "policy.pem"
    sign_policy(document, key, certificate, bench.offered_policy, force=True)
