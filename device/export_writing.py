"""An exported file and its access record: made together, put in place together, or neither."""

import base64
import os
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

import msgspec

from device.agency_keys import certificate_of, chain_of, signer_of
from device.errors import EvidenceError, UsageError
from device.evidence.access import SUFFIX, DisclosedInterval, Exported, sign_deed
from device.evidence.c2pa_manifest import Source, add_manifest, check_certificate, load_library
from device.evidence.disclosure import Disclosure, write_disclosure
from device.evidence.identity import FileSigner, Role, common_name, load_certificate
from device.evidence.opening import Identity
from device.evidence.reading import digest_file
from device.evidence.verify import Progressing
from device.export_asked import utc_text
from device.policy.model import Policy
from device.terminal import check_replaceable, safe

WHOSE = "signs exports"


class Exporter:
    """The one who exports: signs the access record."""

    def __init__(self, key: Path, certificate: Path) -> None:
        self._der = certificate_of(certificate, Role.EXPORT, WHOSE)
        self.signer: FileSigner = signer_of(key, self._der, WHOSE)
        self.name = safe(common_name(load_certificate(self._der)))[:200]

    @property
    def certificate(self) -> str:
        return base64.b64encode(self._der).decode()


class ManifestSigner:
    """The one who signs the C2PA manifest, with a key and a certificate for that alone. `UsageError` for others, and
    when the extra is not installed: all that is asked before a recording is read."""

    def __init__(self, key: Path, certificate: Path) -> None:
        self._chain = chain_of(certificate, "--c2pa-certificate")
        try:
            check_certificate(self._chain[0])
        except UsageError as failure:
            raise UsageError(safe(f"--c2pa-certificate {certificate}: {failure}")) from failure
        self._signer: FileSigner = signer_of(key, self._chain[0], "signs C2PA manifests")
        self.name = safe(common_name(load_certificate(self._chain[0])))[:200]
        load_library()

    def add(self, disclosure: Disclosure, exporter: str, title: str, plain: Path, signed: Path) -> tuple[int, str]:
        """Write `signed`: `plain` with a manifest. How many bytes, and their SHA-256."""
        ledger = disclosure.ledger
        source = Source(
            device=disclosure.opened.device,
            recording=disclosure.opened.stream,
            part=disclosure.part,
            title=title,
            first_sha256=ledger.first_sha256,
            last_sha256=ledger.last_sha256,
            root=ledger.root,
            exporter=exporter,
            software=version("bodycam"),
        )
        try:
            add_manifest(plain, signed, signer=self._signer, chain=self._chain, source=source)
            size = signed.stat().st_size
            return size, digest_file(signed, size)[0]
        except EvidenceError as failure:
            way_out = "give another key and certificate, or export without --c2pa-key and --c2pa-certificate"
            raise UsageError(safe(f"--c2pa-key: {failure}; {way_out}")) from failure


def access_deed(
    disclosure: Disclosure, policy: Policy | None, exporter: Exporter, recipient: str, reason: str, filed: str | None
) -> Exported:
    """The access record; size and digest of the file are yet to come."""
    part, opened = disclosure.part, disclosure.opened
    return Exported(
        utc=utc_text(datetime.now(UTC)),
        exporter=exporter.name,
        certificate=exporter.certificate,
        size=0,
        sha256="0" * 64,
        device=opened.device,
        recording=opened.stream,
        interval=None if part is None else DisclosedInterval(
            first=part.first, last=part.last, from_us=disclosure.from_us, to_us=disclosure.to_us,
            base_us=opened.video.base_us,
        ),
        policy=opened.policy,
        withheld_from=policy.disclosure.withheld_from if policy is not None else (),
        end_points=policy.disclosure.end_points if policy is not None else (),
        recipient=recipient,
        reason=reason,
        report_filed=filed,
    )  # fmt: skip


def access_record(output: Path) -> Path:
    """Where the access record of an exported file lies."""
    return output.with_name(output.name + SUFFIX)


def write_export(
    disclosure: Disclosure,
    identity: Identity,
    exporter: Exporter,
    deed: Exported,
    output: Path,
    advance: Progressing,
    manifest: ManifestSigner | None = None,
) -> None:
    """The file, with a C2PA manifest if one is asked for, and its access record, each under a random name first; both are
    put in place, or neither."""
    made: list[Path] = []
    beside = access_record(output)
    try:
        with _new_beside(output, made) as file:
            size, sha256 = write_disclosure(disclosure, identity, file, advance)
            file.flush()
            os.fsync(file.fileno())
        film = made[0]
        if manifest is not None:
            film = film.with_name(film.name + ".c2pa")
            made.append(film)
            size, sha256 = manifest.add(disclosure, exporter.name, output.name, made[0], film)
        with _new_beside(beside, made) as file:
            file.write(sign_deed(msgspec.structs.replace(deed, size=size, sha256=sha256), exporter.signer))
            file.flush()
            os.fsync(file.fileno())
        for place in (output, beside):
            check_replaceable(place, "-o")  # once more: the writing may have taken long
        made[-1].replace(beside)
        try:
            film.replace(output)
        except OSError:
            beside.unlink()
            raise
    except OSError as failure:
        said = f"-o {output}: {failure.strerror}; name a file, in a folder that can be written, with room for it"
        raise UsageError(safe(said)) from failure
    finally:
        for path in made:
            path.unlink(missing_ok=True)


def _new_beside(place: Path, made: list[Path]) -> BinaryIO:
    """A new file in the same folder, for nobody else to read: what is in it was sealed."""
    descriptor, name = tempfile.mkstemp(prefix=f".{place.name[:100]}.", dir=place.parent)
    made.append(Path(name))
    return os.fdopen(descriptor, "wb")
