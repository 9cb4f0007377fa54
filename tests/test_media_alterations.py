"""Every alteration that media signing can show is shown: on the specification's sample, on ours, and on ours where one
signature stands for several GOPs. And what it can't show is not claimed."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from device.evidence.identity import load_anchors
from device.evidence.media_check import MediaVerdict, check_media
from hw_sim.agency import Agency
from hw_sim.virtual import VirtualDevice
from tests.benches import export, make_bench, recordings
from tests.clip_edits import (
    all_resigned,
    frame_added,
    frame_doubled,
    frame_dropped,
    frames_swapped,
    gop_doubled,
    gop_dropped,
    gops_swapped,
    keyframe_changed,
    last_frame_dropped,
    picture_changed,
    resigned_from_there,
    sei_changed,
    sei_cut_short,
    sei_not_signed,
    sei_removed,
    seis_swapped,
    signature_changed,
    slice_added_at_the_end,
    unchanged,
)
from tests.media import (
    SAMPLE,
    SAMPLE_CA,
    Sample,
    as_samples,
    flipped,
    frames_of,
    gops_of,
    joined,
    media_key,
    samples_of,
    signed,
    unsigned,
    write_samples,
)

AGENCY = Agency()


class Material(msgspec.Struct, frozen=True):
    """Signed video, its header, how many pictures a second, and the anchor that its key should be under."""

    samples: list[Sample]
    template: Path
    rate_hz: int
    trust: Path

    def checked(self, samples: list[Sample], folder: Path) -> MediaVerdict:
        clip = write_samples(self.template, samples, folder / "clip.mp4", self.rate_hz)
        return check_media(clip, load_anchors(self.trust))


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Six seconds of the twin's camera, recorded and exported."""
    bench = make_bench(
        tmp_path_factory.mktemp("ours") / "bench", agency=AGENCY, pre_event_s=2, post_event_s=1, audio=False
    )
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    device.double()
    device.run(3)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    mp4 = export(bench, recordings(bench)[0], bench.root / "ours.mp4")
    return Material(samples_of(mp4), mp4, 30, bench.trust)


@pytest.fixture(scope="module")
def shared_signatures(ours: Material) -> Material:
    """The same pictures; one signature for the first GOP, then one for three."""
    frames = signed(frames_of(unsigned(ours.samples)[:210]), media_key(AGENCY, sign_us=60_000), group=7)
    return msgspec.structs.replace(ours, samples=as_samples(frames))


@pytest.fixture(scope="module")
def sample() -> Material:
    return Material(samples_of(SAMPLE), SAMPLE, 25, SAMPLE_CA)


# -- what is found --------------------------------------------------------------------------------------------------

