"""A private key in a TPM 2.0, and the key that certifies its counter. Imported only when a key is in one.

A key is kept in the TPM under a persistent handle (`tpm:0x81010001`), or as a blob in a file that this TPM alone can load
(`tpm:device.tpm`). It was made in the TPM and never leaves it: the attributes that say so are checked at each opening.
"""

import hashlib
import re
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from device.config import Configuration
from device.errors import ConfigurationError, EvidenceError
from device.evidence import tpm_words as words
from device.evidence.tpm import Tpm, TpmRefusedError
from device.evidence.tpm_transport import TpmUnreachable
from device.tables import Tpm as Settings

MAX_BLOB_BYTES = 4096
_HANDLE = re.compile(r"0x81[0-7][0-9a-fA-F]{5}\Z")
_shared: dict[str, Tpm] = {}
"""One connection to a TPM serves every key of this process: a simulator takes only one."""


class TpmPlace(msgspec.Struct, frozen=True):
    """Where a key is: a handle, or the file of its blob. `setting`: what names it in the configuration, for messages."""

    setting: str
    tcti: str
    handle: int | None
    blob: Path | None

    @property
    def words(self) -> str:
        return f"the key 0x{self.handle:08x} of the TPM" if self.handle is not None else f"the TPM's key in {self.blob}"


def place_of(configuration: Configuration, setting: str, text: str) -> TpmPlace:
    """`ConfigurationError` when the name is neither a handle of the owner's nor a file."""
    settings = configuration.tables.identity.tpm or Settings()
    name = text.removeprefix("tpm:")
    if name.startswith("0x"):
        if not _HANDLE.fullmatch(name):
            raise ConfigurationError(
                f"{configuration.path}: {setting} is {text!r}: a handle from 0x81000000 to 0x817fffff is wanted"
            )
        return TpmPlace(setting, settings.tcti, int(name, 16), None)
    if not name or "\0" in name:
        raise ConfigurationError(f"{configuration.path}: {setting} is {text!r}: name a handle (0x81…) or a file")
    return TpmPlace(setting, settings.tcti, None, configuration.at(name))


def shared_tpm(tcti: str) -> Tpm:
    return _shared.setdefault(tcti, Tpm(tcti))


class TpmKey:
    """An opened key. After an error the TPM is opened once more, and the command tried once more."""

    protection: Literal["tpm"] = "tpm"

    def __init__(self, place: TpmPlace, attributes: int = words.SIGNING) -> None:
        self._place = place
        self.where = "tpm-blob" if place.handle is None else "tpm-handle"
        self._tpm = shared_tpm(place.tcti)
        self._handle = -1
        self._loaded_in = -1
        self._blob = _read_blob(place)
        try:
            area = self._tpm.public(self.handle())
        except TpmRefusedError as failure:
            raise ConfigurationError(
                f"{place.setting}: {place.words}: {failure}; name a key of this TPM, or make one with `bodycam provision key`"
            ) from failure
        if area.attributes != attributes:
            raise ConfigurationError(
                f"{place.setting}: {place.words} has the attributes 0x{area.attributes:08x}; 0x{attributes:08x} are wanted: "
                "a key that was made in the TPM and never leaves it; make one with `bodycam provision key`"
            )
        self.public: ec.EllipticCurvePublicKey = area.key()

    def sign(self, message: bytes) -> bytes:
        digest = hashlib.sha256(message).digest()
        try:
            return self._tpm.sign(self.handle(), digest)
        except TpmUnreachable:
            self._tpm.reopen()
            return self._tpm.sign(self.handle(), digest)

    def certify(self, index: int, qualifier: bytes) -> bytes:
        """The counter over `qualifier`, signed by this key: a restricted one."""
        try:
            return self._tpm.certify(self.handle(), index, qualifier)
        except TpmUnreachable:
            self._tpm.reopen()
            return self._tpm.certify(self.handle(), index, qualifier)

    def handle(self) -> int:
        """By which the TPM knows it now."""
        if self._place.handle is not None:
            return self._place.handle
        self._tpm.open()
        if self._loaded_in != self._tpm.generation:
            try:
                self._handle = self._tpm.load(self._blob)
            except EvidenceError as failure:
                raise ConfigurationError(f"{self._place.blob}: not a key's blob: {failure}") from failure
            self._loaded_in = self._tpm.generation
        return self._handle

    def close(self) -> None:
        """Lets the TPM go, for every key in it."""
        self._tpm.close()


def make_tpm_key(place: TpmPlace, attributes: int = words.SIGNING) -> TpmKey:
    """Make a key in the TPM. `ConfigurationError` when its place is taken."""
    from device.evidence.keys import write_private

    tpm = shared_tpm(place.tcti)
    if place.handle is not None and _taken(tpm, place.handle):
        raise ConfigurationError(
            f"{place.setting}: {place.words} is there already, and a key is never overwritten; name another handle"
        )
    blob = tpm.create(attributes)
    if place.handle is None:
        assert place.blob is not None, "a key has a handle or a file"
        write_private(place.blob, blob, place.setting)
    else:
        loaded = tpm.load(blob)
        try:
            tpm.persist(loaded, place.handle)
        finally:
            tpm.flush(loaded)
    return TpmKey(place, attributes)


def _taken(tpm: Tpm, handle: int) -> bool:
    try:
        tpm.public(handle)
    except TpmRefusedError:
        return False
    return True


def _read_blob(place: TpmPlace) -> bytes:
    if place.blob is None:
        return b""
    try:
        with place.blob.open("rb") as file:
            blob = file.read(MAX_BLOB_BYTES + 1)
    except OSError as failure:
        raise ConfigurationError(
            f"{place.setting}: {place.blob}: {failure.strerror}; make the key with `bodycam provision key`"
        ) from failure
    if len(blob) > MAX_BLOB_BYTES:
        raise ConfigurationError(f"{place.setting}: {place.blob}: more than {MAX_BLOB_BYTES} bytes: not a key's blob")
    return blob
