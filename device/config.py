"""`bodycam.toml`, read once into one frozen object. Every key has bounds and a unit; an unknown key is an error.

Relative paths are relative to the configuration file's folder.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from device.errors import ConfigurationError
from device.policy.document import MAX_DOCUMENT_BYTES, DocumentError, parse_document
from device.policy.inputs import Word
from device.policy.model import Policy

MIB = 1024 * 1024
BASE_BYTES = 70 * MIB
"""The daemon without its ring: measured on the twin without OpenCV, see docs/benchmarks.md."""
SYSTEM_BYTES = 160 * MIB
"""What a 64-bit Raspberry Pi OS Lite keeps for itself on a Zero 2 W."""
RING_OVERHEAD = 1.06
"""Resident memory over the ring's payload: measured, see docs/benchmarks.md."""
STALL_S = 10
"""How long a card may stall before the ring refuses frames, at the configured bit rate."""

_Path = Annotated[str, msgspec.Meta(min_length=1, max_length=400)]
_Pin = Annotated[int, msgspec.Meta(ge=0, le=27)]
_TriggerName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,39}\Z")]
_NO_PINS = ("debounce_ms", "stuck_after_s", "chatter_edges")
_Recipient = Annotated[str, msgspec.Meta(pattern="^age1[0-9a-z]{50,70}$")]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The root of the tables."""


class Device(_Table, frozen=True):
    """`id` stands in every record."""

    id: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")]


class Card(_Table, frozen=True):
    """Where evidence goes: a folder on a partition of its own. Below `full_below_mib` free no recording starts."""

    path: _Path
    full_below_mib: Annotated[int, msgspec.Meta(ge=4, le=65_536)] = 64


class Pkcs11(_Table, frozen=True):
    """The token that `pkcs11:` keys are in, as far as their URIs don't say. `module`: the maker's library. `pin_file`: its
    first line is the user's PIN; only its owner may read it."""

    module: _Path
    token: Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
    pin_file: _Path | None = None


class Tpm(_Table, frozen=True):
    """`tcti`: how to reach the TPM. `attestation_key`: where the key is (`tpm:…`) that certifies the `counter`, an NV index in
    the owner's range; without it the journal is not anchored."""

    tcti: Annotated[str, msgspec.Meta(pattern=r"^(device:/|swtpm:)[^\s]{1,200}\Z")] = "device:/dev/tpmrm0"
    attestation_key: _Path | None = None
    counter: Annotated[str, msgspec.Meta(pattern=r"^0x01[89aA][0-9a-fA-F]{5}\Z")] = "0x01800b0d"


class Identity(_Table, frozen=True):
    """The device's certificate (DER), where its key is (a PEM file, for development; `pkcs11:…`, a URI as RFC 7512 has it;
    `tpm:0x81…` or `tpm:FILE`, a handle or a key blob), the agency's provisioning statement (one line), and the certificate
    of the agency's provisioner (DER). `media_…`: the same of the key that signs within the video; without both, video is not
    media signed. `rotation`: where this key took the place of another, the statement that both keys signed."""

    certificate: _Path
    key: _Path
    provisioning: _Path
    provisioner: _Path
    rotation: _Path | None = None
    media_certificate: _Path | None = None
    media_key: _Path | None = None
    pkcs11: Pkcs11 | None = None
    tpm: Tpm | None = None


class PolicyFiles(_Table, frozen=True):
    """`bundle`: the policy that the agency offers, signed; it may be replaced while the daemon runs. `anchor`: the
    agency's CA certificate (PEM). `kept`: the daemon's own file, in a folder that it may write: the last good bundle."""

    bundle: _Path
    anchor: _Path
    kept: _Path


class Assignment(_Table, frozen=True):
    """`file`: who wears the camera, written at the start of a shift; it may come and go while the daemon runs."""

    file: _Path = "assignment.toml"


class Recipients(_Table, frozen=True):
    """Who can open: `footage` pictures and sound, `context` names and places. age recipients."""

    footage: Annotated[tuple[_Recipient, ...], msgspec.Meta(min_length=1, max_length=8)]
    context: Annotated[tuple[_Recipient, ...], msgspec.Meta(min_length=1, max_length=8)]


class Camera(_Table, frozen=True):
    width: Annotated[int, msgspec.Meta(ge=160, le=1920, multiple_of=2)] = 1920
    height: Annotated[int, msgspec.Meta(ge=90, le=1088, multiple_of=2)] = 1080
    rate_hz: Annotated[int, msgspec.Meta(ge=5, le=60)] = 30
    bitrate_bps: Annotated[int, msgspec.Meta(ge=50_000, le=25_000_000)] = 8_000_000

    @property
    def period_us(self) -> int:
        return round(1_000_000 / self.rate_hz)


