"""A demonstration agency: a CA, a provisioner, those who sign policies, receipts and exports, a device's certificate and
keys, made at run time for a bench.

Never for a real device: the keys are plain files. The private halves that open footage and context are written beside
the public ones, in a folder of their own, as an agency would keep them off the device.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from device.evidence import records
from device.evidence.bundle import make_bundle
from device.evidence.envelope import low_s, sign_line
from device.evidence.identity import Role, device_subject
from device.evidence.records import Attestation, Provisioned

VALID_DAYS = 3650
VIRTUAL_TIME_BEGINS = datetime(2026, 1, 1, tzinfo=UTC)
"""Simulated wall clocks show times from here on; certificates are valid then too."""

SWITCH_LINES = {"sleep_switch": 4, "dock": 26, "battery_low": 20, "battery_critical": 21}
ZONES_AND_TRIGGERS = """[switches.zones]
private = 6
school = 5

[triggers.holster]
line = 12
category = "use-of-force"

[triggers.light-bar]
line = 13
category = "emergency-driving"
active = "high"

[triggers.door]
line = 16
category = "officer-discretion"
momentary = true

[triggers.panic]
line = 19
category = "imminent-threat"
momentary = true
"""
"""What is on a bench's board, beside buttons and lights."""


class KeySigner:
    """A private key in memory."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: bytes) -> None:
        self._key = key
        self.certificate_sha256 = hashlib.sha256(certificate).hexdigest()

    def sign(self, message: bytes) -> bytes:
        return low_s(self._key.sign(message, ec.ECDSA(hashes.SHA256())))


class Issued(msgspec.Struct, frozen=True):
    """A key and its certificate (DER)."""

    key: ec.EllipticCurvePrivateKey
    certificate: bytes

    @property
    def signer(self) -> KeySigner:
        return KeySigner(self.key, self.certificate)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


class Agency:
    """One agency: what it issues, and the identities that open what its devices record."""

    def __init__(self, name: str = "Demo Agency", now: datetime | None = None) -> None:
        self.name = name
        self._now = now or datetime.now(UTC)
        import pyrage

        self._ca_key = ec.generate_private_key(ec.SECP256R1())
        self.ca = self._self_signed()
        self.provisioner = self.issue(f"{name} provisioner", Role.PROVISIONING)
        self.policy_signer = self.issue(f"{name} policies", Role.POLICY)
        self.receiver = self.issue(f"{name} evidence store", Role.RECEIPT)
        self.exporter = self.issue(f"{name} custodian", Role.EXPORT)
        self.c2pa = self.issue_for_c2pa(f"{name} custodian")
        self.footage = pyrage.x25519.Identity.generate()
        self.context = pyrage.x25519.Identity.generate()

    def issue(
        self, common_name: str, role: Role, valid_days: int = VALID_DAYS, *, device: bool | None = None
    ) -> Issued:
        """`device`: whether the name is a device's, and says how the key is protected; None: as the role has it."""
        key = ec.generate_private_key(ec.SECP256R1())
        return Issued(key, self.certify(common_name, role, key.public_key(), valid_days, device=device))

    def certify(
        self,
        common_name: str,
        role: Role,
        key: ec.EllipticCurvePublicKey,
        valid_days: int = VALID_DAYS,
        protection: str = "file",
        *,
        device: bool | None = None,
    ) -> bytes:
        """The certificate (DER) of a key that is elsewhere. `protection`: how a device's key is protected."""
        of_device = role in (Role.LEDGER, Role.MEDIA) if device is None else device
        subject = device_subject(common_name, protection) if of_device else _name(common_name)
        certificate = (
            self._builder(subject, key, valid_days)
            .issuer_name(self.ca.subject)
            .add_extension(x509.ExtendedKeyUsage([role.oid]), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(self._ca_key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.DER)

    def issue_for_c2pa(self, common_name: str) -> Issued:
        """For C2PA manifests alone: a purpose that readers of that standard know, and no role of ours."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._ca_key.public_key())
        certificate = (
            self._builder(_name(common_name), key.public_key(), VALID_DAYS)
            .issuer_name(self.ca.subject)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=True)
            .add_extension(x509.KeyUsage(True, *[False] * 8), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(issuer, critical=False)
            .sign(self._ca_key, hashes.SHA256())
        )
        return Issued(key, certificate.public_bytes(serialization.Encoding.DER))

    def provision(
        self, device: str, certificate: bytes, protection: str = "file", attestation: Attestation | None = None
    ) -> bytes:
        """Line 0 of the device's journal, without its newline."""
        statement = Provisioned(
            format=records.FORMAT,
            device=device,
            agency=self.name,
            certificate_sha256=hashlib.sha256(certificate).hexdigest(),
            key_protection=protection,
            utc=self._now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            attestation=attestation,
        )
        return sign_line(self.provisioner.signer, records.PROVISIONING_TYPE, records.encode(statement))

    def bundle(self, policy: bytes) -> bytes:
        """A policy as the agency hands it to its devices. It is signed whatever it says."""
        return make_bundle(policy, self.policy_signer.signer, self.policy_signer.certificate)

    @property
    def footage_recipient(self) -> str:
        return str(self.footage.to_public())

    @property
    def context_recipient(self) -> str:
        return str(self.context.to_public())

    def ca_pem(self) -> bytes:
        return self.ca.public_bytes(serialization.Encoding.PEM)

    def _self_signed(self) -> x509.Certificate:
        return (
            self._builder(_name(f"{self.name} CA"), self._ca_key.public_key(), VALID_DAYS)
            .issuer_name(_name(f"{self.name} CA"))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._ca_key, hashes.SHA256())
        )

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, valid_days: int) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(self._now - timedelta(days=1), VIRTUAL_TIME_BEGINS))
            .not_valid_after(self._now + timedelta(days=valid_days))
        )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


