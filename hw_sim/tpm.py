"""A twin of the TPM that anchors a journal: a counter and a key in memory that outlive the boots of a virtual device.

It speaks a TPM's own structures, so that a reader can't tell; a real simulator (swtpm) is for the tests of the commands.
"""

import base64
import struct

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from device.errors import KeyUnreachable
from device.evidence import tpm_words as words
from device.evidence.records import Attestation

INDEX = 0x01800B0D


class TwinTpm:
    """`counter` as it stands; `broken`: it gives no answer."""

    def __init__(self, began: int = 7) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._began = self._counter = began
        self._clock_ms = 1_000_000
        self.broken = False
        self.fail_increment = False

    @property
    def attestation(self) -> Attestation:
        """What the agency's statement says of it."""
        der = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        key = base64.b64encode(der).decode("ascii")
        return Attestation(key=key, counter=words.counter_name(INDEX), began=self._began)

    def counter(self) -> int:
        self._answer()
        return self._counter

    def increment(self) -> None:
        self._answer()
        if self.fail_increment:
            raise KeyUnreachable("the twin's TPM does not count")
        self._counter += 1

    def certify(self, qualifier: bytes) -> bytes:
        self._answer()
        self._clock_ms += 1000
        name = struct.pack(">H", words.ALG_SHA256) + bytes.fromhex(words.counter_name(INDEX))
        signed = struct.pack(">IH", 0xFF544347, 0x8014) + words.sized(b"\0\x0b" + bytes(32)) + words.sized(qualifier)
        signed += struct.pack(">QIIBQ", self._clock_ms, 1, 0, 1, 0) + words.sized(name) + struct.pack(">H", 0)
        signed += words.sized(struct.pack(">Q", self._counter))
        r, s = decode_dss_signature(self._key.sign(signed, ec.ECDSA(hashes.SHA256())))
        signature = struct.pack(">HH", words.ALG_ECDSA, words.ALG_SHA256)
        signature += words.sized(r.to_bytes(32, "big")) + words.sized(s.to_bytes(32, "big"))
        return words.sized(signed) + signature

    def _answer(self) -> None:
        if self.broken:
            raise KeyUnreachable("the twin's TPM gives no answer")
