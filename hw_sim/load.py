"""How much a card must take: bit rates from 4 to 25 Mbit/s, on a card as fast as memory, and on one of 2 MB/s that stalls.

`python -m hw_sim.load` prints the table. The device is the real one in virtual time; a write takes as long as the card's speed
says, in the part that writes. While the ring holds, nothing may be lost. Where it can't, what was refused must stand in
signed gaps, to the picture: the ring's own count, the gaps', and what the twin gave less what is stored are compared.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
from rich.console import Console
from rich.progress import track
from rich.table import Table

from device.clock import NEVER_US, Wake
from device.evidence.identity import load_anchors
from device.evidence.verify import verify
from device.policy.model import parse_policy
from device.policy_files import shipped_profiles
from hw_sim.agency import Agency, lay_out_bench
from hw_sim.encoders import EncodedFrame, encode_clip
from hw_sim.given import Given
from hw_sim.scenes import FlatScene
from hw_sim.shift_account import account
from hw_sim.shift_run import Boot, Played
from hw_sim.slow_disk import SlowDisk, Speed
from hw_sim.tagged import TaggedCamera, TaggedClip
from hw_sim.virtual import SECOND_US, VirtualDevice

WIDTH, HEIGHT, RATE_HZ, CLIP_S = 160, 90, 30, 2
LIVE_S, WINDOW_S, STALL_S, RELIEF_S = 40, 32, 20, 10
DRAIN_LIMIT_S = 600
LEAST_RING_S, ROOMY_RING_S = 41, 75
MBITS = (4, 8, 16, 25)
MBITS_WITH_ROOM = (4, 8, 16)
"""At 25 Mbit/s a roomy ring is more than a board of 512 MB has: the configuration refuses it."""
MIB = 1 << 20
CARD_BYTES_PER_S = 2_000_000
_FILLER_NAL = b"\0\0\0\1\x0c"
_END = b"\x80"


class Case(msgspec.Struct, frozen=True):
    """`card_bytes_per_s`: 0 for as fast as memory. `stalls`: one write of `STALL_S` at the press, when the whole pre-event time
    waits for the card, the second `relief_s` after the first has ended. `ring_s`: how many seconds at this rate the ring holds;
    the least that the configuration takes is for a stall of 10 s."""

    bitrate_bps: int
    card_bytes_per_s: int = 0
    stalls: Literal[0, 1, 2] = 0
    ring_s: int = LEAST_RING_S
    live_s: int = LIVE_S
    relief_s: int = RELIEF_S

    @property
    def ring_mib(self) -> int:
        return self.ring_s * self.bitrate_bps // 8 // MIB + 1


class Loaded(msgspec.Struct, frozen=True):
    """What came of a case. Pictures: `given` in the recording's time, `stored`, `refused` by the ring as it counted until
    the recording's end,
    `in_gaps` as signed. `behind_s`: how long after the recording's end its last was durable."""

    case: Case
    given: int
    stored: int
    refused: int
    in_gaps: int
    missing: dict[str, int]
    most_held_mib: float
    behind_s: float
    verdict: str
    troubles: tuple[str, ...]

    @property
    def exact(self) -> bool:
        """Every picture is stored or counted, three times alike."""
        return not self.troubles and self.refused == self.in_gaps == self.given - self.stored


CASES = (
    *(Case(mbit * 1_000_000) for mbit in MBITS),
    *(Case(mbit * 1_000_000, CARD_BYTES_PER_S, 2) for mbit in MBITS),
    *(Case(mbit * 1_000_000, CARD_BYTES_PER_S, 2, ROOMY_RING_S) for mbit in MBITS_WITH_ROOM),
)


def padded(clip: Sequence[EncodedFrame], bitrate_bps: int, rate_hz: int) -> list[EncodedFrame]:
    """Each access unit filled up to its share with filler data, which decoders pass over."""
    share = bitrate_bps // 8 // rate_hz
    return [
        EncodedFrame(
            frame.data + _FILLER_NAL + b"\xff" * max(0, share - len(frame.data) - 6) + _END,
            frame.at_offset_us,
            frame.keyframe,
        )
        for frame in clip
    ]