class Bench(msgspec.Struct, frozen=True):
    """Where a bench's files are. `agency` holds what would never be on the device."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "device" / "bodycam.toml"

    @property
    def card(self) -> Path:
        return self.root / "card"

    @property
    def trust(self) -> Path:
        return self.root / "agency" / "ca.pem"

    @property
    def footage_identity(self) -> Path:
        return self.root / "agency" / "footage.key"

    @property
    def context_identity(self) -> Path:
        return self.root / "agency" / "context.key"

    @property
    def policy_key(self) -> Path:
        return self.root / "agency" / "policy.key"

    @property
    def policy_certificate(self) -> Path:
        return self.root / "agency" / "policy.der"

    @property
    def receipt_key(self) -> Path:
        return self.root / "agency" / "receipt.key"

    @property
    def receipt_certificate(self) -> Path:
        return self.root / "agency" / "receipt.der"

    @property
    def export_key(self) -> Path:
        return self.root / "agency" / "export.key"

    @property
    def export_certificate(self) -> Path:
        return self.root / "agency" / "export.der"

    @property
    def c2pa_key(self) -> Path:
        return self.root / "agency" / "c2pa.key"

    @property
    def c2pa_certificate(self) -> Path:
        return self.root / "agency" / "c2pa.der"

    @property
    def status_file(self) -> Path:
        return self.root / "device" / "status.json"

    @property
    def offered_policy(self) -> Path:
        """The bundle that the agency hands in."""
        return self.root / "device" / "policy.bundle"

    @property
    def kept_policy(self) -> Path:
        """The bundle that the device took last; its own file."""
        return self.root / "device" / "policy-kept.bundle"

    @property
    def anchor(self) -> Path:
        """The agency's CA certificate, as the device has it."""
        return self.root / "device" / "agency-ca.pem"

    @property
    def assignment(self) -> Path:
        """Who wears the camera; there is no such file at first."""
        return self.root / "device" / "assignment.toml"


def lay_out_bench(
    root: Path, agency: Agency, device: str, policy: bytes, tables: dict[str, dict[str, int | bool]]
) -> Bench:
    """Write a bench: agency, device identity, policy, configuration, and an empty card. `root` must be new or empty."""
    bench = Bench(root)
    for folder in (root / "agency", root / "device", bench.card):
        folder.mkdir(parents=True)
    ledger, media = agency.issue(device, Role.LEDGER), agency.issue(device, Role.MEDIA)
    bench.trust.write_bytes(agency.ca_pem())
    _write_private(bench.footage_identity, f"{agency.footage}\n".encode())
    _write_private(bench.context_identity, f"{agency.context}\n".encode())
    for signer, key, certificate in (
        (agency.policy_signer, bench.policy_key, bench.policy_certificate),
        (agency.receiver, bench.receipt_key, bench.receipt_certificate),
        (agency.exporter, bench.export_key, bench.export_certificate),
        (agency.c2pa, bench.c2pa_key, bench.c2pa_certificate),
    ):
        _write_private(key, signer.key_pem)
        certificate.write_bytes(signer.certificate)
    _write_private(root / "device" / "device.key", ledger.key_pem)
    (root / "device" / "device.der").write_bytes(ledger.certificate)
    _write_private(root / "device" / "media.key", media.key_pem)
    (root / "device" / "media.der").write_bytes(media.certificate)
    (root / "device" / "provisioner.der").write_bytes(agency.provisioner.certificate)
    (root / "device" / "provisioning.jsonl").write_bytes(agency.provision(device, ledger.certificate) + b"\n")
    bench.anchor.write_bytes(agency.ca_pem())
    bench.offered_policy.write_bytes(agency.bundle(policy))
    bench.config.write_text(_configuration(agency, device, tables), "utf-8")
    return bench


def _configuration(agency: Agency, device: str, tables: dict[str, dict[str, int | bool]]) -> str:
    text = (
        f'[device]\nid = "{device}"\n\n'
        f'[card]\npath = "../card"\n{_lines(tables.get("card", {}))}\n'
        '[identity]\ncertificate = "device.der"\nkey = "device.key"\n'
        'provisioning = "provisioning.jsonl"\nprovisioner = "provisioner.der"\n'
        'media_certificate = "media.der"\nmedia_key = "media.key"\n\n'
        '[policy]\nbundle = "policy.bundle"\nanchor = "agency-ca.pem"\nkept = "policy-kept.bundle"\n\n'
        f'[recipients]\nfootage = ["{agency.footage_recipient}"]\ncontext = ["{agency.context_recipient}"]\n\n'
        '[service]\nstatus_file = "status.json"\n\n'
    )
    tables = tables | {"board": SWITCH_LINES | tables.get("board", {})}
    for name in ("camera", "microphone", "ring", "board"):
        if name in tables:
            text += f"[{name}]\n{_lines(tables[name])}\n"
    return text + ZONES_AND_TRIGGERS


def _lines(table: dict[str, int | bool]) -> str:
    return "".join(f"{key} = {str(value).lower()}\n" for key, value in table.items())


def _write_private(path: Path, data: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(data)
