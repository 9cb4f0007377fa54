"""Write the parts of these pages that are made from the code: `python -m docs.refresh`, from the project's folder.

A part stands between `<!-- made: NAME -->` and `<!-- end -->`. tests/test_docs.py says when one is stale. Record
examples differ in every run (keys are new), so they are checked for being whole records, not compared.
"""

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec

from device.config import Configuration, read_configuration
from device.errors import CannotPersist
from device.evidence import layout
from device.evidence.envelope import open_line
from device.evidence.records import Record
from device.policy import commands as do
from device.policy import inputs as on
from device.policy import signals
from device.policy.differences import KEYS
from device.policy.gestures import Told
from device.policy.machine import TABLE
from device.policy.model import Policy, parse_policy
from device.policy.state import RESTING, Deadlines, Event, Explaining, Moment, Phase, State
from device.selftest import self_test
from device.selftest_machine import Machine
from device.tables import Board
from docs.wiring import svg
from hw_sim.agency import Agency, Bench
from hw_sim.clock import VirtualClock, VirtualTime
from hw_sim.disk import TwinDisk
from hw_sim.hardware import TwinHardware
from hw_sim.scenario import find, read_scenario, shipped
from hw_sim.tpm import TwinTpm
from hw_sim.virtual import VirtualDevice
from tests import fault_table
from tests.alteration_table import CLIP_HEAD, FILE_HEAD, expected_clips, expected_files
from tests.alterations import CLASSES, expected, table
from tests.benches import FIRST_PROFILE, make_bench, recordings
from tests.stores import Store

DOCS = Path(__file__).resolve().parent
_PART = re.compile(r"(?<=<!-- made: )([a-z-]+)( -->\n)(.*?)(?=<!-- end -->)", re.DOTALL)
_CUT_AGE = 44
"""Sealed blobs, and what the outside signed, are cut to so many characters in examples."""
FULL_BYTES = 30_000_000
"""A card so small that room is made on it."""


# -- the policy machine ---------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """An event as it may come, and what is different in the state before it."""

    came: on.Input | None = None
    before: Mapping[str, object] = {}


_AT_US = 100_000_000
_DUE = Deadlines(*[_AT_US] * len(Deadlines.__struct_fields__))
# The first of an event's cases stands in the table, all of them in the diagram. An event that is not here has one case.
_CASES: Mapping[Event, tuple[Case, ...]] = {
    Event.MUTE_OVER: (Case(before={"muted": True}),),
    Event.NOTICE_OVER: (Case(before={"deadlines": _DUE}),),
    Event.JUSTIFY_OVER: (Case(before={"zone": "private"}),),
    Event.COUNTED: (Case(before={"explaining": Explaining(1)}),),
    Event.COUNT_OVER: (Case(before={"explaining": Explaining(1, presses=1)}),),
    Event.REASON_OVER: (Case(before={"explaining": Explaining(1)}),),
    Event.ZONE_ENTERED: (
        Case(on.ZoneEntered(at_us=_AT_US, zone="private")),
        Case(on.ZoneEntered(at_us=_AT_US, zone="street"), {"zone": "private", "paused_by_zone": True}),
    ),
    Event.TRIGGERED: (Case(on.Triggered(at_us=_AT_US, trigger="holster", category="use-of-force")),),
    Event.SLEEP_SWITCHED: (
        Case(on.SleepSwitched(at_us=_AT_US, on=True)),
        Case(on.SleepSwitched(at_us=_AT_US, on=False)),
    ),
    Event.DOCKED: (Case(on.Docked(at_us=_AT_US, on=True)),),
    Event.ASSIGNED: (Case(on.Assigned(at_us=_AT_US, officer="b-1", role="officer", unit="", shift="")),),
    Event.LEVEL_CHANGED: (Case(on.LevelChanged(at_us=_AT_US, part="battery", level="low")),),
    Event.READINESS: (Case(on.Readiness(at_us=_AT_US, ready=False, reason="storage-full")),),
    Event.FAULT_CHANGED: (Case(on.FaultChanged(at_us=_AT_US, part="camera", present=True)),),
    Event.PRE_EVENT_HAD: (Case(on.PreEventHad(at_us=_AT_US, recording=1, had_us=1)),),
    Event.RECORDER_CLOSED: (Case(on.RecorderClosed(at_us=_AT_US, recording=1, how="failed")),),
    Event.CLOCK_STEPPED: (Case(on.ClockStepped(at_us=_AT_US, step_us=1)),),
    Event.SHUTDOWN_ASKED: (Case(on.ShutdownAsked(at_us=_AT_US)),),
}


