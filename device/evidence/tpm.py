"""The few commands of a TPM 2.0 that the device gives, over whatever reaches it. Recorder thread, after the start.

Keys and the counter are used under an empty authorisation: who may open the TPM may sign with them, and nobody can take
them out. What fails raises `TpmUnreachable`, or `TpmRefusedError` with the TPM's own code.
"""

import struct

from device.errors import EvidenceError
from device.evidence import tpm_words as words
from device.evidence.tpm_transport import TpmUnreachable, Transport, open_transport

_TRY_AGAIN = (0x908, 0x90A, 0x922)
"""Yielded, testing, retry: the TPM asks for the same command once more."""
_TRIES = 10
_TRANSIENT = 0x80000000


class TpmRefusedError(TpmUnreachable):
    """The TPM answered with an error. `code`: the specification's TPM_RC."""

    def __init__(self, what: str, code: int) -> None:
        super().__init__(f"the TPM refuses {what}: TPM_RC 0x{code:03x}")
        self.code = code


class Tpm:
    """One connection. It is opened when it is first used; after a failure `reopen` begins anew, with nothing loaded."""

    def __init__(self, tcti: str) -> None:
        self._tcti = tcti
        self._transport: Transport | None = None
        self.generation = 0
        """How often it has been opened: what was loaded in an earlier one is gone."""

    def open(self) -> None:
        if self._transport is None:
            self._transport = open_transport(self._tcti)
            self.generation += 1
            self._forget_loaded()

    def close(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def reopen(self) -> None:
        self.close()
        self.open()

    def run(
        self, what: str, code: int, handles: tuple[int, ...], parameters: bytes = b"", *, authorised: int = 0
    ) -> words.Reading:
        """Give a command; what follows the answer's header and, where there are sessions, the size of its parameters."""
        self.open()
        assert self._transport is not None, "it has been opened"
        command = words.command(code, handles, parameters, authorised=authorised)
        for _ in range(_TRIES):
            answer = self._transport.exchange(command)
            (result,) = struct.unpack_from(">I", answer, 6)
            if result not in _TRY_AGAIN:
                break
        if result:
            raise TpmRefusedError(what, result)
        return words.Reading(answer[10:], TpmUnreachable)

    # -- keys -------------------------------------------------------------------------------------------------------

    def create(self, attributes: int) -> bytes:
        """A new P-256 key under the owner's storage key: its blob, which only this TPM can load. Public area first."""
        parent = self._storage_key()
        try:
            sensitive = words.sized(words.sized(b"") + words.sized(b""))
            asked = sensitive + words.ecc_template(attributes) + words.sized(b"") + struct.pack(">I", 0)
            answer = _parameters(self.run("a new key", 0x153, (parent,), asked, authorised=1))
        finally:
            self.flush(parent)
        private, public = answer.sized(), answer.sized()
        return words.sized(public) + words.sized(private)

    def load(self, blob: bytes) -> int:
        """Load a key's blob; its handle, which is good until `flush` or the connection's end."""
        reading = words.Reading(blob)
        public, private = reading.sized(), reading.sized()
        reading.end()
        parent = self._storage_key()
        try:
            asked = words.sized(private) + words.sized(public)
            return self.run("the key's blob", 0x157, (parent,), asked, authorised=1).number(4)
        finally:
            self.flush(parent)

    def persist(self, loaded: int, handle: int) -> None:
        """Keep a loaded key in the TPM, under a handle of the owner's (0x81000000 to 0x817fffff)."""
        asked = struct.pack(">I", handle)
        self.run(f"to keep a key under 0x{handle:08x}", 0x120, (words.OWNER, loaded), asked, authorised=1)

    def flush(self, handle: int) -> None:
        self.run("to unload a key", 0x165, (), struct.pack(">I", handle))

    def public(self, handle: int) -> words.PublicArea:
        """`TpmRefusedError` when there is no such key."""
        answer = self.run(f"to read the key 0x{handle:08x}", 0x173, (handle,))
        return _read(answer)

    def sign(self, handle: int, digest: bytes) -> bytes:
        """ECDSA over a SHA-256, in DER."""
        ticket = struct.pack(">HIH", 0x8024, words.NULL_HIERARCHY, 0)
        asked = words.sized(digest) + struct.pack(">H", words.ALG_NULL) + ticket
        answer = _parameters(self.run("a signature", 0x15D, (handle,), asked, authorised=1))
        try:
            return words.read_signature(answer)
        except EvidenceError as failure:
            raise TpmUnreachable(f"the TPM's signature can't be read: {failure}") from failure

    # -- the counter ------------------------------------------------------------------------------------------------

    def define_counter(self, index: int) -> None:
        """Make the counter, and let it count once: it can't be certified before. Its first number is past that of every
        counter that this TPM ever had."""
        asked = words.sized(b"") + words.sized(words.nv_public(index, words.COUNTER_ATTRIBUTES))
        self.run(f"a counter at 0x{index:08x}", 0x12A, (words.OWNER,), asked, authorised=1)
        self.increment(index)

    def increment(self, index: int) -> None:
        self.run("to count", 0x134, (index, index), authorised=1)

    def counter(self, index: int) -> int:
        asked = struct.pack(">HH", words.COUNTER_BYTES, 0)
        answer = _parameters(self.run(f"to read the counter 0x{index:08x}", 0x14E, (index, index), asked, authorised=1))
        return int.from_bytes(answer.sized(), "big")

    def certify(self, handle: int, index: int, qualifier: bytes) -> bytes:
        """What the counter stands at, over `qualifier`, signed by a loaded key: a TPM2B_ATTEST and a TPMT_SIGNATURE."""
        asked = words.sized(qualifier) + struct.pack(">HHH", words.ALG_NULL, words.COUNTER_BYTES, 0)
        answer = self.run("to certify its counter", 0x184, (handle, index, index), asked, authorised=2)
        return answer.take(answer.number(4))

    # -- inside -----------------------------------------------------------------------------------------------------

    def _storage_key(self) -> int:
        sensitive = words.sized(words.sized(b"") + words.sized(b""))
        asked = sensitive + words.ecc_template(words.STORAGE) + words.sized(b"") + struct.pack(">I", 0)
        return self.run("its storage key", 0x131, (words.OWNER,), asked, authorised=1).number(4)

    def _forget_loaded(self) -> None:
        """Without a resource manager what an earlier connection had loaded still takes its place."""
        answer = self.run("to list what is loaded", 0x17A, (), struct.pack(">III", 1, _TRANSIENT, 16))
        answer.take(5)
        for _ in range(answer.number(4)):
            self.flush(answer.number(4))


def _parameters(answer: words.Reading) -> words.Reading:
    """Past the size of the parameters, in an answer without handles."""
    answer.number(4)
    return answer


def _read(answer: words.Reading) -> words.PublicArea:
    try:
        return words.read_public(answer.sized())
    except EvidenceError as failure:
        raise TpmUnreachable(f"the TPM's key can't be used: {failure}") from failure
