"""A C2PA manifest on an exported MP4, for readers that know that standard and not ours. On the custodian's computer.

It says no more than that this exporter wrote the file and that the device's ledger is where it comes from; the proof is the
evidence box, which our own reader judges. It is one box behind `ftyp`: without it the file is what it was, byte for byte, and
that is checked before the file is given. The library (the extra `c2pa`) is imported only here; it is told to ask no network.
"""

import json
import os
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from device.errors import BodycamError, EvidenceError, UsageError
from device.evidence.container import Part
from device.evidence.envelope import Signer
from device.evidence.identity import load_certificate

C2PA_USER_TYPE = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
LEDGER_ASSERTION = "org.bodycam.ledger"
_CAPTURED = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
_EMAIL_PROTECTION = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.4")
_WANTED = (
    "C2PA readers take no role of ours: have the CA issue one for C2PA alone, for digital signatures, with the extended key "
    "usage emailProtection and an authority key identifier"
)
_MAX_FTYP_BYTES = 1024
_PIECE_BYTES = 1024 * 1024


class Source(msgspec.Struct, frozen=True):
    """Where the file comes from. Digests in hex: of the ledger's first and last line, of its tree's root. `part`: of the
    recording's segments those that the file holds, None: all."""

    device: str
    recording: str
    part: Part | None
    title: str
    first_sha256: str
    last_sha256: str
    root: str
    exporter: str
    software: str


def add_manifest(mp4_in: Path, mp4_out: Path, *, signer: Signer, chain: tuple[bytes, ...], source: Source) -> None:
    """Write `mp4_out`, a new file for nobody else to read: `mp4_in` with a manifest. `chain` (DER): the signer's certificate, then those between it
    and the anchor, which is left out. `UsageError` for a certificate that readers would not take, and without the extra;
    `EvidenceError` when no manifest could be written; then there is no `mp4_out`. What the signer raises goes on."""
    check_certificate(chain[0])
    with mp4_in.open("rb") as reading, open(mp4_out, "x+b", opener=_private) as writing:
        try:
            _sign(reading, writing, signer, chain, source)
            _check_nothing_else_changed(reading, writing)
            writing.flush()
            os.fsync(writing.fileno())
        except BaseException:
            mp4_out.unlink()
            raise


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sign(reading: BinaryIO, writing: BinaryIO, signer: Signer, chain: tuple[bytes, ...], source: Source) -> None:
    c2pa = load_library()
    refused: list[BodycamError] = []

    def sign(message: bytes) -> bytes:
        """r and s, 32 bytes each: as COSE has them."""
        try:
            r, s = decode_dss_signature(signer.sign(message))
        except BodycamError as failure:
            refused.append(failure)
            raise
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    certificates = b"".join(load_certificate(der).public_bytes(serialization.Encoding.PEM) for der in chain).decode()
    try:
        with (
            c2pa.Settings.from_dict(_SETTINGS) as settings,
            c2pa.Context(settings) as context,
            c2pa.Signer.from_callback(sign, c2pa.C2paSigningAlg.ES256, certificates, None) as signing,
            c2pa.Builder(_manifest(source), context=context) as builder,
        ):
            builder.sign(signing, "video/mp4", reading, writing)
    except c2pa.C2paError as failure:
        raise refused[0] if refused else EvidenceError(f"no C2PA manifest could be made: {failure}") from failure


def check_certificate(der: bytes) -> None:
    """`UsageError` unless C2PA readers would take what this certificate's key signs."""
    try:
        extensions = load_certificate(der).extensions
        usage = extensions.get_extension_for_class(x509.KeyUsage)
        purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
        issues = extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (EvidenceError, x509.ExtensionNotFound) as failure:
        raise UsageError(f"the certificate for C2PA: {failure}; {_WANTED}") from failure
    if issues or not (usage.critical and usage.value.digital_signature) or list(purposes) != [_EMAIL_PROTECTION]:
        raise UsageError(f"the certificate for C2PA is not one; {_WANTED}")


_SETTINGS: dict[str, Any] = {
    "version": 1,
    "verify": {"verify_after_sign": False, "remote_manifest_fetch": False, "ocsp_fetch": False},
    "builder": {"thumbnail": {"enabled": False}},
    "core": {"backing_store_memory_threshold_in_mb": 32},
}
"""No network, no pictures of its own, and above 32 MB a temporary file: a film would else be held in memory whole."""


def load_library() -> Any:
    """`UsageError` without the extra."""
    try:
        import c2pa
    except ImportError as failure:
        raise UsageError("C2PA needs the extra `c2pa`: pip install 'bodycam[c2pa]'") from failure
    return c2pa


def _manifest(source: Source) -> str:
    ledger = {
        "device": source.device,
        "recording": source.recording,
        "part": None if source.part is None else {"first": source.part.first, "last": source.part.last},
        "first_sha256": source.first_sha256,
        "last_sha256": source.last_sha256,
        "root": source.root,
        "exporter": source.exporter,
    }
    created = {
        "action": "c2pa.created",
        "digitalSourceType": _CAPTURED,
        "description": "recorded by a body-worn camera",
    }
    actions = [created]
    if source.part is not None:
        said = f"segments {source.part.first} to {source.part.last} of the recording, as they were recorded"
        actions.append({"action": "c2pa.trimmed", "description": said})
    return json.dumps(
        {
            "claim_generator_info": [{"name": "bodycam", "version": source.software}],
            "title": source.title,
            "format": "video/mp4",
            "assertions": [
                {"label": "c2pa.actions.v2", "data": {"actions": actions}},
                {"label": LEDGER_ASSERTION, "data": ledger},
            ],
        }
    )


def _check_nothing_else_changed(before: BinaryIO, after: BinaryIO) -> None:
    """`EvidenceError` unless the one file is the other with one C2PA box behind its `ftyp`."""
    if not _only_a_box_more(before, after):
        raise EvidenceError("the C2PA library changed more of the file than it may; no manifest was written")


def _only_a_box_more(before: BinaryIO, after: BinaryIO) -> bool:
    """Whether the one file is the other with one C2PA box behind its `ftyp`."""
    for file in (before, after):
        file.seek(0)
    ftyp = _size_of(before, b"ftyp")
    if not 8 <= ftyp <= _MAX_FTYP_BYTES:
        return False
    before.seek(0)
    if before.read(ftyp) != after.read(ftyp):
        return False
    box = _size_of(after, b"uuid")
    if not box or after.read(len(C2PA_USER_TYPE)) != C2PA_USER_TYPE:
        return False
    after.seek(ftyp + box)
    while piece := before.read(_PIECE_BYTES):
        if after.read(_PIECE_BYTES) != piece:
            return False
    return not after.read(1)


def _size_of(file: BinaryIO, kind: bytes) -> int:
    """Of the box that begins here; 0 when it is of another kind. Its header has then been read."""
    header = file.read(8)
    return int.from_bytes(header[:4], "big") if header[4:] == kind else 0
