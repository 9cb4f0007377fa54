"""`bodycam policy sign`: an agency signs a policy, and has the bundle that its cameras take. On the agency's own computer.

The private key is read here and nowhere else; a policy that no camera would take is not signed.
"""

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from device.errors import EvidenceError, UsageError
from device.evidence.adoption import replace_file
from device.evidence.bundle import MAX_CERTIFICATE_BYTES, MAX_POLICY_BYTES, make_bundle
from device.evidence.identity import FileSigner, Role, load_certificate, why_not_for
from device.evidence.verify import is_card, is_recording
from device.policy.document import DocumentError
from device.policy.model import Policy, parse_policy

EXAMPLE = "example: bodycam policy sign boston.toml --key policy.key --certificate policy.pem -o boston.bundle"


def add_sign_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """`sign`, among the commands of `bodycam policy`."""
    what = "sign a policy: make the bundle that cameras take when its version is above that of the policy they have"
    sign = commands.add_parser(
        "sign", help=what, description=what, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sign.add_argument("policy", type=Path, metavar="FILE", help="the policy document (TOML)")
    sign.add_argument("--key", type=Path, required=True, metavar="KEY.pem", help="the private key, PEM")
    sign.add_argument("--certificate", type=Path, required=True, metavar="CERT", help="its certificate, PEM or DER")
    sign.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.bundle")
    sign.add_argument("--force", action="store_true", help="replace OUT.bundle if it is there")
    sign.set_defaults(run=_sign)


def sign_policy(document: Path, key: Path, certificate: Path, output: Path, *, force: bool) -> Policy:
    """Sign a policy and write its bundle, whole or not at all; the policy. `UsageError` for what must be changed."""
    _check_output(output, force=force)
    signed = _read(document, MAX_POLICY_BYTES, "give a policy document")
    try:
        policy = parse_policy(signed)
    except DocumentError as failure:
        raise UsageError(f"{document}: {failure}") from failure
    der = _certificate(certificate)
    bundle = make_bundle(signed, FileSigner(key, der), der)
    try:
        replace_file(output, bundle)
    except OSError as failure:
        raise UsageError(f"-o {output}: {failure.strerror}; name a file that can be written") from failure
    return policy


def _sign(options: argparse.Namespace) -> int:
    policy = sign_policy(options.policy, options.key, options.certificate, options.output, force=options.force)
    print(f"{options.output}: {policy.id} {policy.version}")
    return 0


def _certificate(path: Path) -> bytes:
    """A certificate's DER; `UsageError` unless cameras would take it for the role policy, today."""
    data = _read(path, MAX_CERTIFICATE_BYTES, "give the certificate of the one who signs policies")
    try:
        if data.lstrip().startswith(b"-----"):
            data = x509.load_pem_x509_certificate(data).public_bytes(serialization.Encoding.DER)
        why = why_not_for(load_certificate(data), Role.POLICY, datetime.now(UTC))
    except (EvidenceError, ValueError) as failure:
        raise UsageError(f"{path}: {failure}; give a certificate in PEM or DER") from failure
    if why:
        raise UsageError(f"{path}: {why}; give one that the agency's CA issued for signing policies, and that is valid")
    return data


def _check_output(output: Path, *, force: bool) -> None:
    if any(is_card(folder) or is_recording(folder) for folder in output.resolve().parents):
        raise UsageError(f"-o {output}: that is on a card; name a file elsewhere")
    if os.path.lexists(output) and not force:
        raise UsageError(f"-o {output}: it is there already; name another file, or give --force")


def _read(path: Path, limit: int, way_out: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as failure:
        raise UsageError(f"{path}: {failure.strerror}; {way_out}") from failure
    if len(data) > limit:
        raise UsageError(f"{path}: more than {limit} bytes; {way_out} of at most that")
    return data
