"""A private key in a PKCS#11 token: a secure element, a smart card, SoftHSM. Imported only when a key is in one.

A key is named by a URI (RFC 7512); what it leaves out `[identity.pkcs11]` says. The key is made in the token, sensitive and
never extractable; the token signs a digest that is made here, as every token can. The PIN is read from a file that only
its owner may read, is never said, and is never tried again once a token has refused it: tokens lock.
"""

import hashlib
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec
import pkcs11
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters

from device.config import Configuration
from device.errors import ConfigurationError, KeyUnreachable

MAX_URI_CHARACTERS = 400
MAX_PIN_BYTES = 255
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PATH = ("token", "serial", "object", "id", "type")
_QUERY = ("module-path", "pin-source")
_GONE = (pkcs11.GeneralError, pkcs11.DeviceError, pkcs11.DeviceRemoved, pkcs11.TokenNotPresent)
"""What a module that was loaded before says of itself while there is no token."""
_REFUSED = (
    pkcs11.PinIncorrect,
    pkcs11.PinInvalid,
    pkcs11.PinLenRange,
    pkcs11.PinLocked,
    pkcs11.PinExpired,
    pkcs11.UserPinNotInitialized,
)


class TokenPlace(msgspec.Struct, frozen=True):
    """Where a key is. `setting`: what names it in the configuration, for messages. `label`, `id`: at least one is given."""

    setting: str
    module: Path
    token: str
    serial: str
    label: str
    id: bytes
    pin_file: Path | None

    @property
    def words(self) -> str:
        """For messages: which key of which token."""
        key = self.label or self.id.hex()
        return f"the key {key!r} in the token {self.token or self.serial!r}"


def place_of(configuration: Configuration, setting: str, uri: str) -> TokenPlace:
    """Read a URI; `ConfigurationError` with what is wrong in it."""
    parts = _attributes(configuration, setting, uri)
    table = configuration.tables.identity.pkcs11
    module = parts.get("module-path") or (table.module.encode() if table is not None else b"")
    serial = _text(configuration, setting, parts.get("serial", b""))
    named = parts.get("token", b"") or (table.token.encode() if table is not None and not serial else b"")
    source = parts.get("pin-source", b"").removeprefix(b"file://").removeprefix(b"file:")
    pin_file = source or (table.pin_file.encode() if table is not None and table.pin_file is not None else b"")
    if not module:
        raise _wrong(configuration, setting, "it names no module; add ?module-path=… or set identity.pkcs11.module")
    if not (named or serial):
        raise _wrong(configuration, setting, "it names no token; add token=… or set identity.pkcs11.token")
    if not (parts.get("object") or parts.get("id")):
        raise _wrong(configuration, setting, "it names no key; add object=LABEL or id=%01")
    if parts.get("type", b"private") != b"private":
        raise _wrong(configuration, setting, "its type is not private; a key that signs is wanted")
    return TokenPlace(
        setting=setting,
        module=configuration.at(_text(configuration, setting, module)),
        token=_text(configuration, setting, named),
        serial=serial,
        label=_text(configuration, setting, parts.get("object", b"")),
        id=parts.get("id", b""),
        pin_file=configuration.at(_text(configuration, setting, pin_file)) if pin_file else None,
    )


