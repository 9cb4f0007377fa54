"""libcamera's camera, asked for one picture a period: a thread of its own lets the requests through."""

import threading
import time
from collections import deque
from typing import Any

from tests.lanes.simcam.faults import Faults


class PacedCamera:
    """Stands before a `libcamera.Camera` and is taken for it."""

    def __init__(self, camera: Any, faults: Faults) -> None:
        self._camera = camera
        self._faults = faults
        self._waiting: deque[Any] = deque()
        self._running = False
        self._thread = threading.Thread()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._camera, name)

    def __eq__(self, other: object) -> bool:
        return other is self._camera or self._camera == other

    def __hash__(self) -> int:
        return hash(self._camera)

    def acquire(self) -> None:
        if self._faults.busy:
            raise RuntimeError("Failed to acquire camera: Device or resource busy")
        self._camera.acquire()

    def start(self, controls: dict[Any, Any]) -> None:
        _note_period(controls, self._faults)
        self._camera.start(controls)
        self._running = True
        self._thread = threading.Thread(target=self._pace, name="paced-camera", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._faults.wait_to_stop()
        self._running = False
        self._thread.join()
        self._waiting.clear()
        self._camera.stop()

    def queue_request(self, request: Any) -> None:
        self._waiting.append(request)

    def _pace(self) -> None:
        due_s = time.monotonic()
        while self._running:
            due_s = max(due_s + self._faults.period_us / 1e6, time.monotonic())
            time.sleep(max(0.0, due_s - time.monotonic()))
            if self._faults.missed:
                self._faults.missed -= 1
            elif self._waiting and not self._faults.silent:
                self._camera.queue_request(self._waiting.popleft())


def follow_frame_durations(request_type: Any, faults: Faults) -> None:
    """A sensor's rate is what FrameDurationLimits asks for; the virtual camera's is not."""
    set_control = request_type.set_control

    def noted(self: Any, control: Any, value: Any) -> None:
        _note_period({control: value}, faults)
        set_control(self, control, value)

    request_type.set_control = noted


def _note_period(controls: dict[Any, Any], faults: Faults) -> None:
    for control, value in controls.items():
        if control.name == "FrameDurationLimits":
            faults.period_us = int(value[0])
