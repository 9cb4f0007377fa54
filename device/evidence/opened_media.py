"""An opened recording's pictures against the signatures in them, and these against the ledger. For readers.

The ledger names the one certificate that may sign, and the wall time that the signatures claim for the first frame. So
each SEI's signer, counter, times and count of frames follow from the segment records; one that says otherwise is wrong.
"""

from device.errors import EvidenceError
from device.evidence.media_key import MediaKey
from device.evidence.records import RecordingOpened, VideoSpan
from device.media.nal import length_prefixed_units
from device.media.onvif_check import GopAnswer, StreamChecker

LENGTH_BYTES = 4
"""Before each NAL unit, as libavformat writes them."""


class OpenedMedia:
    """One recording. Give it each sample, then each segment's span, then ask `check`. Times in boot µs."""

    def __init__(self, opened: RecordingOpened) -> None:
        self._opened = opened
        self._key = MediaKey("sha256")
        self._checker = StreamChecker(self._key.why_not)
        self._spans: list[VideoSpan] = []

    def take(self, sample: bytes, at_us: int) -> None:
        """One access unit of the file; `EvidenceError` when it can't be taken apart."""
        self._checker.take(length_prefixed_units(sample, LENGTH_BYTES), at_us)

    def end_segment(self, video: VideoSpan | None) -> None:
        if video is not None:
            self._spans.append(video)

    def check(self) -> None:
        """All of it is here: `EvidenceError` when it is not as the ledger says."""
        self._checker.end()
        if self._opened.media_certificate_sha256 is None:
            if self._checker.seis:
                raise EvidenceError("the pictures carry signatures; the ledger says that they are not media signed")
            return
        if not self._checker.seis:
            raise EvidenceError("the ledger says that the pictures are media signed; they carry no signature")
        self._check_signatures()
        self._check_times()

    def _check_signatures(self) -> None:
        checker = self._checker
        if checker.problems:
            first = checker.problems[0]
            raise EvidenceError(f"media signing: {first.what} ({self._offset(first.at_us)} s into the recording)")
        if not checker.settled:
            raise EvidenceError(f"media signing: the last {checker.pending} NAL units have no signature")
        if self._key.certificate_sha256 != self._opened.media_certificate_sha256:
            raise EvidenceError(
                f"media signing: the signatures are by another key ({self._key.name}) than the one that the ledger names"
            )
        if self._key.name != self._opened.device:
            raise EvidenceError(f"media signing: the key is {self._key.name}'s, the ledger is {self._opened.device}'s")

    def _check_times(self) -> None:
        """GOPs count from 1 and fill each segment: frames, from its first to its end."""
        answers = iter(self._checker.answers)
        counter = 0
        for span in self._spans:
            frames = 0
            at_us = span.from_us
            while frames < span.frames:
                answer = next(answers, None)
                counter += 1
                if answer is None or self._said(answer) != (counter, at_us):
                    raise EvidenceError(
                        f"media signing: GOP {counter}, {self._offset(at_us)} s into the recording: its signature says "
                        f"{'nothing' if answer is None else self._in_words(answer)}"
                    )
                frames += answer.frames
                at_us = self._boot_us(answer.general.end_us)
            if (frames, at_us) != (span.frames, span.to_us):
                raise EvidenceError(
                    f"media signing: {frames} frames are signed up to {self._offset(at_us)} s into the recording; the "
                    f"ledger has {span.frames} up to {self._offset(span.to_us)} s"
                )
        if next(answers, None) is not None:
            raise EvidenceError("media signing: more is signed than the ledger has")

    def _said(self, answer: GopAnswer) -> tuple[int, int]:
        return answer.general.counter, self._boot_us(answer.general.start_us)

    def _in_words(self, answer: GopAnswer) -> str:
        return f"GOP {answer.general.counter} at {self._offset(self._boot_us(answer.general.start_us))} s"

    def _boot_us(self, utc_us: int) -> int:
        """Signatures tell wall time, the ledger boot time; `media_utc_us` is the first frame's in both."""
        return utc_us - (self._opened.media_utc_us or 0) + self._opened.video.base_us

    def _offset(self, at_us: int) -> float:
        return round((at_us - self._opened.video.base_us) / 1e6, 3)
