"""A recording's ONVIF Media Signing: who signs, and how far it is. Recorder thread; the key may be slow.

The ring's frames are shared by recordings that overlap: the SEIs go among the units of pictures that are this recording's.
"""

from collections.abc import Sequence

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding

from device.clock import Clock
from device.evidence.envelope import Signer
from device.evidence.identity import issuer_name, load_certificate
from device.evidence.segmenter import Cut
from device.media import onvif
from device.media.onvif_sei import Vendor
from device.media.picture import Picture, picture_of


class MediaSigner(msgspec.Struct, frozen=True):
    """The key of role media signing, its certificate in PEM, and what the SEIs say of the device."""

    signer: Signer
    chain: bytes
    vendor: Vendor


class MediaSignatures:
    """One recording's SEIs. `base_us`: the boot time of its first frame; `media` None: it is not media signed."""

    def __init__(self, media: MediaSigner | None, clock: Clock, base_us: int, pps: bytes) -> None:
        self._media = media
        self._clock = clock
        self._utc_offset_us = clock.wall().utc_us - clock.now_us()
        self._base_us = base_us
        self._pps = pps
        self._progress = self._tried = onvif.Progress()

    @property
    def certificate_sha256(self) -> str | None:
        return None if self._media is None else self._media.signer.certificate_sha256

    @property
    def base_utc_us(self) -> int | None:
        """The wall time that the SEIs claim for the recording's first frame; the others count from it in boot time."""
        return None if self._media is None else self._base_us + self._utc_offset_us

    def signed(self, cuts: Sequence[Cut]) -> list[list[Picture]]:
        """The pictures of each cut, with SEIs. Called again before `settle`, it begins where it began before."""
        if self._media is None:
            return [[picture_of(frame) for frame in cut.video] for cut in cuts]
        signature = onvif.Signature(
            sign=self._media.signer.sign, chain=self._media.chain, vendor=self._media.vendor, now_us=self._clock.now_us
        )
        video = [onvif.Cut(cut.video, cut.end_us) for cut in cuts]
        pictures, self._tried = onvif.sign_cuts(video, self._progress, signature, self._utc_offset_us, self._pps)
        return pictures

    def settle(self) -> None:
        """What `signed` gave last is durable."""
        self._progress = self._tried


def media_signer(signer: Signer, certificate: bytes, device: str, firmware: str) -> MediaSigner:
    """`certificate` in DER, issued directly by the agency's CA, whose name tells where to get that."""
    leaf = load_certificate(certificate)
    vendor = Vendor(firmware=firmware, serial=device, manufacturer=issuer_name(leaf))
    return MediaSigner(signer, leaf.public_bytes(Encoding.PEM), vendor)