class TokenKey:
    """An opened key. After a token error it is opened once more, and the signature tried once more."""

    protection: Literal["token"] = "token"
    where = "pkcs11"

    def __init__(self, place: TokenPlace) -> None:
        self._place = place
        self._refused = False
        self._session: pkcs11.Session | None = None
        self._key: Any = None
        try:
            self._open()
            self.public = _public(self._session, place)
        except pkcs11.PKCS11Error as failure:
            self.close()
            raise _unreachable(place, failure) from failure
        except (ConfigurationError, KeyUnreachable):
            self.close()
            raise

    def sign(self, message: bytes) -> bytes:
        """`KeyUnreachable` while the token can't be reached, or no longer takes the PIN."""
        digest = hashlib.sha256(message).digest()
        try:
            return self._sign(digest)
        except pkcs11.PKCS11Error:
            self.close()
        try:
            self._open()
            return self._sign(digest)
        except ConfigurationError as failure:
            raise KeyUnreachable(str(failure)) from failure
        except pkcs11.PKCS11Error as failure:
            raise _unreachable(self._place, failure) from failure

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with suppress(pkcs11.PKCS11Error):
                session.close()

    def _open(self) -> None:
        if self._refused:
            raise ConfigurationError(
                f"{self._place.setting}: {self._place.words}: its PIN was refused; not tried again"
            )
        try:
            self._session = open_session(self._place, write=False)
        except _REFUSED as failure:
            self._refused = True
            raise ConfigurationError(
                f"{self._place.setting}: {self._place.words}: the token refuses the PIN ({type(failure).__name__}); "
                f"correct {self._place.pin_file}: tokens lock after a few wrong ones"
            ) from failure
        self._key = _find(self._session, self._place, ObjectClass.PRIVATE_KEY)
        if not self._key[Attribute.SENSITIVE] or self._key[Attribute.EXTRACTABLE]:
            raise ConfigurationError(
                f"{self._place.setting}: {self._place.words} can leave its token; make one with `bodycam provision key`"
            )

    def _sign(self, digest: bytes) -> bytes:
        if self._session is None:
            raise pkcs11.SessionClosed
        raw: bytes = self._key.sign(digest, mechanism=Mechanism.ECDSA)
        if len(raw) != 64:
            raise KeyUnreachable(f"{self._place.words}: a signature of {len(raw)} bytes where 64 belong")
        return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))


def make_token_key(place: TokenPlace) -> TokenKey:
    """Make a P-256 key in the token: it signs, and never leaves. `ConfigurationError` when its name is taken."""
    if not place.label:
        raise ConfigurationError(f"{place.setting}: name the new key by its label: object=LABEL")
    try:
        session = open_session(place, write=True)
    except _REFUSED as failure:
        raise ConfigurationError(
            f"{place.setting}: {place.words}: the token refuses the PIN ({type(failure).__name__}); correct {place.pin_file}"
        ) from failure
    except pkcs11.PKCS11Error as failure:
        raise _unreachable(place, failure) from failure
    try:
        _make(session, place)
    except pkcs11.PKCS11Error as failure:
        raise _unreachable(place, failure) from failure
    finally:
        with suppress(pkcs11.PKCS11Error):
            session.close()
    return TokenKey(place)


def open_session(place: TokenPlace, *, write: bool) -> pkcs11.Session:
    """A session of the user's. Raises `ConfigurationError`, and the library's own errors."""
    pin = _pin(place)
    try:
        library = pkcs11.lib(str(place.module))
    except (RuntimeError, OSError) as failure:
        if type(failure) in _GONE:
            raise
        raise ConfigurationError(
            f"{place.setting}: {place.module}: not a PKCS#11 module that can be loaded ({failure}); name the library of "
            "the token's maker"
        ) from failure
    tokens = list(library.get_tokens(token_label=place.token or None, token_serial=place.serial.encode() or None))
    if len(tokens) != 1:
        raise pkcs11.TokenNotPresent(f"{len(tokens)} tokens have this name; one is wanted")
    try:
        return tokens[0].open(rw=write, user_pin=pin)
    except pkcs11.UserAlreadyLoggedIn:
        return tokens[0].open(rw=write)  # another key of this daemon is in the same token: the login is the process's


def _make(session: pkcs11.Session, place: TokenPlace) -> None:
    wanted = _wanted(place)
    if any(True for _ in session.get_objects(wanted)):
        raise ConfigurationError(
            f"{place.setting}: {place.words} is there already, and a key is never overwritten; name another object"
        )
    curve = session.create_domain_parameters(
        KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}, local=True
    )
    identifier = place.id or place.label.encode()
    curve.generate_keypair(
        id=identifier,
        label=place.label,
        store=True,
        public_template={Attribute.VERIFY: True},
        private_template={
            Attribute.SIGN: True,
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: False,
            Attribute.PRIVATE: True,
            Attribute.DERIVE: False,
        },
    )


def _wanted(place: TokenPlace) -> dict[Attribute, object]:
    wanted: dict[Attribute, object] = {}
    if place.label:
        wanted[Attribute.LABEL] = place.label
    if place.id:
        wanted[Attribute.ID] = place.id
    return wanted


