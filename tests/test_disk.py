"""One contract for the card and its twin; then what only the twin can show: what a power cut leaves."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from device.errors import CannotPersist, CardFull
from device.evidence.disk import CardDisk, CardFile, Disk
from hw_sim.disk import OPERATIONS, SECTOR_BYTES, Operation, PowerCut, TwinDisk

AnyDisk = CardDisk | TwinDisk
PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "card"
    folder.mkdir()
    return folder


@pytest.fixture(params=[CardDisk, TwinDisk], ids=["card", "twin"])
def kind(request: pytest.FixtureRequest) -> Callable[[Path], AnyDisk]:
    chosen: Callable[[Path], AnyDisk] = request.param
    return chosen


@pytest.fixture
def disk(kind: Callable[[Path], AnyDisk], root: Path) -> Iterator[AnyDisk]:
    before = descriptors()
    opened = kind(root)
    yield opened
    opened.close()
    assert descriptors() == before, "descriptors were left open"


@pytest.fixture
def twin(root: Path) -> TwinDisk:
    return TwinDisk(root, capacity_bytes=1_000_000)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def put(disk: Disk, path: str, data: bytes = b"", *, sync: bool = False) -> None:
    file = disk.create(path)
    if data:
        file.append(data)
    if sync:
        file.sync()
    file.close()


def tree(root: Path) -> dict[str, bytes | None]:
    """Everything under a real folder: bytes of files, None for folders."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in sorted(root.rglob("*"))
    }


# -- the contract that both keep ------------------------------------------------------------------------------------


def test_appended_bytes_are_read_back_before_any_sync(disk: AnyDisk) -> None:
    file = disk.create("a")
    file.append(b"one ")
    file.append(b"two")
    assert disk.read("a", 100) == b"one two"
    assert disk.read("a", 5) == b"one t"
    assert disk.size("a") == 7
    file.sync()
    file.append(b"")
    file.append(b" three")
    assert disk.read("a", 100) == b"one two three"
    assert disk.read("a", 9) == b"one two t"
    assert disk.size("a") == 13
    file.close()
    assert disk.read("a", 100) == b"one two three"


def test_an_existing_file_is_never_created_or_allocated_again(disk: AnyDisk) -> None:
    put(disk, "a", b"evidence")
    for again in (lambda: disk.create("a"), lambda: disk.allocate("a", 10)):
        with pytest.raises(CannotPersist):
            again()
    assert disk.read("a", 100) == b"evidence"


def test_names_are_sorted_and_those_of_no_folder_are_none(disk: AnyDisk) -> None:
    disk.make_folder("f")
    for name in ("c", "a", "b"):
        put(disk, f"f/{name}")
    disk.sync_folder("f")
    disk.make_folder("f/aa")
    assert disk.names("f") == ["a", "aa", "b", "c"]
    assert disk.names("") == ["f"]
    assert disk.names("missing") == []
    assert disk.names("missing/more") == []
    assert disk.names("f/a") == []
    assert disk.names("f/a/b") == []


def test_only_a_regular_file_has_a_size(disk: AnyDisk) -> None:
    disk.make_folder("f")
    put(disk, "f/empty")
    assert disk.size("f/empty") == 0
    assert disk.size("f") is None
    assert disk.size("missing") is None
    assert disk.size("missing/more") is None
    assert disk.size("f/empty/below a file") is None


def test_a_folder_may_exist_already(disk: AnyDisk) -> None:
    disk.make_folder("f")
    put(disk, "f/a", b"x")
    disk.make_folder("f")
    assert disk.names("f") == ["a"]


