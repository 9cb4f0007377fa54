"""The panel from outside its page: who gets in, what may be asked of it, and that what it shows is what is recorded."""

import asyncio
import json
import random
import re
import socket
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from device.errors import UsageError
from device.evidence import layout
from device.evidence.records import Marker
from device.policy import inputs as on
from device.policy import machine
from device.policy.model import Policy, parse_policy
from device.policy.state import Phase, State, initial_state
from hw_sim.agency import Bench
from hw_sim.bench_socket import BenchSocket
from hw_sim.faults import FAULTS
from hw_sim.panel import messages, run
from hw_sim.panel.card import JournalReader, RecordingsReader
from hw_sim.panel.proofs import Exported, Judged, Proofs
from hw_sim.panel.run import Asked, run_panel
from hw_sim.virtual import VirtualDevice
from tests.benches import ledger, make_bench, shown, verified
from tests.panels import Panel, Socket

PAGE = Path(__file__).resolve().parents[1] / "hw_sim" / "panel" / "page"
DIAGRAM = (PAGE / "diagram.js").read_text("utf-8")
MARKUP = (
    r"innerHTML|outerHTML|insertAdjacentHTML|setHTML|parseFromString|createContextualFragment|srcdoc|document\.write"
    r"|\beval\b|new Function"
)
"""What makes markup or code of a string."""


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Panel]:
    panel = Panel(tmp_path_factory.mktemp("panel"))
    yield panel
    panel.close()


@pytest.fixture
def page(panel: Panel) -> Iterator[Socket]:
    opened = Socket(panel)
    opened.until('"kind":"now"', '"on":true')
    yield opened
    opened.close()


# -- who gets in ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/page/panel.js", "/export/000001-0123456789abcdef.mp4", "/nothing"])
@pytest.mark.parametrize("query", ["", "?token=", "?token=wrong", "?token=%ff"])
def test_without_the_token_nothing_is_served(panel: Panel, path: str, query: str) -> None:
    status, headers, body = panel.get(path + query)
    assert status == 403
    assert body == b"the token is missing or wrong: use the address that bodycam-sim panel printed\n"
    assert "set-cookie" not in headers


def test_a_wrong_cookie_is_no_token(panel: Panel) -> None:
    for cookie in (f"bodycam-panel-{panel.port}=wrong", f"other={panel.token}", "bodycam-panel=;;=;"):
        assert panel.get("/", Cookie=cookie)[0] == 403


def test_the_token_becomes_a_cookie_that_no_other_site_sends(panel: Panel) -> None:
    status, headers, body = panel.get(f"/?token={panel.token}")
    assert status == 200
    assert b"<title>bodycam panel</title>" in body
    assert headers["set-cookie"] == f"bodycam-panel-{panel.port}={panel.token}; Path=/; HttpOnly; SameSite=Strict"
    assert panel.get("/page/panel.js", Cookie=panel.cookie)[0] == 200
    assert len(panel.token) == 32


def test_every_answer_forbids_what_is_from_elsewhere(panel: Panel) -> None:
    for path in ("/", "/page/panel.js", "/page/nothing.js"):
        headers = panel.get(path, Cookie=panel.cookie)[1]
        assert headers["content-security-policy"].startswith("default-src 'self'; frame-ancestors 'none'")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "[::1]:{port}", ""]
)
def test_another_name_is_refused_though_the_token_is_right(panel: Panel, host: str) -> None:
    status, _, body = panel.get("/", Host=host.format(port=panel.port), Cookie=panel.cookie)
    assert (status, body[:16]) == (403, b"not by this name")


@pytest.mark.parametrize(
    "changed",
    [
        {"origin": "http://evil.example"},
        {"origin": ""},
        {"origin": "null"},
        {"origin": "https://127.0.0.1:{port}"},
        {"cookie": ""},
        {"cookie": "bodycam-panel-{port}=wrong"},
        {"host": "evil.example:{port}", "origin": "http://evil.example:{port}"},
    ],
)
def test_a_websocket_of_another_page_is_refused(panel: Panel, changed: dict[str, str]) -> None:
    opened = Socket(panel, **{name: value.format(port=panel.port) for name, value in changed.items()})
    opened.close()
    assert opened.refused == 403


