"""What off-load remembers of its own work, one small file a recording. Losing it costs work, never evidence: what is in
the store is then compared again, and a receipt handed in once more."""

from pathlib import Path

import msgspec

from device.errors import ConfigurationError, EvidenceError
from device.evidence.adoption import replace_file
from device.evidence.reading import read_file
from device.evidence.records import Digest
from device.policy.inputs import Count

MAX_MEMORY_BYTES = 4096


class Sent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was sent, where, and compared there. `receipt`: SHA-256 of the receipt that was handed in; `refused`: of the
    one that can't be, with the reason."""

    end_point_sha256: Digest
    object_sha256: Digest
    size: Count
    receipt: Digest | None = None
    refused: Digest | None = None
    why: str = ""


class Memory:
    """A folder of the off-load's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as failure:
            raise ConfigurationError(f"{folder}: {failure.strerror}; name a folder in [offload] state") from failure

    def of(self, recording: str) -> Sent | None:
        """None when nothing is remembered, or nothing that can be read."""
        try:
            data = read_file(self._folder / f"{recording}.json", MAX_MEMORY_BYTES)
            return None if data is None else msgspec.json.decode(data, type=Sent)
        except (EvidenceError, msgspec.DecodeError, UnicodeDecodeError):
            return None

    def keep(self, recording: str, sent: Sent) -> None:
        path = self._folder / f"{recording}.json"
        try:
            replace_file(path, msgspec.json.encode(sent))
        except OSError as failure:
            raise ConfigurationError(
                f"{path}: {failure.strerror}; free or mend the folder of [offload] state"
            ) from failure
