"""The TPM that anchors a journal: its counter, and the key that certifies what that stands at. Recorder thread.

Imported only when the configuration names an attestation key. That key signs nothing but the TPM's own words; the agency's
statement names it, and says what the counter is and where it began.
"""

import base64

from cryptography.hazmat.primitives import serialization

from device.config import Configuration
from device.errors import ConfigurationError
from device.evidence import tpm_words as words
from device.evidence.records import Attestation
from device.evidence.tpm import Tpm, TpmRefusedError
from device.evidence.tpm_key import TpmKey, TpmPlace, make_tpm_key, place_of, shared_tpm
from device.evidence.tpm_transport import TpmUnreachable
from device.tables import Tpm as Settings


class TpmWitness:
    """The counter and its key, opened when first used. `KeyUnreachable` while the TPM gives no answer."""

    def __init__(self, configuration: Configuration, said: Attestation) -> None:
        settings = _settings(configuration)
        self._place = _place(configuration, settings)
        self._index = int(settings.counter, 16)
        self._tpm = shared_tpm(settings.tcti)
        self._said = said
        self._key: TpmKey | None = None

    def counter(self) -> int:
        """What it stands at now."""
        try:
            return self._tpm.counter(self._index)
        except TpmUnreachable:
            self._tpm.reopen()
            return self._tpm.counter(self._index)

    def certify(self, qualifier: bytes) -> bytes:
        """The TPM's word on its counter, over `qualifier`. `ConfigurationError` when it is not the TPM of the statement."""
        if self._key is None:
            self._key = TpmKey(self._place, words.ATTESTING)
            if _described(self._key, self._index, self._said.began) != self._said:
                self._key = None
                raise ConfigurationError(
                    f"{self._place.words}: the agency's statement names another TPM's key or counter; ask the agency for a "
                    "new statement"
                )
        return self._key.certify(self._index, qualifier)

    def increment(self) -> None:
        """Never given twice for one answer that did not come: `counter` tells."""
        self._tpm.increment(self._index)


def provide_attestation(configuration: Configuration) -> Attestation:
    """What the agency must know of this TPM; makes the key and the counter unless they are there."""
    settings = _settings(configuration)
    place = _place(configuration, settings)
    index = int(settings.counter, 16)
    key = TpmKey(place, words.ATTESTING) if _there(place) else make_tpm_key(place, words.ATTESTING)
    try:
        return _described(key, index, _count(shared_tpm(settings.tcti), index))
    finally:
        key.close()


def _count(tpm: Tpm, index: int) -> int:
    try:
        return tpm.counter(index)
    except TpmRefusedError:
        tpm.define_counter(index)
        return tpm.counter(index)


def _described(key: TpmKey, index: int, began: int) -> Attestation:
    der = key.public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Attestation(key=base64.b64encode(der).decode("ascii"), counter=words.counter_name(index), began=began)


def _settings(configuration: Configuration) -> Settings:
    settings = configuration.tables.identity.tpm
    assert settings is not None, "asked for only where the configuration has it"
    return settings


def _place(configuration: Configuration, settings: Settings) -> TpmPlace:
    name = settings.attestation_key or ""
    if not name.startswith("tpm:"):
        raise ConfigurationError(
            f"{configuration.path}: identity.tpm.attestation_key is {name!r}: tpm:0x81… or tpm:FILE is wanted"
        )
    return place_of(configuration, "identity.tpm.attestation_key", name)


def _there(place: TpmPlace) -> bool:
    if place.blob is not None:
        return place.blob.exists()
    assert place.handle is not None, "a key has a handle or a file"
    try:
        shared_tpm(place.tcti).public(place.handle)
    except TpmRefusedError:
        return False
    return True
