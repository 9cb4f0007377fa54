"""`bodycam policy sign`: an agency signs a policy, and has the bundle that its cameras take. On the agency's own computer.

The private key is read here and nowhere else; a policy that no camera would take is not signed.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from device.errors import ConfigurationError, EvidenceError, UsageError
from device.evidence.bundle import MAX_CERTIFICATE_BYTES, MAX_POLICY_BYTES, make_bundle
from device.evidence.identity import MAX_PEM_BYTES, FileSigner, Role, load_certificate, why_not_for
from device.evidence.verify import is_card, is_recording
from device.policy.model import Policy
from device.policy_files import read_document
from device.terminal import check_output, safe, write_whole

EXAMPLE = "example: bodycam policy sign boston.toml --key policy.key --certificate policy.pem -o boston.bundle"
KEY_WANTED = "give the private key that signs policies: P-256, in PEM, without a passphrase"


def add_sign_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """`sign`, among the commands of `bodycam policy`."""
    what = "sign a policy: make the bundle that cameras take when its version is above that of the policy they have"
    sign = commands.add_parser(
        "sign", help=what, description=what, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sign.add_argument("policy", metavar="FILE", help="the policy document (TOML), or the name of a shipped profile")
    sign.add_argument("--key", type=Path, required=True, metavar="KEY.pem", help="the private key, PEM")
    sign.add_argument("--certificate", type=Path, required=True, metavar="CERT", help="its certificate, PEM or DER")
    sign.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.bundle")
    sign.add_argument("--force", action="store_true", help="replace OUT.bundle if it is there")
    sign.set_defaults(run=_sign)


def sign_policy(document: str, key: Path, certificate: Path, output: Path, *, force: bool) -> Policy:
    """Sign a policy, a file or a shipped profile, and write its bundle, whole or not at all; the policy. `UsageError`
    for what must be changed."""
    inputs = (Path(document), key, certificate)
    _check_output(output, inputs, force=force)
    read = read_document(document)
    if len(read.content) > MAX_POLICY_BYTES:
        raise UsageError(safe(f"{document}: more than {MAX_POLICY_BYTES} bytes, which cameras refuse; make it shorter"))
    der = _certificate(certificate)
    bundle = make_bundle(read.content, _signer(key, der), der)
    write_whole(output, bundle, "-o", inputs, force=force)
    return read.policy


def _sign(options: argparse.Namespace) -> int:
    policy = sign_policy(options.policy, options.key, options.certificate, options.output, force=options.force)
    print(safe(f"{options.output}: {policy.id} {policy.version}"))
    return 0


def _signer(path: Path, certificate: bytes) -> FileSigner:
    """The key that signs policies; `UsageError` with a way out for every other."""
    if b"ENCRYPTED" in _read(path, MAX_PEM_BYTES, KEY_WANTED):
        plain = "`openssl pkey -in KEY.pem -out PLAIN.pem` takes the passphrase off"
        raise UsageError(safe(f"{path}: the key is encrypted; {plain}; {KEY_WANTED}"))
    try:
        return FileSigner(path, certificate)
    except ConfigurationError as failure:
        raise UsageError(safe(f"{failure}; {KEY_WANTED}")) from failure


def _certificate(path: Path) -> bytes:
    """A certificate's DER; `UsageError` unless cameras would take it for the role policy, today."""
    data = _read(path, MAX_CERTIFICATE_BYTES, "give the certificate of the one who signs policies")
    try:
        if data.lstrip().startswith(b"-----"):
            data = x509.load_pem_x509_certificate(data).public_bytes(serialization.Encoding.DER)
        certificate = load_certificate(data)
    except (EvidenceError, ValueError) as failure:
        raise UsageError(safe(f"{path}: {failure}; give a certificate in PEM or DER")) from failure
    why = _authority(certificate) or why_not_for(certificate, Role.POLICY, datetime.now(UTC))
    if why:
        wanted = "give one that the agency's CA issued for signing policies, and that is valid"
        raise UsageError(safe(f"{path}: {why}; {wanted}"))
    return data


def _authority(certificate: x509.Certificate) -> str:
    """Why a certificate that may issue others has no role; "" when it may not."""
    try:
        issues = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        issues = False
    return "its certificate is a CA's, which has no other role" if issues else ""


def _check_output(output: Path, inputs: tuple[Path, ...], *, force: bool) -> None:
    if any(is_card(folder) or is_recording(folder) for folder in output.resolve().parents):
        raise UsageError(safe(f"-o {output}: that is on a card; name a file elsewhere"))
    check_output(output, "-o", inputs, force=force)


def _read(path: Path, limit: int, way_out: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as failure:
        raise UsageError(safe(f"{path}: {failure.strerror}; {way_out}")) from failure
    if len(data) > limit:
        raise UsageError(safe(f"{path}: more than {limit} bytes; {way_out}"))
    return data