def test_it_listens_on_loopback_alone(panel: Panel) -> None:
    rows = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    rows += [line.split() for line in Path("/proc/net/tcp6").read_text("ascii").splitlines()[1:]]
    listening = {row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{panel.port:04X}")}
    assert listening == {f"0100007F:{panel.port:04X}"}


@pytest.mark.parametrize("path", ["/page/../run.py", "/page/%2e%2e/run.py", "/page//etc/passwd", "/page/"])
def test_only_the_page_s_own_files_are_served(panel: Panel, path: str) -> None:
    assert panel.get(path, Cookie=panel.cookie)[0] == 404


@pytest.mark.parametrize("name", ["000001-0123456789abcdef", "..%2f..%2fagency%2ffootage.key", "x"])
def test_what_was_not_exported_is_not_served(panel: Panel, name: str) -> None:
    assert panel.get(f"/export/{name}.mp4", Cookie=panel.cookie)[0] == 404


# -- what may be asked ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "double record",
        "[]",
        "{}",
        '{"do":"say"}',
        '{"do":"say","line":""}',
        '{"do":"say","line":"press record\\nhang"}',
        '{"do":"say","line":"x","more":1}',
        '{"do":"press","button":"reset","down":true}',
        '{"do":"press","button":"record","down":1}',
        '{"do":"export","recording":"../../agency"}',
        '{"do":"shell"}',
        '{"do":"say","line":"' + 81 * "x" + '"}',
        513 * " ",
        100 * "[",
    ],
)
def test_a_message_that_is_none_is_refused_with_a_word(text: str) -> None:
    with pytest.raises(UsageError, match="message"):
        messages.read(text)


def test_a_message_says_one_thing() -> None:
    assert messages.read('{"do":"say","line":"zone private"}') == messages.Say("zone private")
    assert messages.read('{"do":"press","button":"record","down":true}') == messages.Press("record", True)


def test_so_many_messages_at_once_and_so_many_a_second() -> None:
    allowance = messages.Allowance(0)
    assert [allowance.take(0) for _ in range(61)] == [True] * 60 + [False]
    assert [allowance.take(100_000) for _ in range(5)] == [True] * 4 + [False]


def test_nonsense_is_answered_and_nothing_else_happens(page: Socket) -> None:
    page.say('{"do":"shell"}')
    assert "not a message of the panel's" in page.until('"kind":"said"')
    page.say('{"do":"say","line":"zone nowhere"}')
    assert "this bench has: private, school, initial" in page.until('"line":"zone nowhere"')


def test_who_says_too_much_at_once_is_cut_off(page: Socket) -> None:
    for _ in range(200):
        page.say('{"do":"say","line":"help me"}')
    assert page.end().code == 1008


def test_a_message_that_is_too_long_ends_the_connection(page: Socket) -> None:
    page.say(3000 * "x")
    assert page.end().code == 1009


def test_bytes_end_the_connection_and_the_panel_goes_on(panel: Panel, page: Socket) -> None:
    page.say(b"\x00\x01")
    page.end()
    assert panel.get("/", Cookie=panel.cookie)[0] == 200


def test_several_pages_are_served_and_no_crowd(panel: Panel, page: Socket) -> None:
    more = [Socket(panel) for _ in range(4)]
    try:
        for opened in more[:3]:
            assert json.loads(opened.until('"kind":"hello"'))["device"] == "BC-000001"
        end = more[3].end()
        assert (end.code, end.reason) == (1013, "4 pages look at this panel already: close one")
    finally:
        for opened in more:
            opened.close()


def test_a_button_comes_up_when_the_page_that_held_it_goes(panel: Panel, page: Socket) -> None:
    other = Socket(panel)
    other.until('"kind":"now"', '"on":true')
    other.say('{"do":"press","button":"function","down":true}')
    assert "function" in json.loads(page.until('"kind":"now"', '"switches":["function"]'))["switches"]
    other.close()
    assert json.loads(page.until('"kind":"now"', '"switches":[]'))["switches"] == []


