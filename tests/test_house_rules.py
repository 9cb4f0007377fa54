"""Rules of the house that a linter has no word for."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MAY_WAIT = {
    "device/clock.py": "the one place where anything waits",
    "device/daemon.py": "the main thread waits on the clock's latch for the end",
    "hw_sim/demo.py": "plays the person who waits for a process",
    "hw_sim/signers.py": "plays the token that takes its time",
    "hw_sim/panel/server.py": "the panel's own event loop, between two looks at the twin",
    "hw_sim/benchmarks/losses.py": "plays the camera's pace for other programs, and waits for them",
}
WAITING_CALLS = {"sleep", "wait", "wait_for", "sigwait", "sigtimedwait", "select", "poll", "epoll", "acquire"}
WAITING_TYPES = {"Event", "Condition", "Semaphore", "Barrier", "Timer", "Queue", "SimpleQueue"}
ANALYSIS = re.compile(
    r"CascadeClassifier|FaceDetector|FaceRecogn|HOGDescriptor|face_recognition|\bdlib\b|mediapipe|insightface|deepface"
    r"|cv2\.dnn|\bdnn\.read|torchvision|ultralytics|\byolo|retinaface|openvino|tflite_runtime|facenet",
    re.IGNORECASE,
)
MODEL_FILES = {
    ".onnx",
    ".pb",
    ".tflite",
    ".caffemodel",
    ".pt",
    ".pth",
    ".h5",
    ".weights",
    ".mlmodel",
    ".engine",
    ".xml",
}
SECRETS = re.compile(r"BEGIN (EC |RSA )?PRIVATE KEY-{5}\n[A-Za-z0-9+/]|AGE-SECRET-KEY-1[0-9A-Z]{20}")
FORMAT = "https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/"
"""How a debian/copyright says what it is: a name that its readers compare, no place that anything is taken from."""
HOSTS = re.compile(r"https?://[a-z.-]*(pypi|pythonhosted|debian|npmjs)[a-z.-]*", re.IGNORECASE)


OPENCV = {
    "FONT_HERSHEY_SIMPLEX": "the scene's own clock",
    "COLOR_BGR2YUV_I420": "a drawn street as a camera gives it",
    "INTER_AREA": "letters with even edges",
    "cvtColor": "a drawn street as a camera gives it",
    "putText": "the scene's own clock",
    "rectangle": "houses, cars and figures of plain shapes",
    "circle": "wheels and heads of plain shapes",
    "polylines": "the strokes of the overlay's letters",
    "resize": "letters with even edges",
    "GaussianBlur": "a covered or blurred lens, simulated",
}
"""All that may be used of OpenCV, with why. None of it looks for anything in a picture."""


def _tracked() -> list[Path]:
    """What git tracks, or would: the tree without what is ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    assert len(files) > 50, "the tree is listed"
    return [file for file in files if file.is_file()]


def _sources(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    for folder in folders:
        paths = sorted((ROOT / folder).rglob("*.py"))
        assert paths, folder
        for path in paths:
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"))


def _waits(tree: ast.Module) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in WAITING_CALLS | WAITING_TYPES:
                found.append(f"line {node.lineno}: {name}")
    return found


def test_nothing_outside_the_clock_sleeps_or_waits() -> None:
    waiting = {path: _waits(tree) for path, tree in _sources("device", "hw_sim")}
    assert {path: found for path, found in waiting.items() if found and path not in MAY_WAIT} == {}
    assert _waits(ast.parse("import time\ntime.sleep(1)")) == ["line 2: sleep"]


def test_no_face_or_person_analysis_is_in_the_tree() -> None:
    texts = [
        f for f in _tracked() if f.suffix in {".py", ".toml", ".txt", ".cfg", ".service", ""} and f != Path(__file__)
    ]
    found = {str(f.relative_to(ROOT)): m[0] for f in texts if (m := ANALYSIS.search(f.read_text("utf-8", "replace")))}
    assert found == {}
    assert [f for f in _tracked() if f.suffix in MODEL_FILES] == []
    assert ANALYSIS.search("import face_recognition")


def test_no_face_or_person_analysis_is_among_the_dependencies() -> None:
    pinned = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines() if line}
    assert len(pinned) > 20
    assert not {name for name in pinned if ANALYSIS.search(name)}
    assert not pinned & {"torch", "tensorflow", "onnxruntime", "keras", "scikit-learn", "jax"}


def _used_of_opencv(tree: ast.Module) -> set[str]:
    """Every name that is taken from OpenCV: by attribute, by import, or as a text. `self._cv2` counts too."""
    used = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in {"cv2", "self._cv2"}:
            used.add(node.attr)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "cv2":
            used |= {alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            used |= {
                f"import {a.name} as {a.asname}"
                for a in node.names
                if a.name.startswith("cv2") and (a.asname or a.name != "cv2")
            }
        if isinstance(node, ast.Call) and "cv2" in {ast.unparse(a).strip("'") for a in node.args}:
            used.add(ast.unparse(node))
    return used


def test_of_opencv_only_what_draws_is_used_and_nothing_on_the_device() -> None:
    on_device = {path: _used_of_opencv(tree) for path, tree in _sources("device")}
    assert {path: used for path, used in on_device.items() if used} == {}
    in_twin = set().union(*(_used_of_opencv(tree) for _, tree in _sources("hw_sim")))
    assert in_twin == set(OPENCV)
    assert _used_of_opencv(ast.parse("import cv2\ncv2.CascadeClassifier(x)")) == {"CascadeClassifier"}
    assert _used_of_opencv(ast.parse("from cv2 import dnn")) == {"dnn"}
    assert _used_of_opencv(ast.parse("getattr(cv2, 'QRCode' + 'Detector')")) == {"getattr(cv2, 'QRCode' + 'Detector')"}


def test_no_secret_and_no_archive_address_is_in_the_tree() -> None:
    texts = {f: f.read_text("utf-8", "replace") for f in _tracked() if f != Path(__file__)}
    assert [f for f, text in texts.items() if SECRETS.search(text)] == []
    assert [f for f, text in texts.items() if HOSTS.search(text.replace(FORMAT, ""))] == []


def test_no_shell_string_and_no_pickle() -> None:
    for path, tree in _sources("device", "hw_sim"):
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "shell":
                raise AssertionError(f"{path}: a shell string")
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name.split(".")[0] for alias in node.names} | {getattr(node, "module", None) or ""}
                assert not names & {"pickle", "marshal", "shelve", "dill"}, path


def test_the_daemon_has_no_network_listener() -> None:
    for path, tree in _sources("device"):
        calls = [n.func.attr for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
        assert not {"listen", "bind", "create_server"} & set(calls), path


def test_modules_are_of_a_readable_length() -> None:
    allowed = {
        "device/evidence/records.py": "every record type on one page",
        "device/evidence/recorder.py": "the one thread that writes",
        "hw_sim/disk.py": "one file system",
    }
    lengths = {path: len((ROOT / path).read_text().splitlines()) for path, _ in _sources("device", "hw_sim")}
    assert {path: length for path, length in lengths.items() if length > 400 and path not in allowed} == {}