def cases(event: Event) -> tuple[Case, ...]:
    return _CASES.get(event, (Case(),))


def reaction(policy: Policy, event: Event, phase: Phase, case: Case) -> tuple[Phase, list[str]]:
    """What the table's action does in a phase, under the first profile: the next phase, and the commands in words."""
    state = State(now_us=_AT_US, zone="street", phase=phase, recording=1, category="officer-discretion")
    state = msgspec.structs.replace(state, **case.before)
    if state.explaining is not None and phase in RESTING:
        state = msgspec.structs.replace(state, explaining=msgspec.structs.replace(state.explaining, closed=True))
    moment = Moment(state, policy, _AT_US, _AT_US, told=Told("press", _AT_US), came=case.came)
    after, commands = TABLE[event][phase](moment)
    return after.phase, [_words(command) for command in commands]


def _words(command: do.Command) -> str:
    kind = str(type(command).__struct_config__.tag)
    match command:
        case do.Cue():
            return f"cue *{command.cue}*"
        case do.Close():
            return f"close ({command.how})"
        case do.EnterStage():
            return f"stage {command.stage}"
        case do.Note():
            return f"note {command.what}"
        case do.Prompt() | do.Lapse():
            return f"{kind} {command.about}"
        case do.Deny():
            return f"deny {command.what}"
        case _:
            return kind


