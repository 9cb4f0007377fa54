"""Policy bundles: what counts as one, what does not, and `bodycam policy sign`, which makes them."""

import argparse
import base64
import itertools
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import example, given, settings
from hypothesis import strategies as st

from device.errors import EvidenceError, UsageError
from device.evidence import records
from device.evidence.bundle import (
    MAX_BUNDLE_BYTES,
    MAX_CERTIFICATE_BYTES,
    MAX_POLICY_BYTES,
    POLICY_TYPE,
    Bundle,
    make_bundle,
    read_bundle,
)
from device.evidence.envelope import _P256_ORDER, _spell, open_line, sign_line
from device.evidence.identity import Role
from device.policy_signing import add_sign_command, sign_policy
from device.terminal import write_whole
from hw_sim.agency import Agency, Issued
from tests.benches import FIRST_PROFILE, policy_document

KEY_WANTED = "give the private key that signs policies: P-256, in PEM, without a passphrase"
AGENCY = Agency("Agency")
OTHER = Agency("Other")
DOCUMENT = policy_document()
GOOD = AGENCY.bundle(DOCUMENT)
ANCHORS = (AGENCY.ca,)
SIGNED, CERTIFICATE = GOOD[:-1].split(b"\n")
TAMPERED = 1500
UNLOCKED = serialization.NoEncryption()

# What an altered certificate may hold (a serial number below zero) is read, and warned of.
pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
modest = settings(max_examples=400, derandomize=True, deadline=None, database=None)


def refused(data: bytes, at: datetime | None = None, anchors: tuple[x509.Certificate, ...] = ANCHORS) -> str:
    with pytest.raises(EvidenceError) as raised:
        read_bundle(data, anchors, at)
    return str(raised.value)


def answered(data: bytes) -> Bundle | EvidenceError:
    """What any bytes give; any other exception fails the test."""
    try:
        return read_bundle(data, ANCHORS, None)
    except EvidenceError as failure:
        return failure


def signed_by(issued: Issued, document: bytes = DOCUMENT) -> bytes:
    return make_bundle(document, issued.signer, issued.certificate)


# -- what a bundle is -------------------------------------------------------------------------------------------------


def test_a_bundle_is_the_exact_document_and_the_certificate_of_the_one_who_signed() -> None:
    bundle = read_bundle(GOOD, ANCHORS, datetime.now(UTC))
    assert bundle.document == DOCUMENT
    assert bundle.data == GOOD
    assert bundle.line == SIGNED
    assert (bundle.name.id, bundle.name.version, bundle.name.sha256) == ("first", 1, bundle.sha256)
    assert bundle.policy.pre_event.length_s == 5
    assert bundle.certificate == x509.load_der_x509_certificate(AGENCY.policy_signer.certificate)
    assert open_line(SIGNED).payload_type == POLICY_TYPE == "application/vnd.bodycam.policy+toml"


def test_any_of_several_anchors_will_do() -> None:
    assert read_bundle(GOOD, (OTHER.ca, AGENCY.ca), None).document == DOCUMENT


def test_only_a_bundle_under_the_anchor_counts() -> None:
    assert "not issued under the given trust anchor" in refused(OTHER.bundle(DOCUMENT))
    assert "not issued under the given trust anchor" in refused(GOOD, anchors=())
    lone = AGENCY.policy_signer.certificate
    assert "trust anchor" in refused(GOOD, anchors=(x509.load_der_x509_certificate(lone),)), "no CA, no anchor"


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.POLICY])
def test_a_certificate_of_another_role_signs_no_policy(role: Role) -> None:
    assert refused(signed_by(AGENCY.issue("x", role))) == "its certificate is not for the role policy"


def test_the_certificate_must_be_the_signers() -> None:
    other = AGENCY.issue("another who signs policies", Role.POLICY)
    swapped = SIGNED + b"\n" + base64.b64encode(other.certificate) + b"\n"
    assert refused(swapped) == "its signature is not by the key of its certificate"


def test_dates_are_judged_only_when_a_time_is_given() -> None:
    late = datetime.now(UTC) + timedelta(days=4000)
    assert refused(GOOD, at=late).startswith("its certificate was not valid at ")
    assert refused(GOOD, at=datetime(2020, 1, 1, tzinfo=UTC)).startswith("its certificate was not valid at ")
    assert read_bundle(GOOD, ANCHORS, None).document == DOCUMENT


