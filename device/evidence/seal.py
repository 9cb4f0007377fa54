"""Plaintext in, ciphertext and both digests out. The device holds no key that opens what it wrote (E6).

Recorder thread. Each piece of a file is digested, encrypted, digested and written while it is in the processor's cache.
Readers use `stanza_types` to see for whom a file was encrypted without opening it.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Sequence

import msgspec

from device.errors import ConfigurationError, EvidenceError
from device.evidence.age_file import STANZA, Recipient, encrypted
from device.evidence.records import SealedContext, Stored

_MAX_HEADER_BYTES = 16 * 1024
_STANZA_LINE = re.compile(rb"^-> ([!-~]+)(?: [!-~]+)*$")
_BODY_LINE = re.compile(rb"^[A-Za-z0-9+/]{0,64}$")
_MAC_LINE = re.compile(rb"^--- [A-Za-z0-9+/]{43}$")
_GREASE = "-grease"


class SealedFile(msgspec.Struct, frozen=True):
    data: bytes
    stored: Stored


class Sealer:
    """Encrypts to a fixed list of recipients (`age1…`)."""

    def __init__(self, recipients: tuple[str, ...], key: str) -> None:
        try:
            self._recipients = [Recipient(recipient) for recipient in recipients]
        except EvidenceError as failure:
            raise ConfigurationError(f"{key}: {failure}; a recipient begins with age1") from failure
        self.stanzas = (STANZA,) * len(recipients)
        self.recipients_sha256 = hashlib.sha256("\n".join(recipients).encode()).hexdigest()

    def seal_to(self, write: Callable[[memoryview], None], parts: Sequence[bytes | memoryview]) -> Stored:
        """The parts as one file. What `write` is given is another's after it has returned."""
        plain, sealed, size = hashlib.sha256(), hashlib.sha256(), 0
        for chunk, piece in encrypted(parts, self._recipients):
            plain.update(chunk)
            sealed.update(piece)
            write(piece)
            size += len(piece)
        return Stored(size=size, plain=plain.hexdigest(), sealed=sealed.hexdigest())

    def seal(self, plain: bytes) -> SealedFile:
        data = bytearray()
        stored = self.seal_to(data.extend, [plain])
        return SealedFile(bytes(data), stored)

    def seal_context(self, facts: dict[str, str | bool], salt: bytes) -> SealedContext:
        """Private facts, with a salt so that the digest can't be guessed from them."""
        plain = msgspec.json.encode({"salt": salt.hex()} | facts)
        sealed = self.seal(plain)
        return SealedContext(age=base64.b64encode(sealed.data).decode(), sha256=sealed.stored.plain)


def stanza_types(beginning: bytes) -> tuple[str, ...]:
    """The recipient types in an age file's header, given at least its first 16 KiB; `EvidenceError` if it has none.

    One `…-grease` stanza, which writers add so that readers stay tolerant, is left out; a second one is not.
    """
    lines = beginning[:_MAX_HEADER_BYTES].split(b"\n")
    if lines[0] != b"age-encryption.org/v1":
        raise EvidenceError("not an age file")
    types: list[str] = []
    for line in lines[1:]:
        if stanza := _STANZA_LINE.match(line):
            types.append(stanza[1].decode())
        elif _MAC_LINE.match(line):
            grease = next((n for n, name in enumerate(types) if name.endswith(_GREASE)), len(types))
            return tuple(types[:grease] + types[grease + 1 :])
        elif not _BODY_LINE.match(line) or not types:
            break
    raise EvidenceError("the age header is not well formed")