def test_what_can_be_broken_is_the_twin_s_own_table(panel: Panel) -> None:
    opened = Socket(panel)
    try:
        hello = json.loads(opened.until('"kind":"hello"'))
    finally:
        opened.close()
    assert [(f["part"], f["word"], f["does"]) for f in hello["faults"]] == [(f.part, f.word, f.does) for f in FAULTS]


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (b"nonsense\r\n\r\n", b"HTTP/1.1 400 "),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40) + b"\r\n\r\n", b"HTTP/1.1 400 "),
        (b"GET / HTTP/9.9\r\nHost: {host}\r\n\r\n", b"HTTP/1.1 403 "),
        (b"GET / HTTP/1.1\r\nHost: {host}\r\nHost: evil.example\r\n\r\n", b"HTTP/1.1 400 "),
        (b"GET / HTTP/1.1\r\nHost: {host}\r\nX: " + bytes(100_000), b"HTTP/1.1 400 "),
        (b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: -1\r\n\r\n", b"HTTP/1.1 400 "),
        (b"POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"HTTP/1.1 4"),
        (b"GET /\xff?token=\xff HTTP/1.1\r\nHost: {host}\r\n\r\n", b"HTTP/1.1 400 "),
        (b"GET / HTTP/1.1\r\nHost: {host}\r\nCookie: \xff=\xfe; {cookie}x\r\n\r\n", b"HTTP/1.1 403 "),
        (b"GET / HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", b"HTTP/1.1 200 "),
        (b"GET /live HTTP/1.1\r\nHost: {host}\r\n{upgrade}\r\n", b"HTTP/1.1 400 "),
        (b"GET /live HTTP/1.1\r\nHost: {host}\r\n{upgrade}Sec-WebSocket-Version: 99\r\n\r\n", b"HTTP/1.1 4"),
        (b"GET /live HTTP/1.1\r\n{live}\r\n" + 200 * b"\xff", b"HTTP/1.1 101 "),
        (b"GET /live HTTP/1.1\r\n{live}\r\n\x81\x84\0\0\0\0\xff\xff\xff\xff", b"HTTP/1.1 101 "),
    ],
)  # fmt: skip
def test_what_is_no_request_is_answered_and_prints_nothing(panel: Panel, asked: bytes, answered: bytes) -> None:
    upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    live = b"Host: {host}\r\nOrigin: http://{host}\r\nCookie: {cookie}\r\n{upgrade}Sec-WebSocket-Version: 13\r\n"
    live += b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    words = ((b"live", live), (b"upgrade", upgrade), (b"host", panel.host.encode()), (b"cookie", panel.cookie.encode()))
    for name, value in words:
        asked = asked.replace(b"{" + name + b"}", value)
    printed = panel.log.read_bytes()
    assert panel.raw(asked)[: len(answered)] == answered
    assert panel.get("/", Cookie=panel.cookie)[0] == 200
    assert panel.log.read_bytes() == printed


# -- the page's own files -------------------------------------------------------------------------------------------


def test_data_never_becomes_markup_and_nothing_is_from_elsewhere() -> None:
    for file in sorted(PAGE.iterdir()):
        text = file.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(MARKUP, text), file
        assert not re.search(r"https?://(?!\$\{)|@import|\bstyle=|\bonclick=\"", text), file


def test_the_page_and_its_parts_are_in_the_package() -> None:
    assert {file.name for file in files("hw_sim.panel").joinpath("page").iterdir()} == {
        "controls.js", "device.js", "diagram.js", "dom.js", "icon.svg", "index.html", "journal.js", "panel.css",
        "panel.js", "recordings.js", "state.js",
    }  # fmt: skip


def test_the_diagram_has_the_machine_s_phases() -> None:
    nodes = re.findall(r'^  "?([a-z-]+)"?: \[\d+, \d+, "', DIAGRAM, re.MULTILINE)
    assert sorted(nodes) == sorted(phase.value for phase in Phase)


def test_the_diagram_s_arrows_are_the_ways_that_the_machine_takes() -> None:
    """By what the wearer does, and time: a full card, or a shutdown, leads to idle from anywhere."""
    arrows = re.findall(r'^  \["([a-z-]+)", "([a-z-]+)", "M', DIAGRAM, re.MULTILINE)
    assert set(arrows) == _ways_taken(parse_policy(files("hw_sim").joinpath("demo-policy.toml").read_bytes()))
    assert len(arrows) == len(set(arrows)) == 18


