"""Writing age files (`age-encryption.org/v1`, as C2SP's specification has it) for X25519 recipients. No I/O; recorder thread.

Nothing here reads one: readers use the rage implementation, which is others' code. Curve, key derivation, cipher and
digests are OpenSSL's. Every secret is the operating system's randomness, and is for one file alone.
"""

import base64
import hmac
import secrets
from collections.abc import Iterator, Sequence

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from device.errors import EvidenceError

STANZA = "X25519"
CHUNK_BYTES = 64 * 1024
TAG_BYTES = 16
_KEY_BYTES = 32
_FILE_KEY_BYTES = 16
_NONCE_BYTES = 16
_WRAP_NONCE = bytes(12)
_FIELD = 2**255 - 19
_PREFIX = "age1"
_LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_CHECKSUM_LETTERS = 6
_KEY_LETTERS = 52
_HUMAN_PART = (3, 3, 3, 0, 1, 7, 5)
"""`age`, as Bech32's checksum (BIP 173) takes it in."""
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


class Recipient:
    """A public key that files are encrypted to, from its text (`age1…`).

    `EvidenceError` for anything else: another kind, a letter that is wrong or left out, a second spelling of a key, which
    would open for nobody, and a point of low order, with which everybody could.
    """

    def __init__(self, text: str) -> None:
        self._raw = _public_key(text)
        self._key = X25519PublicKey.from_public_bytes(self._raw)
        try:
            X25519PrivateKey.generate().exchange(self._key)
        except ValueError as failure:
            raise EvidenceError("a key of low order, which hides nothing") from failure

    def stanza(self, file_key: bytes) -> bytes:
        """The file key, for this recipient alone."""
        secret = X25519PrivateKey.from_private_bytes(secrets.token_bytes(_KEY_BYTES))
        share = secret.public_key().public_bytes_raw()
        wrap_key = _derived(secret.exchange(self._key), share + self._raw, b"age-encryption.org/v1/X25519")
        body = ChaCha20Poly1305(wrap_key).encrypt(_WRAP_NONCE, file_key, None)
        return b"-> X25519 %b\n%b\n" % (_base64(share), _base64(body))


def encrypted(
    parts: Sequence[bytes | memoryview], recipients: Sequence[Recipient]
) -> Iterator[tuple[memoryview, memoryview]]:
    """A new file around the parts' bytes, piece by piece: what of the plaintext is in a piece, and the piece. Both are in
    buffers that are used again for the next one. Its header is in the first: a short file is one piece."""
    file_key, nonce = secrets.token_bytes(_FILE_KEY_BYTES), secrets.token_bytes(_NONCE_BYTES)
    head = _header(file_key, recipients) + nonce
    cipher = ChaCha20Poly1305(_derived(file_key, nonce, b"payload"))
    piece = memoryview(bytearray(len(head) + CHUNK_BYTES + TAG_BYTES))
    piece[: len(head)] = head
    begin = len(head)
    for count, (chunk, last) in enumerate(_chunks(parts)):
        end = begin + len(chunk) + TAG_BYTES
        cipher.encrypt_into(count.to_bytes(11, "big") + (b"\x01" if last else b"\x00"), chunk, None, piece[begin:end])
        yield chunk, piece[0 if count == 0 else begin : end]


def _chunks(parts: Sequence[bytes | memoryview]) -> Iterator[tuple[memoryview, bool]]:
    """64 KiB at a time, and whether it is the last, which alone may be shorter, and empty only where all is."""
    chunk = memoryview(bytearray(CHUNK_BYTES))
    filled = 0
    for part in parts:
        rest = part
        while len(rest) > CHUNK_BYTES - filled:
            taken, rest = rest[: CHUNK_BYTES - filled], memoryview(rest)[CHUNK_BYTES - filled :]
            chunk[filled:] = taken
            yield chunk, False
            filled = 0
        chunk[filled : filled + len(rest)] = rest
        filled += len(rest)
    yield chunk[:filled], True


def _header(file_key: bytes, recipients: Sequence[Recipient]) -> bytes:
    header = b"".join([b"age-encryption.org/v1\n", *(each.stanza(file_key) for each in recipients), b"---"])
    return b"%b %b\n" % (header, _base64(hmac.digest(_derived(file_key, None, b"header"), header, "sha256")))


def _derived(secret: bytes, salt: bytes | None, what_for: bytes) -> bytes:
    return HKDF(SHA256(), _KEY_BYTES, salt, what_for).derive(secret)


def _base64(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _public_key(text: str) -> bytes:
    """Bech32 without a limit on its length, of which 32 bytes have one only."""
    letters = text[len(_PREFIX) :]
    if not text.startswith(_PREFIX) or len(letters) != _KEY_LETTERS + _CHECKSUM_LETTERS or set(letters) - set(_LETTERS):
        raise EvidenceError(f"{text[:8]!r}… is not the text of an X25519 recipient")
    values = [_LETTERS.index(letter) for letter in letters]
    if _checksum((*_HUMAN_PART, *values)) != 1:
        raise EvidenceError(f"{text!r} has a letter that is wrong")
    number = 0
    for value in values[:_KEY_LETTERS]:
        number = number << 5 | value
    raw = (number >> 4).to_bytes(_KEY_BYTES, "big")
    if number & 0xF or int.from_bytes(raw, "little") >= _FIELD:
        raise EvidenceError(f"{text!r} is a second spelling of a key")
    return raw


def _checksum(values: Sequence[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for n, generator in enumerate(_GENERATORS):
            check ^= generator if top >> n & 1 else 0
    return check
