"""Which policy is in force: the newest that the agency signed and offered, kept on the device so that none is lost.

A bundle that is offered is taken when it counts under the anchor, this device can carry it out, and its version is
greater than that of the one kept, whatever their names. It is then kept: a file of the daemon's own, replaced whole,
durable before the policy is in force. Anything else that is offered leaves the kept one in force. One thread at a time:
the main one at the start, then that of the hand-ins.
"""

import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from device.clock import Clock, Wall
from device.config import Configuration, check_policy_fits
from device.errors import ConfigurationError, EvidenceError, UsageError
from device.evidence.bundle import MAX_BUNDLE_BYTES, Bundle, read_bundle
from device.evidence.identity import Role, load_anchors, why_not_trusted
from device.evidence.reading import read_file
from device.evidence.seal import Sealer
from device.evidence.verdicts import printable
from device.policy.model import Policy

_WAY_OUT = "hand in a bundle that the agency signed, in [policy] bundle"


class InForce(msgspec.Struct, frozen=True):
    """A policy that this device carries out, and to whom it seals footage and context while it does."""

    bundle: Bundle
    footage: Sealer
    context: Sealer

    @property
    def policy(self) -> Policy:
        return self.bundle.policy


class Adoption:
    """`in_force` is what was taken last; the control loop carries it out as soon as nothing is being recorded. `lost`
    says at the start why what was kept can't be used ("": it can, or there was nothing). `ConfigurationError` when there
    is no policy that could be in force."""

    def __init__(self, configuration: Configuration, clock: Clock) -> None:
        files = configuration.tables.policy
        self._configuration = configuration
        self._clock = clock
        self.offered = configuration.at(files.bundle)
        self._kept = configuration.at(files.kept)
        self.lost = ""
        anchor = configuration.at(files.anchor)
        try:
            self._anchors = load_anchors(anchor)
        except UsageError as failure:
            said = str(failure).removeprefix("--trust ")
            raise ConfigurationError(f"{configuration.path}: policy.anchor is {files.anchor!r}: {said}") from failure
        self.in_force = self._at_start()

    def take(self) -> InForce | None:
        """Look at what is offered. A policy that takes the place of the one in force, and is kept by now; None when it
        is the one in force. `EvidenceError` says why what is offered is not taken."""
        offered = self._judged(self.in_force.bundle)
        if offered is None:
            return None
        self._keep(offered.bundle)
        self.in_force = offered
        return offered

    def _at_start(self) -> InForce:
        """The newer of what is offered and what was kept."""
        kept = self._read_kept()
        try:
            offered = self._judged(kept)
            if offered is not None:
                self._keep(offered.bundle)
                return offered
        except EvidenceError as failure:
            if kept is None:
                said = f"{self.offered}: {failure}" + (f"; {self.lost}" if self.lost else "")
                raise ConfigurationError(f"{said}; {_WAY_OUT}") from failure
        assert kept is not None, "what is offered is the same as something"
        return self._fit(kept)

    def _read_kept(self) -> Bundle | None:
        """What was good when it was kept is not judged by dates again."""
        if not os.path.lexists(self._kept):
            return None
        try:
            return read_bundle(_read(self._kept), self._anchors, None)
        except EvidenceError as failure:
            self.lost = f"{self._kept.name}, the last good policy, can't be used: {printable(str(failure))}"
            return None

    def _judged(self, kept: Bundle | None) -> InForce | None:
        """What is offered, when it is to be taken; None when it is what is kept; `EvidenceError` otherwise."""
        try:
            offered = read_bundle(_read(self.offered), self._anchors, None)
            if kept is not None and offered.document == kept.document:
                return None
            self._check_dates(offered)
            _check_newer(offered, kept)
            return self._fit(offered)
        except (EvidenceError, ConfigurationError) as failure:
            raise EvidenceError(printable(str(failure))) from failure

    def _check_dates(self, offered: Bundle) -> None:
        """A clock that isn't set refuses nothing by dates."""
        wall = self._clock.wall()
        if wall.synchronised:
            why = why_not_trusted(offered.certificate, Role.POLICY, self._anchors, _moment(wall))
            if why:
                raise EvidenceError(why)

    def _fit(self, bundle: Bundle) -> InForce:
        """The policy with its recipients; `ConfigurationError` when this device can't carry it out."""
        check_policy_fits(self._configuration, bundle.policy)
        own, named = self._configuration.tables.recipients, bundle.policy.recipients
        return InForce(
            bundle=bundle,
            footage=Sealer(named.footage or own.footage, "recipients.footage"),
            context=Sealer(named.context or own.context, "recipients.context"),
        )

    def _keep(self, bundle: Bundle) -> None:
        try:
            replace_file(self._kept, bundle.data)
        except OSError as failure:
            why = f"it can't be kept in {self._kept}: {failure.strerror}; name a file that can be written in [policy] kept"
            raise EvidenceError(why) from failure


def replace_file(path: Path, data: bytes) -> None:
    """Put a file in the place of one, whole and durable: whenever the power goes, the one or the other is there."""
    beside = path.with_name(f"{path.name}.new")
    try:
        _write_durably(beside, data)
        beside.replace(path)
    except OSError:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _write_durably(path: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o640), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _check_newer(offered: Bundle, kept: Bundle | None) -> None:
    """A version only goes up."""
    if kept is None or offered.policy.version > kept.policy.version:
        return
    said = f"{offered.name.id} {offered.name.version}"
    held = f"{kept.name.id} {kept.name.version}"
    if offered.policy.version == kept.policy.version:
        raise EvidenceError(
            f"{said} has the version of the policy in force, {held}, and other bytes; give it a new one"
        )
    raise EvidenceError(f"{said} is older than the policy in force, {held}; sign it with a version above that")


def _read(path: Path) -> bytes:
    """A file of a handful of kilobytes; a link to one will do."""
    try:
        data = read_file(Path(os.path.realpath(path)), MAX_BUNDLE_BYTES)
    except EvidenceError as failure:
        raise EvidenceError(str(failure).rpartition(": ")[2]) from failure
    if data is None:
        raise EvidenceError("no such file")
    return data


def _moment(wall: Wall) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=wall.utc_us)
