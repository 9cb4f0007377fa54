"""What an export is asked for, and what the policy in force asks of it: times, texts, and the report first (R20). No I/O."""

from datetime import UTC, datetime, timedelta

from device.errors import UsageError
from device.evidence.access import MAX_TEXT
from device.evidence.disclosure import Disclosure, Interval
from device.evidence.identity import parse_utc
from device.evidence.records import RecordingOpened
from device.policy.document import DocumentError
from device.policy.model import Policy, parse_policy
from device.terminal import safe

TIME = "an ISO time with its zone, such as 2026-09-21T14:13:30Z"
_LAST_US = 2**53 - 1


def utc_text(moment: datetime) -> str:
    """As records spell it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def check_texts(**texts: str) -> None:
    for name, text in texts.items():
        if not text.strip() or len(text) > MAX_TEXT or not text.isprintable():
            option = name.replace("_", "-")
            raise UsageError(safe(f"--{option} {text[:80]!r}: give 1 to {MAX_TEXT} printable characters on one line"))


def interval_asked(opened: RecordingOpened, begin: str | None, end: str | None) -> Interval | None:
    """What `--from` and `--to` mean on this recording's boot clock; None: all of it."""
    if begin is None and end is None:
        return None
    from_us = _boot_us(opened, "--from", begin) if begin is not None else 0
    to_us = _boot_us(opened, "--to", end) if end is not None else _LAST_US
    if from_us >= to_us:
        raise UsageError(safe(f"--from {begin}, --to {end}: the one must be before the other"))
    return Interval(from_us, to_us)


def _boot_us(opened: RecordingOpened, option: str, text: str) -> int:
    """`+12.5`: seconds from the recording's first picture. Otherwise wall time, by the label in its first line."""
    if text.startswith("+"):
        try:
            offset_us = round(float(text) * 1_000_000)
        except (ValueError, OverflowError):
            offset_us = -1
        if not text[1:].replace(".", "", 1).isdecimal() or not 0 <= offset_us < _LAST_US // 2:
            raise UsageError(safe(f"{option} {text}: give seconds into the recording, such as +12.5, or {TIME}"))
        return opened.video.base_us + offset_us
    moment = _moment(option, text, f"+SECONDS into it, or {TIME}")
    labelled = parse_utc(opened.utc)
    if labelled is None or not opened.clock.synchronised:
        raise UsageError(
            safe(f"{option} {text}: the camera's clock was not set, so no wall time means anything: give +SECONDS")
        )
    return max(0, opened.boot_us + (moment - labelled) // timedelta(microseconds=1))


def _moment(option: str, text: str, wanted: str = TIME) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise UsageError(safe(f"{option} {text}: it has no zone; give {wanted}"))
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as failure:
        raise UsageError(safe(f"{option} {text}: not a time; give {wanted}")) from failure


def policy_in_force(disclosure: Disclosure) -> Policy | None:
    """The policy in force as it was recorded; None when it is not at hand."""
    try:
        return parse_policy(disclosure.policy) if disclosure.policy is not None else None
    except DocumentError:
        return None


def report_filed(text: str | None, disclosure: Disclosure, policy: Policy | None) -> str | None:
    """The gate: where the policy asks it, no footage before the report (R20). Where the policy can't be read, it asks."""
    named = f"{disclosure.opened.policy.id} {disclosure.opened.policy.version}"
    if text is None:
        if policy is None:
            raise UsageError(
                f"the policy in force, {named}, can't be read here, so whether it wants the wearer's report first is not "
                "known: give --report-filed TIME"
            )
        if not policy.disclosure.review_before_report:
            raise UsageError(
                f"the policy in force, {named}, wants the wearer's report before anyone sees footage "
                "(disclosure.review_before_report = false): give --report-filed TIME once it is filed"
            )
        return None
    filed = _moment("--report-filed", text)
    opened = parse_utc(disclosure.opened.utc)
    if opened is not None and disclosure.opened.clock.synchronised and filed < opened:
        raise UsageError(
            safe(
                f"--report-filed {text}: that is before the recording began ({disclosure.opened.utc}); give a later one"
            )
        )
    return utc_text(filed)
