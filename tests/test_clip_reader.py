"""`bodycam verify CLIP.mp4`, as a person or a program calls it."""

import json
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from device.cli import main
from device.errors import BodycamError
from device.evidence.identity import Role, why_not_chained
from device.evidence.media_check import check_media
from device.evidence.media_key import MediaKey
from device.media.onvif_check import StreamChecker
from hw_sim.agency import Agency
from tests.media import SAMPLE, SAMPLE_CA, flipped, parsed, samples_of, seis_of, with_unit, write_samples

PLAIN = SAMPLE.parent / "test_h264.mp4"


@pytest.mark.shared
@pytest.mark.parametrize("own_anchor", [True, False], ids=["its own anchor", "another"])
def test_the_sample_is_unaltered_and_its_key_not_trusted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], own_anchor: bool
) -> None:
    other = tmp_path / "ca.pem"
    other.write_bytes(Agency().ca_pem())
    trust = {True: SAMPLE_CA, False: other}[own_anchor]
    assert main(["verify", str(SAMPLE), "--trust", str(trust), "--json"]) == 3
    (said,) = json.loads(capsys.readouterr().out)
    clip = said["clip"]
    assert said["exit_status"] == 3
    assert (clip["pictures"], clip["key"]) == ("unaltered", "not-trusted")
    assert (clip["received"], clip["validated"], clip["pending"]) == (516, 502, 14)
    assert (clip["wrong"], clip["missing"], clip["first_bad"], clip["left_out"]) == (0, 0, None, 2)
    assert [(gop["counter"], gop["frames"], gop["verdict"]) for gop in clip["gops"]] == [
        (1, 62, "unaltered"), (2, 62, "unaltered"), (3, 62, "unaltered"), (4, 62, "unaltered"),
    ]  # fmt: skip
    assert (clip["signer"], clip["firmware"], clip["manufacturer"]) == (
        "Test camera",
        "v0.0.4",
        "Signed Media Framework",
    )
    why = {True: "was not valid at the time that it claims", False: "was not issued under the given trust anchor"}
    assert why[own_anchor] in clip["key_said"]


@pytest.mark.shared
def test_in_a_terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["verify", str(SAMPLE), "--trust", str(SAMPLE_CA)]) == 3
    said = capsys.readouterr().out
    words = [
        "UNALTERED",
        "NOT-TRUSTED",
        "516 received, 502 validated, 14 pending",
        "2 samples at the end are not played",
    ]
    assert [word for word in words if word not in said] == []
    samples = samples_of(SAMPLE)
    changed = with_unit(samples, (70, 0), lambda unit: [flipped(unit, 9)])
    clip = write_samples(SAMPLE, changed, tmp_path / "changed.mp4", 25)
    assert main(["verify", str(clip), "--trust", str(SAMPLE_CA)]) == 1
    said = capsys.readouterr().out
    words = ["ALTERED", "GOP 2: 1 NAL unit changed or moved", "2.8 s into the file", "1 wrong, 0 missing"]
    assert [word for word in words if word not in said] == []


@pytest.mark.shared
def test_a_video_that_is_not_signed_is_not_called_intact(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(PLAIN), "--trust", str(SAMPLE_CA)]) == 4
    said = capsys.readouterr().out
    assert "NOT-SIGNED" in said
    assert "intact" not in said.lower()


@pytest.mark.shared
def test_the_worst_of_several_files_is_the_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(PLAIN), str(SAMPLE), "--trust", str(SAMPLE_CA), "--json"]) == 3
    assert [clip["exit_status"] for clip in json.loads(capsys.readouterr().out)] == [4, 3]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([str(SAMPLE), str(SAMPLE.parent)], "verify such files by themselves"),
        ([str(SAMPLE), "--head", "0" * 64], "--head"),
        ([str(SAMPLE), "--identity", str(SAMPLE_CA)], "--identity"),
        ([str(SAMPLE_CA)], "not an MP4 file"),
        (["/nowhere.mp4"], "/nowhere.mp4"),
    ],
)
def test_what_can_not_be_judged_is_one_message(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", *arguments, "--trust", str(SAMPLE_CA)]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert said in message


@pytest.mark.shared
def test_edits_of_the_samples_bytes_are_never_called_whole() -> None:
    """400 seeded edits of what is signed: each is altered. The bytes behind a signature's end in its tag are nobody's."""
    chosen = random.Random(20261122)
    samples = samples_of(SAMPLE)[:200]
    signed_bytes = {place: len(sei.signed) for place, sei in zip(seis_of(samples), parsed(samples), strict=True)}
    places = [(n, k) for n, sample in enumerate(samples[:186]) for k, unit in enumerate(sample)]
    verdicts = []
    for _ in range(400):
        place = chosen.choice([*places, *[p for p in signed_bytes if p in places] * 40])
        at = chosen.randrange(signed_bytes.get(place, len(samples[place[0]][place[1]]) - 1))
        changed = with_unit(samples, place, lambda unit, at=at: [flipped(unit, at)])  # type: ignore[misc]
        key = MediaKey("sha256")
        checker = StreamChecker(key.why_not)
        for units in changed:
            checker.take(units, 0)
        checker.end()
        verdicts.append(len(checker.problems) > 0)
    assert verdicts == [True] * 400


@pytest.mark.shared
def test_damaged_files_give_a_verdict_or_our_error(tmp_path: Path) -> None:
    chosen = random.Random(20261122)
    whole = SAMPLE.read_bytes()
    clip = tmp_path / "damaged.mp4"
    answers: set[str] = set()
    for _ in range(200):
        data = bytearray(whole)
        for _ in range(chosen.randrange(1, 4)):
            data[chosen.choice((chosen.randrange(len(data)), len(data) - chosen.randrange(1, 2900)))] ^= (
                1 << chosen.randrange(8)
            )
        clip.write_bytes(data[: chosen.choice((len(data), chosen.randrange(len(data))))])
        try:
            answers.add(check_media(clip, ()).pictures)
        except BodycamError as failure:
            answers.add(type(failure).__name__)
    assert answers <= {"unaltered", "altered", "unproven", "not-signed", "UsageError"}


@pytest.mark.parametrize(
    ("role", "why"),
    [
        (Role.MEDIA, ""),
        (Role.LEDGER, "its certificate is not for the role media"),
        (Role.POLICY, "not for the role media"),
    ],
)
def test_a_key_of_another_role_does_not_sign_pictures(role: Role, why: str) -> None:
    """Under the right anchor, and valid."""
    agency = Agency()
    chain = (x509.load_der_x509_certificate(agency.issue("BC-000001", role).certificate),)
    found = why_not_chained(chain, Role.MEDIA, (agency.ca,), datetime(2026, 6, 1, tzinfo=UTC))
    assert why in found
    assert (found == "") is (role is Role.MEDIA)


def test_a_key_is_judged_at_the_claimed_time_and_under_the_given_anchor() -> None:
    agency = Agency()
    chain = (x509.load_der_x509_certificate(agency.issue("BC-000001", Role.MEDIA).certificate),)
    early, now = datetime(2020, 1, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
    assert "not valid at the time" in why_not_chained(chain, Role.MEDIA, (agency.ca,), early)
    assert "not issued under" in why_not_chained(chain, Role.MEDIA, (Agency().ca,), now)
    assert "not issued under" in why_not_chained(chain, Role.MEDIA, (), now)