# material, what was done, exit status, pictures, key, NAL units wrong, missing, pending; first bad second, what is said
FOUND: list[tuple[str, Callable[[list[Sample]], list[Sample]], int, str, str, int, int, int, float | None, str | None]] = [
    ('sample', unchanged, 3, 'unaltered', 'not-trusted', 0, 0, 14, None, None),
    ('sample', gop_dropped, 1, 'altered', 'not-trusted', 62, 0, 14, 0.0, 'GOP 2: none of its 62 NAL units is here'),
    ('sample', gops_swapped, 1, 'altered', 'not-trusted', 186, 0, 14, 0.0, 'GOP 2: none of its 62 NAL units is here'),
    ('sample', gop_doubled, 1, 'altered', 'not-trusted', 62, 0, 14, 4.96, '62 NAL units before GOP 3: without a signature'),
    ('sample', frame_dropped, 1, 'altered', 'not-trusted', 0, 1, 14, 2.48, 'GOP 2: 1 NAL unit missing'),
    ('sample', frame_doubled, 1, 'altered', 'not-trusted', 1, 0, 14, 2.92, 'GOP 2: 1 NAL unit added'),
    ('sample', frames_swapped, 1, 'altered', 'not-trusted', 1, 0, 14, 2.88, 'GOP 2: 1 NAL unit changed or moved'),
    ('sample', last_frame_dropped, 1, 'altered', 'not-trusted', 0, 1, 14, 2.48, 'GOP 2: 1 NAL unit missing'),
    ('sample', frame_added, 1, 'altered', 'not-trusted', 1, 0, 14, 4.92, 'GOP 2: 1 NAL unit added'),
    ("sample", slice_added_at_the_end, 1, "altered", "not-trusted", 1, 0, 14, 4.92, "1 NAL unit after GOP 2: without a signature"),
    ("ours", slice_added_at_the_end, 1, "altered", "trusted", 1, 0, 0, 1.967, "1 NAL unit after GOP 2: without a signature"),
    ("shared_signatures", slice_added_at_the_end, 1, "altered", "trusted", 1, 0, 0, 1.967, "1 NAL unit after GOP 2: without a signature"),
    ('sample', picture_changed, 1, 'altered', 'not-trusted', 1, 0, 14, 2.88, 'GOP 2: 1 NAL unit changed or moved'),
    ('sample', keyframe_changed, 1, 'altered', 'not-trusted', 62, 0, 14, 2.48, 'GOP 2: none of its 62 NAL units is here'),
    ('sample', sei_removed, 1, 'altered', 'not-trusted', 62, 0, 14, 2.48, '62 NAL units before GOP 3: without a signature'),
    ('sample', sei_changed, 1, 'altered', 'not-trusted', 62, 0, 14, 2.48, 'its signature is not by the key in its certificate: it was changed'),
    ('sample', signature_changed, 1, 'altered', 'not-trusted', 62, 0, 14, 7.44, 'its signature is not by the key in its certificate: it was changed'),
    ('sample', sei_cut_short, 1, 'altered', 'not-trusted', 62, 0, 14, 2.48, '62 NAL units before GOP 3: without a signature'),
    ('sample', seis_swapped, 1, 'altered', 'not-trusted', 123, 62, 14, 2.48, '62 NAL units before GOP 3: without a signature'),
    ('sample', resigned_from_there, 1, 'altered', 'not-trusted', 62, 0, 14, 7.44, 'signed by another key from here on (BC-000001)'),
    ('sample', all_resigned, 3, 'unaltered', 'not-trusted', 0, 0, 14, None, None),
    ('sample', sei_not_signed, 4, 'not-signed', 'none', 0, 0, 512, None, None),
    ('ours', unchanged, 0, 'unaltered', 'trusted', 0, 0, 0, None, None),
    ('ours', gop_dropped, 1, 'altered', 'trusted', 0, 0, 0, 1.0, 'GOP 3 after GOP 1: what is between is missing'),
    ('ours', gops_swapped, 1, 'altered', 'trusted', 0, 0, 0, 1.0, 'GOP 3 after GOP 1: what is between is missing'),
    ('ours', gop_doubled, 1, 'altered', 'trusted', 30, 0, 0, 2.0, '30 NAL units before GOP 3: without a signature'),
    ('ours', frame_dropped, 1, 'altered', 'trusted', 0, 1, 0, 1.0, 'GOP 2: 1 NAL unit missing'),
    ('ours', frame_doubled, 1, 'altered', 'trusted', 1, 0, 0, 1.367, 'GOP 2: 1 NAL unit added'),
    ('ours', frames_swapped, 1, 'altered', 'trusted', 1, 0, 0, 1.333, 'GOP 2: 1 NAL unit changed or moved'),
    ('ours', last_frame_dropped, 1, 'altered', 'trusted', 0, 1, 0, 1.0, 'GOP 2: 1 NAL unit missing'),
    ('ours', frame_added, 1, 'altered', 'trusted', 1, 0, 0, 1.967, 'GOP 2: 1 NAL unit added'),
    ('ours', picture_changed, 1, 'altered', 'trusted', 1, 0, 0, 1.333, 'GOP 2: 1 NAL unit changed or moved'),
    ('ours', keyframe_changed, 1, 'altered', 'trusted', 30, 0, 0, 1.0, 'GOP 2: none of its 30 NAL units is here'),
    ('ours', sei_removed, 1, 'altered', 'trusted', 30, 0, 0, 1.0, '30 NAL units before GOP 3: without a signature'),
    ('ours', sei_changed, 1, 'altered', 'trusted', 30, 0, 0, 1.0, 'its signature is not by the key in its certificate: it was changed'),
    ('ours', signature_changed, 1, 'altered', 'trusted', 10, 0, 0, 10.0, 'its signature is not by the key in its certificate: it was changed'),
    ('ours', sei_cut_short, 1, 'altered', 'trusted', 30, 0, 0, 1.0, '30 NAL units before GOP 3: without a signature'),
    ('ours', seis_swapped, 1, 'altered', 'trusted', 60, 0, 0, 1.0, 'GOP 3 after GOP 1: what is between is missing'),
    ('ours', resigned_from_there, 1, 'altered', 'trusted', 10, 0, 0, 10.0, 'signed by another key from here on (BC-000001)'),
    ('ours', all_resigned, 3, 'unaltered', 'not-trusted', 0, 0, 0, None, None),
    ('ours', sei_not_signed, 4, 'not-signed', 'none', 0, 0, 653, None, None),
    ('shared_signatures', unchanged, 0, 'unaltered', 'trusted', 0, 0, 0, None, None),
    ('shared_signatures', gop_dropped, 1, 'altered', 'trusted', 1, 30, 0, 1.0, 'GOP 2: none of its 30 NAL units is here'),
    ('shared_signatures', gops_swapped, 1, 'altered', 'trusted', 31, 30, 0, 1.0, 'GOP 2: none of its 30 NAL units is here'),
    ('shared_signatures', gop_doubled, 1, 'altered', 'trusted', 30, 0, 0, 2.0, '30 NAL units before GOP 3: without a signature'),
    ('shared_signatures', frame_dropped, 1, 'altered', 'trusted', 0, 1, 0, 1.0, 'GOP 2: 1 NAL unit missing'),
    ('shared_signatures', frame_doubled, 1, 'altered', 'trusted', 1, 0, 0, 1.367, 'GOP 2: 1 NAL unit added'),
    ('shared_signatures', frames_swapped, 1, 'altered', 'trusted', 1, 0, 0, 1.333, 'GOP 2: 1 NAL unit changed or moved'),
    ('shared_signatures', last_frame_dropped, 1, 'altered', 'trusted', 0, 1, 0, 1.0, 'GOP 2: 1 NAL unit missing'),
    ('shared_signatures', frame_added, 1, 'altered', 'trusted', 1, 0, 0, 1.967, 'GOP 2: 1 NAL unit added'),
    ('shared_signatures', picture_changed, 1, 'altered', 'trusted', 1, 0, 0, 1.333, 'GOP 2: 1 NAL unit changed or moved'),
    ('shared_signatures', keyframe_changed, 1, 'altered', 'trusted', 30, 0, 0, 1.0, 'GOP 2: none of its 30 NAL units is here'),
    ('shared_signatures', sei_removed, 1, 'altered', 'trusted', 30, 1, 0, 1.0, '30 NAL units before GOP 3: without a signature'),
    ('shared_signatures', sei_changed, 1, 'altered', 'trusted', 31, 0, 0, 2.033, 'GOP 3: 1 NAL unit changed or moved'),
    ('shared_signatures', signature_changed, 1, 'altered', 'trusted', 92, 0, 0, 6.0, 'its signature is not by the key in its certificate: it was changed'),
    ('shared_signatures', sei_cut_short, 1, 'altered', 'trusted', 30, 1, 0, 1.0, '30 NAL units before GOP 3: without a signature'),
    ('shared_signatures', seis_swapped, 1, 'altered', 'trusted', 62, 30, 0, 1.0, '30 NAL units before GOP 3: without a signature'),
    ('shared_signatures', resigned_from_there, 1, 'altered', 'trusted', 92, 0, 0, 6.0, 'signed by another key from here on (BC-000001)'),
    ('shared_signatures', all_resigned, 3, 'unaltered', 'not-trusted', 0, 0, 0, None, None),
    ('shared_signatures', sei_not_signed, 4, 'not-signed', 'none', 0, 0, 437, None, None),
]  # fmt: skip


