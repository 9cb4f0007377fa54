"""What we encrypt opens with others' age (rage, and the `age` program) and with nothing else; what is no recipient is none of ours."""

import base64
import hmac
import random
import secrets
import subprocess
from pathlib import Path

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from device.errors import ConfigurationError, EvidenceError
from device.evidence import age_file
from device.evidence.age_file import CHUNK_BYTES, Recipient, encrypted
from device.evidence.seal import Sealer

IDENTITIES = [pyrage.x25519.Identity.generate() for _ in range(3)]
TEXTS = tuple(str(identity.to_public()) for identity in IDENTITIES)
LENGTHS = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 5 * CHUNK_BYTES + 4711]
IDENTITY = bytes.fromhex("42" * 32)
"""The specification's example, and its recipient."""
EXAMPLE = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"


def sealed(plain: bytes, *texts: str) -> bytes:
    return Sealer(texts, "recipients").seal(plain).data


@pytest.mark.parametrize("length", LENGTHS)
def test_rage_opens_it_for_each_recipient_and_no_other(length: int) -> None:
    plain = random.Random(length).randbytes(length)
    data = sealed(plain, *TEXTS)
    assert [pyrage.decrypt(data, [identity]) for identity in IDENTITIES] == [plain] * 3
    with pytest.raises(pyrage.DecryptError, match="No matching keys"):
        pyrage.decrypt(data, [pyrage.x25519.Identity.generate()])


