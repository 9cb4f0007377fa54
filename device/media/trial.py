"""PyAV loaded and tried: a second of one black picture and of silence, put into a segment as a recording's is.

The daemon does it once it is ready, so that no press waits for the libraries, and a missing one is known then; the self-test
also opens and decodes what came out. On whichever thread asks: loading takes 0.2 s here, on a Zero 2 W seconds.
"""

import io

from device.errors import BodycamError, ConfigurationError
from device.media.frames import PACKET_SAMPLES, CaptureFlags, Frame, parameter_sets

BLACK = bytes.fromhex(
    "000000016742c00ada7a10000003001000000303c8f1226a"  # SPS: baseline, 16 × 16
    "0000000168ce0fc8"  # PPS
    "000000016588843a2628000902e0"  # IDR
)
"""One picture in Annex B; nothing of ours can encode one on every device."""
RATE_HZ, CHANNELS, BITRATE_BPS = 48_000, 1, 64_000
PACKETS = 4
_FLAGS = CaptureFlags(zone="")


def make_segment() -> bytes:
    """A whole MP4: init and one fragment. `ConfigurationError` where PyAV is missing, broken, or makes none."""
    try:
        return _make_segment()
    except ImportError as failure:
        raise ConfigurationError(f"PyAV can't be loaded: {failure}; install the package anew") from failure
    except BodycamError as failure:
        raise ConfigurationError(f"PyAV makes no segment: {failure}; install the package anew") from failure


def count_decoded(segment: bytes) -> tuple[int, int]:
    """How many pictures and how many samples of sound PyAV decodes from it. `ConfigurationError` where it can't."""
    import av

    try:
        with av.open(io.BytesIO(segment), "r", format="mp4") as container:
            pictures = sum(1 for _ in container.decode(video=0))
        with av.open(io.BytesIO(segment), "r", format="mp4") as container:
            samples = sum(frame.samples for frame in container.decode(audio=0))
    except av.error.FFmpegError as failure:
        raise ConfigurationError(f"PyAV decodes no segment: {failure}; install the package anew") from failure
    return pictures, samples


def _make_segment() -> bytes:
    from device.media.aac import AacEncoder, audio_specific_config
    from device.media.fmp4 import AudioFormat, Muxer
    from device.media.picture import picture_of

    encoder = AacEncoder(RATE_HZ, CHANNELS, BITRATE_BPS)
    packets = [each for _ in range(PACKETS) for each in encoder.encode(bytes(2 * CHANNELS * PACKET_SAMPLES))]
    sound = [
        Frame(bytes(packet), first * 1_000_000 // RATE_HZ, number, keyframe=True, flags=_FLAGS)
        for number, (first, packet) in enumerate(packets)
    ]
    sets = parameter_sets(BLACK)
    assert sets is not None, "they are in it"
    picture = Frame(BLACK, 0, 0, keyframe=True, flags=_FLAGS)
    muxer = Muxer(picture, sets, AudioFormat(RATE_HZ, CHANNELS, audio_specific_config(RATE_HZ, CHANNELS)))
    return b"".join([muxer.init, *muxer.fragment(1, [picture_of(picture)], sound, 1_000_000)])