def policy_table(policy: Policy) -> str:
    heads = [phase.value for phase in Phase]
    lines = [f"| event | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for event in Event:
        cells = []
        for phase in Phase:
            after, words = reaction(policy, event, phase, cases(event)[0])
            moved = "" if after is phase else f" → **{after.value}**"
            cells.append((", ".join(words) + moved).strip() or "–")
        lines.append(f"| {event.value} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def policy_diagram(policy: Policy) -> str:
    edges: dict[tuple[Phase, Phase], list[str]] = {}
    every = [
        (event, Case(case.came, {**case.before, "sleep_wanted": asleep}), phase)
        for event in Event
        for case in cases(event)
        for asleep in (False, True)
        for phase in Phase
    ]
    for event, case, phase in every:
        after, _ = reaction(policy, event, phase, case)
        causes = edges.setdefault((phase, after), [])
        if event.value not in causes:
            causes.append(event.value)
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> idle"]
    lines += [f"    {_id(phase)}: {phase.value}" for phase in Phase]
    lines += [f"    {_id(a)} --> {_id(b)}: {', '.join(events)}" for (a, b), events in edges.items() if a is not b]
    return "\n".join([*lines, "```"]) + "\n"


def _id(phase: Phase) -> str:
    return phase.value.replace("-", "_")


# -- lights and cues ------------------------------------------------------------------------------------------------


def light_table() -> str:
    """The rows of the lights, in their order; an empty cell: the row does not speak for that light."""
    lines = ["| | state | recording light | ready light | what it means |", "|---|---|---|---|---|"]
    for number, row in enumerate(signals.INDICATIONS, 1):
        shown = [pattern.looks if pattern else "" for pattern in (row.recording, row.ready)]
        lines.append(f"| {number} | {row.name} | {shown[0]} | {shown[1]} | {row.meaning} |")
    return "\n".join(lines) + "\n"


def no_daemon() -> str:
    """What the fault light shows."""
    looks = signals.CANNOT_START.looks
    return (
        "| state | recording light | ready light | what it means |\n|---|---|---|---|\n"
        f"| cannot-start | dark | {looks} | nothing is recorded, whatever is pressed: hand the camera in |\n"
    )


def cue_table() -> str:
    lines = ["| cue | vibration | buzzer | priority | what it means |", "|---|---|---|---|---|"]
    for name, cue in signals.CUES.items():
        felt, heard = signals.in_words(cue.vibration), signals.in_words(cue.buzzer)
        lines.append(f"| {name} | {felt} | {heard} | {cue.priority} | {cue.meaning} |")
    return "\n".join(lines) + "\n"


# -- keys of documents ----------------------------------------------------------------------------------------------


def table_keys(into: type) -> Iterator[tuple[str, Any, msgspec.structs.FieldInfo]]:
    """Every key of a TOML document's type, as `table.key`; a table of tables has `NAME` for its entries' names."""
    for field in msgspec.structs.fields(into):
        kind, _ = _plain(field.type)
        if get_origin(kind) is dict:
            entries, _ = _plain(get_args(kind)[1])
            if not issubclass(entries, msgspec.Struct):
                yield f"{field.encode_name}.NAME", get_args(kind)[1], field
                continue
            for key, entry, info in table_keys(entries):
                yield f"{field.encode_name}.NAME.{key}", entry, info
        elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            for key, entry, info in table_keys(kind):
                yield f"{field.encode_name}.{key}", entry, info
        else:
            yield field.encode_name, field.type, field


def _plain(kind: Any) -> tuple[Any, list[msgspec.Meta]]:
    metas: list[msgspec.Meta] = []
    while get_origin(kind) in (Annotated, Union, UnionType):
        kind, *more = get_args(kind)
        metas += [meta for meta in more if isinstance(meta, msgspec.Meta)]
    return kind, metas


def bounds(kind: Any) -> str:
    """A type and its limits in words."""
    plain, metas = _plain(kind)
    said: list[str] = []
    for meta in metas:
        if meta.ge is not None or meta.le is not None or meta.lt is not None:
            most = meta.le if meta.le is not None else None if meta.lt is None else int(meta.lt) - 1
            said.append(f"{meta.ge} to {most}")
        if meta.multiple_of is not None:
            said.append(f"a multiple of {meta.multiple_of}")
        unit = "entries" if get_origin(plain) is tuple else "characters"
        if meta.min_length is not None or meta.max_length is not None:
            said.append(f"{meta.min_length or 0} to {meta.max_length} {unit}")
        if meta.pattern is not None:
            said.append("`" + meta.pattern.replace("|", "\\|") + "`")
    if get_origin(plain) is Literal:
        said.append("one of " + ", ".join(f"`{choice}`" for choice in get_args(plain)))
    if get_origin(plain) is tuple:
        said.append(f"each {bounds(get_args(plain)[0])}")
    names = {int: "integer", str: "text", bool: "true or false", dict: "table", tuple: "list"}
    name = names.get(get_origin(plain) or plain, "word")
    return ", ".join([name, *said])


def default(info: msgspec.structs.FieldInfo) -> str:
    if info.default is None or info.default_factory is not msgspec.NODEFAULT:
        return "none"
    if info.default is msgspec.NODEFAULT:
        return "must be given"
    return f"`{json.dumps(info.default)}`"


def keys_page(into: type, meanings: Mapping[str, tuple[str, str]]) -> str:
    """A table of a document's keys. `meanings` has the unit and the meaning of each, and of no other."""
    keys = list(table_keys(into))
    unknown = {name for name, _, _ in keys} ^ set(meanings)
    assert not unknown, f"keys without a meaning here, or meanings without a key: {sorted(unknown)}"
    lines = ["| key | unit | what it is | bounds | default |", "|---|---|---|---|---|"]
    for name, kind, info in keys:
        unit, meaning = meanings[name]
        lines.append(f"| `{name}` | {unit} | {meaning} | {bounds(kind)} | {default(info)} |")
    return "\n".join(lines) + "\n"


_CONTACTS = ("record_button", "function_button", "sleep_switch", "dock", "zones")

CONFIGURATION: Mapping[str, tuple[str, str]] = {
    "device.id": ("–", "the device's name; stands in every record, and in its certificate"),
    "card.path": ("path", "where evidence goes: a folder on a partition of its own; it must exist"),
    "card.full_below_mib": (
        "MiB",
        "with less free than this no recording starts, and an open one closes on the reserve",
    ),
    "identity.certificate": ("path", "the device's certificate for the role ledger, DER"),
    "identity.key": (
        "–",
        "its private key: a PEM file (development only), `pkcs11:…`, `tpm:0x81…` or `tpm:FILE`; see [provisioning](provisioning.md)",
    ),
    "identity.provisioning": ("path", "the agency's signed statement about this device, one line"),
    "identity.provisioner": ("path", "the certificate of the one who signed the statement, DER"),
    "identity.rotation": (
        "path",
        "where this key took the place of another: what both signed; not needed without that",
    ),
    "identity.media_certificate": (
        "path",
        "the device's certificate for signing within the pictures, DER; with `media_key`, or neither",
    ),
    "identity.media_key": ("–", "where its private key is, as above; without both, pictures are not media signed"),
    "identity.pkcs11.module": ("path", "the library of the token's maker, where the key's URI names none"),
    "identity.pkcs11.token": ("–", "the token's label, where the key's URI names none"),
    "identity.pkcs11.pin_file": ("path", "its first line is the token's PIN; only its owner may read it"),
    "identity.tpm.tcti": ("–", "how to reach the TPM: a device, or the simulator `swtpm:host=…,port=…`"),
    "identity.tpm.attestation_key": (
        "–",
        "`tpm:0x81…` or `tpm:FILE`: the key that certifies the counter; without it the journal is not anchored",
    ),
    "identity.tpm.counter": ("–", "the counter's NV index, in the owner's range"),
    "policy.bundle": ("path", "the policy that the agency offers, signed; it may be replaced while the daemon runs"),
    "policy.anchor": (
        "path",
        "the agency's CA certificate, PEM: policies, receipts and words that date the journal are taken only under it",
    ),
    "policy.kept": ("path", "the daemon's own copy of the bundle in force, in a folder that it may write"),
    "recipients.footage": ("–", "who can open pictures and sound: age recipients"),
    "recipients.context": ("–", "who can open category, zone and reasons: age recipients"),
    "camera.width": ("pixels", "of the picture"),
    "camera.height": ("pixels", "of the picture"),
    "camera.rate_hz": ("Hz", "pictures a second"),
    "camera.bitrate_bps": ("bit/s", "what the encoder aims at"),
    "camera.longest_exposure_us": ("µs", "of one picture, so that what moves stays sharp; the rate limits it further"),
    "camera.exposure": ("", "in poor light: `short` gain before time, `normal` time before gain"),
    "overlay.enabled": ("–", "whether date, time, device and state are burned into the pictures"),
    "overlay.position": ("–", "the corner in which the text stands"),
    "overlay.size": ("–", "the letters: 1/45, 1/30 or 1/20 of the picture's height, at least 16 pixels"),
    "lens.enabled": ("–", "whether a covered, dark, blurred or frozen lens is told"),
    "lens.sensitivity": ("–", "how soon a picture is called covered or blurred"),
    "microphone.enabled": ("–", "whether there is a sound track"),
    "microphone.device": (
        "–",
        "the sound card, as ALSA names it: `arecord -L` lists them; see [sound](design/sound.md)",
    ),
    "microphone.rate_hz": ("Hz", "samples a second"),
    "microphone.channels": ("–", "1: mono, 2: stereo"),
    "microphone.bitrate_bps": ("bit/s", "what the AAC encoder aims at"),
    "ring.cap_mib": ("MiB", "most payload that the ring may hold; see [the ring](design/ring.md)"),
    "board.record_button": ("BCM number", "the record button's line; it closes to ground"),
    "board.function_button": ("BCM number", "the function button's line; it closes to ground"),
    "board.recording_light": ("BCM number", "the light that the public sees"),
    "board.ready_light": ("BCM number", "the light that the wearer sees"),
    "board.buzzer": ("BCM number", "on while a cue sounds"),
    "board.vibration": ("BCM number", "on while a cue is felt"),
    "board.sleep_switch": ("BCM number", "the sleep switch's line; it closes to ground while it is on"),
    "board.battery_low": ("BCM number", "the power supply pulls this line to ground while the battery is low"),
    "board.battery_critical": ("BCM number", "the same, while it is nearly empty"),
    "board.dock": ("BCM number", "the dock's contact, on while the camera is in it; it stops no recording"),
    "board.debounce_ms": ("ms", "after an edge that counted, no other counts for so long"),
    "board.stuck_after_s": (
        "s",
        "a button, or a momentary trigger, that is held for longer is stuck: a fault until it is let go",
    ),
    "board.chatter_edges": (
        "a second",
        "a line that changes more often is broken: a fault until it has been quiet for 2 s",
    ),
    "switches.zones.NAME": (
        "BCM number",
        "the zone switch's line for this zone of the policy's; it closes to ground. The strictest zone is listed first",
    ),
    "triggers.NAME.line": ("BCM number", "the trigger's line: a holster, a light bar, a panic button"),
    "triggers.NAME.category": ("–", "the category of the policy's that it stands for"),
    "triggers.NAME.active": ("–", "the level that means that it is active"),
    "triggers.NAME.pull": ("–", "as of `lines`"),
    "triggers.NAME.debounce_ms": ("ms", "as of `lines`"),
    "triggers.NAME.momentary": ("–", "whether it is never active for long, so that one that stays active is stuck"),
    **{
        f"lines.{name}.active": ("–", "the level that means pressed, closed or on")
        for name in (*_CONTACTS, "battery_low", "battery_critical")
    },
    **{
        f"lines.{name}.pull": ("–", "the Pi's own resistor; `rest`: to the other level, `none`: there is one outside")
        for name in (*_CONTACTS, "battery_low", "battery_critical")
    },
    **{f"lines.{name}.debounce_ms": ("ms", "of this line alone; none: `board.debounce_ms`") for name in _CONTACTS},
    **{
        f"lines.{name}.active": ("–", "the level that switches it on")
        for name in ("recording_light", "ready_light", "buzzer", "vibration")
    },
    "lights.day_percent": (
        "%",
        "how bright a light is that is lit; below 100 the lines are switched 100 times a second",
    ),
    "lights.night_percent": ("%", "the same, by night"),
    "lights.night_from": ("local time", "when night begins; while the time of day is not known it is day"),
    "lights.night_until": (
        "local time",
        "when it ends, on the next day if it is not later; the same time: always night",
    ),
    "assignment.file": ("path", "who wears the camera; there need be no such file"),
    "health.fuel_gauge": (
        "–",
        "the battery has a fuel gauge that the system shows; see [battery](design/health.md#battery)",
    ),
    "health.battery_low_percent": ("%", "at or below it the battery is low"),
    "health.battery_critical_percent": ("%", "at or below it the battery is critical"),
    "health.battery_low_mv": ("mV", "at or below it the battery is low, whatever the per cent; 0: not looked at"),
    "health.battery_critical_mv": ("mV", "at or below it the battery is critical"),
    "health.shed_overlay_c": (
        "°C",
        "of the processor: from here on the overlay is off; see [heat](design/health.md#heat)",
    ),
    "health.shed_bitrate_c": ("°C", "from here on the bit rate is lowered"),
    "health.shed_rate_c": ("°C", "from here on the frame rate is lowered"),
    "health.critical_c": ("°C", "from here on it is told as critical"),
    "health.cooler_by_c": ("°C", "so much cooler, and a step is taken back"),
    "health.dwell_s": ("s", "least time between two steps"),
    "health.shed_bitrate_percent": ("%", "of `camera.bitrate_bps`, when it is lowered"),
    "health.shed_rate_hz": ("Hz", "frames a second, when the rate is lowered; never more than `camera.rate_hz`"),
    "health.memory_low_mib": ("MiB", "with less left, memory is low"),
    "service.status_file": ("path", "what `bodycam status` reads; on a file system in memory"),
    "offload.end_point": ("–", "one of the policy's end points; empty: the only one that it names"),
    "offload.credentials": ("path", "access key and secret key for the store, TOML; readable by its owner alone"),
    "offload.ca": ("path", "the CA of the store's TLS certificate, PEM; none: those that the system trusts"),
    "offload.state": ("path", "a folder of the off-load's own: what it has sent; losing it costs only work"),
    "offload.lock": (
        "–",
        "object lock that is asked for until the policy's retention has passed; none: for a store without",
    ),
    "offload.region": ("–", "of the S3 store, as its signatures want it"),
    "offload.part_mib": ("MiB", "what a cut link costs at most; also the memory that sending takes"),
    "offload.every_s": ("s", "with --watch: between two looks"),
    "offload.timeout_s": ("s", "how long the store may be silent"),
    "offload.read_back": ("–", "read what was sent from the store and compare; off: only the receipt proves it"),
}

_UNITS = {"_ms": "ms", "_s": "s", "_hours": "h", "days": "days"}


def policy_keys() -> str:
    """Every table of a policy with what it says of itself, and its keys."""
    plain, tables = [], []
    for field in msgspec.structs.fields(Policy):
        kind, _ = _plain(field.type)
        arguments = get_args(kind)
        entry = arguments[-1] if get_origin(kind) is dict else arguments[0] if get_origin(kind) is tuple else kind
        if not issubclass(_plain(entry)[0], msgspec.Struct):
            plain.append(_policy_key(field.encode_name, field.encode_name, field.type))
            continue
        heading = f"{field.encode_name}.NAME" if get_origin(kind) is dict else field.encode_name
        named = f"`[{heading}]`" if get_origin(kind) is not tuple else f"`[[{heading}]]`"
        tables += ["", f"{named}: {' '.join((entry.__doc__ or '').split())}", "", *_POLICY_HEAD]
        tables += [
            _policy_key(key.encode_name, f"{heading.replace('NAME', '*')}.{key.encode_name}", key.type)
            for key in msgspec.structs.fields(entry)
            if key.encode_name != "source"
        ]
    return "\n".join([*_POLICY_HEAD, *plain, *tables]) + "\n"


_POLICY_HEAD = ("| key | what it is | unit | bounds |", "|---|---|---|---|")


def _policy_key(name: str, path: str, kind: Any) -> str:
    unit = next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), "–")
    subject = KEYS[path][0].format(name="NAME").rstrip(",") if path in KEYS else "–"
    return f"| `{name}` | {subject} | {unit} | {bounds(kind)} |"


