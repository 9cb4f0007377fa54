"""Opening what is private in a record, with the auditor's key. It opens names and places, and no footage."""

import base64
import binascii
import hashlib
from pathlib import Path

import msgspec
import pyrage

from device.errors import EvidenceError, UsageError
from device.evidence.opening import MAX_IDENTITY_BYTES, WrongKeyError
from device.evidence.records import SealedContext

_NO_KEY = "No matching keys"
_FACTS = msgspec.json.Decoder(dict[str, str | bool])


class ContextIdentity:
    """An age identity file of a context recipient. `opened` and `for_others` count what it was tried on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opened = 0
        self.for_others = 0
        try:
            with path.open("rb") as file:
                lines = file.read(MAX_IDENTITY_BYTES).decode("ascii").splitlines()
        except UnicodeDecodeError as failure:
            raise UsageError(f"{self._key}: it is no text; give the auditor's age identity file") from failure
        except OSError as failure:
            raise UsageError(f"{self._key}: {failure.strerror}; give the auditor's age identity file") from failure
        keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        try:
            self._identities = [pyrage.x25519.Identity.from_str(key) for key in keys]
        except pyrage.IdentityError as failure:
            raise UsageError(f"{self._key}: {failure}; a key begins with AGE-SECRET-KEY-1") from failure
        if not self._identities:
            raise UsageError(f"{self._key}: no key is in it; a key begins with AGE-SECRET-KEY-1")

    @property
    def _key(self) -> str:
        return f"--context-identity {self.path}"

    def is_one_of(self, recipients: tuple[str, ...]) -> bool:
        """Whether any of these age recipients is this identity's."""
        return any(str(identity.to_public()) in recipients for identity in self._identities)

    def facts(self, context: SealedContext) -> dict[str, str | bool]:
        """What is sealed beside a record, its digest checked; `EvidenceError` when it can't be had."""
        try:
            plain = bytes(pyrage.decrypt(base64.b64decode(context.age, validate=True), self._identities))
        except (binascii.Error, ValueError) as failure:
            raise EvidenceError(f"what is sealed beside it is not base64: {failure}") from failure
        except pyrage.DecryptError as failure:
            if _NO_KEY in str(failure):
                self.for_others += 1
                raise WrongKeyError("what is sealed beside it is not encrypted for this identity") from failure
            raise EvidenceError(f"what is sealed beside it can't be decrypted: {failure}") from failure
        if hashlib.sha256(plain).hexdigest() != context.sha256:
            raise EvidenceError("what is sealed beside it is not what the record signed")
        try:
            facts = _FACTS.decode(plain)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
            raise EvidenceError(f"what is sealed beside it can't be read: {failure}") from failure
        self.opened += 1
        return facts

    def check(self) -> None:
        """`UsageError` when it opened nothing of what it was tried on, since all of that is for others."""
        if self.for_others and not self.opened:
            raise UsageError(
                f"{self._key}: it opens nothing on this card: what is private is encrypted for others; "
                "give the identity of a context recipient (the one for footage is another)"
            )
