"""`bodycam provision requests`, as the service manager runs it at the first start, cut off at any point."""

from pathlib import Path

import pytest
from cryptography import x509

from hw_sim.agency import Bench
from tests.benches import DEVICE, make_bench, without_media
from tests.commands import run


@pytest.fixture
def new_device(tmp_path: Path) -> Bench:
    """Configured, and without a key."""
    bench = make_bench(tmp_path / "bench")
    for name in ("device.key", "device.der", "media.key", "media.der"):
        (bench.root / "device" / name).unlink()
    return bench


def made(bench: Bench, folder: Path) -> int:
    return run("provision", "requests", "--config", str(bench.config), "--folder", str(folder))


def subject(path: Path) -> str:
    request = x509.load_pem_x509_csr(path.read_bytes())
    assert request.is_signature_valid
    return request.subject.rfc4514_string()


def test_every_key_that_is_configured_is_made_with_its_request(
    new_device: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert made(new_device, tmp_path) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[:3] for line in said] == [
        [str(tmp_path / "media.csr"), DEVICE, "made a key for media, protected by"],
        [str(tmp_path / "ledger.csr"), DEVICE, "made a key for ledger, protected by"],
    ]
    assert f"CN={DEVICE}" in subject(tmp_path / "ledger.csr")
    assert (new_device.root / "device" / "device.key").stat().st_mode & 0o777 == 0o600


def test_a_second_time_nothing_is_done(new_device: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert made(new_device, tmp_path) == 0
    there = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert made(new_device, tmp_path) == 0
    assert capsys.readouterr().out == ""
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == there


@pytest.mark.parametrize("lost", [("ledger.csr",), ("ledger.csr", "media.csr")])
def test_after_a_power_cut_the_same_keys_get_their_requests(
    new_device: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str], lost: tuple[str, ...]
) -> None:
    assert made(new_device, tmp_path) == 0
    keys = [(new_device.root / "device" / name).read_bytes() for name in ("device.key", "media.key")]
    for name in lost:
        (tmp_path / name).unlink()
    capsys.readouterr()
    assert made(new_device, tmp_path) == 0
    assert capsys.readouterr().out.count("found the key") == len(lost)
    assert [(new_device.root / "device" / name).read_bytes() for name in ("device.key", "media.key")] == keys


def test_without_media_signing_there_is_one(new_device: Bench, tmp_path: Path) -> None:
    without_media(new_device)
    assert made(new_device, tmp_path) == 0
    assert sorted(path.name for path in tmp_path.glob("*.csr")) == ["ledger.csr"]


def test_a_folder_that_is_not_there_is_one_clear_error(
    new_device: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert made(new_device, tmp_path / "none") == 2
    assert capsys.readouterr().err.count("no such folder; make it") == 1
    assert not (new_device.root / "device" / "device.key").exists()


def test_a_key_that_can_be_neither_made_nor_opened_is_one_clear_error(
    new_device: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (new_device.root / "device" / "media.key").write_bytes(b"not a key")
    assert made(new_device, tmp_path) == 2
    said = capsys.readouterr().err
    assert "it is there already, and a key is never overwritten" in said
    assert said.count("\n") == 1
    assert (new_device.root / "device" / "media.key").read_bytes() == b"not a key"
