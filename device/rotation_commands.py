"""`bodycam rotate`: the old key of a device and its new one sign that the new one goes on with the journal of the old.

Made where both keys are: on the device, or where it is provisioned. Neither key leaves its place; no card is touched.
"""

import argparse
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from device.config import read_configuration
from device.errors import EvidenceError, UsageError
from device.evidence.envelope import Signer
from device.evidence.identity import FileSigner, Role, load_certificate, p256_key
from device.evidence.keys import KeySigner, Named, open_named, protection_of
from device.evidence.rotation import MAX_CERTIFICATE_BYTES, make_rotation
from device.evidence.verify import is_card, is_recording
from device.terminal import check_output, safe, write_whole

EXAMPLE = (
    "example: bodycam rotate --old-key old.key --old-certificate old.der --new-key 'pkcs11:token=bodycam;object=ledger' "
    "--new-certificate device.der --config bodycam.toml -o rotation.jsonl"
)


def add_rotate_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    what = "a device's old key and its new one sign that the new one goes on with the journal of the old"
    rotate = commands.add_parser(
        "rotate", help=what, description=what, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for age, key in (("old", "the key that the device had"), ("new", "the key that it signs with from now on")):
        where = f"{key}: a PEM file, or, with --config, pkcs11:… or tpm:… as [identity] names one"
        rotate.add_argument(f"--{age}-key", required=True, metavar="KEY", help=where)
        rotate.add_argument(f"--{age}-certificate", type=Path, required=True, metavar="CERT", help="PEM or DER")
    rotate.add_argument("--config", type=Path, metavar="FILE", help="bodycam.toml: how the token or the TPM is reached")
    rotate.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.jsonl")
    rotate.add_argument("--force", action="store_true", help="replace OUT.jsonl if it is there")
    rotate.set_defaults(run=_rotate)


def _rotate(options: argparse.Namespace) -> int:
    texts = {"--old-key": options.old_key, "--new-key": options.new_key}
    files = [Path(text) for text in texts.values() if protection_of(text) == "file"]
    inputs = (*files, options.old_certificate, options.new_certificate, *([options.config] if options.config else []))
    output: Path = options.output
    if any(is_card(folder) or is_recording(folder) for folder in output.resolve().parents):
        raise UsageError(safe(f"-o {output}: that is on a card; name a file elsewhere"))
    check_output(output, "-o", inputs, force=options.force)
    old, new = _certificate(options.old_certificate), _certificate(options.new_certificate)
    utc = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    with ExitStack() as opened:
        signers = [
            _signer(opened, options.config, key, text, certificate)
            for (key, text), certificate in zip(texts.items(), (old, new), strict=True)
        ]
        document = make_rotation(signers[0], old, signers[1], new, utc)
    write_whole(output, document, "-o", inputs, force=options.force)
    print(safe(f"{output}: put its name into [identity] rotation, beside the new key, certificate and statement"))
    return 0


def _signer(opened: ExitStack, config: Path | None, option: str, text: str, certificate: bytes) -> Signer:
    """A key in a PEM file, or wherever a configuration can say that one is; let go with the others."""
    if protection_of(text) == "file":
        return FileSigner(Path(text), certificate)
    if config is None:
        raise UsageError(safe(f"{option}: it is not in a file; give --config, which says how it is reached"))
    key = open_named(read_configuration(config), Named(option, text, "its certificate"))
    opened.callback(key.close)
    if key.public != p256_key(load_certificate(certificate)):
        raise UsageError(safe(f"{option}: this is not the key of its certificate; name the two that belong together"))
    return KeySigner(key, Role.LEDGER, certificate)


def _certificate(path: Path) -> bytes:
    """A certificate's DER."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CERTIFICATE_BYTES)
        if data.lstrip().startswith(b"-----"):
            data = x509.load_pem_x509_certificate(data).public_bytes(serialization.Encoding.DER)
        load_certificate(data)
    except OSError as failure:
        raise UsageError(safe(f"{path}: {failure.strerror}; give a certificate of the device's")) from failure
    except (EvidenceError, ValueError) as failure:
        raise UsageError(safe(f"{path}: {failure}; give a certificate in PEM or DER")) from failure
    return data