def _find(session: pkcs11.Session, place: TokenPlace, kind: ObjectClass) -> Any:
    """The one object of this kind and name: the library gives its abilities at run time."""
    found = list(session.get_objects({Attribute.CLASS: kind, Attribute.KEY_TYPE: KeyType.EC, **_wanted(place)}))
    if len(found) != 1:
        raise ConfigurationError(
            f"{place.setting}: {place.words}: the token has {len(found)} such keys; name one that is there, by object and "
            "id, or make it with `bodycam provision key`"
        )
    return found[0]


def _public(session: "pkcs11.Session | None", place: TokenPlace) -> ec.EllipticCurvePublicKey:
    assert session is not None, "the key has been opened"
    try:
        public = load_der_public_key(encode_ec_public_key(_find(session, place, ObjectClass.PUBLIC_KEY)))
    except (ValueError, TypeError, UnsupportedAlgorithm) as failure:
        raise ConfigurationError(
            f"{place.setting}: {place.words}: its public key can't be read: {failure}"
        ) from failure
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise ConfigurationError(f"{place.setting}: {place.words} is not on the curve P-256; make another")
    return public


def _pin(place: TokenPlace) -> str | None:
    """The first line of the PIN's file; None where no file is named, for a token that asks for none."""
    if place.pin_file is None:
        return None
    try:
        with place.pin_file.open("rb") as file:
            mode = stat.S_IMODE(place.pin_file.stat().st_mode)
            line = file.read(MAX_PIN_BYTES + 2).split(b"\n", 1)[0].rstrip(b"\r")
    except OSError as failure:
        raise ConfigurationError(f"{place.pin_file}: {failure.strerror}; it must hold the token's PIN") from failure
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(
            f"{place.pin_file}: others than its owner may read this PIN (mode {mode:04o}); `chmod 0600` it, and change "
            "the PIN"
        )
    try:
        pin = line.decode("utf-8")
    except UnicodeDecodeError as failure:
        raise ConfigurationError(f"{place.pin_file}: its first line is no PIN in UTF-8") from failure
    if not 1 <= len(line) <= MAX_PIN_BYTES:
        raise ConfigurationError(f"{place.pin_file}: a PIN of 1 to {MAX_PIN_BYTES} bytes is wanted in its first line")
    return pin


def _unreachable(place: TokenPlace, failure: Exception) -> KeyUnreachable:
    why = f"{type(failure).__name__}: {failure}" if str(failure) else type(failure).__name__
    return KeyUnreachable(f"{place.setting}: {place.words} can't be used now ({why}); plug the token in")


# -- the URI --------------------------------------------------------------------------------------------------------


def _attributes(configuration: Configuration, setting: str, uri: str) -> dict[str, bytes]:
    """The attributes of path and query, decoded; `ConfigurationError` for an unknown one, or one given twice."""
    if len(uri) > MAX_URI_CHARACTERS:
        raise _wrong(configuration, setting, f"a URI of more than {MAX_URI_CHARACTERS} characters")
    path, _, query = uri.removeprefix("pkcs11:").partition("?")
    found: dict[str, bytes] = {}
    for part, known, between in ((path, _PATH, ";"), (query, _QUERY, "&")):
        for piece in filter(None, part.split(between)):
            name, equals, value = piece.partition("=")
            if not equals or name not in known:
                raise _wrong(configuration, setting, f"{name!r} is none of {', '.join(known)}")
            if name in found:
                raise _wrong(configuration, setting, f"{name!r} is given twice")
            if _PERCENT.search(value):
                raise _wrong(configuration, setting, f"{name!r} has a % that no two hexadecimal digits follow")
            found[name] = _ESCAPED.sub(lambda at: bytes.fromhex(at[1].decode()), value.encode())
    return found


def _text(configuration: Configuration, setting: str, value: bytes) -> str:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as failure:
        raise _wrong(configuration, setting, "a part of it is not UTF-8") from failure
    if not text.isprintable():
        raise _wrong(configuration, setting, "a part of it has characters that can't be shown")
    return text


def _wrong(configuration: Configuration, setting: str, why: str) -> ConfigurationError:
    example = "pkcs11:token=bodycam;object=ledger?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:pin"
    return ConfigurationError(f"{configuration.path}: {setting}: {why}; such as {example}")
