"""The tables of `bodycam.toml`: every key with its bounds and its unit. What joins several keys is in `device.config`."""

from typing import Annotated, Literal

import msgspec

from device.policy.inputs import Word

_Path = Annotated[str, msgspec.Meta(min_length=1, max_length=400)]
_Pin = Annotated[int, msgspec.Meta(ge=0, le=27)]
_TriggerName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,39}\Z")]
_NO_PINS = ("debounce_ms", "stuck_after_s", "chatter_edges")
_Debounce = Annotated[int, msgspec.Meta(ge=1, le=60)]
_Hour = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z")]
_Percent = Annotated[int, msgspec.Meta(ge=20, le=100)]
_Recipient = Annotated[str, msgspec.Meta(pattern="^age1[0-9a-z]{50,70}$")]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The root of the tables."""


class Device(Table, frozen=True):
    """`id` stands in every record."""

    id: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")]


class Card(Table, frozen=True):
    """Where evidence goes: a folder on a partition of its own. Below `full_below_mib` free no recording starts."""

    path: _Path
    full_below_mib: Annotated[int, msgspec.Meta(ge=4, le=65_536)] = 64


class Pkcs11(Table, frozen=True):
    """The token that `pkcs11:` keys are in, as far as their URIs don't say. `module`: the maker's library. `pin_file`: its
    first line is the user's PIN; only its owner may read it."""

    module: _Path
    token: Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
    pin_file: _Path | None = None


class Tpm(Table, frozen=True):
    """`tcti`: how to reach the TPM. `attestation_key`: where the key is (`tpm:…`) that certifies the `counter`, an NV index in
    the owner's range; without it the journal is not anchored."""

    tcti: Annotated[str, msgspec.Meta(pattern=r"^(device:/|swtpm:)[^\s]{1,200}\Z")] = "device:/dev/tpmrm0"
    attestation_key: _Path | None = None
    counter: Annotated[str, msgspec.Meta(pattern=r"^0x01[89aA][0-9a-fA-F]{5}\Z")] = "0x01800b0d"


class Identity(Table, frozen=True):
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


class PolicyFiles(Table, frozen=True):
    """`bundle`: the policy that the agency offers, signed; it may be replaced while the daemon runs. `anchor`: the
    agency's CA certificate (PEM). `kept`: the daemon's own file, in a folder that it may write: the last good bundle."""

    bundle: _Path
    anchor: _Path
    kept: _Path


class Assignment(Table, frozen=True):
    """`file`: who wears the camera, written at the start of a shift; it may come and go while the daemon runs."""

    file: _Path = "assignment.toml"


class Recipients(Table, frozen=True):
    """Who can open: `footage` pictures and sound, `context` names and places. age recipients."""

    footage: Annotated[tuple[_Recipient, ...], msgspec.Meta(min_length=1, max_length=8)]
    context: Annotated[tuple[_Recipient, ...], msgspec.Meta(min_length=1, max_length=8)]


class Camera(Table, frozen=True):
    """`longest_exposure_us`: no picture is exposed longer, so that what moves stays sharp; never more than the time of one
    picture. `exposure`: `short` takes gain before time in poor light, `normal` time before gain."""

    width: Annotated[int, msgspec.Meta(ge=160, le=1920, multiple_of=2)] = 1920
    height: Annotated[int, msgspec.Meta(ge=90, le=1088, multiple_of=2)] = 1080
    rate_hz: Annotated[int, msgspec.Meta(ge=5, le=60)] = 30
    bitrate_bps: Annotated[int, msgspec.Meta(ge=50_000, le=25_000_000)] = 8_000_000
    longest_exposure_us: Annotated[int, msgspec.Meta(ge=500, le=200_000)] = 20_000
    exposure: Literal["short", "normal"] = "short"

    @property
    def period_us(self) -> int:
        return round(1_000_000 / self.rate_hz)


