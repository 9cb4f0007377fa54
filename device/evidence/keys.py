"""Where a device's keys are: the one place that opens a key by what `[identity]` says of it.

A PEM file that only its owner can read; an object in a PKCS#11 token; a key in a TPM. What opens the last two is imported
when the configuration names one. Main thread at the start; afterwards the recorder thread signs.
"""

import hashlib
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from device.config import Configuration
from device.errors import CannotPersist, ConfigurationError
from device.evidence.envelope import low_s
from device.evidence.identity import Role, private_key

Protection = Literal["file", "token", "tpm"]


class Key(Protocol):
    """An opened private key. `sign`: ECDSA with SHA-256, DER; may be slow; `CannotPersist` while it can't be reached."""

    @property
    def protection(self) -> Protection: ...

    @property
    def where(self) -> str:
        """What kind of place it is in, as a word that says no secret."""

    @property
    def public(self) -> ec.EllipticCurvePublicKey: ...

    def sign(self, message: bytes) -> bytes: ...

    def close(self) -> None: ...


class FileKey:
    """A private key in a PEM file: development only. `ConfigurationError` when others can read it."""

    protection: Protection = "file"
    where = "pem-file"

    def __init__(self, path: Path) -> None:
        self._key = private_key(path)
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigurationError(
                f"{path}: others than its owner may use this private key (mode {stat.S_IMODE(mode):04o}); "
                f"`chmod 0600 {path.name}`, after asking who has a copy"
            )

    @property
    def public(self) -> ec.EllipticCurvePublicKey:
        return self._key.public_key()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message, ec.ECDSA(hashes.SHA256()))

    def close(self) -> None:
        """Nothing is held open."""


class KeySigner:
    """A key with its certificate: what signs for a role."""

    def __init__(self, key: Key, role: Role, certificate: bytes) -> None:
        self._key = key
        self.role = role
        self.protection = key.protection
        self.where = key.where
        self.certificate_sha256 = hashlib.sha256(certificate).hexdigest()

    def sign(self, message: bytes) -> bytes:
        return low_s(self._key.sign(message))

    def close(self) -> None:
        """Let the token or TPM go; called when nothing signs any more."""
        self._key.close()


class Named(msgspec.Struct, frozen=True):
    """Where the configuration says that a role's key is, and the key of the table that says it."""

    setting: str
    text: str
    certificate: str


def named_key(configuration: Configuration, role: Role) -> Named:
    """`ConfigurationError` when the configuration names no key for the role."""
    identity = configuration.tables.identity
    if role is Role.LEDGER:
        return Named("identity.key", identity.key, identity.certificate)
    if role is Role.MEDIA and identity.media_key is not None and identity.media_certificate is not None:
        return Named("identity.media_key", identity.media_key, identity.media_certificate)
    raise ConfigurationError(
        f"{configuration.path}: it names no key for {role.name.lower()}; set identity.{role.name.lower()}_key and "
        f"identity.{role.name.lower()}_certificate"
    )


def protection_of(text: str) -> Protection:
    """What kind of place a key's name names."""
    return "token" if text.startswith("pkcs11:") else "tpm" if text.startswith("tpm:") else "file"


def open_key(configuration: Configuration, role: Role) -> Key:
    """Open a role's key where the configuration says that it is. `ConfigurationError` for what an operator must change;
    `CannotPersist` when the token or TPM can't be reached now."""
    return open_named(configuration, named_key(configuration, role))


def open_named(configuration: Configuration, named: Named) -> Key:
    """Open a key that the configuration itself need not name; it says how a token or a TPM is reached. Errors as above."""
    return _OPENERS[protection_of(named.text)](configuration, named)


def make_key(configuration: Configuration, role: Role) -> Key:
    """Make a new key there. `ConfigurationError` when there is one already: nothing is ever overwritten."""
    return _MAKERS[protection_of(named_key(configuration, role).text)](configuration, named_key(configuration, role))


def _open_file(configuration: Configuration, named: Named) -> Key:
    return FileKey(configuration.at(named.text))


def _make_file(configuration: Configuration, named: Named) -> Key:
    from cryptography.hazmat.primitives import serialization

    path = configuration.at(named.text)
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(path, pem, named.setting)
    return FileKey(path)


def write_private(path: Path, content: bytes, setting: str) -> None:
    """A new file that only its owner can read; `ConfigurationError` when there is one already."""
    import os

    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError as failure:
        raise ConfigurationError(
            f"{setting} is {path.name!r}: it is there already, and a key is never overwritten; name another file, or "
            "move that one away"
        ) from failure
    except OSError as failure:
        raise ConfigurationError(
            f"{setting} is {path.name!r}: {failure.strerror}; name a file in a folder"
        ) from failure
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as failure:
        path.unlink(missing_ok=True)
        raise CannotPersist(f"{path}: {failure.strerror}; it was not written") from failure


def _open_token(configuration: Configuration, named: Named) -> Key:
    from device.evidence.pkcs11_key import TokenKey, place_of

    return TokenKey(place_of(configuration, named.setting, named.text))


def _make_token(configuration: Configuration, named: Named) -> Key:
    from device.evidence.pkcs11_key import make_token_key, place_of

    return make_token_key(place_of(configuration, named.setting, named.text))


def _open_tpm(configuration: Configuration, named: Named) -> Key:
    from device.evidence.tpm_key import TpmKey, place_of

    return TpmKey(place_of(configuration, named.setting, named.text))


def _make_tpm(configuration: Configuration, named: Named) -> Key:
    from device.evidence.tpm_key import make_tpm_key, place_of

    return make_tpm_key(place_of(configuration, named.setting, named.text))


_Opener = Callable[[Configuration, Named], Key]
_OPENERS: dict[Protection, _Opener] = {"file": _open_file, "token": _open_token, "tpm": _open_tpm}
_MAKERS: dict[Protection, _Opener] = {"file": _make_file, "token": _make_token, "tpm": _make_tpm}