class Watcher:
    """The part that looks how much the ring holds and when the recording ends, and lets the card stall at one time."""

    name = "watcher"

    def __init__(self, device: VirtualDevice, speed: Speed) -> None:
        self._device = device
        self._speed = speed
        self.stall_at_us = NEVER_US
        self.most_bytes = 0
        self.ended_us = 0
        self.refused = 0

    def run_once(self, now_us: int) -> int:
        self.most_bytes = max(self.most_bytes, self._device.daemon.ring.payload_bytes)
        self.ended_us = self._device.daemon.control.state.deadlines.post_event_until_us or self.ended_us
        if not self.ended_us or now_us <= self.ended_us:
            self.refused = self._device.daemon.ring.refused_frames
        if now_us >= self.stall_at_us:
            self.stall_at_us = NEVER_US
            self._speed.stall(STALL_S * SECOND_US)
        return min(now_us + SECOND_US // 4, self.ended_us if self.ended_us > now_us else NEVER_US)


def measure(case: Case, root: Path) -> Loaded:
    """One recording with the first profile's times, in `root`, an empty folder."""
    document = shipped_profiles()["first"]
    bench = lay_out_bench(
        root,
        Agency(),
        "BC-LOAD-1",
        document,
        {
            "camera": {"width": WIDTH, "height": HEIGHT, "rate_hz": RATE_HZ, "bitrate_bps": case.bitrate_bps},
            "microphone": {"enabled": False},
            "ring": {"cap_mib": case.ring_mib},
        },
    )
    drawn = encode_clip(
        CLIP_S, width=WIDTH, height=HEIGHT, rate_hz=RATE_HZ, bitrate_bps=50_000, scene=FlatScene(WIDTH, HEIGHT)
    )
    clip, given, speed = TaggedClip(padded(drawn, case.bitrate_bps, RATE_HZ)), Given(), Speed(case.card_bytes_per_s)
    device = VirtualDevice(
        bench,
        make_camera=lambda clock, settings: TaggedCamera(clock, clip=clip, boot=1, given=given, settings=settings),
        make_disk=lambda folder: SlowDisk(folder, device.let_pass, speed),
    )
    watcher = Watcher(device, speed)
    device.boot(extra=[(watcher, Wake())])
    device.run(WINDOW_S)
    if case.stalls:
        speed.stall(STALL_S * SECOND_US)
    pressed_us = device.hardware.thumb.double("record")
    second_us = pressed_us + (STALL_S + case.relief_s) * SECOND_US
    watcher.stall_at_us = second_us if case.stalls > 1 else NEVER_US
    stop_us = device.hardware.thumb.hold("record", 3200, pressed_us + case.live_s * SECOND_US)
    device.hardware.thumb.press("record", stop_us + 3_700_000)
    device.run(case.live_s + 5)
    device.until_idle(DRAIN_LIMIT_S)
    behind_us = device.clock.now_us() - watcher.ended_us
    device.stop()
    said = account(Played(bench, parse_policy(document), [Boot(given)]))
    verdict = verify(bench.card, load_anchors(bench.trust))
    (one,) = verdict.recordings
    return Loaded(
        case=case,
        given=said.stored + said.in_gaps,
        stored=said.stored,
        refused=watcher.refused,
        in_gaps=sum(one.missing.values()),
        missing=one.missing,
        most_held_mib=round(watcher.most_bytes / MIB, 1),
        behind_s=round(behind_us / SECOND_US, 1),
        verdict=one.verdict,
        troubles=tuple(trouble.what for trouble in said.troubles),
    )


def table_of(results: Sequence[Loaded]) -> Table:
    table = Table(
        "Mbit/s", "card", "pictures", "stored", "refused", "in signed gaps", "ring, MiB", "durable after", "verdict"
    )
    for one in results:
        case = one.case
        card = "as memory" if not case.card_bytes_per_s else f"{case.card_bytes_per_s / 1e6:g} MB/s"
        card += f", {case.stalls} stalls of {STALL_S} s" if case.stalls else ""
        table.add_row(
            f"{case.bitrate_bps / 1e6:g}",
            card,
            str(one.given),
            str(one.stored),
            str(one.refused),
            f"{one.in_gaps}{'' if one.exact else ' NOT EXACT'}",
            f"{one.most_held_mib} of {case.ring_mib}",
            f"{one.behind_s} s",
            one.verdict,
        )
    return table


def main() -> int:
    results = []
    for case in track(CASES, "recordings", console=Console(stderr=True)):
        with tempfile.TemporaryDirectory(prefix="bodycam-load-") as folder:
            results.append(measure(case, Path(folder) / "bench"))
    console = Console(width=140)
    console.print(table_of(results))
    for one in results:
        for trouble in one.troubles:
            console.print(f"  [bold red]{one.case.bitrate_bps / 1e6:g} Mbit/s[/]: {trouble}", highlight=False)
    return 0 if all(one.exact and one.verdict == "intact" for one in results) else 1


if __name__ == "__main__":
    sys.exit(main())
