"""`bodycam offload`, `bodycam receive`, `bodycam unpack`: arguments, where the store is, and what is printed."""

import argparse
import os
import signal
import ssl
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from device.clock import BootClock, Clock, Latch, Runner, Wake, hold_signals, wait_for_signal
from device.config import Configuration, read_configuration
from device.errors import BodycamError, ConfigurationError, EvidenceError, StoreError, UsageError
from device.evidence.identity import FileSigner, Role, load_anchors, load_certificate, why_not_trusted
from device.evidence.reading import file_blocks, read_file, regular_size
from device.offload.end_points import Allowed, Bucket, Folder, allowed_end_point, parse_end_point
from device.offload.memory import Memory
from device.offload.receiving import Desk, Judged
from device.offload.sending import Errand, Outcome, Sender
from device.offload.stores import FolderStore, Store
from device.offload.unpack import MAX_OBJECT_BYTES, unpack
from device.policy.document import DocumentError, parse_document
from device.terminal import print_json, safe

EXIT_REFUSED = 1
_MAX_CREDENTIALS_BYTES = 4096
_MAX_CERTIFICATE_BYTES = 64 * 1024
_OFFLOAD_EXAMPLE = "example: bodycam offload --config /etc/bodycam/bodycam.toml --once"
_RECEIVE_EXAMPLE = (
    "example: bodycam receive s3+https://evidence.example.org/bodycam --credentials store.toml --trust agency-ca.pem "
    "--key receipt.key --certificate receipt.der"
)
_UNPACK_EXAMPLE = "example: bodycam unpack 000001-0123456789abcdef.tar -o unpacked"
_Command = Callable[..., argparse.ArgumentParser]


def add_offload_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", command: _Command) -> None:
    what = "send recordings to the agency's store, and hand its receipts to the daemon"
    offload = command(commands, "offload", what, _OFFLOAD_EXAMPLE, _offload)
    offload.add_argument("--config", type=Path, required=True, metavar="FILE", help="bodycam.toml")
    how = offload.add_mutually_exclusive_group()
    how.add_argument("--once", action="store_true", help="one look at the card and the store; the default")
    how.add_argument("--watch", action="store_true", help="look again every [offload] every_s")
    offload.add_argument("--json", action="store_true", help="for programs")

    what = "the agency's side: judge what devices have sent to the store, and sign receipts for it"
    receive = command(commands, "receive", what, _RECEIVE_EXAMPLE, _receive)
    receive.add_argument("store", metavar="STORE", help="s3+https://host/bucket or folder:/path")
    receive.add_argument("--trust", type=Path, required=True, metavar="CA.pem", help="the agency's CA certificate")
    receive.add_argument("--key", type=Path, required=True, metavar="KEY.pem", help="the key that signs receipts")
    receive.add_argument("--certificate", type=Path, required=True, metavar="CERT.der", help="its certificate")
    receive.add_argument("--credentials", type=Path, metavar="FILE", help="access key and secret key, TOML")
    receive.add_argument("--ca", type=Path, metavar="PEM", help="the CA of the store's TLS certificate")
    receive.add_argument("--region", default="us-east-1", help="of the store")
    receive.add_argument("--work", type=Path, metavar="FOLDER", help="where there is room for the largest object")
    receive.add_argument(
        "--card-of", action="append", default=[], metavar="DEVICE", help="this device has more than one card"
    )
    receive.add_argument("--json", action="store_true", help="for programs")

    what = "unpack an object of the store into a folder that verify reads"
    unpacking = command(commands, "unpack", what, _UNPACK_EXAMPLE, _unpack)
    unpacking.add_argument("object", type=Path, metavar="OBJECT", help="a file from the store")
    unpacking.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="a new folder")


# -- offload --------------------------------------------------------------------------------------------------------


def _offload(options: argparse.Namespace) -> int:
    configuration = read_configuration(options.config)
    clock = BootClock()
    if not options.watch:
        return _look(configuration, clock, as_json=options.json)
    ended, failed = Latch(), []
    wake = Wake()

    def on_failure(_part: object, failure: Exception) -> None:
        failed.append(failure)
        ended.set()

    signals = (signal.SIGTERM, signal.SIGINT)
    hold_signals(signals)
    runner = Runner(Watch(configuration, clock, as_json=options.json), wake, clock, on_failure)
    runner.start()
    wait_for_signal(signals, ended)
    runner.stop(1.0)
    if failed:
        raise failed[0]
    return 0


class Watch:
    """Looks again and again. What fails now is tried at the next look; only what the operator must change ends it."""

    name = "offload"

    def __init__(self, configuration: Configuration, clock: Clock, *, as_json: bool) -> None:
        self._configuration = configuration
        self._clock = clock
        self._as_json = as_json

    def run_once(self, now_us: int) -> int:
        try:
            _look(self._configuration, self._clock, as_json=self._as_json)
        except StoreError as failure:
            print(safe(f"bodycam: {failure}; once more in {self._configuration.tables.offload.every_s} s"), flush=True)
        return now_us + self._configuration.tables.offload.every_s * 1_000_000


def _look(configuration: Configuration, clock: Clock, *, as_json: bool) -> int:
    allowed = allowed_end_point(configuration)
    tables = configuration.tables
    errand = Errand(
        device=tables.device.id,
        card=configuration.at(tables.card.path),
        anchors=allowed.anchors,
        end_point_sha256=allowed.memory_key,
        retention_days=allowed.bundle.policy.retention.days,
        read_back=tables.offload.read_back,
    )
    memory = Memory(configuration.at(tables.offload.state))
    sender = Sender(errand, _device_store(configuration, allowed, clock), memory, clock)
    outcomes = []
    for outcome in sender.look():
        outcomes.append(outcome.good)
        _show(outcome, as_json=as_json)
    if not outcomes and not as_json:
        print("nothing to send: no recording is over that has no receipt", flush=True)
    return 0 if all(outcomes) else EXIT_REFUSED


