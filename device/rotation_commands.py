"""`bodycam rotate`: the old key of a device and its new one sign that the new one goes on with the journal of the old.

Made where both keys are: on the device, or where it is provisioned. Neither key leaves its place; no card is touched.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from device.errors import EvidenceError, UsageError
from device.evidence.identity import FileSigner, load_certificate
from device.evidence.rotation import MAX_CERTIFICATE_BYTES, make_rotation
from device.evidence.verify import is_card, is_recording
from device.terminal import check_output, safe, write_whole

EXAMPLE = (
    "example: bodycam rotate --old-key old.key --old-certificate old.der --new-key device.key "
    "--new-certificate device.der -o rotation.jsonl"
)


def add_rotate_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    what = "a device's old key and its new one sign that the new one goes on with the journal of the old"
    rotate = commands.add_parser(
        "rotate", help=what, description=what, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for age, key in (("old", "the key that the device had"), ("new", "the key that it signs with from now on")):
        rotate.add_argument(f"--{age}-key", type=Path, required=True, metavar="KEY.pem", help=f"{key}, PEM")
        rotate.add_argument(f"--{age}-certificate", type=Path, required=True, metavar="CERT", help="PEM or DER")
    rotate.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.jsonl")
    rotate.add_argument("--force", action="store_true", help="replace OUT.jsonl if it is there")
    rotate.set_defaults(run=_rotate)


def _rotate(options: argparse.Namespace) -> int:
    inputs = (options.old_key, options.old_certificate, options.new_key, options.new_certificate)
    output: Path = options.output
    if any(is_card(folder) or is_recording(folder) for folder in output.resolve().parents):
        raise UsageError(safe(f"-o {output}: that is on a card; name a file elsewhere"))
    check_output(output, "-o", inputs, force=options.force)
    old, new = _certificate(options.old_certificate), _certificate(options.new_certificate)
    utc = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    document = make_rotation(FileSigner(options.old_key, old), old, FileSigner(options.new_key, new), new, utc)
    write_whole(output, document, "-o", inputs, force=options.force)
    print(safe(f"{output}: put its name into [identity] rotation, beside the new key, certificate and statement"))
    return 0


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
