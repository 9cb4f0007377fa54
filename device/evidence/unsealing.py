"""Opening what is private in a record, with the auditor's key. It opens names and places, and no footage."""

import base64
import binascii
import hashlib
from pathlib import Path

import msgspec
import pyrage

from device.errors import EvidenceError, UsageError
from device.evidence.age_keys import NO_KEY, WrongKeyError, age_identities
from device.evidence.records import SealedContext
from device.evidence.seal import stanza_types
from device.policy.model import Policy

_FACTS = msgspec.json.Decoder(dict[str, str | bool])


class ContextIdentity:
    """An age identity file of a context recipient. `opened` and `for_others` count what it was tried on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opened = 0
        self.for_others = 0
        self._identities = age_identities(path, "--context-identity", "the auditor's")

    def is_one_of(self, recipients: tuple[str, ...]) -> bool:
        """Whether any of these age recipients is this identity's."""
        return any(str(identity.to_public()) in recipients for identity in self._identities)

    def is_for_others(self, context: SealedContext) -> bool:
        """Whether it can't be opened for no other reason than its recipients."""
        try:
            self.facts(context)
        except WrongKeyError:
            return True
        except EvidenceError:
            return False
        return False

    def facts(self, context: SealedContext) -> dict[str, str | bool]:
        """What is sealed beside a record, its digest checked; `EvidenceError` when it can't be had."""
        try:
            plain = bytes(pyrage.decrypt(base64.b64decode(context.age, validate=True), self._identities))
        except (binascii.Error, ValueError) as failure:
            raise EvidenceError(f"what is sealed beside it is not base64: {failure}") from failure
        except pyrage.DecryptError as failure:
            if NO_KEY in str(failure):
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
                f"--context-identity {self.path}: it opens nothing on this card: what is private is encrypted for others; "
                "give the identity of a context recipient (the one for footage is another)"
            )


class SealedFor:
    """For how many what is private was sealed: as many as the policy names, else as many throughout a run."""

    def __init__(self) -> None:
        self._by_run: dict[int, int] = {}

    def why_not(self, run: int, policy: Policy, context: SealedContext) -> str:
        """Why that is not right; "" when it is, or when it can't be told since it is no age file."""
        try:
            count = len(stanza_types(base64.b64decode(context.age, validate=True)))
        except (binascii.Error, ValueError, EvidenceError):
            return ""
        named = len(policy.recipients.context)
        wanted = named or self._by_run.setdefault(run, count)
        if count == wanted:
            return ""
        source = "the policy names" if named else "before in this run it was for"
        return f"what is sealed beside it is for {count} recipients; {source} {wanted}"