def _configuration_type() -> type:
    kind: type = next(f.type for f in msgspec.structs.fields(Configuration) if f.name == "tables")
    return kind


# -- real records ---------------------------------------------------------------------------------------------------


def story(folder: Path) -> Iterator[Path]:
    """Play a day on the twin that makes every type of record; the cards it leaves."""
    agency, tpm = Agency(), TwinTpm()
    first = make_bench(folder / "first", agency=agency, pre_event_s=2)
    anchor_by(first, agency, tpm)
    device = VirtualDevice(first, make_witness=lambda _: tpm)
    device.boot()
    _record_with_mishaps(device)
    device.double()
    device.run(3)
    device.cut()
    tpm.increment()
    device.boot()
    device.run(2)
    store = Store(agency, first.card)
    store.cosign()
    store.give(recordings(first)[0].name)
    device.run(5)
    assert isinstance(device.hardware.the_disk, TwinDisk)
    device.hardware.the_disk.full_at(FULL_BYTES)
    device.run(5)
    device.stop()
    _self_test(first, device.clock)
    yield first.card
    second = make_bench(folder / "second", agency=agency, device="BC-000002", pre_event_s=2)
    shutil.rmtree(second.card)
    shutil.copytree(first.card, second.card)
    other = VirtualDevice(second)
    other.boot()
    other.run(2)
    other.stop()
    yield second.card


