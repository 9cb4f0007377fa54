"""`bodycam policy sign`: an agency signs a policy, and has the bundle that its cameras take. On the agency's own computer.

A policy that no camera would take is not signed. Key and certificate are read in `signing`.
"""

import argparse
from pathlib import Path

from device.agency_keys import certificate_of, signer_of
from device.errors import UsageError
from device.evidence.bundle import MAX_POLICY_BYTES, make_bundle
from device.evidence.identity import Role
from device.evidence.verify import is_card, is_recording
from device.policy.model import Policy
from device.policy_files import read_document
from device.terminal import check_output, safe, write_whole

EXAMPLE = "example: bodycam policy sign boston.toml --key policy.key --certificate policy.pem -o boston.bundle"
WHOSE = "signs policies"


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
    der = certificate_of(certificate, Role.POLICY, WHOSE)
    bundle = make_bundle(read.content, signer_of(key, der, WHOSE), der)
    write_whole(output, bundle, "-o", inputs, force=force)
    return read.policy


def _sign(options: argparse.Namespace) -> int:
    policy = sign_policy(options.policy, options.key, options.certificate, options.output, force=options.force)
    print(safe(f"{options.output}: {policy.id} {policy.version}"))
    return 0


def _check_output(output: Path, inputs: tuple[Path, ...], *, force: bool) -> None:
    if any(is_card(folder) or is_recording(folder) for folder in output.resolve().parents):
        raise UsageError(safe(f"-o {output}: that is on a card; name a file elsewhere"))
    check_output(output, "-o", inputs, force=force)
