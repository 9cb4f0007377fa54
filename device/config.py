"""`bodycam.toml`, read once into one frozen object. Every key has bounds and a unit; an unknown key is an error.

Relative paths are relative to the configuration file's folder.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from device.errors import ConfigurationError
from device.policy.document import MAX_DOCUMENT_BYTES, DocumentError, parse_document
from device.tables import ContactLine, Document

if TYPE_CHECKING:
    from device.policy.model import Policy

MIB = 1024 * 1024
BASE_BYTES = 160 * MIB
"""The daemon without its ring, with picamera2, libcamera, numpy and PyAV: 130 MiB resident, measured by the camera's lane; and
30 MiB, an estimate, of picture buffers of 1080p, which are the board's memory but not the process's. See docs/benchmarks.md."""
SYSTEM_BYTES = 160 * MIB
"""What a 64-bit Raspberry Pi OS Lite keeps for itself on a Zero 2 W."""
RING_OVERHEAD = 1.06
"""Resident memory over the ring's payload: measured, see docs/benchmarks.md."""
STALL_S = 10
"""How long a card may stall before the ring refuses frames, at the configured bit rate."""


class Configuration(msgspec.Struct, frozen=True):
    """The configuration, with the digest by which records name it."""

    path: Path
    tables: Document
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
        tables = parse_document(document, Document)
    except DocumentError as failure:
        raise ConfigurationError(f"{path}: {failure}") from failure
    configuration = Configuration(path=path, tables=tables, sha256=hashlib.sha256(document).hexdigest())
    _check_media_key(configuration)
    _check_pins(configuration)
    _check_pulls(configuration)
    _check_chatter(configuration)
    _check_health(configuration)
    return configuration


def check_policy_fits(configuration: Configuration, policy: "Policy") -> None:
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
            f"system need {-(-needed // MIB)} MiB and this board has {memory_bytes // MIB} MiB; lower ring.cap_mib, or "
            "camera.bitrate_bps or the policy's pre_event.length_s with it"
        )


def _check_ring_holds(configuration: Configuration, policy: "Policy") -> None:
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
    tables = configuration.tables
    edges = tables.board.chatter_edges
    own = {f"lines.{name}": line for name, line in msgspec.structs.asdict(tables.lines).items()}
    own |= {f"triggers.{name}": trigger for name, trigger in tables.triggers.items()}
    bounces = {f"{key}.debounce_ms": line.debounce_ms for key, line in own.items() if isinstance(line, ContactLine)}
    for key, debounce_ms in ({"board.debounce_ms": tables.board.debounce_ms} | bounces).items():
        if debounce_ms is not None and edges * debounce_ms >= 1000:
            raise ConfigurationError(
                f"{configuration.path}: board.chatter_edges is {edges}: with {key} at {debounce_ms} no line changes more "
                f"than {1000 // debounce_ms} times a second; lower one of them"
            )


def _check_pulls(configuration: Configuration) -> None:
    """Refuse a pull that a line of the header can't have: GPIO 2 and 3 have resistors to 3.3 V on every Pi."""
    for key, (pin, line) in configuration.tables.wiring.inputs().items():
        if pin in (2, 3) and line.pulled != "up":
            raise ConfigurationError(
                f"{configuration.path}: {key} is {pin}: GPIO 2 and 3 have a resistor to 3.3 V on every Pi, and this line's "
                f'pull is "{line.pulled}"; take another line, or pull it up'
            )


def _check_health(configuration: Configuration) -> None:
    """The battery has one source, and limits come in their order."""
    health, board = configuration.tables.health, configuration.tables.board
    if health.fuel_gauge and (board.battery_low is not None or board.battery_critical is not None):
        line = "battery_low" if board.battery_low is not None else "battery_critical"
        raise ConfigurationError(
            f"{configuration.path}: health.fuel_gauge is true and board.{line} is given: the battery has one source; take "
            "one of them out"
        )
    rising = ("battery_critical_percent", "battery_low_percent"), ("battery_critical_mv", "battery_low_mv")
    hotter = ("shed_overlay_c", "shed_bitrate_c"), ("shed_bitrate_c", "shed_rate_c"), ("shed_rate_c", "critical_c")
    for lower, upper in (*rising, *hotter):
        below, above = getattr(health, lower), getattr(health, upper)
        if below >= above and (below or above):
            raise ConfigurationError(
                f"{configuration.path}: health.{lower} is {below}: it must be below health.{upper}, which is {above}; "
                "lower it, or raise the other"
            )


def _read(path: Path, way_out: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as failure:
        raise ConfigurationError(f"{path}: {failure.strerror}; {way_out}") from failure