@pytest.mark.tools("age")
@pytest.mark.parametrize("length", LENGTHS)
def test_the_age_program_opens_it(length: int, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(f"{IDENTITIES[1]}\n", "ascii")
    plain = random.Random(length).randbytes(length)
    opened = subprocess.run(["age", "-d", "-i", str(key)], input=sealed(plain, *TEXTS), capture_output=True, check=True)
    assert opened.stdout == plain


def test_by_the_specification_step_by_step() -> None:
    """Written down from C2SP's text, not from our code: header, stanza, MAC, and the payload's only chunk."""
    data = sealed(b"plain", EXAMPLE)
    version, first, body, rest = data.split(b"\n", 3)
    mac, payload = rest[:47], rest[48:]
    assert (version, first[:10], mac[:4], rest[47:48]) == (b"age-encryption.org/v1", b"-> X25519 ", b"--- ", b"\n")
    identity = X25519PrivateKey.from_private_bytes(IDENTITY)
    share = base64.b64decode(first[10:] + b"=", validate=True)
    shared = identity.exchange(X25519PublicKey.from_public_bytes(share))
    salt = share + identity.public_key().public_bytes_raw()
    wrap_key = HKDF(SHA256(), 32, salt, b"age-encryption.org/v1/X25519").derive(shared)
    file_key = ChaCha20Poly1305(wrap_key).decrypt(bytes(12), base64.b64decode(body + b"=", validate=True), None)
    assert len(file_key) == 16
    mac_key = HKDF(SHA256(), 32, None, b"header").derive(file_key)
    assert base64.b64decode(mac[4:] + b"=") == hmac.digest(
        mac_key, b"\n".join([version, first, body, b"---"]), "sha256"
    )
    payload_key = HKDF(SHA256(), 32, payload[:16], b"payload").derive(file_key)
    assert ChaCha20Poly1305(payload_key).decrypt(bytes(11) + b"\x01", payload[16:], None) == b"plain"


@pytest.mark.parametrize("length", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1])
def test_a_file_has_the_bytes_of_header_nonce_and_tags_and_no_more(length: int) -> None:
    chunks = max(1, -(-length // CHUNK_BYTES))
    header = len(b"age-encryption.org/v1\n") + 2 * (10 + 43 + 1 + 43 + 1) + 4 + 43 + 1
    assert len(sealed(bytes(length), *TEXTS[:2])) == header + 16 + length + 16 * chunks


def test_a_flipped_bit_anywhere_does_not_open() -> None:
    data = sealed(bytes(CHUNK_BYTES + 5), TEXTS[0])
    odds = random.Random(0)
    header = data.index(b"\n--- ") + 49
    places = {*range(header + 40), *(odds.randrange(len(data)) for _ in range(200)), len(data) - 1}
    for at in sorted(places):
        changed = bytearray(data)
        changed[at] ^= 1 << odds.randrange(8)
        with pytest.raises(pyrage.DecryptError):
            pyrage.decrypt(bytes(changed), [IDENTITIES[0]])


@pytest.mark.parametrize("cut", [1, 16, 17, 5 + 16, CHUNK_BYTES])
def test_what_is_cut_off_at_its_end_does_not_open(cut: int) -> None:
    data = sealed(bytes(CHUNK_BYTES + 5), TEXTS[0])
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(data[:-cut], [IDENTITIES[0]])


def test_every_secret_is_the_systems_and_used_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[bytes] = []
    draw = secrets.token_bytes

    def noted(size: int) -> bytes:
        drawn.append(draw(size))
        return drawn[-1]

    monkeypatch.setattr(secrets, "token_bytes", noted)
    for _ in range(3):
        sealed(b"plain", *TEXTS[:2])
    assert [len(each) for each in drawn] == [16, 16, 32, 32] * 3, "file key, nonce, and a secret a recipient"
    assert len(set(drawn)) == 12


def test_however_the_plaintext_is_cut_into_parts() -> None:
    odds = random.Random(1)
    for _ in range(30):
        plain = odds.randbytes(odds.choice([0, 7, CHUNK_BYTES, 3 * CHUNK_BYTES + 1]))
        cuts = sorted(odds.randrange(len(plain) + 1) for _ in range(odds.randrange(12)))
        parts = [plain[a:b] for a, b in zip([0, *cuts], [*cuts, len(plain)], strict=True)]
        pieces = [(bytes(chunk), bytes(piece)) for chunk, piece in encrypted(parts, [Recipient(TEXTS[0])])]
        assert b"".join(chunk for chunk, _ in pieces) == plain
        assert pyrage.decrypt(b"".join(piece for _, piece in pieces), [IDENTITIES[0]]) == plain


def test_the_digests_are_those_of_what_was_given_and_written() -> None:
    from hashlib import sha256

    written = bytearray()
    plain = random.Random(2).randbytes(3 * CHUNK_BYTES)
    stored = Sealer(TEXTS, "recipients").seal_to(written.extend, [plain[:9], memoryview(plain)[9:]])
    assert (stored.plain, stored.sealed) == (sha256(plain).hexdigest(), sha256(written).hexdigest())
    assert stored.size == len(written)


# -- recipients -----------------------------------------------------------------------------------------------------


def bech32(raw: bytes, padding: int = 0) -> str:
    """A recipient's text, right or not."""
    number = int.from_bytes(raw, "big") << 4 | padding
    values = [number >> 5 * n & 31 for n in reversed(range(52))]
    check = age_file._checksum((*age_file._HUMAN_PART, *values, 0, 0, 0, 0, 0, 0)) ^ 1
    values += [check >> 5 * n & 31 for n in reversed(range(6))]
    return "age1" + "".join(age_file._LETTERS[value] for value in values)


def test_the_specifications_example_is_read_as_its_key() -> None:
    raw = X25519PrivateKey.from_private_bytes(IDENTITY).public_key().public_bytes_raw()
    assert Recipient(EXAMPLE)._raw == raw
    assert bech32(raw) == EXAMPLE


LOW_ORDER = {
    "zero": bytes(32),
    "one": b"\x01" + bytes(31),
    "of order 8": bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    "of order 8, the other": bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    "minus one": (2**255 - 20).to_bytes(32, "little"),
}


@pytest.mark.parametrize("point", LOW_ORDER)
def test_a_point_of_low_order_is_refused_when_it_is_read(point: str) -> None:
    text = bech32(LOW_ORDER[point])
    assert str(pyrage.x25519.Recipient.from_str(text)) == text, "its letters are right"
    with pytest.raises(EvidenceError, match="low order"):
        Recipient(text)
    with pytest.raises(ConfigurationError, match=r"recipients\.footage: .*low order.*age1"):
        Sealer((text,), "recipients.footage")


@pytest.mark.parametrize("raw", [(2**255 - 19 + 9).to_bytes(32, "little"), b"\x09" + bytes(30) + b"\x80"])
def test_a_second_spelling_of_a_key_would_open_for_nobody_and_is_refused(raw: bytes) -> None:
    with pytest.raises(EvidenceError, match="second spelling"):
        Recipient(bech32(raw))


def test_letters_behind_the_key_are_refused() -> None:
    with pytest.raises(EvidenceError, match="second spelling"):
        Recipient(bech32(X25519PrivateKey.generate().public_key().public_bytes_raw(), padding=3))


@pytest.mark.parametrize(
    "text",
    ["", "age1", "age1nonsense", EXAMPLE[:-1], EXAMPLE + "q", EXAMPLE.upper(), " " + EXAMPLE, EXAMPLE + "\n", "age1é" + EXAMPLE[5:],
     "ssh-ed25519 AAAA", "AGE-PLUGIN-X"],
)  # fmt: skip
def test_other_texts_are_no_recipients(text: str) -> None:
    with pytest.raises(EvidenceError, match="not the text of an X25519 recipient"):
        Recipient(text)


def test_a_secret_key_given_for_a_recipient_is_not_told() -> None:
    with pytest.raises(EvidenceError) as refused:
        Recipient(str(IDENTITIES[0]))
    assert str(refused.value) == "'AGE-SECR'… is not the text of an X25519 recipient"


def test_a_letter_that_is_wrong_is_seen_wherever_it_is() -> None:
    for at in range(4, len(EXAMPLE)):
        for letter in set("qz0l2") - {EXAMPLE[at]}:
            with pytest.raises(EvidenceError, match="letter that is wrong"):
                Recipient(EXAMPLE[:at] + letter + EXAMPLE[at + 1 :])


def test_what_rage_reads_we_read_and_what_it_refuses_we_refuse() -> None:
    odds = random.Random(3)
    for _ in range(300):
        text = str(pyrage.x25519.Identity.generate().to_public())
        Recipient(text)
        letters = list(text)
        for _ in range(odds.randrange(1, 4)):
            letters[odds.randrange(len(letters))] = odds.choice("qpzry9x8gf2tvdw0s3jn54khce6mua7lb1io-")
        changed = "".join(letters)
        assert changed == text or _refused(changed)


def _refused(text: str) -> bool:
    with pytest.raises(pyrage.RecipientError):
        pyrage.x25519.Recipient.from_str(text)
    with pytest.raises(EvidenceError):
        Recipient(text)
    return True