def _ways_taken(policy: Policy) -> set[tuple[str, str]]:
    draw, taken = random.Random(1), set[tuple[str, str]]()

    def step(state: State, came: on.Input) -> State:
        after, _ = machine.step(state, came, policy)
        if after.phase is not state.phase:
            taken.add((state.phase.value, after.phase.value))
        return after

    for _ in range(200):
        state, now_us, down = initial_state(policy, 0), 0, {"record": False, "function": False}
        for _ in range(120):
            now_us += draw.choice([50_000, 100_000, 200_000, 600_000, 1_100_000, 3_100_000, 6_000_000])
            while (due_us := machine.next_deadline_us(state, policy)) is not None and due_us <= now_us:
                state = step(state, on.Tick(at_us=due_us))
            what = draw.choice(["record"] * 6 + ["function"] * 3 + ["sleep", "trigger"])
            if what == "sleep":
                state = step(state, on.SleepSwitched(at_us=now_us, on=draw.random() < 0.5))
            elif what == "trigger":
                state = step(state, on.Triggered(at_us=now_us, trigger="panic", category="imminent-threat"))
            else:
                down[what] = not down[what]
                state = step(state, on.Edge(at_us=now_us, button=what, pressed=down[what]))
    return taken


# -- the command ----------------------------------------------------------------------------------------------------


def test_what_it_can_t_do_is_said_before_anything_is_begun(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    with pytest.raises(UsageError, match="neither a bench nor an empty folder; name a new one"):
        run_panel(Asked(tmp_path, 0, None, browser=False))
    with pytest.raises(UsageError, match="--port 65536: give a number from 1 to 65535, or 0 for any that is free"):
        run_panel(Asked(tmp_path / "new", 65536, None, browser=False))
    bench = make_bench(tmp_path / "bench")
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UsageError, match="Address already in use"):
        run_panel(Asked(bench.root, taken.getsockname()[1], None, browser=False))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bench", "something"]