@pytest.mark.shared
@pytest.mark.parametrize(
    ("kind", "alter", "status", "pictures", "key", "wrong", "missing", "pending", "offset_s", "what"),
    FOUND,
    ids=[f"{kind}-{alter.__name__}" for kind, alter, *_ in FOUND],
)
def test_each_alteration_is_found_and_named(
    kind: str,
    alter: Callable[[list[Sample]], list[Sample]],
    status: int,
    pictures: str,
    key: str,
    wrong: int,
    missing: int,
    pending: int,
    offset_s: float | None,
    what: str | None,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    material: Material = request.getfixturevalue(kind)
    verdict = material.checked(alter(material.samples), tmp_path)
    found = (verdict.exit_status, verdict.pictures, verdict.key, verdict.wrong, verdict.missing, verdict.pending)
    assert found == (status, pictures, key, wrong, missing, pending)
    first = verdict.first_bad
    assert (first and first.offset_s, first and first.what) == (offset_s, what)


def test_the_first_bad_second_has_the_wall_time_that_its_signature_claims(ours: Material, tmp_path: Path) -> None:
    first = ours.checked(picture_changed(ours.samples), tmp_path).first_bad
    assert first is not None
    assert (first.offset_s, first.utc) == (1.333, "2026-09-21T14:13:27.000000Z")


def test_two_recordings_of_one_device_joined_are_not_one(ours: Material, tmp_path: Path) -> None:
    """The same key, and counters that go on: what the second was signed after tells."""
    gops = gops_of(unsigned(ours.samples))
    key = media_key(AGENCY)
    one = gops_of(as_samples(signed(frames_of(joined(gops[:4])), key)))
    other = gops_of(as_samples(signed(frames_of(joined(gops[4:8])), key)))
    verdict = ours.checked(joined([*one[:2], *other[2:]]), tmp_path)
    assert [(place.offset_s, place.what) for place in verdict.bad] == [
        (2.0, "GOP 3 was signed after other pictures than those before it")
    ]
    assert verdict.exit_status == 1


def test_an_sei_of_another_devices_recording_does_not_count(ours: Material, tmp_path: Path) -> None:
    """Its pictures, hashes and all, signed by a key of the same agency."""
    stranger = signed(frames_of(unsigned(ours.samples)), media_key(AGENCY))
    gops = gops_of(as_samples(stranger))
    verdict = ours.checked(gops_of(ours.samples)[0] + joined(gops[1:]), tmp_path)
    assert (verdict.pictures, verdict.bad[0].what) == ("altered", "signed by another key from here on (BC-000001)")


# -- what media signing can't tell ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "from_start", "gops"),
    [
        (slice(0, 90), True, [1, 2, 3]),
        (slice(90, None), False, [4, 5, 6, 7, 8, 9, 10, 11]),
        (slice(60, 120), False, [3, 4]),
    ],
)
def test_a_part_cut_out_between_gops_keeps_its_proof_and_is_not_called_whole(
    ours: Material, part: slice, from_start: bool, gops: list[int], tmp_path: Path
) -> None:
    verdict = ours.checked(ours.samples[part], tmp_path)
    assert (verdict.exit_status, verdict.pictures, verdict.pending) == (0, "unaltered", 0)
    assert (verdict.from_start, [gop.counter for gop in verdict.gops]) == (from_start, gops)


def test_a_part_that_ends_within_a_gop_leaves_that_gop_pending(ours: Material, tmp_path: Path) -> None:
    verdict = ours.checked(ours.samples[:75], tmp_path)
    assert (verdict.exit_status, verdict.pictures, verdict.pending) == (4, "unaltered", 29)


def test_a_part_of_one_changed_gop_alone_proves_nothing(ours: Material, tmp_path: Path) -> None:
    verdict = ours.checked(keyframe_changed(ours.samples)[30:60], tmp_path)
    assert (verdict.exit_status, verdict.pictures) == (1, "altered")


def test_other_times_and_another_sps_are_not_seen(ours: Material, tmp_path: Path) -> None:
    """The ledger closes these: it signs each segment's bytes."""
    slower = msgspec.structs.replace(ours, rate_hz=15)
    level = [[flipped(unit, 3) if unit[0] & 31 == 7 else unit for unit in sample] for sample in ours.samples]
    assert slower.checked(ours.samples, tmp_path).pictures == "unaltered"
    assert ours.checked(level, tmp_path).pictures == "unaltered"