def _self_test(bench: Bench, clock: VirtualClock) -> None:
    clock.boot_id = "boot-of-a-self-test"
    hardware, time = TwinHardware(clock), VirtualTime(clock)
    self_test(bench.config, hardware, lambda _: Machine(), None, time.pause, time)


def _record_with_mishaps(device: VirtualDevice) -> None:
    """A recording with a pause, a mute, lost frames, a stepped clock and a failed write."""
    device.run(4)
    device.double()
    device.run(1)
    device.press("function")
    device.hold("function")
    device.run(1)
    device.hold("function")
    device.hardware.the_camera.drop(3)
    device.clock.wall_offset_us += 7_000_000
    device.run(2)
    device.hardware.the_camera.stall()
    device.run(2)
    device.hardware.the_camera.resume()
    device.hold()
    device.run(6)
    device.double("function")
    device.run(2)
    device.double()
    device.run(2)
    assert isinstance(device.hardware.the_disk, TwinDisk)
    device.hardware.the_disk.fail_next("sync_file", CannotPersist, path_contains=".m4s.age")
    device.run(2)
    device.confirmed_stop()
    device.until_idle()


def anchor_by(bench: Bench, agency: Agency, tpm: TwinTpm) -> None:
    """A bench whose journal this TPM anchors, as the agency's statement says."""
    text = bench.config.read_text("utf-8")
    table = '[identity.tpm]\nattestation_key = "tpm:0x81010002"\n\n[policy]'
    bench.config.write_text(text.replace("[policy]", table), "utf-8")
    certificate = (bench.root / "device" / "device.der").read_bytes()
    device = read_configuration(bench.config).tables.device.id
    statement = agency.provision(device, certificate, attestation=tpm.attestation)
    (bench.root / "device" / "provisioning.jsonl").write_bytes(statement + b"\n")


