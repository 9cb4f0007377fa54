"""Samples to AAC-LC packets, by PyAV's encoder. Whoever captures sound calls it, on one thread.

Packet k of a run covers the samples from 1024·k on. What comes out first (the encoder's priming) carries no captured sound
and is left out. PyAV is imported when the first encoder is made.
"""

from fractions import Fraction

from device.errors import HardwareFailed
from device.media.sink import EncodedPacket

_RATES_HZ = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000)
_LOW_COMPLEXITY = 2
_NO_REPLICATION = bytes([0x56, 0xE5, 0x00])


def audio_specific_config(rate_hz: int, channels: int) -> bytes:
    """What a decoder must know (ISO/IEC 14496-3): AAC-LC of that rate, no spectral band replication. Needs no encoder."""
    bits = _LOW_COMPLEXITY << 11 | _RATES_HZ.index(rate_hz) << 7 | channels << 3
    return bits.to_bytes(2, "big") + _NO_REPLICATION


class AacEncoder:
    """One run of sound: 16-bit samples, little-endian, channels interleaved. `HardwareFailed` where FFmpeg refuses."""

    def __init__(self, rate_hz: int, channels: int, bitrate_bps: int) -> None:
        import av

        self._rate_hz, self._frame_bytes = rate_hz, 2 * channels
        self._layout = "mono" if channels == 1 else "stereo"
        self._taken = 0
        try:
            codec = av.CodecContext.create("aac", "w")
            codec.sample_rate, codec.layout, codec.format = rate_hz, self._layout, "fltp"
            codec.bit_rate, codec.time_base = bitrate_bps, Fraction(1, rate_hz)
            codec.open()
        except av.error.FFmpegError as failure:
            raise HardwareFailed(f"no AAC of {rate_hz} Hz and {bitrate_bps} bit/s: {failure}") from failure
        if codec.extradata != audio_specific_config(rate_hz, channels):
            raise HardwareFailed(f"the AAC encoder makes another stream than the track says: {codec.extradata!r}")
        self._codec = codec

    def encode(self, data: bytes) -> list[tuple[int, EncodedPacket]]:
        """The packets that are ready, each with the number of its first sample."""
        import av

        frame = av.AudioFrame(format="s16", layout=self._layout, samples=len(data) // self._frame_bytes)
        frame.sample_rate, frame.time_base, frame.pts = self._rate_hz, Fraction(1, self._rate_hz), self._taken
        memoryview(frame.planes[0])[: len(data)] = data
        self._taken += frame.samples
        try:
            packets = self._codec.encode(frame)
        except av.error.FFmpegError as failure:
            raise HardwareFailed(f"sound can't be encoded: {failure}") from failure
        return [(packet.pts, packet) for packet in packets if packet.pts is not None and packet.pts >= 0]
