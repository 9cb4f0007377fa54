"""`bodycam anchor`: an agency's words that date a camera's journal. On the agency's own computer, or its dock's.

`nonce`: random bits that nobody knew before; once the camera's journal holds them, nothing after them could be earlier.
`cosign`: a signature over the newest line of a card's journal; nothing up to that line could be later. Both are files
for the card's spool, under their digest.
"""

import argparse
import hashlib
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from device.agency_keys import certificate_of, signer_of
from device.errors import UsageError
from device.evidence.documents import read_identities
from device.evidence.history import Epoch, read_history
from device.evidence.identity import Role, load_anchors
from device.evidence.outside import CosignedHead, DockNonce, Outside, make_outside
from device.evidence.records import Name
from device.evidence.verify import is_card
from device.terminal import safe, write_whole

WHOSE = "signs receipts"
_TAIL = "--key receipt.key --certificate receipt.der -o /mnt/card/spool"
NONCE_EXAMPLE = f'example: bodycam anchor nonce --device BC-000001 --agency "Demo Agency" {_TAIL}'
COSIGN_EXAMPLE = f"example: bodycam anchor cosign /mnt/card --trust agency-ca.pem {_TAIL}"

AddCommand = Callable[..., argparse.ArgumentParser]


def add_anchor_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", add: AddCommand) -> None:
    what = "date a camera's journal from outside: a fresh nonce before, a signature over its newest line after"
    anchor: argparse.ArgumentParser = commands.add_parser("anchor", help=what, description=what, epilog=COSIGN_EXAMPLE)
    words = anchor.add_subparsers(title="words", required=True, metavar="WORD")
    nonce = add(words, "nonce", "give a camera random bits that nobody knew before now", NONCE_EXAMPLE, _nonce)
    nonce.add_argument("--device", required=True, metavar="ID", help="the camera that it is for")
    nonce.add_argument("--agency", required=True, metavar="NAME", help="the agency that says so")
    cosign = add(words, "cosign", "sign the newest line of a card's journal, with the time", COSIGN_EXAMPLE, _cosign)
    cosign.add_argument("card", type=Path, metavar="CARD", help="a card, or a copy of its journal, identity and policy")
    cosign.add_argument("--trust", type=Path, required=True, metavar="CA.pem", help="the agency's CA certificate")
    for word in (nonce, cosign):
        word.add_argument("--key", type=Path, required=True, metavar="KEY.pem", help="the private key, PEM")
        word.add_argument("--certificate", type=Path, required=True, metavar="CERT", help="its certificate, PEM or DER")
        word.add_argument(
            "-o", "--output", type=Path, required=True, metavar="FOLDER", help="a folder: a card's spool, or any other"
        )


def _nonce(options: argparse.Namespace) -> int:
    for option in ("device", "agency"):
        _check_name(f"--{option}", getattr(options, option))
    nonce = secrets.token_hex(32)
    return _say(options, DockNonce(agency=options.agency, device=options.device, utc=_now(), nonce=nonce))


def _cosign(options: argparse.Namespace) -> int:
    epoch = _newest(options.card, options.trust)
    statement = epoch.statement
    head = epoch.lines[-1].place
    return _say(options, CosignedHead(agency=statement.agency, device=statement.device, utc=_now(), head=head))


def _newest(card: Path, trust: Path) -> Epoch:
    """The newest file of a journal in which nothing is wrong; `UsageError` when there is none to sign for."""
    if not is_card(card):
        raise UsageError(safe(f"{card}: not a card (a folder with journal/ and evidence/); give one"))
    anchors, where = load_anchors(trust), card.resolve()
    history = read_history(where, read_identities(where), anchors)
    wrong = [finding for finding in history.findings if finding.question in ("content", "signer")]
    if wrong or not history.epochs:
        why = f"{wrong[0].place}: {wrong[0].what}" if wrong else "there is no journal that can be believed"
        raise UsageError(
            safe(f"{card}: {why}; nothing is signed over such a journal: look at it with `bodycam verify`")
        )
    return history.epochs[-1]


def _say(options: argparse.Namespace, statement: Outside) -> int:
    """Sign, and write it whole under its digest."""
    der = certificate_of(options.certificate, Role.RECEIPT, WHOSE)
    data = make_outside(statement, signer_of(options.key, der, WHOSE), der)
    if not options.output.is_dir():
        raise UsageError(safe(f"-o {options.output}: not a folder; name one, such as a card's spool"))
    path = options.output / f"{hashlib.sha256(data).hexdigest()}.anchor"
    write_whole(path, data, "-o", (options.key, options.certificate), force=False)
    about = (
        f"line {statement.head.seq} of {statement.head.stream}" if isinstance(statement, CosignedHead) else "a nonce"
    )
    print(safe(f"{path}: {about}, {statement.device}, {statement.utc}"))
    return 0


def _check_name(option: str, given: str) -> None:
    try:
        msgspec.convert(given, Name)
    except msgspec.ValidationError:
        wanted = "a name of letters, digits, blanks and ._:+/@()-, at most 100"
        raise UsageError(safe(f"{option} {given}: not a name; give {wanted}")) from None


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