class Microphone(_Table, frozen=True):
    enabled: bool = True


class RingSize(_Table, frozen=True):
    """The ring's cap on payload, in MiB."""

    cap_mib: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 64


class Board(_Table, frozen=True):
    """GPIO numbers (BCM). Buttons, switches and battery lines close to ground. A button that is held for more than
    `stuck_after_s`, longer than any gesture, is stuck; a line that changes more often than `chatter_edges` times a
    second, more than a hand can, is broken."""

    record_button: _Pin = 17
    function_button: _Pin = 27
    recording_light: _Pin = 22
    ready_light: _Pin = 23
    buzzer: _Pin = 24
    vibration: _Pin = 25
    sleep_switch: _Pin | None = None
    battery_low: _Pin | None = None
    battery_critical: _Pin | None = None
    debounce_ms: Annotated[int, msgspec.Meta(ge=1, le=60)] = 20
    stuck_after_s: Annotated[int, msgspec.Meta(ge=12, le=120)] = 20
    chatter_edges: Annotated[int, msgspec.Meta(ge=16, le=100)] = 20


class Switches(_Table, frozen=True):
    """`zones`: the zone switch's line for each zone, the strictest first; while none is closed, the wearer is in the
    policy's initial zone."""

    zones: Annotated[dict[Word, _Pin], msgspec.Meta(max_length=16)] = {}


class Trigger(_Table, frozen=True):
    """A line that something other than a thumb makes active, and the category that it stands for. `momentary`: it is
    never active for long, so that one that stays active is stuck (a panic button; not a holster or a light bar)."""

    line: _Pin
    category: Word
    active: Literal["low", "high"] = "low"
    momentary: bool = False


Triggers = Annotated[dict[_TriggerName, Trigger], msgspec.Meta(max_length=16)]


class Wiring(msgspec.Struct, frozen=True):
    """All that is on GPIO lines."""

    board: Board = Board()
    switches: Switches = Switches()
    triggers: Triggers = {}

    def pins(self) -> dict[str, int]:
        """Which configuration key has which line."""
        board = {
            f"board.{name}": pin
            for name, pin in msgspec.structs.asdict(self.board).items()
            if name not in _NO_PINS and pin is not None
        }
        zones = {f"switches.zones.{name}": pin for name, pin in self.switches.zones.items()}
        return board | zones | {f"triggers.{name}.line": trigger.line for name, trigger in self.triggers.items()}


class Service(_Table, frozen=True):
    """The status file is on a file system in memory."""

    status_file: _Path = "/run/bodycam/status.json"


class Offload(_Table, frozen=True):
    """Where and how recordings are sent. `end_point`: one of those that the policy in force names; "": its only one.
    `credentials`: a file that only its owner reads. `ca`: the store's CA in PEM; none: those of the system. `state`: a
    folder of the off-load's own. `read_back`: what was sent is read from the store and compared."""

    end_point: Annotated[str, msgspec.Meta(max_length=300)] = ""
    credentials: _Path | None = None
    ca: _Path | None = None
    state: _Path = "offload"
    lock: Literal["compliance", "governance", "none"] = "compliance"
    region: Word = "us-east-1"
    part_mib: Annotated[int, msgspec.Meta(ge=5, le=64)] = 8
    every_s: Annotated[int, msgspec.Meta(ge=10, le=86_400)] = 60
    timeout_s: Annotated[int, msgspec.Meta(ge=1, le=600)] = 30
    read_back: bool = True


class _Document(_Table, frozen=True):
    device: Device
    card: Card
    identity: Identity
    policy: PolicyFiles
    recipients: Recipients
    camera: Camera = Camera()
    microphone: Microphone = Microphone()
    ring: RingSize = RingSize()
    board: Board = Board()
    switches: Switches = Switches()
    triggers: Triggers = {}
    service: Service = Service()
    offload: Offload = Offload()
    assignment: Assignment = Assignment()

    @property
    def wiring(self) -> Wiring:
        return Wiring(self.board, self.switches, self.triggers)


class Configuration(msgspec.Struct, frozen=True):
    """The configuration, with the digest by which records name it."""

    path: Path
    tables: _Document
    sha256: str

    def at(self, path: str) -> Path:
        """A path of the configuration's, relative to its folder."""
        return self.path.parent / path

    @property
    def ring_cap_bytes(self) -> int:
        return self.tables.ring.cap_mib * MIB

    @property
    def settings_sha256(self) -> str:
        """The sensor and encoder settings, by digest."""
        return hashlib.sha256(msgspec.json.encode(self.tables.camera)).hexdigest()