def test_a_bench_that_runs_is_left_alone(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench")
    bench.status_file.write_text("the other's", "utf-8")
    other = BenchSocket(bench.config.parent, str)
    try:
        with pytest.raises(UsageError, match="a bench runs there already; end it, or name another folder"):
            run_panel(Asked(bench.root, 0, None, browser=False))
    finally:
        other.close()
    assert bench.status_file.read_text("utf-8") == "the other's"


def test_nothing_is_laid_out_for_a_video_or_a_port_that_can_not_be_had(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no-video\.mp4"):
        run_panel(Asked(tmp_path / "new", 0, tmp_path / "no-video.mp4", browser=False))
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UsageError, match="--port"):
        run_panel(Asked(tmp_path / "new", taken.getsockname()[1], None, browser=False))
    assert not (tmp_path / "new").exists()


def test_a_signal_closes_what_is_open_and_ends_it(tmp_path: Path) -> None:
    panel = Panel(tmp_path)
    try:
        page = Socket(panel)
        page.until('"kind":"now"', '"on":true')
        page.say('{"do":"say","line":"double record"}')
        page.until('"kind":"now"', '"state":"recording"')
        page.close()
        assert panel.stop() == 0
        verdict = verified(panel.bench)
        assert [recording.verdict for recording in verdict.recordings] == ["intact"], shown(verdict)
        assert sorted(path.name for path in panel.bench.root.iterdir()) == ["agency", "card", "device"]
    finally:
        panel.close()


def test_a_command_that_does_not_end_or_begin_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, name = make_bench(tmp_path / "bench"), "000001-0123456789abcdef"

    async def asked() -> tuple[Judged, Exported]:
        proofs = Proofs(bench)
        proofs.want_verdict(name, 1)
        proofs.want_export(name)
        assert (proofs.judged[name].busy, proofs.exported[name].state) == (True, "busy")
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
        return proofs.judged[name], proofs.exported[name]

    monkeypatch.setattr("hw_sim.panel.proofs.LIMIT_S", 0.01)
    judged, exported = asyncio.run(asked())
    assert (judged.busy, judged.verdict, judged.exit_status) == (False, "no verdict", None)
    ended = "did not end within 0.01 s and was ended; ask once more"
    assert [finding.what for finding in judged.findings] == [f"bodycam verify {ended}"]
    assert (exported.state, exported.said) == ("failed", f"bodycam export {ended}")
    (bench.root / "export").rmdir()
    (bench.root / "export").touch()
    monkeypatch.setattr("sys.executable", str(tmp_path / "gone"))
    judged, exported = asyncio.run(asked())
    assert [finding.what for finding in judged.findings] == [
        f"bodycam verify could not be begun: {tmp_path}/gone: No such file or directory"
    ]
    assert exported.said == f"bodycam export could not be begun: {bench.root}/export: File exists"


def test_the_browser_gets_the_address_from_a_file_that_nobody_else_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    told = run._say
    told(Bench(tmp_path), "http://127.0.0.1:1/?token=secret", browser=True)
    assert opened == [(tmp_path / "panel.html").as_uri()]
    assert (tmp_path / "panel.html").stat().st_mode & 0o777 == 0o600
    assert "url=http://127.0.0.1:1/?token=secret" in (tmp_path / "panel.html").read_text("utf-8")
    assert capsys.readouterr().out.startswith("the panel: http://127.0.0.1:1/?token=secret\n")


# -- what is shown of the card --------------------------------------------------------------------------------------


def test_journal_and_timeline_are_what_was_recorded(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench")
    device = VirtualDevice(bench)
    device.boot()
    device.run(6)
    device.double()
    device.run(3)
    device.press("function")
    device.run(2)
    device.double("function")
    device.run(3)
    device.double()
    device.run(3)
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    (timeline,) = RecordingsReader(bench).more()
    told = timeline.shown()
    assert [stretch.what for stretch in told.stages] == ["pre", "live", "live", "post"]
    assert [stretch.what for stretch in told.without] == ["paused", "gap", "sound-gap"]
    assert 3_400_000 < (told.without[0].to_us or 0) - told.without[0].from_us < 3_800_000
    folder = bench.card / layout.recording_folder(told.name)
    signed = [line.record.at_us for line in ledger(bench, folder).lines if isinstance(line.record, Marker)]
    assert len(signed) > 0
    assert [mark.at_us for mark in told.marks if mark.what == "marker"] == signed
    assert (told.ended, told.how, told.trigger) == ("closed", "stopped", "record-double-press")
    assert told.bytes == sum(file.stat().st_size for file in folder.glob("*.m4s.age"))
    lines = JournalReader(bench).more()
    assert [line.seq for line in lines] == list(range(1, len(lines) + 1))
    said = {line.said: line.sealed for line in lines}
    assert said["recording 000001: closed"] is False
    assert [text for text, sealed in said.items() if sealed and "open record-double-press" in text] != []
    assert all(text.isprintable() for text in said)


def test_of_a_card_that_grows_each_line_comes_once(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench")
    reader, recordings = JournalReader(bench), RecordingsReader(bench)
    assert (reader.more(), recordings.more()) == ([], [])
    device = VirtualDevice(bench)
    device.boot()
    device.run(6)
    first = reader.more()
    assert first[0].type == "boot"
    assert reader.more() == []
    device.record(3)
    assert [timeline.ended for timeline in recordings.more()] == ["closed"]
    device.double()
    device.run(3)
    (second,) = recordings.more()
    assert (second.ended, second.shown().stages[0].what) == ("", "pre")
    device.stop()
    assert recordings.more() == [second]
    assert second.ended == "closed"
    rest = reader.more()
    assert [line.seq for line in first + rest] == list(range(1, len(first + rest) + 1))


def test_a_line_that_was_altered_is_not_shown(tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench")
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    whole = JournalReader(bench).more()
    file = next((bench.card / layout.JOURNAL).iterdir())
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:2], lines[2].replace(b'"sig":"M', b'"sig":"N'), *lines[3:]]))
    assert len(JournalReader(bench).more()) == len(whole) - 1
    device.stop()