class Overlay(Table, frozen=True):
    """The text that is burned into the pictures: where it stands, and how large."""

    enabled: bool = True
    position: Literal["top-left", "top-right", "bottom-left", "bottom-right"] = "bottom-left"
    size: Literal["small", "normal", "large"] = "normal"


class Lens(Table, frozen=True):
    """Whether a covered, dark, blurred or frozen lens is told, and how soon it is called so."""

    enabled: bool = True
    sensitivity: Literal["low", "normal", "high"] = "normal"


class Microphone(Table, frozen=True):
    """`device`: as ALSA names it (`arecord -L`)."""

    enabled: bool = True
    device: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_:=,.-]{0,63}\Z")] = "default"
    rate_hz: Literal[16_000, 32_000, 44_100, 48_000] = 48_000
    channels: Annotated[int, msgspec.Meta(ge=1, le=2)] = 1
    bitrate_bps: Annotated[int, msgspec.Meta(ge=24_000, le=192_000)] = 64_000


class RingSize(Table, frozen=True):
    """The ring's cap on payload, in MiB."""

    cap_mib: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 64


class Board(Table, frozen=True):
    """GPIO numbers (BCM). Unless `lines` says otherwise, inputs close to ground. A button that is held for more than
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
    dock: _Pin | None = None
    debounce_ms: _Debounce = 20
    stuck_after_s: Annotated[int, msgspec.Meta(ge=12, le=120)] = 20
    chatter_edges: Annotated[int, msgspec.Meta(ge=16, le=100)] = 20


Level = Literal["low", "high"]
Pull = Literal["rest", "up", "down", "none"]


class InputLine(Table, frozen=True):
    """`active`: the level that means pressed, on or closed. `pull`: the Pi's own resistor; `rest` pulls to the other level,
    `none` leaves the line to a resistor outside."""

    active: Level = "low"
    pull: Pull = "rest"

    @property
    def pulled(self) -> Literal["up", "down", "none"]:
        if self.pull == "rest":
            return "up" if self.active == "low" else "down"
        return self.pull


class ContactLine(InputLine, frozen=True):
    """`debounce_ms`: this line's own; none: the board's."""

    debounce_ms: _Debounce | None = None


class OutputLine(Table, frozen=True):
    """`active`: the level that switches it on."""

    active: Level = "high"


class Lines(Table, frozen=True):
    """How each line of the board's is wired; `zones` is for every line of the zone switch, and a trigger says it itself."""

    record_button: ContactLine = ContactLine()
    function_button: ContactLine = ContactLine()
    sleep_switch: ContactLine = ContactLine()
    dock: ContactLine = ContactLine()
    zones: ContactLine = ContactLine()
    battery_low: InputLine = InputLine()
    battery_critical: InputLine = InputLine()
    recording_light: OutputLine = OutputLine()
    ready_light: OutputLine = OutputLine()
    buzzer: OutputLine = OutputLine()
    vibration: OutputLine = OutputLine()


class LightLevels(Table, frozen=True):
    """How bright both lights are while they are lit, by day and by night. Night is a window of local hours, and only while
    the wall clock is known; it may pass midnight. Never below 20 percent: a light that is lit is seen (R12)."""

    day_percent: _Percent = 100
    night_percent: _Percent = 100
    night_from: _Hour = "22:00"
    night_until: _Hour = "06:00"


class Switches(Table, frozen=True):
    """`zones`: the zone switch's line for each zone, the strictest first; while none is closed, the wearer is in the
    policy's initial zone."""

    zones: Annotated[dict[Word, _Pin], msgspec.Meta(max_length=16)] = {}


class Trigger(ContactLine, frozen=True, kw_only=True):
    """A line that something other than a thumb makes active, and the category that it stands for. `momentary`: it is
    never active for long, so that one that stays active is stuck (a panic button; not a holster or a light bar)."""

    line: _Pin
    category: Word
    momentary: bool = False


Triggers = Annotated[dict[_TriggerName, Trigger], msgspec.Meta(max_length=16)]


