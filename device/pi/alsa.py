"""A sound card by the system's libasound: blocks of samples with the time at which they were captured.

By ctypes, and not by PyAV's own `alsa` input: that one takes the card's shortest period (a thousand wakes a second), hides
overruns, stamps with wall time, gives no limit to a read, and its libasound looks for its configuration in a folder that does
not exist. libasound's functions used here have not changed in twenty years, and it is on every Pi: no package to build.

This is the one place that blocks on the card, for at most `READ_LIMIT_MS` as long as the kernel keeps its word; so it is called on
a thread of its own, which can be left behind.
"""

import ctypes
from collections.abc import Callable

from device.clock import Clock
from device.errors import HardwareFailed
from device.pi.capture import Block

READ_LIMIT_MS = 200
BUFFER_US = 400_000
"""What the card holds while nobody reads: a thread that is held up for longer loses sound. A block is a quarter of it."""
LIBRARY = "libasound.so.2"

_CAPTURE, _NONBLOCK, _S16_LE, _INTERLEAVED, _RESAMPLE = 1, 1, 2, 3, 1
_AGAIN = -11
_MOST_FRAMES = 48_000
_ErrorHandler = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)


def _quiet(file: bytes, line: int, function: bytes, error: int, text: bytes) -> None:
    """What libasound would print at each try to open a card that is not there; our own message says it once."""


_QUIET = _ErrorHandler(_quiet)


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as failure:
        raise HardwareFailed(f"no microphone: {failure}; install the package libasound2") from failure
    frames = ctypes.c_long
    library.snd_strerror.restype = ctypes.c_char_p
    library.snd_pcm_readi.restype = frames
    library.snd_pcm_readi.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_ulong]
    library.snd_pcm_avail_delay.argtypes = [ctypes.c_void_p, ctypes.POINTER(frames), ctypes.POINTER(frames)]
    library.snd_pcm_set_params.argtypes = [ctypes.c_void_p, *[ctypes.c_int] * 2, *[ctypes.c_uint] * 2, ctypes.c_int, ctypes.c_uint]  # fmt: skip
    library.snd_pcm_wait.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.snd_pcm_start.argtypes = library.snd_pcm_close.argtypes = [ctypes.c_void_p]
    library.snd_lib_error_set_handler(_QUIET)
    return library


class AlsaSource:
    """One card, open and capturing 16-bit samples. Any failure is `HardwareFailed`: close it, and open another."""

    def __init__(self, device: str, rate_hz: int, channels: int, clock: Clock) -> None:
        self._device, self._rate_hz, self._frame_bytes, self._clock = device, rate_hz, 2 * channels, clock
        self._library = _library()
        self._handle = ctypes.c_void_p()
        self._buffer = ctypes.create_string_buffer(_MOST_FRAMES * self._frame_bytes)
        name = device.encode("ascii")
        self._do("opening", self._library.snd_pcm_open(ctypes.byref(self._handle), name, _CAPTURE, _NONBLOCK))
        try:
            set_params = self._library.snd_pcm_set_params
            asked = set_params(self._handle, _S16_LE, _INTERLEAVED, channels, rate_hz, _RESAMPLE, BUFFER_US)
            self._do(f"{rate_hz} Hz with {channels} channels", asked)
            self._do("starting", self._library.snd_pcm_start(self._handle))
        except HardwareFailed:
            self.close()
            raise

    def read(self) -> Block | None:
        """What has been captured since; None when nothing came within the limit."""
        if self._do("waiting", self._library.snd_pcm_wait(self._handle, READ_LIMIT_MS)) == 0:
            return None
        there, waiting = ctypes.c_long(), ctypes.c_long()
        asked = self._library.snd_pcm_avail_delay(self._handle, ctypes.byref(there), ctypes.byref(waiting))
        now_us = self._clock.now_us()  # after the card's word: a thread held up in between makes it late, never early
        self._do("asking", asked)
        frames = self._library.snd_pcm_readi(self._handle, self._buffer, min(there.value, _MOST_FRAMES))
        if frames in (0, _AGAIN):
            return None
        data = self._buffer.raw[: self._do("reading", frames) * self._frame_bytes]
        return Block(data, now_us - max(0, waiting.value) * 1_000_000 // self._rate_hz)

    def close(self) -> None:
        """May be called twice."""
        if self._handle:
            self._library.snd_pcm_close(self._handle)
            self._handle = ctypes.c_void_p()

    def _do(self, what: str, answer: int) -> int:
        if answer < 0:
            why = self._library.snd_strerror(answer).decode("utf-8", "replace")
            raise HardwareFailed(f"microphone.device {self._device!r}: {what}: {why}; `arecord -L` lists the devices")
        return answer


def alsa(device: str, rate_hz: int, channels: int, clock: Clock) -> Callable[[], AlsaSource]:
    """How to open a card, again and again."""
    return lambda: AlsaSource(device, rate_hz, channels, clock)