def test_a_signed_line_of_another_kind_is_no_bundle() -> None:
    signer = AGENCY.policy_signer
    line = sign_line(signer.signer, records.RECORD_TYPE, DOCUMENT)
    assert refused(line + b"\n" + CERTIFICATE + b"\n").startswith("it holds 'application/vnd.bodycam.record+json'")


def test_a_policy_that_is_none_is_refused_with_key_value_and_limit() -> None:
    wrong = DOCUMENT.replace(b"confirm_s = 5", b"confirm_s = 500")
    assert refused(AGENCY.bundle(wrong)) == "stop.confirm_s is 500: must be 2 to 30"
    assert refused(AGENCY.bundle(b"\xff")).startswith("not TOML: ")


def test_nothing_of_a_document_is_looked_at_before_its_signature_is_good() -> None:
    """Reading hostile TOML costs time: only the agency may cost us that."""
    wrong = DOCUMENT.replace(b"confirm_s = 5", b"confirm_s = 500")
    assert "trust anchor" in refused(OTHER.bundle(wrong))
    other = GOOD.replace(base64.b64encode(DOCUMENT), base64.b64encode(wrong))
    assert refused(other) == "its signature is not by the key of its certificate"


def test_sizes_are_capped() -> None:
    room = MAX_POLICY_BYTES - len(DOCUMENT) - 1
    full = DOCUMENT + b"\n" + (b"#" * 999 + b"\n") * (room // 1000) + b"#" * (room % 1000)
    assert len(full) == MAX_POLICY_BYTES
    assert read_bundle(AGENCY.bundle(full), ANCHORS, None).document == full
    assert (
        refused(AGENCY.bundle(full + b"#"))
        == f"a policy of {MAX_POLICY_BYTES + 1} bytes; the limit is {MAX_POLICY_BYTES}"
    )
    long = SIGNED + b"\n" + base64.b64encode(b"x" * (MAX_CERTIFICATE_BYTES + 1)) + b"\n"
    assert refused(long) == f"a certificate of {MAX_CERTIFICATE_BYTES + 1} bytes; the limit is {MAX_CERTIFICATE_BYTES}"
    assert refused(b"x" * (MAX_BUNDLE_BYTES + 1)).startswith(f"more than {MAX_BUNDLE_BYTES} bytes")


# -- tampered, and spelled in another way -----------------------------------------------------------------------------


def test_one_changed_byte_anywhere_is_refused() -> None:
    places = {*range(0, len(GOOD), max(1, len(GOOD) // TAMPERED)), *range(len(SIGNED), len(GOOD)), *range(40)}
    for place in sorted(places):
        for bit in (1, 32):
            data = bytearray(GOOD)
            data[place] ^= bit
            assert isinstance(answered(bytes(data)), EvidenceError), place


def high_s() -> bytes:
    """The same signature in its other form."""
    signed = open_line(SIGNED)
    r, s = decode_dss_signature(signed.signature)
    return _spell(signed.payload, signed.payload_type, encode_dss_signature(r, _P256_ORDER - s))


def padded() -> bytes:
    """A bundle whose certificate's base64 ends in padding."""
    names = ("a" * n for n in itertools.count(1))
    issued = next(i for i in (AGENCY.issue(name, Role.POLICY) for name in names) if len(i.certificate) % 3)
    bundle = signed_by(issued)
    assert isinstance(answered(bundle), Bundle)
    assert bundle.endswith(b"=\n")
    return bundle


def unpadded() -> bytes:
    return padded().rstrip(b"=\n") + b"\n"


def spare_bits() -> bytes:
    bundle = padded()
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = len(bundle.rstrip(b"=\n")) - 1
    letter = letters[letters.index(bundle[last]) | 1]
    other = bundle[:last] + bytes([letter]) + bundle[last + 1 :]
    assert base64.b64decode(other.split(b"\n")[1]) == base64.b64decode(bundle.split(b"\n")[1])
    return other


def pem(issued: Issued) -> bytes:
    return x509.load_der_x509_certificate(issued.certificate).public_bytes(serialization.Encoding.PEM)


SPELLINGS: dict[str, Callable[[], bytes]] = {
    "no newline at the end": lambda: GOOD[:-1],
    "an empty line more": lambda: GOOD + b"\n",
    "an empty line before": lambda: b"\n" + GOOD,
    "something after": lambda: GOOD + b"x",
    "twice": lambda: GOOD + GOOD,
    "carriage returns": lambda: GOOD.replace(b"\n", b"\r\n"),
    "the other way round": lambda: CERTIFICATE + b"\n" + SIGNED + b"\n",
    "only the policy": lambda: SIGNED + b"\n",
    "a blank in the envelope": lambda: GOOD.replace(b'","payloadType', b'", "payloadType'),
    "a duplicate key": lambda: GOOD.replace(b'{"payload":', b'{"payload":"","payload":'),
    "an unknown key": lambda: GOOD.replace(b'{"payload":', b'{"x":1,"payload":'),
    "an escape": lambda: GOOD.replace(b'"payloadType"', b'"payload\\u0054ype"'),
    "a high s": lambda: high_s() + b"\n" + CERTIFICATE + b"\n",
    "a blank in the certificate": lambda: SIGNED + b"\n" + CERTIFICATE[:8] + b" " + CERTIFICATE[8:] + b"\n",
    "no padding": unpadded,
    "spare bits in the padding": spare_bits,
    "a certificate in PEM": lambda: SIGNED + b"\n" + pem(AGENCY.policy_signer) + b"\n",
    "bytes after the certificate": lambda: (
        SIGNED + b"\n" + base64.b64encode(AGENCY.policy_signer.certificate + b"\0") + b"\n"
    ),
}


@pytest.mark.parametrize("how", SPELLINGS)
def test_a_second_spelling_is_refused(how: str) -> None:
    assert SPELLINGS[how]() != GOOD
    refused(SPELLINGS[how]())


@modest
@given(st.binary(max_size=400))
@example(b"\n\n")
@example(b"{}\n\n")
@example(b"[" * 90_000 + b"\n\n")
def test_any_bytes_are_answered_with_an_evidence_error(data: bytes) -> None:
    assert isinstance(answered(data), EvidenceError)


@modest
@given(st.integers(0, len(GOOD)), st.integers(0, 60), st.binary(max_size=60))
def test_a_bundle_with_any_part_replaced_is_refused_or_is_the_same(at: int, gone: int, put: bytes) -> None:
    data = GOOD[:at] + put + GOOD[at + gone :]
    found = answered(data)
    assert isinstance(found, EvidenceError) or data == GOOD


DER = AGENCY.policy_signer.certificate


@modest
@given(st.integers(0, len(DER)), st.integers(0, 8), st.binary(max_size=8))
def test_a_certificate_with_any_part_replaced_is_refused_or_is_the_same(at: int, gone: int, put: bytes) -> None:
    der = DER[:at] + put + DER[at + gone :]
    found = answered(SIGNED + b"\n" + base64.b64encode(der) + b"\n")
    assert isinstance(found, EvidenceError) or der == DER


@modest
@given(st.integers(0, len(DOCUMENT)), st.integers(0, 40), st.text(max_size=30))
def test_a_signed_document_with_any_part_replaced_is_a_policy_or_an_evidence_error(
    at: int, gone: int, put: str
) -> None:
    document = DOCUMENT[:at] + put.encode("utf-8", "surrogatepass") + DOCUMENT[at + gone :]
    found = answered(AGENCY.bundle(document))
    assert isinstance(found, EvidenceError) or found.document == document


# -- bodycam policy sign ----------------------------------------------------------------------------------------------


class Desk:
    """Where an agency signs: a policy, a key, its certificate in both forms."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.policy = self.put("first.toml", FIRST_PROFILE.read_bytes())
        self.key = self.put("policy.key", AGENCY.policy_signer.key_pem)
        self.der = self.put("policy.der", AGENCY.policy_signer.certificate)
        self.pem = self.put("policy.pem", pem(AGENCY.policy_signer))
        self.output = root / "first.bundle"
        self.force = False

    def put(self, name: str, data: bytes) -> Path:
        (self.root / name).write_bytes(data)
        return self.root / name

    def sign(self, **other: Path) -> str:
        """The message of a signing that is refused, where something is another."""
        files = {"policy": self.policy, "key": self.key, "certificate": self.der, "output": self.output, **other}
        force = self.force
        before = sorted(path.name for path in self.root.iterdir())
        with pytest.raises(UsageError) as raised:
            sign_policy(str(files["policy"]), files["key"], files["certificate"], files["output"], force=force)
        assert raised.value.exit_status == 2
        assert "\n" not in str(raised.value)
        assert sorted(path.name for path in self.root.iterdir()) == before, "nothing is half written"
        return str(raised.value)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def key_pem(key: PrivateKeyTypes, locked: serialization.KeySerializationEncryption = UNLOCKED) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)


def command(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    add_sign_command(parser.add_subparsers(required=True))
    options = parser.parse_args([str(argument) for argument in arguments])
    status: int = options.run(options)
    return status


@pytest.mark.parametrize("form", ["der", "pem"])
def test_what_sign_makes_is_taken(desk: Desk, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = command(
        "sign", desk.policy, "--key", desk.key, "--certificate", getattr(desk, form), "-o", desk.output
    )  # fmt: skip
    assert status == 0
    assert capsys.readouterr().out == f"{desk.output}: first 1\n"
    bundle = read_bundle(desk.output.read_bytes(), ANCHORS, datetime.now(UTC))
    assert bundle.document == FIRST_PROFILE.read_bytes()
    assert sorted(path.suffix for path in desk.root.iterdir()) == [".bundle", ".der", ".key", ".pem", ".toml"]


def test_sign_replaces_nothing_unasked(desk: Desk) -> None:
    desk.output.write_bytes(b"mine")
    assert desk.sign() == f"-o {desk.output}: it is there already; name another file, or give --force"
    assert desk.output.read_bytes() == b"mine"
    arguments = ("sign", desk.policy, "--key", desk.key, "--certificate", desk.der, "-o", desk.output, "--force")
    assert command(*arguments) == 0
    read_bundle(desk.output.read_bytes(), ANCHORS, None)


def special_files(root: Path) -> list[Path]:
    """One of each that this test may make: never a device of this machine."""
    folder = root / "special"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
    (folder / "folder").mkdir()
    (folder / "target").write_bytes(b"mine")
    (folder / "link").symlink_to(folder / "target")
    (folder / "dangling").symlink_to(folder / "nothing")
    (folder / "to-pipe").symlink_to(folder / "pipe")
    return [folder / name for name in ("pipe", "socket", "folder", "link", "dangling", "to-pipe")]


def listing(folder: Path) -> list[tuple[str, int, int]]:
    return sorted((path.name, path.lstat().st_ino, path.lstat().st_mode) for path in folder.iterdir())


@pytest.mark.parametrize("force", [False, True])
def test_sign_replaces_nothing_special(desk: Desk, *, force: bool) -> None:
    desk.force = force
    for output in special_files(desk.root):
        before = listing(output.parent)
        assert desk.sign(output=output).startswith(f"-o {output}: that is ")
        assert listing(output.parent) == before
    assert (desk.root / "special" / "target").read_bytes() == b"mine"


@pytest.mark.parametrize("force", [False, True])
def test_sign_never_replaces_what_it_reads(desk: Desk, *, force: bool) -> None:
    desk.force = force
    (desk.root / "other-name").hardlink_to(desk.key)
    for output in (desk.policy, desk.key, desk.der, desk.root / "other-name", desk.root / "x" / ".." / "policy.key"):
        before = listing(desk.root)
        said = desk.sign(output=output)
        assert said.startswith(f"-o {output}: ")
        assert "which the command reads" in said or ".." in str(output)
        assert listing(desk.root) == before


def test_sign_leaves_a_neighbour_alone_and_takes_a_profile_by_its_name(desk: Desk) -> None:
    neighbour = desk.put("first.bundle.new", b"mine")
    assert command("sign", "dc", "--key", desk.key, "--certificate", desk.der, "-o", desk.output) == 0
    assert neighbour.read_bytes() == b"mine"
    assert read_bundle(desk.output.read_bytes(), ANCHORS, None).name.id == "dc"


def test_what_came_in_the_meantime_is_not_replaced(tmp_path: Path) -> None:
    output = tmp_path / "x"
    for make in (lambda: output.write_bytes(b"mine"), lambda: output.symlink_to(tmp_path / "nothing")):
        make()
        with pytest.raises(UsageError):
            write_whole(output, b"new", "-o", force=False)
        assert [path.name for path in tmp_path.iterdir()] == ["x"]
        output.unlink()
    write_whole(output, "new", "-o", force=False)
    assert output.read_bytes() == b"new"


def test_a_certificate_of_a_ca_is_not_for_a_role(desk: Desk) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "both")])
    now = datetime.now(UTC)
    both = (
        x509.CertificateBuilder(name, name, key.public_key(), 7, now, now + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([Role.POLICY.oid]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate = desk.put("both.der", both.public_bytes(serialization.Encoding.DER))
    said = desk.sign(key=desk.put("both.key", key_pem(key)), certificate=certificate)
    assert said.startswith(f"{certificate}: its certificate is a CA's, which has no other role; give one ")


def test_sign_writes_nothing_on_a_card(desk: Desk) -> None:
    card = desk.root / "card"
    (card / "journal").mkdir(parents=True)
    assert "that is on a card" in desk.sign(output=card / "x.bundle")


def test_sign_says_what_is_wrong(desk: Desk) -> None:
    wrong = desk.put("wrong.toml", FIRST_PROFILE.read_bytes().replace(b"confirm_s = 5", b"confirm_s = 500"))
    way_out = "`bodycam policy schema` lists the keys and their limits"
    assert desk.sign(policy=wrong) == f"{wrong}: stop.confirm_s is 500: must be 2 to 30; {way_out}"
    large = desk.put("large.toml", FIRST_PROFILE.read_bytes() + b"\n#" * (MAX_POLICY_BYTES // 2))
    assert desk.sign(policy=large).startswith(f"{large}: more than {MAX_POLICY_BYTES} bytes, which cameras refuse; ")
    absent = desk.root / "absent"
    assert desk.sign(policy=absent).startswith(f"{absent}: no such file, and no profile that is shipped; name a ")
    assert desk.sign(key=absent) == f"{absent}: No such file or directory; {KEY_WANTED}"
    assert desk.sign(certificate=absent).startswith(f"{absent}: No such file or directory; give the certificate")
    assert desk.sign(key=desk.der) == f"{desk.der}: not an unencrypted private key in PEM; {KEY_WANTED}"
    own = serialization.load_pem_private_key(AGENCY.policy_signer.key_pem, None)
    locked = desk.put("locked.key", key_pem(own, serialization.BestAvailableEncryption(b"secret")))
    assert desk.sign(key=locked).startswith(f"{locked}: the key is encrypted; `openssl pkey -in ")
    other_curve = desk.put("p384.key", key_pem(ec.generate_private_key(ec.SECP384R1())))
    assert desk.sign(key=other_curve) == f"{other_curve}: the key is not on the curve P-256; {KEY_WANTED}"
    assert desk.sign(certificate=desk.key).startswith(f"{desk.key}: ")
    assert desk.sign(certificate=desk.policy).startswith(f"{desk.policy}: not a certificate")
    nowhere = desk.root / "absent" / "x.bundle"
    assert (
        desk.sign(output=nowhere)
        == f"-o {nowhere}: No such file or directory; name a file in a folder that can be written"
    )


def test_sign_wants_the_key_of_the_certificate_and_the_role(desk: Desk) -> None:
    other = AGENCY.issue("another", Role.POLICY)
    key = desk.put("other.key", other.key_pem)
    assert desk.sign(key=key).startswith(f"{key}: this is not the key of the certificate")
    device = AGENCY.issue("BC-1", Role.LEDGER)
    certificate = desk.put("device.der", device.certificate)
    said = desk.sign(key=desk.put("device.key", device.key_pem), certificate=certificate)
    assert said.startswith(f"{certificate}: its certificate is not for the role policy; ")
    over = desk.put("over.der", Agency(now=datetime(2026, 2, 1, tzinfo=UTC)).issue("over", Role.POLICY, 1).certificate)
    assert "was not valid at" in desk.sign(certificate=over)