def examples() -> dict[str, str]:
    """One real record of each type, as JSON; the header in the first one only."""
    found: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for card in story(Path(folder)):
            for file in sorted([*card.glob(f"{layout.JOURNAL}/*"), *card.glob(f"{layout.EVIDENCE}/*/*.jsonl")]):
                for line in file.read_bytes().splitlines():
                    payload = json.loads(open_line(line).payload)
                    found.setdefault(payload["type"], []).append(payload)
    chosen = {kind: _telling(kind, payloads) for kind, payloads in found.items()}
    return {kind: _printed(kind, payload) for kind, payload in chosen.items()}


def _telling(kind: str, payloads: list[dict[str, Any]]) -> dict[str, Any]:
    """The record of a type that shows most."""
    wanted: dict[str, Callable[[dict[str, Any]], bool]] = {
        "step": lambda p: bool(p["decisions"]) and p["decisions"][0]["kind"] == "open",
        "boot": lambda p: p["previous"] is not None,
        "gap": lambda p: p["cause"] == "policy",
    }
    telling = wanted.get(kind)
    return next((p for p in payloads if telling is None or telling(p)), payloads[0])


def _printed(kind: str, payload: dict[str, Any]) -> str:
    if kind not in ("recording-opened", "provisioned"):
        header = set(Record.__struct_fields__)
        payload = {key: value for key, value in payload.items() if key not in header}
    if len(payload.get("statement", "")) > _CUT_AGE:
        payload["statement"] = payload["statement"][:_CUT_AGE]
    context = payload.get("context")
    if context is not None:
        context["age"] = context["age"][:_CUT_AGE]
    if "statement" in payload:
        payload["statement"] = payload["statement"][:_CUT_AGE]
    return json.dumps(payload, indent=2, ensure_ascii=False) + "\n"


