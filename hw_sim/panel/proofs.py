"""Verdicts and exports by the real commands, `bodycam verify` and `bodycam export`, as the demo agency's custodian runs them.

Each is a process of its own, one at a time, so that the daemon in this one is not held up. An export leaves the MP4 and its
access record in the bench's `export` folder: that is the only plaintext that the panel makes, and only when it is asked to.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from device.evidence import layout
from device.evidence.verdicts import CardVerdict, printable
from hw_sim.agency import Bench

LIMIT_S = 600
MOST_FINDINGS = 8
MOST_CHARACTERS = 400

_VERDICTS = msgspec.json.Decoder(list[CardVerdict])


class Finding(msgspec.Struct, frozen=True):
    place: str
    what: str


class Judged(msgspec.Struct, frozen=True, tag="judged", tag_field="kind"):
    """What `bodycam verify` says of a recording; `at_bytes`: how long its ledger was. `busy`: it is being looked at."""

    name: str
    at_bytes: int
    busy: bool
    verdict: str = ""
    exit_status: int | None = None
    answers: dict[str, str] = {}
    findings: list[Finding] = []
    seconds: float = 0.0
    frames: int = 0
    command: str = ""


class Exported(msgspec.Struct, frozen=True, tag="exported", tag_field="kind"):
    """An export: `busy`, `done` or `failed` with the reason. `file`: where it is."""

    name: str
    state: str
    file: str
    said: str = ""
    command: str = ""


class Proofs:
    """For all who look at the panel: `judged` and `exported` by recording, the same objects until something changes."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._one_at_a_time = asyncio.Lock()
        self._under_way: set[asyncio.Task[None]] = set()
        self.judged: dict[str, Judged] = {}
        self.exported: dict[str, Exported] = {
            file.stem: Exported(name=file.stem, state="done", file=str(file)) for file in self._folder().glob("*.mp4")
        }

    def want_verdict(self, name: str, at_bytes: int, *, again: bool = False) -> None:
        """Judge it, unless it was judged at this length of its ledger, or is being."""
        known = self.judged.get(name)
        if known is not None and (known.busy or (known.at_bytes >= at_bytes and not again)):
            return
        before = known or Judged(name=name, at_bytes=0, busy=True)
        self.judged[name] = msgspec.structs.replace(before, busy=True)
        self._begin(lambda: self._judge(name, at_bytes))

    def want_export(self, name: str) -> None:
        known = self.exported.get(name)
        if known is None or known.state == "failed":
            self.exported[name] = Exported(name=name, state="busy", file="")
            self._begin(lambda: self._export(name))

    def file_of(self, name: str) -> Path | None:
        """An exported video that is there."""
        known = self.exported.get(name)
        return Path(known.file) if known is not None and known.state == "done" else None

    def _begin(self, work: Callable[[], Awaitable[None]]) -> None:
        async def one() -> None:
            async with self._one_at_a_time:
                await work()

        task = asyncio.get_running_loop().create_task(one())
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _judge(self, name: str, at_bytes: int) -> None:
        folder = self._bench.card / layout.recording_folder(name)
        command = ["verify", str(folder), "--trust", str(self._bench.trust)]
        done = await asyncio.to_thread(_bodycam, [*command, "--jobs", "1", "--json"])
        self.judged[name] = _read(name, at_bytes, done, _said(command))

    async def _export(self, name: str) -> None:
        bench = self._bench
        file = self._folder() / f"{name}.mp4"
        command = ["export", str(bench.card / layout.recording_folder(name)), "-o", str(file)]
        command += ["--identity", str(bench.footage_identity), "--trust", str(bench.trust)]
        command += ["--export-key", str(bench.export_key), "--export-certificate", str(bench.export_certificate)]
        command += ["--recipient", "whoever looks at the panel", "--reason", "shown in the panel"]
        command += ["--report-filed", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")]
        done = await asyncio.to_thread(_bodycam, command, self._folder())
        state = "done" if done.returncode == 0 else "failed"
        self.exported[name] = Exported(
            name=name, state=state, file=str(file), said=_last_words(done), command=_said(command)
        )

    def _folder(self) -> Path:
        return self._bench.root / "export"


def _bodycam(arguments: list[str], into: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """What it said; one that can't be begun or does not end says so in its place. `into`: a folder to be there before."""
    command = [sys.executable, "-m", "device.cli", *arguments]
    try:
        if into is not None:
            into.mkdir(mode=0o700, exist_ok=True)
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        why = f"bodycam {arguments[0]} did not end within {LIMIT_S} s and was ended; ask once more"
    except OSError as failure:
        why = f"bodycam {arguments[0]} could not be begun: {failure.filename or 'process'}: {failure.strerror}"
    return subprocess.CompletedProcess(command, os.EX_TEMPFAIL, "", why)


def _read(name: str, at_bytes: int, done: "subprocess.CompletedProcess[str]", command: str) -> Judged:
    try:
        recording = _VERDICTS.decode(done.stdout)[0].recordings[0]
    except (msgspec.DecodeError, IndexError):
        said = Finding("bodycam verify", _last_words(done))
        return Judged(name=name, at_bytes=at_bytes, busy=False, verdict="no verdict", findings=[said], command=command)
    said_of = recording.answers
    return Judged(
        name=name,
        at_bytes=at_bytes,
        busy=False,
        verdict=recording.verdict,
        exit_status=recording.exit_status,
        answers={
            "content": said_of.content_said,
            "signer": said_of.signer_said,
            "extent": said_of.extent_said,
            "time": said_of.time_said,
            "readable": said_of.read_said,
        },
        findings=[Finding(f.place, f.what) for f in recording.findings[:MOST_FINDINGS]],
        seconds=recording.seconds,
        frames=recording.frames,
        command=command,
    )


def _said(command: list[str]) -> str:
    """The command as a person would type it."""
    import shlex

    return shlex.join(["bodycam", *command])


def _last_words(done: "subprocess.CompletedProcess[str]") -> str:
    return printable((done.stderr or done.stdout).strip()[-MOST_CHARACTERS:])
