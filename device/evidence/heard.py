"""Whether a ledger accounts for all of its sound (E5): the reader's side of `device.evidence.sound`. PURE.

From where a recording may have sound to its end, all time is in packets that segments count, or in a `sound-gap`. The times of
packets are bent a little to follow the boot clock, and this is no place for a false alarm: what is missing must be more
than `SLACK_US` and a tenth of the time that is looked at.
"""

from device.evidence.records import AudioSpan, RecordingOpened, SoundGap
from device.media.frames import PACKET_SAMPLES

SLACK_US = 100_000
MOST_GAPS = 10_000
"""That account for sound yet to come: those of one record's segments."""
PRE_EVENT_SOUND = "video-and-audio"


class Heard:
    """What is gone through of one recording's sound, in order. A part of one does not `begin` here."""

    def __init__(self) -> None:
        self.missing_us: dict[str, int] = {}
        self._until_us: int | None = None
        self._gaps: list[SoundGap] = []

    def begins(self, opened: RecordingOpened) -> None:
        """From here on sound is accounted for: from the press on, or from where the past begins that was asked for. The
        first picture may be older: a group of pictures is kept whole."""
        back_us = opened.pre_event.asked_us if opened.pre_event.mode == PRE_EVENT_SOUND else 0
        self._until_us = max(opened.video.base_us, opened.trigger_us - back_us)

    def gap(self, gap: SoundGap) -> None:
        if len(self._gaps) < MOST_GAPS:
            self._gaps.append(gap)
        self.missing_us[gap.cause] = self.missing_us.get(gap.cause, 0) + max(0, gap.to_us - gap.from_us)

    def why_not(self, opened: RecordingOpened, span: AudioSpan) -> str:
        """What is missing of the sound before or in a segment, and no gap accounts for; "" when nothing is."""
        if opened.audio is None or not opened.audio.sample_rate_hz:
            return ""
        packet_us = PACKET_SAMPLES * 1_000_000 // opened.audio.sample_rate_hz
        from_us = span.from_us if self._until_us is None else self._until_us
        self._until_us = span.last_us + packet_us
        return self._said(from_us, self._until_us, span.packets * packet_us)

    def why_not_to(self, opened: RecordingOpened, end_us: int) -> str:
        """The same of a closed recording's end."""
        if opened.audio is None or self._until_us is None:
            return ""
        return self._said(self._until_us, end_us, 0)

    def _said(self, from_us: int, to_us: int, heard_us: int) -> str:
        marked_us = sum(self._covered(from_us, to_us))
        missing_us = to_us - from_us - heard_us - marked_us
        if missing_us <= SLACK_US + max(0, to_us - from_us - marked_us) // 10:
            return ""
        return f"{missing_us} µs of sound are missing, and no record tells why; {marked_us} µs are accounted for"

    def _covered(self, from_us: int, to_us: int) -> list[int]:
        """How much of a time each gap covers that is not covered yet."""
        covered, at_us = [], from_us
        for gap in sorted(self._gaps, key=lambda gap: gap.from_us):
            begins_us, ends_us = max(at_us, gap.from_us), min(to_us, gap.to_us)
            covered.append(max(0, ends_us - begins_us))
            at_us = max(at_us, ends_us)
        self._gaps = [gap for gap in self._gaps if gap.to_us > to_us]
        return covered