WRONG: dict[str, Callable[[Disk], object]] = {
    "create in no folder": lambda disk: disk.create("missing/a"),
    "create in a file": lambda disk: disk.create("file/a"),
    "create over a folder": lambda disk: disk.create("folder"),
    "folder in no folder": lambda disk: disk.make_folder("missing/f"),
    "folder over a file": lambda disk: disk.make_folder("file"),
    "allocate in no folder": lambda disk: disk.allocate("missing/a", 1),
    "allocate nothing": lambda disk: disk.allocate("a", 0),
    "sync of no folder": lambda disk: disk.sync_folder("missing"),
    "sync of a file as a folder": lambda disk: disk.sync_folder("file"),
    "read nothing": lambda disk: disk.read("missing", 1),
    "read a folder": lambda disk: disk.read("folder", 1),
    "remove nothing": lambda disk: disk.remove("missing"),
    "remove a folder": lambda disk: disk.remove("folder"),
    "a name too long to create": lambda disk: disk.create("n" * 300),
    "a name too long to have a size": lambda disk: disk.size("n" * 300),
    "a name too long to be a folder": lambda disk: disk.names("n" * 300),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_every_failure_is_the_one_that_callers_handle(disk: AnyDisk, wrong: Callable[[Disk], object]) -> None:
    disk.make_folder("folder")
    put(disk, "file", b"x")
    with pytest.raises(CannotPersist) as caught:
        wrong(disk)
    assert type(caught.value) is CannotPersist, "none of these is a full card"
    assert disk.names("") == ["file", "folder"]


@pytest.mark.parametrize("path", ["..", "a/..", "a/../b", "/etc/passwd", "a//b", "./a", "a/", "."])
def test_a_path_that_is_not_one_of_ours_is_a_bug_of_ours(disk: AnyDisk, path: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: disk.create(path),
        lambda: disk.make_folder(path),
        lambda: disk.sync_folder(path),
        lambda: disk.names(path),
        lambda: disk.size(path),
        lambda: disk.read(path, 1),
        lambda: disk.allocate(path, 1),
        lambda: disk.remove(path),
    ]
    for call in calls:
        with pytest.raises(AssertionError, match="not a path on a card"):
            call()


def test_allocated_blocks_hold_nothing_and_are_given_back(disk: AnyDisk) -> None:
    disk.allocate("reserve", 10_000)
    assert disk.size("reserve") == 10_000
    assert disk.read("reserve", 20_000) == bytes(10_000)
    disk.remove("reserve")
    assert disk.size("reserve") is None
    assert disk.names("") == []
    disk.allocate("reserve", 500)
    disk.sync_folder("")
    assert disk.size("reserve") == 500


def test_what_was_synced_is_there_for_whoever_opens_the_card_next(
    kind: Callable[[Path], AnyDisk], disk: AnyDisk, root: Path
) -> None:
    disk.make_folder("f")
    file = disk.create("f/a")
    file.append(b"first ")
    file.sync()
    disk.sync_folder("f")
    disk.sync_folder("")
    file.append(b"second")
    file.sync()
    disk.make_folder("g")
    put(disk, "g/b", b"all")
    disk.sync_all()
    file.close()
    assert tree(root) == {"f": None, "f/a": b"first second", "g": None, "g/b": b"all"}
    other = kind(root)
    assert other.read("f/a", 100) == b"first second"
    assert other.names("g") == ["b"]
    with pytest.raises(CannotPersist):
        other.create("g/b")
    other.close()


def test_a_handle_is_closed_once_and_never_another_in_its_place(disk: AnyDisk, root: Path) -> None:
    file = disk.create("a")
    file.append(b"x")
    file.close()
    with (root / ".." / "other").open("wb", buffering=0) as other:  # takes the number that the handle had
        file.close()
        assert other.write(b"still open") == 10
    with pytest.raises(CannotPersist):
        file.append(b"y")
    with pytest.raises(CannotPersist):
        file.sync()
    assert disk.read("a", 10) == b"x"


def test_what_is_no_file_of_ours_is_named_and_never_opened(disk: AnyDisk, root: Path) -> None:
    os.mkfifo(root / "pipe")
    (root / ".." / "secret").write_bytes(b"secret")
    (root / "link").symlink_to("../secret")
    assert disk.names("") == ["link", "pipe"]
    for name in ("link", "pipe"):
        assert disk.size(name) is None
        with pytest.raises(CannotPersist):
            disk.read(name, 10)
        with pytest.raises(CannotPersist):
            disk.create(name)


def test_what_another_process_hands_in_and_takes_away_is_seen(disk: AnyDisk, root: Path) -> None:
    disk.make_folder("spool")
    disk.sync_folder("")
    (root / "spool" / "receipt").write_bytes(b"12345")
    assert disk.names("spool") == ["receipt"]
    assert disk.size("spool/receipt") == 5
    assert disk.read("spool/receipt", 10) == b"12345"
    (root / "spool" / "receipt").write_bytes(b"1234567")
    assert disk.size("spool/receipt") == 7
    disk.remove("spool/receipt")
    disk.sync_folder("spool")
    assert tree(root) == {"spool": None}
    (root / "spool" / "receipt").write_bytes(b"")
    assert disk.size("spool/receipt") == 0
    (root / "spool" / "receipt").unlink()
    assert disk.size("spool/receipt") is None
    put(disk, "spool/receipt", b"ours")
    assert disk.read("spool/receipt", 10) == b"ours"


def test_there_is_no_disk_where_there_is_no_folder(kind: Callable[[Path], AnyDisk], tmp_path: Path) -> None:
    with pytest.raises(CannotPersist):
        kind(tmp_path / "missing")


def test_a_full_card_says_so(root: Path) -> None:
    full = CardFile(Path("/dev/full"), os.open("/dev/full", os.O_WRONLY))
    with pytest.raises(CardFull):
        full.append(b"x")
    full.close()
    with pytest.raises(CardFull):
        put(TwinDisk(root, capacity_bytes=0), "a", b"x")


# -- what is durable, on the twin -----------------------------------------------------------------------------------


def test_nothing_is_on_the_card_before_a_sync(twin: TwinDisk, root: Path) -> None:
    twin.make_folder("f")
    put(twin, "f/a", b"x")
    put(twin, "b", b"y")
    twin.allocate("c", 10)
    assert twin.names("") == ["b", "c", "f"]
    assert tree(root) == {}


def test_a_synced_file_without_its_entry_is_not_there(twin: TwinDisk, root: Path) -> None:
    put(twin, "a", b"content", sync=True)
    assert tree(root) == {}
    twin.cut()
    assert TwinDisk(root).names("") == []


def test_an_entry_without_its_content_is_an_empty_file(twin: TwinDisk, root: Path) -> None:
    put(twin, "a", b"content")
    twin.sync_folder("")
    assert tree(root) == {"a": b""}
    assert twin.read("a", 100) == b"content"


def test_content_and_entry_in_either_order(twin: TwinDisk, root: Path) -> None:
    put(twin, "content-first", b"c", sync=True)
    file = twin.create("entry-first")
    file.append(b"e")
    twin.sync_folder("")
    assert tree(root) == {"content-first": b"c", "entry-first": b""}
    file.sync()
    assert tree(root) == {"content-first": b"c", "entry-first": b"e"}


def test_a_file_needs_every_entry_on_its_way(twin: TwinDisk, root: Path) -> None:
    twin.make_folder("f")
    twin.make_folder("f/g")
    put(twin, "f/g/a", b"content", sync=True)
    twin.sync_folder("f/g")
    assert tree(root) == {}
    twin.sync_folder("")
    assert tree(root) == {"f": None}
    assert twin.read("f/g/a", 100) == b"content"
    twin.sync_folder("f")
    assert tree(root) == {"f": None, "f/g": None, "f/g/a": b"content"}


def test_a_folder_sync_reaches_no_deeper_than_its_own_entries(twin: TwinDisk, root: Path) -> None:
    twin.make_folder("f")
    put(twin, "f/a", b"x", sync=True)
    twin.sync_folder("")
    assert tree(root) == {"f": None}


def test_a_live_file_grows_in_the_root_at_each_sync(twin: TwinDisk, root: Path) -> None:
    file = twin.create("ledger")
    twin.sync_folder("")
    inode = (root / "ledger").stat().st_ino
    seen = []
    for line in (b"one\n", b"two\n", b"three\n"):
        file.append(line)
        seen.append((root / "ledger").read_bytes())
        file.sync()
        seen.append((root / "ledger").read_bytes())
    assert seen == [b"", b"one\n", b"one\n", b"one\ntwo\n", b"one\ntwo\n", b"one\ntwo\nthree\n"]
    assert (root / "ledger").stat().st_ino == inode


def test_what_appears_is_whole_at_once(twin: TwinDisk, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twin.make_folder("f")
    for name in ("a", "b"):
        put(twin, f"f/{name}", name.encode(), sync=True)
    twin.sync_folder("f")
    moments: list[dict[str, bytes | None]] = []
    rename = Path.rename

    def watched(self: Path, target: Path) -> Path:
        moments.append(tree(root))
        result = rename(self, target)
        moments.append(tree(root))
        return result

    monkeypatch.setattr(Path, "rename", watched)
    twin.sync_folder("")
    assert moments == [{}, {"f": None, "f/a": b"a", "f/b": b"b"}]
    assert [path.name for path in root.parent.iterdir()] == [root.name]


@pytest.mark.parametrize("left", ["a file", "a folder"])
def test_what_a_killed_process_had_not_shown_is_in_nobodys_way(root: Path, left: str) -> None:
    beside = root.with_name(".card.appearing")
    if left == "a file":
        beside.write_bytes(b"half of it")
    else:
        beside.mkdir()
        (beside / "a").write_bytes(b"half of it")
    twin = TwinDisk(root)
    twin.make_folder("f")
    put(twin, "b", b"whole")
    twin.sync_all()
    assert tree(root) == {"b": b"whole", "f": None}
    assert list(root.parent.iterdir()) == [root]


def test_sync_all_leaves_nothing_behind(twin: TwinDisk, root: Path) -> None:
    put(twin, "old", b"1", sync=True)
    twin.sync_folder("")
    twin.make_folder("f")
    put(twin, "f/a", b"content")
    twin.remove("old")
    twin.sync_all()
    assert tree(root) == {"f": None, "f/a": b"content"}


def test_a_removal_needs_a_folder_sync(twin: TwinDisk, root: Path) -> None:
    put(twin, "a", b"1", sync=True)
    twin.sync_folder("")
    twin.remove("a")
    put(twin, "a", b"22", sync=True)
    assert twin.read("a", 10) == b"22"
    assert tree(root) == {"a": b"1"}
    twin.sync_folder("")
    assert tree(root) == {"a": b"22"}


def test_an_allocation_is_durable_but_for_its_entry(twin: TwinDisk, root: Path) -> None:
    twin.allocate("reserve", 1000)
    assert tree(root) == {}
    twin.sync_folder("")
    assert tree(root) == {"reserve": bytes(1000)}


def test_a_cut_without_luck_leaves_only_what_was_synced(twin: TwinDisk, root: Path) -> None:
    file = twin.create("a")
    file.append(b"kept")
    file.sync()
    twin.sync_folder("")
    file.append(b" lost")
    put(twin, "b", b"lost", sync=True)
    twin.cut()
    assert tree(root) == {"a": b"kept"}
    after = TwinDisk(root)
    assert after.read("a", 100) == b"kept"
    assert after.names("") == ["a"]


def test_a_disk_without_power_is_of_no_more_use(twin: TwinDisk) -> None:
    file = twin.create("a")
    twin.cut()
    calls: list[Callable[[], object]] = [
        lambda: twin.names(""),
        lambda: twin.read("a", 1),
        lambda: twin.create("b"),
        lambda: file.append(b"x"),
        file.sync,
        twin.sync_all,
        twin.free_bytes,
        twin.cut,
    ]
    for call in calls:
        with pytest.raises(AssertionError, match="power"):
            call()
    file.close()


KILLED = """
import sys, time
from pathlib import Path
from hw_sim.disk import TwinDisk
disk = TwinDisk(Path(sys.argv[1]))
disk.make_folder("f")
ledger = disk.create("f/ledger")
ledger.append(b"one\\n")
ledger.sync()
disk.sync_folder("f")
disk.sync_folder("")
ledger.append(b"two\\n")
disk.create("f/segment").append(b"bytes")
disk.create("synced without its name").sync()
print("ready", flush=True)
time.sleep(60)
"""


def test_killing_the_process_is_a_power_cut(root: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(root)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        assert tree(root) == {"f": None, "f/ledger": b"one\n"}, "who reads beside it sees what is durable"
        child.send_signal(signal.SIGKILL)
        assert child.wait(10) == -signal.SIGKILL
    assert tree(root) == {"f": None, "f/ledger": b"one\n"}
    after = TwinDisk(root)
    assert after.names("f") == ["ledger"]
    assert after.read("f/ledger", 100) == b"one\n"


# -- a cut with some luck -------------------------------------------------------------------------------------------


class Written:
    """What the test itself remembers of one file: all its bytes, where each append began, and what was synced."""

    def __init__(self, rng: random.Random) -> None:
        self.data = b""
        self.ends: list[int] = []
        self.synced = b""
        self.entry_durable = False
        self._rng = rng

    def more(self) -> bytes:
        new = bytes(self._rng.randrange(1, 256) for _ in range(self._rng.choice((1, 100, 511, 512, 2000))))
        self.data += new
        self.ends.append(len(self.data))
        return new


def worked_on(twin: TwinDisk, rng: random.Random) -> dict[str, Written]:
    """Some work with syncs here and there; what it wrote and what of it must survive."""
    files: dict[str, Written] = {}
    for folder in ("f", "g"):
        twin.make_folder(folder)
    twin.sync_folder("")
    handles = {}
    for n in range(6):
        path = f"{rng.choice('fg')}/{n}"
        handles[path] = twin.create(path)
        files[path] = Written(rng)
        for _ in range(rng.randrange(8)):
            chosen = rng.choice(sorted(files))
            step = rng.random()
            if step < 0.6:
                handles[chosen].append(files[chosen].more())
            elif step < 0.85:
                handles[chosen].sync()
                files[chosen].synced = files[chosen].data
            else:
                twin.sync_folder(chosen[0])
                for path_there, file in files.items():
                    file.entry_durable |= path_there[0] == chosen[0]
    return files


def fate(found: bytes, file: Written) -> str:
    """What became of the bytes that were not synced; fails unless it is what a power cut can do."""
    kept = len(file.synced)
    assert found[:kept] == file.synced, "synced bytes survive byte for byte"
    assert kept <= len(found) <= len(file.data)
    at = kept
    while at < len(found):
        end = min(len(found), (at // SECTOR_BYTES + 1) * SECTOR_BYTES)
        sector = found[at:end]
        survived = len(sector.rstrip(b"\0"))
        assert sector[:survived] == file.data[at : at + survived], "a sector holds what was written there, then zeros"
        at = end
    if found == file.data:
        return "all" if len(found) > kept else "nothing was to survive"
    if len(found) == kept:
        return "nothing"
    if not found[kept:].strip(b"\0"):
        return "zeros"
    return "cut short" if found == file.data[: len(found)] else "torn"


def test_what_was_synced_survives_and_of_the_rest_any_part_may(tmp_path: Path) -> None:
    fates: set[str] = set()
    for seed in range(100):
        root = tmp_path / str(seed)
        root.mkdir()
        twin = TwinDisk(root)
        files = worked_on(twin, random.Random(seed))
        twin.cut(random.Random(seed))
        after = TwinDisk(root)
        for path, file in files.items():
            if after.size(path) is None:
                assert not file.entry_durable, f"seed {seed}: {path} had a durable entry"
                fates.add("no entry")
            else:
                found = after.read(path, 1 << 20)
                fates.add(fate(found, file))
                if len(found) % SECTOR_BYTES and found[-1] and len(found) not in file.ends:
                    fates.add("ends inside a sector and an append")
                fates.add("an entry by luck" if not file.entry_durable else "an entry")
        assert [p for p in tree(root) if p not in ("f", "g") and p not in files] == []
    assert fates == {
        "all", "nothing", "zeros", "cut short", "torn", "nothing was to survive",
        "no entry", "an entry by luck", "an entry", "ends inside a sector and an append",
    }  # fmt: skip


@pytest.mark.parametrize("taker", ["a file", "a folder"])
def test_a_removal_and_what_took_its_name_survive_or_not(tmp_path: Path, taker: str) -> None:
    outcomes = set()
    for seed in range(60):
        root = tmp_path / str(seed)
        root.mkdir()
        twin = TwinDisk(root)
        put(twin, "a", b"old")
        twin.sync_all()
        twin.remove("a")
        if taker == "a file":
            put(twin, "a", b"new", sync=True)
        else:
            twin.make_folder("a")
        twin.cut(random.Random(seed))
        outcomes.add(tree(root).get("a", b"none"))
    assert outcomes == {b"old", b"none", b"new" if taker == "a file" else None}


def test_a_folder_that_did_not_survive_takes_all_in_it_along(tmp_path: Path) -> None:
    outcomes = set()
    for seed in range(40):
        root = tmp_path / str(seed)
        root.mkdir()
        twin = TwinDisk(root)
        twin.make_folder("f")
        put(twin, "f/a", b"x", sync=True)
        twin.sync_folder("f")
        twin.cut(random.Random(seed))
        outcomes.add(tuple(tree(root).items()))
    assert outcomes == {(), (("f", None), ("f/a", b"x"))}


def test_a_cut_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    results = []
    for name in ("one", "two"):
        root = tmp_path / name
        root.mkdir()
        twin = TwinDisk(root)
        worked_on(twin, random.Random(5))
        twin.cut(random.Random(7))
        results.append(tree(root))
    assert results[0] == results[1]


# -- the power going off at a chosen operation ----------------------------------------------------------------------


class CutBefore:
    """A hook: the power goes off before the n-th operation."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self, operation: str, path: str) -> None:
        if self.left == 0:
            raise PowerCut(f"before {operation} of {path}")
        self.left -= 1


def keep_two_segments(disk: TwinDisk) -> None:
    """The order of E2: bytes and entry, then the line that names them."""
    ledger = disk.create("ledger")
    for name in ("s0", "s1"):
        put(disk, name, name.encode() * 400, sync=True)
        disk.sync_folder("")
        ledger.append(f"{name}\n".encode())
        ledger.sync()


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_at_every_operation_the_power_may_go_and_no_line_names_what_is_not_there(
    tmp_path: Path, seed: int | None
) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    uncut = TwinDisk(whole)
    keep_two_segments(uncut)
    total = uncut.operations.total()
    assert total == len(uncut.log) == 13
    lines_seen = []
    for n in range(total):
        root = tmp_path / str(n)
        root.mkdir()
        twin = TwinDisk(root, before=CutBefore(n))
        with pytest.raises(PowerCut):
            keep_two_segments(twin)
        assert list(twin.log) == list(uncut.log)[:n]
        twin.cut(None if seed is None else random.Random(seed + n))
        left = tree(root)
        lines = (left.get("ledger") or b"").split(b"\n")[:-1]
        lines_seen.append(len(lines))
        for line in lines:
            assert left[line.decode()] == line * 400
    assert max(lines_seen) >= 1
    if seed is None:
        assert lines_seen == [0] * 7 + [1] * 6


def test_after_the_cut_no_clean_up_reaches_the_card(twin: TwinDisk, root: Path) -> None:
    file = twin.create("a")
    twin.sync_folder("")
    file.append(b"x")
    twin.before = CutBefore(0)
    with pytest.raises(PowerCut):
        file.sync()
    for tidy in (file.sync, twin.sync_all, lambda: twin.names("")):
        with pytest.raises(PowerCut):
            tidy()
    file.close()
    twin.cut()
    assert tree(root) == {"a": b""}


def test_operations_are_counted_and_logged(twin: TwinDisk) -> None:
    seen: list[tuple[str, str]] = []
    twin.before = lambda operation, path: seen.append((operation, path))
    twin.make_folder("f")
    file = twin.create("f/a")
    file.append(b"x")
    file.sync()
    file.append(b"y")
    twin.sync_folder("f")
    twin.allocate("r", 1)
    twin.remove("r")
    twin.sync_all()
    twin.names("")
    twin.size("f/a")
    twin.read("f/a", 1)
    expected = [
        ("make_folder", "f"), ("create", "f/a"), ("append", "f/a"), ("sync_file", "f/a"), ("append", "f/a"),
        ("sync_folder", "f"), ("allocate", "r"), ("remove", "r"), ("sync_all", ""),
    ]  # fmt: skip
    assert seen == list(twin.log) == expected
    assert twin.operations == {operation: 2 if operation == "append" else 1 for operation in OPERATIONS}
    assert twin.flushes == 4


# -- failures -------------------------------------------------------------------------------------------------------


def test_bytes_of_a_failed_sync_are_lost_though_a_retry_succeeds(twin: TwinDisk, root: Path) -> None:
    file = twin.create("a")
    file.append(b"one ")
    file.sync()
    twin.sync_folder("")
    file.append(b"two ")
    twin.fail_next("sync_file")
    with pytest.raises(CannotPersist):
        file.sync()
    file.sync()
    assert twin.read("a", 100) == b"one two ", "the cache still shows them"
    assert tree(root) == {"a": b"one "}
    file.append(b"three")
    file.sync()
    assert tree(root) == {"a": b"one \0\0\0\0three"}
    assert twin.read("a", 100) == b"one two three"
    twin.cut(random.Random(1))
    assert tree(root) == {"a": b"one \0\0\0\0three"}


def test_bytes_lost_before_the_file_has_a_name_are_lost_too(twin: TwinDisk, root: Path) -> None:
    file = twin.create("a")
    file.append(b"lost")
    twin.fail_next("sync_file")
    with pytest.raises(CannotPersist):
        file.sync()
    file.append(b"kept")
    file.sync()
    assert twin.read("a", 100) == b"lostkept"
    twin.sync_all()
    assert tree(root) == {"a": b"\0\0\0\0kept"}


def test_a_failed_sync_all_loses_the_bytes_of_every_file_and_no_entry(twin: TwinDisk, root: Path) -> None:
    put(twin, "synced", b"1", sync=True)
    put(twin, "a", b"2")
    put(twin, "b", b"3")
    twin.fail_next("sync_all", CardFull)
    with pytest.raises(CardFull):
        twin.sync_all()
    assert tree(root) == {}
    put(twin, "c", b"4")
    twin.sync_all()
    assert tree(root) == {"a": b"", "b": b"", "c": b"4", "synced": b"1"}


def test_a_failed_folder_sync_makes_nothing_durable(twin: TwinDisk, root: Path) -> None:
    put(twin, "a", b"1", sync=True)
    twin.fail_next("sync_folder")
    with pytest.raises(CannotPersist):
        twin.sync_folder("")
    assert tree(root) == {}
    twin.sync_folder("")
    assert tree(root) == {"a": b"1"}


ATTEMPTS: dict[Operation, Callable[[TwinDisk], object]] = {
    "make_folder": lambda twin: twin.make_folder("new"),
    "create": lambda twin: twin.create("new"),
    "allocate": lambda twin: twin.allocate("new", 10),
    "remove": lambda twin: twin.remove("old"),
}


@pytest.mark.parametrize("operation", ATTEMPTS)
@pytest.mark.parametrize("error", [CannotPersist, CardFull])
def test_what_failed_did_nothing_and_is_possible_again(
    twin: TwinDisk, operation: Operation, error: type[CannotPersist]
) -> None:
    put(twin, "old", b"1")
    free = twin.free_bytes()
    twin.fail_next(operation, error)
    with pytest.raises(CannotPersist) as caught:
        ATTEMPTS[operation](twin)
    assert type(caught.value) is error
    assert (twin.names(""), twin.free_bytes()) == (["old"], free)
    ATTEMPTS[operation](twin)
    assert twin.names("") == ([] if operation == "remove" else ["new", "old"])


def test_failures_are_counted_and_may_be_kept_to_some_paths(twin: TwinDisk) -> None:
    twin.make_folder("evidence")
    twin.make_folder("journal")
    evidence, journal = twin.create("evidence/a"), twin.create("journal/a")
    twin.fail_next("append", CardFull, count=2, path_contains="evidence/")
    journal.append(b"1")
    for _ in range(2):
        with pytest.raises(CardFull):
            evidence.append(b"2")
    evidence.append(b"3")
    assert (twin.read("evidence/a", 9), twin.read("journal/a", 9)) == (b"3", b"1")
    assert twin.operations["append"] == 4


# -- room -----------------------------------------------------------------------------------------------------------


def test_room_is_counted_with_what_is_pending_and_again_at_the_next_opening(root: Path) -> None:
    twin = TwinDisk(root, capacity_bytes=1000)
    twin.make_folder("f")
    put(twin, "f/a", bytes(100))
    assert twin.free_bytes() == 900
    twin.allocate("r", 300)
    assert twin.free_bytes() == 600
    twin.sync_all()
    assert twin.free_bytes() == 600
    put(twin, "lost", bytes(50))
    assert twin.free_bytes() == 550
    twin.cut()
    after = TwinDisk(root, capacity_bytes=1000)
    assert after.free_bytes() == 600
    after.remove("r")
    assert after.free_bytes() == 900


def test_an_append_takes_what_there_is_room_for(root: Path) -> None:
    twin = TwinDisk(root, capacity_bytes=10)
    file = twin.create("a")
    file.append(b"12345678")
    with pytest.raises(CardFull):
        file.append(b"abcd")
    assert twin.read("a", 100) == b"12345678ab"
    assert twin.free_bytes() == 0
    twin.create("a name takes no room")
    twin.full_at(12)
    file.append(b"cd")
    file.sync()
    twin.full_at(5)
    assert twin.free_bytes() == 0
    with pytest.raises(CardFull):
        file.append(b"e")
    twin.sync_folder("")
    assert tree(root)["a"] == b"12345678abcd"


def test_an_allocation_is_all_or_nothing(root: Path) -> None:
    twin = TwinDisk(root, capacity_bytes=10)
    with pytest.raises(CardFull):
        twin.allocate("r", 11)
    assert (twin.names(""), twin.free_bytes()) == ([], 10)
    twin.allocate("r", 10)
    with pytest.raises(CannotPersist) as caught:
        twin.allocate("r", 10)
    assert type(caught.value) is CannotPersist


def test_room_of_a_removal_is_used_only_after_the_removal_is_durable(root: Path) -> None:
    """Else the reserve and the closing lines that took its place would both be there after a cut."""
    twin = TwinDisk(root, capacity_bytes=100)
    twin.allocate("reserve", 80)
    twin.sync_folder("")
    twin.remove("reserve")
    assert twin.free_bytes() == 100
    file = twin.create("a")
    file.append(bytes(20))
    assert tree(root) == {"reserve": bytes(80)}
    file.append(bytes(1))
    assert tree(root) == {}
    file.append(bytes(79))
    assert twin.free_bytes() == 0
    twin.full_at(150)
    twin.allocate("other", 10)
    twin.sync_folder("")
    twin.remove("other")
    file.append(bytes(40))
    assert "other" in tree(root), "there was room without it"
    file.append(bytes(1))
    assert "other" not in tree(root)