def _device_store(configuration: Configuration, allowed: Allowed, clock: Clock) -> Store:
    offload = configuration.tables.offload
    where = allowed.end_point
    if isinstance(where, Folder):
        return FolderStore(where.path)
    if offload.credentials is None:
        raise ConfigurationError(f"{configuration.path}: offload.credentials: missing; {allowed.text} wants them")
    from device.offload.s3 import MIB

    return _bucket(
        where,
        configuration.at(offload.credentials),
        None if offload.ca is None else configuration.at(offload.ca),
        clock,
        lock=offload.lock,
        region=offload.region,
        part_bytes=offload.part_mib * MIB,
        timeout_s=offload.timeout_s,
    )


def _bucket(where: Bucket, credentials: Path, ca: Path | None, clock: Clock, **settings: object) -> Store:
    try:
        from device.offload.s3 import Credentials, S3Store
    except ModuleNotFoundError as failure:
        raise UsageError(
            f"{failure.name} is not installed; install the extra: pip install 'bodycam[offload]'"
        ) from failure
    try:
        keys = parse_document(read_secret(credentials), Credentials)
    except DocumentError as failure:
        raise ConfigurationError(
            f"{credentials}: {failure.key or 'the file'}: give access_key and secret_key, each a text"
        ) from None
    try:
        return S3Store(where, keys, clock, ca=ca, **settings)  # type: ignore[arg-type]
    except (OSError, ssl.SSLError) as failure:
        raise ConfigurationError(f"{ca}: {failure.strerror}; give the store's CA certificate in PEM") from failure


def read_secret(path: Path) -> bytes:
    """A file that nobody but its owner, who we are, can read; `ConfigurationError` otherwise. Its content is in no message."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
                raise ConfigurationError(
                    f"{path}: it must be a file of this user's that nobody else can read: chmod 600"
                )
            return file.read(_MAX_CREDENTIALS_BYTES)
    except OSError as failure:
        raise ConfigurationError(f"{path}: {failure.strerror}; give the store's access key and secret key") from failure


# -- receive --------------------------------------------------------------------------------------------------------


def _receive(options: argparse.Namespace) -> int:
    clock = BootClock()
    anchors = load_anchors(options.trust)
    der = _certificate(options.certificate)
    try:
        why = why_not_trusted(load_certificate(der), Role.RECEIPT, anchors, None)
    except EvidenceError as failure:
        why = str(failure)
    if why:
        raise UsageError(
            f"--certificate {options.certificate}: {why}; give the one that the agency issued for receipts"
        )
    desk = Desk(_agency_store(options, clock), anchors, FileSigner(options.key, der), der, options.card_of, clock)
    good = True
    try:
        with tempfile.TemporaryDirectory(dir=options.work) as work:
            for judged in desk.receive(Path(work)):
                good = good and judged.what == "received"
                _show(judged, as_json=options.json)
    except FileNotFoundError as failure:
        raise UsageError(f"--work {options.work}: {failure.strerror}; name a folder that is there") from failure
    return 0 if good else EXIT_REFUSED


def _agency_store(options: argparse.Namespace, clock: Clock) -> Store:
    where = parse_end_point(options.store)
    if isinstance(where, Folder):
        return FolderStore(where.path)
    if options.credentials is None:
        raise UsageError(f"--credentials: missing; {options.store} wants them")
    return _bucket(where, options.credentials, options.ca, clock, region=options.region)


def _certificate(path: Path) -> bytes:
    try:
        der = read_file(path, _MAX_CERTIFICATE_BYTES)
    except EvidenceError as failure:
        raise UsageError(f"--certificate {path}: {failure}; give a certificate in DER") from failure
    if der is None:
        raise UsageError(f"--certificate {path}: no such file; give a certificate in DER")
    return der


# -- unpack ---------------------------------------------------------------------------------------------------------


def _unpack(options: argparse.Namespace) -> int:
    """All of the object, or nothing."""
    output: Path = options.output
    try:
        size = regular_size(options.object)
        if size is None:
            raise UsageError(f"{options.object}: no such file; give an object of the store")
        if os.path.lexists(output):
            raise UsageError(f"-o {output}: it is there already; name a new folder")
        with tempfile.TemporaryDirectory(prefix=f".{output.name[:100]}.", dir=output.parent) as beside:
            made = Path(beside) / "card"
            unpacked = unpack(file_blocks(options.object, size), made, MAX_OBJECT_BYTES)
            made.rename(output)
    except EvidenceError as failure:
        raise BodycamError(safe(f"{options.object}: {failure}; nothing was unpacked")) from failure
    except OSError as failure:
        wanted = "name a new folder in one that can be written"
        raise UsageError(safe(f"-o {output}: {failure.strerror}; {wanted}")) from failure
    print(
        safe(
            f"{options.output}: {unpacked.manifest.recording} of {unpacked.manifest.device}, SHA-256 {unpacked.sha256}"
        )
    )
    return 0


def _show(what: Outcome | Judged, *, as_json: bool) -> None:
    if as_json:
        print_json(what)
        return
    device = f"{what.device} " if isinstance(what, Judged) else ""
    words = what.what.replace("-", " ")
    print(safe(f"{device}{what.recording}: {words}" + (f": {what.said}" if what.said else "")), flush=True)