# -- scenarios ------------------------------------------------------------------------------------------------------


def scenario_table() -> str:
    """The library: name, what it shows, and of which failure or requirement."""
    lines = ["| scenario | what it shows | of |", "|---|---|---|"]
    for name in shipped():
        document = read_scenario(find(name)).document
        file = f"[{name}](../hw_sim/scenarios/{name}.toml)"
        lines.append(f"| {file} | {document.title} | {', '.join(document.shows)} |")
    return "\n".join(lines) + "\n"


# -- the pages ------------------------------------------------------------------------------------------------------


def made() -> dict[str, Callable[[], str]]:
    """The parts that are compared with what the pages hold."""
    policy = parse_policy(FIRST_PROFILE.read_bytes())
    return {
        "policy-table": lambda: policy_table(policy),
        "policy-diagram": lambda: policy_diagram(policy),
        "lights": light_table,
        "no-daemon": no_daemon,
        "cues": cue_table,
        "policy-keys": policy_keys,
        "configuration-keys": lambda: keys_page(_configuration_type(), CONFIGURATION),
        "faults": fault_table.table,
        "alteration-classes": lambda: table(map(expected, CLASSES)),
        "scenarios": scenario_table,
        "alterations-of-exports": lambda: table(expected_files(), FILE_HEAD),
        "alterations-of-clips": lambda: table(expected_clips(), CLIP_HEAD),
    }


def parts(page: Path) -> dict[str, str]:
    """The made parts of a page, by name."""
    return {match[1]: match[3] for match in _PART.finditer(page.read_text("utf-8"))}


def main() -> int:
    makers = made()
    written = {f"record-{kind}": f"```json\n{text}```\n" for kind, text in examples().items()}

    def anew(match: re.Match[str]) -> str:
        name = match[1]
        return f"{name}{match[2]}{written[name] if name in written else makers[name]()}"

    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text("utf-8")
        new = _PART.sub(anew, text)
        if new != text:
            page.write_text(new, "utf-8")
            print(f"{page.relative_to(DOCS)}: written anew")
    (DOCS / "wiring.svg").write_text(svg(Board()), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