class Wiring(msgspec.Struct, frozen=True):
    """All that is on GPIO lines."""

    board: Board = Board()
    switches: Switches = Switches()
    triggers: Triggers = {}
    lines: Lines = Lines()
    lights: LightLevels = LightLevels()

    def pins(self) -> dict[str, int]:
        """Which configuration key has which line."""
        board = {
            f"board.{name}": pin
            for name, pin in msgspec.structs.asdict(self.board).items()
            if name not in _NO_PINS and pin is not None
        }
        zones = {f"switches.zones.{name}": pin for name, pin in self.switches.zones.items()}
        return board | zones | {f"triggers.{name}.line": trigger.line for name, trigger in self.triggers.items()}

    def inputs(self) -> dict[str, tuple[int, InputLine]]:
        """Of those that are inputs, the line and how it is wired, by the same keys."""
        of_board = msgspec.structs.asdict(self.lines)
        found: dict[str, tuple[int, InputLine]] = {}
        for key, pin in self.pins().items():
            table, name, *_ = key.split(".")
            line = self.triggers[name] if table == "triggers" else of_board["zones" if table == "switches" else name]
            if isinstance(line, InputLine):
                found[key] = (pin, line)
        return found


class Service(Table, frozen=True):
    """The status file is on a file system in memory."""

    status_file: _Path = "/run/bodycam/status.json"


class Health(Table, frozen=True):
    """What is looked at of the device itself. `fuel_gauge`: the battery has one, which the system shows; not together with
    battery lines. At or below `battery_…` it is low, or critical; 0 mV: the voltage is not looked at. From `shed_…_c` on,
    the processor's temperature in °C, the overlay goes, the bit rate falls to `shed_bitrate_percent`, the frame rate to
    `shed_rate_hz`; each comes back when it is `cooler_by_c` cooler, and none within `dwell_s` of the one before. From
    `critical_c` on it is told. Below `memory_low_mib` left memory is low."""

    fuel_gauge: bool = False
    battery_low_percent: Annotated[int, msgspec.Meta(ge=2, le=90)] = 20
    battery_critical_percent: Annotated[int, msgspec.Meta(ge=1, le=89)] = 8
    battery_low_mv: Annotated[int, msgspec.Meta(ge=0, le=20_000)] = 3_400
    battery_critical_mv: Annotated[int, msgspec.Meta(ge=0, le=20_000)] = 3_200
    shed_overlay_c: Annotated[int, msgspec.Meta(ge=30, le=100)] = 70
    shed_bitrate_c: Annotated[int, msgspec.Meta(ge=30, le=100)] = 74
    shed_rate_c: Annotated[int, msgspec.Meta(ge=30, le=100)] = 78
    critical_c: Annotated[int, msgspec.Meta(ge=30, le=110)] = 84
    cooler_by_c: Annotated[int, msgspec.Meta(ge=1, le=30)] = 5
    dwell_s: Annotated[int, msgspec.Meta(ge=4, le=600)] = 30
    shed_bitrate_percent: Annotated[int, msgspec.Meta(ge=10, le=100)] = 50
    shed_rate_hz: Annotated[int, msgspec.Meta(ge=5, le=60)] = 15
    memory_low_mib: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 24


class Offload(Table, frozen=True):
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


class Document(Table, frozen=True):
    device: Device
    card: Card
    identity: Identity
    policy: PolicyFiles
    recipients: Recipients
    camera: Camera = Camera()
    overlay: Overlay = Overlay()
    lens: Lens = Lens()
    microphone: Microphone = Microphone()
    ring: RingSize = RingSize()
    board: Board = Board()
    switches: Switches = Switches()
    triggers: Triggers = {}
    health: Health = Health()
    lines: Lines = Lines()
    lights: LightLevels = LightLevels()
    service: Service = Service()
    offload: Offload = Offload()
    assignment: Assignment = Assignment()

    @property
    def wiring(self) -> Wiring:
        return Wiring(self.board, self.switches, self.triggers, self.lines, self.lights)