def read_configuration(path: Path) -> Configuration:
    """Read and check everything that can be checked without touching hardware; `ConfigurationError` otherwise."""
    document = _read(path, "give the path of a bodycam.toml")
    try:
        tables = parse_document(document, _Document)
    except DocumentError as failure:
        raise ConfigurationError(f"{path}: {failure}") from failure
    configuration = Configuration(path=path, tables=tables, sha256=hashlib.sha256(document).hexdigest())
    _check_media_key(configuration)
    _check_pins(configuration)
    _check_chatter(configuration)
    return configuration


def check_policy_fits(configuration: Configuration, policy: Policy) -> None:
    """Refuse a policy that this device is not set up for; `ConfigurationError`."""
    _check_ring_holds(configuration, policy)
    for name in configuration.tables.switches.zones:
        if name not in policy.zones:
            raise ConfigurationError(
                f"{configuration.path}: switches.zones.{name}: a zone of the policy's is wanted: "
                f"{', '.join(policy.zones)}; rename it, or take a policy with this zone"
            )
    for name, trigger in configuration.tables.triggers.items():
        if trigger.category not in policy.categories:
            raise ConfigurationError(
                f"{configuration.path}: triggers.{name}.category is {trigger.category!r}: a category of the policy's is "
                f"wanted: {', '.join(policy.categories)}; name one of them, or take a policy with this category"
            )


def check_memory(configuration: Configuration, memory_bytes: int) -> None:
    """Refuse a ring that this board's memory can't hold beside the daemon and the system."""
    segments = 2 * configuration.tables.camera.bitrate_bps // 8
    needed = BASE_BYTES + SYSTEM_BYTES + segments + int(RING_OVERHEAD * configuration.ring_cap_bytes)
    if needed > memory_bytes:
        raise ConfigurationError(
            f"{configuration.path}: ring.cap_mib is {configuration.tables.ring.cap_mib}: with it the daemon and the "
            f"system need {needed // MIB} MiB and this board has {memory_bytes // MIB} MiB; lower ring.cap_mib, or "
            "camera.bitrate_bps or the policy's pre_event.length_s with it"
        )


def _check_ring_holds(configuration: Configuration, policy: Policy) -> None:
    """Refuse a ring that can't hold the pre-event time and a stall of the card."""
    camera = configuration.tables.camera
    seconds = policy.pre_event.length_s + 1 + STALL_S
    needed = seconds * camera.bitrate_bps // 8
    if configuration.ring_cap_bytes < needed:
        raise ConfigurationError(
            f"{configuration.path}: ring.cap_mib is {configuration.tables.ring.cap_mib}: {seconds} s at "
            f"{camera.bitrate_bps} bit/s (pre-event, one segment, and a stall of {STALL_S} s) need at least "
            f"{-(-needed // MIB)}; raise ring.cap_mib or lower camera.bitrate_bps"
        )


def _check_media_key(configuration: Configuration) -> None:
    """A key and its certificate, or neither."""
    identity = configuration.tables.identity
    if (identity.media_key is None) != (identity.media_certificate is None):
        there, missing = ("key", "certificate") if identity.media_key is not None else ("certificate", "key")
        raise ConfigurationError(
            f"{configuration.path}: identity.media_{there} is given and identity.media_{missing} is not; give both, or "
            "neither for video that is not media signed"
        )


def _check_pins(configuration: Configuration) -> None:
    """One line, one purpose."""
    pins = configuration.tables.wiring.pins()
    for name, pin in pins.items():
        others = [other for other in pins if other != name and pins[other] == pin]
        if others:
            raise ConfigurationError(
                f"{configuration.path}: {name} is {pin}: {others[0]} is too; give each a line of its own"
            )


def _check_chatter(configuration: Configuration) -> None:
    """Refuse a limit on changes that the debouncing never lets a line pass."""
    board = configuration.tables.board
    if board.chatter_edges * board.debounce_ms >= 1000:
        raise ConfigurationError(
            f"{configuration.path}: board.chatter_edges is {board.chatter_edges}: with board.debounce_ms at "
            f"{board.debounce_ms} no line changes more than {1000 // board.debounce_ms} times a second; lower one of them"
        )


def _read(path: Path, way_out: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as failure:
        raise ConfigurationError(f"{path}: {failure.strerror}; {way_out}") from failure
