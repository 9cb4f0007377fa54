"""The key that signs a video, as the video itself brings it, and what may be believed of it. No I/O.

The certificates come in the SEIs; what they are worth, the anchors of the person who verifies decide. Two questions,
apart: whether a signature is by the key in the certificate, and whether that certificate is trusted. Other makers' cameras
sign with other curves, or with RSA-PSS; these are read too.
"""

import hashlib
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from device.evidence.identity import Role, common_name, why_not_chained
from device.media.onvif_sei import HashName, SigningSei, Vendor

MAX_CHAIN_BYTES = 32 * 1024
MAX_CERTIFICATES = 8
_HASHES: dict[HashName, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_NOT_READABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.UnsupportedGeneralNameType)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MediaKey:
    """The certificates that came last, which sign until others come. `hash_name`: what the stream hashes with."""

    def __init__(self, hash_name: HashName) -> None:
        self._hash = _HASHES[hash_name]
        self._pem = b""
        self._chain: tuple[x509.Certificate, ...] = ()
        self._leaf = b""
        self.vendor: Vendor | None = None
        """What the first SEI that says it says of the camera's maker."""

    def why_not(self, sei: SigningSei) -> str:
        """Why the SEI's signature does not count; "" when it is by the key that the stream's first certificate names."""
        self.vendor = self.vendor or sei.vendor
        if sei.chain and sei.chain != self._pem:
            why = self._take(sei.chain)
            if why:
                return why
        if not self._chain:
            return "a signature, and no certificate to check it with"
        return "" if self._verifies(sei) else "its signature is not by the key in its certificate: it was changed"

    @property
    def certificate_sha256(self) -> str | None:
        """Of the leaf in DER; None before one came."""
        return hashlib.sha256(self._leaf).hexdigest() if self._leaf else None

    @property
    def name(self) -> str:
        return common_name(self._chain[0]) if self._chain else ""

    def why_not_trusted(self, anchors: tuple[x509.Certificate, ...], at_us: int) -> str:
        """Why the key is not trusted at a time (µs since 1970); "" when it is."""
        if not self._chain:
            return "no certificate came with the signatures"
        try:
            at = _EPOCH + timedelta(microseconds=at_us)
        except OverflowError:
            return "the time that it claims is none that a certificate could be valid at"
        return why_not_chained(self._chain, Role.MEDIA, anchors, at)

    def _take(self, pem: bytes) -> str:
        """The first certificates are taken; others after them are another key's."""
        if len(pem) > MAX_CHAIN_BYTES:
            return f"{len(pem)} bytes of certificates; the limit is {MAX_CHAIN_BYTES}"
        try:
            chain = tuple(x509.load_pem_x509_certificates(pem))
            leaf = chain[0].public_bytes(Encoding.DER)
            _ = [(c.subject, c.extensions, c.signature_hash_algorithm, c.not_valid_before_utc) for c in chain]
        except _NOT_READABLE as failure:
            return f"its certificates can't be read: {failure}"
        if len(chain) > MAX_CERTIFICATES:
            return f"{len(chain)} certificates; the limit is {MAX_CERTIFICATES}"
        if self._leaf and leaf != self._leaf:
            return f"signed by another key from here on ({common_name(chain[0])})"
        self._pem, self._chain, self._leaf = pem, chain, leaf
        return ""

    def _verifies(self, sei: SigningSei) -> bool:
        try:
            key = self._chain[0].public_key()
            if isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(sei.signature, sei.signed, ec.ECDSA(self._hash))
            elif isinstance(key, rsa.RSAPublicKey):
                pss = padding.PSS(padding.MGF1(self._hash), padding.PSS.AUTO)
                key.verify(sei.signature, sei.signed, pss, self._hash)
            else:
                return False
        except (InvalidSignature, *_NOT_READABLE):
            return False
        return True
