"""Off-load to a real object store with object lock: radosgw on a Ceph of one node in memory (`ceph_rig`)."""

import hashlib
import io
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from device.clock import BootClock
from device.errors import StoreError
from device.evidence.identity import load_anchors
from device.evidence.verify import verify
from device.offload.end_points import Bucket
from device.offload.naming import object_name
from device.offload.s3 import Credentials, Lock, S3Store
from device.offload.unpack import unpack
from hw_sim.agency import Agency, Bench
from hw_sim.virtual import VirtualDevice
from tests.benches import DEVICE, make_bench, recordings
from tests.cards import copy_of, record_card
from tests.ceph_rig import COMMANDS, CephRig
from tests.senders import allow, contents, desk, look, spooled, words
from tests.test_custody_scenario import go_the_whole_way
from tests.wires import Wire

pytestmark = pytest.mark.tools(*COMMANDS)
CUTS = int(os.environ.get("BODYCAM_LINK_CUTS", "10"))
PART_BYTES = 20_000


class Place:
    """The rig, a user, and ways into it."""

    def __init__(self, rig: CephRig, ca: Path) -> None:
        self.rig = rig
        self.ca = ca
        self.access, self.secret = rig.make_user("agency")
        self.credentials = Credentials(access_key=self.access, secret_key=self.secret)
        config = Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required")
        self.client: Any = botocore.session.Session().create_client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{rig.port}",
            region_name="us-east-1",
            aws_access_key_id=self.access,
            aws_secret_access_key=self.secret,
            config=config,
        )
        self.buckets = 0

    def new_bucket(self, *, lock: bool = True) -> str:
        self.buckets += 1
        name = f"evidence-{self.buckets}"
        self.client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
        return name

    def store(self, bucket: str, *, port: int = 0, lock: Lock = "compliance", timeout_s: float = 10) -> S3Store:
        where = Bucket(host="127.0.0.1", port=port or self.rig.port, tls=False, bucket=bucket)
        return S3Store(where, self.credentials, BootClock(), lock=lock, part_bytes=PART_BYTES, timeout_s=timeout_s)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("ceph")
    ca = tls_files(folder)
    rig = CephRig(folder / "rig", folder / "server.pem")
    try:
        rig.start()
        place = Place(rig, ca)
        yield place
        place.client.close()
    finally:
        rig.stop()


@pytest.fixture(scope="module")
def agency() -> Agency:
    return Agency()


@pytest.fixture(scope="module")
def made(agency: Agency, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return record_card(tmp_path_factory.mktemp("s3") / "bench", agency)


@pytest.fixture
def bench(made: Bench, tmp_path: Path) -> Bench:
    return copy_of(made, tmp_path / "bench")


def tls_files(folder: Path) -> Path:
    """A CA, and a certificate for 127.0.0.1 with its key in one file, `server.pem`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "store CA")])
    now = datetime.now(UTC)

    def build(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(name).public_key(public)
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        return builder.not_valid_after(now + timedelta(days=2))

    import ipaddress

    ca = build(name, key.public_key()).add_extension(x509.BasicConstraints(True, 0), critical=True)
    own = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    server = build(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "store")]), own.public_key())
    pem = own.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )  # fmt: skip
    signed = server.add_extension(names, critical=False).sign(key, hashes.SHA256())
    (folder / "server.pem").write_bytes(pem + signed.public_bytes(serialization.Encoding.PEM))
    (folder / "ca.pem").write_bytes(ca.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return folder / "ca.pem"


def stored(place: Place, bucket: str, name: str) -> bytes:
    data: bytes = place.client.get_object(Bucket=bucket, Key=name)["Body"].read()
    return data


# -- the way through ------------------------------------------------------------------------------------------------


def test_sent_signed_for_handed_in_and_verified_from_the_store(
    place: Place, bench: Bench, agency: Agency, tmp_path: Path
) -> None:
    bucket = place.new_bucket()
    store = place.store(bucket)
    before = contents(bench.card)
    assert words(look(bench, store)) == ["sent", "awaiting-receipt"] * 2
    assert words(look(bench, store)) == ["awaiting-receipt"] * 2
    assert words(list(desk(agency, bench, store).receive(tmp_path))) == ["received", "received"]
    assert words(list(desk(agency, bench, store).receive(tmp_path))) == []
    assert words(look(bench, store)) == ["handed-in", "handed-in"]
    assert len(spooled(bench)) == 2
    assert {k: v for k, v in contents(bench.card).items() if not k.startswith("spool/")} == before
    for folder in recordings(bench):
        unpack([stored(place, bucket, object_name(DEVICE, folder.name))], tmp_path / folder.name)
        verdict = verify(tmp_path / folder.name / "evidence" / folder.name, load_anchors(bench.trust))
        assert verdict.recordings[0].verdict == "intact"


def test_the_commands_go_the_whole_way_over_tls(
    place: Place, bench: Bench, agency: Agency, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from device.cli import main

    bucket = place.new_bucket()
    end_point = f"s3+https://127.0.0.1:{place.rig.tls_port}/{bucket}"
    keys = _configure(place, bench, agency, end_point)
    ca = ["--ca", str(place.ca), "--credentials", str(keys)]
    signs = [
        "--trust",
        str(bench.trust),
        "--key",
        str(bench.receipt_key),
        "--certificate",
        str(bench.receipt_certificate),
    ]
    assert main(["offload", "--config", str(bench.config)]) == 0
    assert main(["receive", end_point, *ca, *signs]) == 0
    assert main(["offload", "--config", str(bench.config)]) == 0
    said = capfd.readouterr()
    assert said.err == ""
    assert said.out.count(": handed in: receipt ") == 2
    assert place.secret not in said.out
    place.ca.with_name("other").mkdir(exist_ok=True)
    (bench.root / "device" / "store-ca.pem").write_bytes(tls_files(place.ca.with_name("other")).read_bytes())
    assert main(["offload", "--config", str(bench.config)]) == 0, "nothing is to be done, so nothing is asked"
    (bench.root / "device" / "offload").rename(bench.root / "device" / "offload-before")
    assert main(["offload", "--config", str(bench.config)]) == 75
    said = capfd.readouterr()
    assert said.err.startswith("bodycam: 127.0.0.1: its certificate: ")
    assert said.err.endswith("; name its CA in [offload] ca\n")


def test_the_whole_custody_scenario(place: Place, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bucket = place.new_bucket()

    def configure(bench: Bench, agency: Agency) -> list[str]:
        end_point = f"s3+https://127.0.0.1:{place.rig.tls_port}/{bucket}"
        keys = _configure(place, bench, agency, end_point)
        return [end_point, "--ca", str(place.ca), "--credentials", str(keys)]

    go_the_whole_way(tmp_path, capfd, configure, lambda name: stored(place, bucket, name))


def _configure(place: Place, bench: Bench, agency: Agency, end_point: str) -> Path:
    allow(bench, agency, end_point)
    keys = bench.root / "device" / "store.toml"
    keys.touch(mode=0o600)
    keys.write_text(f'access_key = "{place.access}"\nsecret_key = "{place.secret}"\n')
    (bench.root / "device" / "store-ca.pem").write_bytes(place.ca.read_bytes())
    tables = '\n[offload]\ncredentials = "store.toml"\nca = "store-ca.pem"\ntimeout_s = 10\n'
    bench.config.write_text(bench.config.read_text("utf-8") + tables, "utf-8")
    return keys


# -- the lock -------------------------------------------------------------------------------------------------------


def refused(call: Any, **given: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**given)
    return str(caught.value.response["Error"]["Code"])


def test_the_store_refuses_to_delete_and_to_shorten(place: Place, bench: Bench) -> None:
    bucket = place.new_bucket()
    look(bench, place.store(bucket))
    name = object_name(DEVICE, recordings(bench)[0].name)
    head = place.client.head_object(Bucket=bucket, Key=name)
    asked = {"Bucket": bucket, "Key": name, "VersionId": head["VersionId"]}
    held = place.client.get_object_retention(**asked)["Retention"]
    assert held["Mode"] == "COMPLIANCE"
    assert refused(place.client.delete_object, **asked) == "AccessDenied"
    assert refused(place.client.delete_object, **asked, BypassGovernanceRetention=True) == "AccessDenied"
    sooner = {"Mode": "COMPLIANCE", "RetainUntilDate": held["RetainUntilDate"] - timedelta(days=1)}
    assert refused(place.client.put_object_retention, **asked, Retention=sooner) == "AccessDenied"
    weaker = {"Mode": "GOVERNANCE", "RetainUntilDate": held["RetainUntilDate"]}
    assert refused(place.client.put_object_retention, **asked, Retention=weaker) == "AccessDenied"
    place.client.delete_object(Bucket=bucket, Key=name)  # a marker over it, which takes nothing away
    assert place.client.get_object(**asked)["Body"].read() != b""


def test_governance_holds_until_someone_may_pass_over_it(place: Place, bench: Bench) -> None:
    bucket = place.new_bucket()
    look(bench, place.store(bucket, lock="governance"))
    name = object_name(DEVICE, recordings(bench)[0].name)
    head = place.client.head_object(Bucket=bucket, Key=name)
    asked = {"Bucket": bucket, "Key": name, "VersionId": head["VersionId"]}
    assert place.client.get_object_retention(**asked)["Retention"]["Mode"] == "GOVERNANCE"
    assert refused(place.client.delete_object, **asked) == "AccessDenied"
    place.client.delete_object(**asked, BypassGovernanceRetention=True)
    assert refused(place.client.get_object, **asked) == "NoSuchKey"


def test_a_bucket_without_lock_is_refused(place: Place, bench: Bench) -> None:
    bucket = place.new_bucket(lock=False)
    with pytest.raises(StoreError, match="retention was refused: InvalidRequest"):
        look(bench, place.store(bucket))
    assert not list((bench.root / "device" / "offload").iterdir())
    assert words(look(bench, place.store(bucket, lock="none"))) == ["sent", "awaiting-receipt"] * 2


# -- what the store learns ------------------------------------------------------------------------------------------

PRIVATE = (b"badge-4711", b"school", b"officer", b"day-shift", b"arrest", b"use-of-force", b"first")


def test_names_and_metadata_hold_no_private_word(place: Place, agency: Agency, tmp_path: Path) -> None:
    bench = make_bench(tmp_path / "bench", agency=agency, pre_event_s=2)
    bench.assignment.write_text(
        'officer = "badge-4711"\nrole = "officer"\nunit = "school-unit"\nshift = "day-shift"\n', "utf-8"
    )
    device = VirtualDevice(bench)
    device.boot()
    device.run(3)
    device.zone("school")
    device.record(1)
    device.stop()
    bucket = place.new_bucket()
    look(bench, place.store(bucket))
    listed = place.client.list_objects_v2(Bucket=bucket)["Contents"]
    assert [one["Key"] for one in listed] == [object_name(DEVICE, folder.name) for folder in recordings(bench)]
    head = place.client.head_object(Bucket=bucket, Key=listed[0]["Key"])
    assert sorted(head["Metadata"]) == ["retain-until", "retention-days"]
    assert head["Metadata"]["retention-days"] == "30"
    assert head["ContentType"] == "application/x-tar"
    known = str((listed, head)).encode()
    assert [word for word in PRIVATE if word in known] == []
    with tarfile.open(fileobj=io.BytesIO(stored(place, bucket, listed[0]["Key"]))) as archive:
        names = " ".join(archive.getnames()).encode()
    assert [word for word in PRIVATE if word in names] == []


# -- cut links ------------------------------------------------------------------------------------------------------


def test_a_link_that_is_cut_anywhere_costs_a_part_at_most(place: Place, made: Bench, tmp_path: Path) -> None:
    """Seeded places over the whole exchange, the answers of the store too: each run goes on where the last was cut."""
    before = contents(made.card)
    with Wire(place.rig.port) as wire:
        bench = copy_of(made, tmp_path / "whole")
        look(bench, place.store(place.new_bucket(), port=wire.port))
        everything = wire.sent
    rng = random.Random(4)
    for n, cut in enumerate(sorted(rng.sample(range(everything), CUTS))):
        bucket = place.new_bucket()
        bench = copy_of(made, tmp_path / f"cut-{n}")
        with Wire(place.rig.port, cut_after=cut) as wire, pytest.raises(StoreError):
            look(bench, place.store(bucket, port=wire.port))
        assert contents(bench.card) == before
        with Wire(place.rig.port) as wire:
            look(bench, place.store(bucket, port=wire.port))
            assert wire.sent < everything - cut + 3 * PART_BYTES + 16_000
        assert contents(bench.card) == before
        _same(place, bucket, bench)


def _same(place: Place, bucket: str, bench: Bench) -> None:
    remembered = bench.root / "device" / "offload"
    for folder in recordings(bench):
        data = stored(place, bucket, object_name(DEVICE, folder.name))
        assert hashlib.sha256(data).hexdigest() in (remembered / f"{folder.name}.json").read_text()


def test_bytes_changed_on_the_way_are_refused_and_sent_again(place: Place, bench: Bench) -> None:
    bucket = place.new_bucket()
    with Wire(place.rig.port) as wire:
        place.store(bucket, port=wire.port).size("recordings/a")
        head = wire.sent
    with Wire(place.rig.port, change_at=5 * head + PART_BYTES) as wire, pytest.raises(StoreError) as caught:
        look(bench, place.store(bucket, port=wire.port))
    assert "upload_part was refused: " in str(caught.value)
    assert words(look(bench, place.store(bucket))) == ["sent", "awaiting-receipt"] * 2
    _same(place, bucket, bench)


def test_parts_that_are_not_ours_are_sent_again(place: Place, bench: Bench) -> None:
    """Someone went on with our upload: nothing of it is believed but what has our size and our MD5."""
    bucket = place.new_bucket()
    with Wire(place.rig.port, cut_after=90_000) as wire, pytest.raises(StoreError):
        look(bench, place.store(bucket, port=wire.port))
    name = object_name(DEVICE, recordings(bench)[0].name)
    upload = place.client.list_multipart_uploads(Bucket=bucket)["Uploads"][-1]["UploadId"]
    for number in (1, 3, 99):
        place.client.upload_part(
            Bucket=bucket, Key=name, UploadId=upload, PartNumber=number, Body=bytes(PART_BYTES)
        )  # fmt: skip
    assert words(look(bench, place.store(bucket))) == ["sent", "awaiting-receipt"] * 2
    _same(place, bucket, bench)


def test_another_object_under_the_name_is_kept_beside_ours(place: Place, bench: Bench) -> None:
    bucket = place.new_bucket()
    name = object_name(DEVICE, recordings(bench)[0].name)
    old = place.client.put_object(Bucket=bucket, Key=name, Body=b"not ours")["VersionId"]
    assert words(look(bench, place.store(bucket))) == ["sent", "awaiting-receipt"] * 2
    _same(place, bucket, bench)
    assert place.client.get_object(Bucket=bucket, Key=name, VersionId=old)["Body"].read() == b"not ours"


def test_killed_at_any_time_the_next_run_goes_on(place: Place, bench: Bench, agency: Agency, tmp_path: Path) -> None:
    """`bodycam offload` itself, by kill -9, as its link has passed so many bytes."""
    bucket = place.new_bucket()
    before = contents(bench.card)
    for at in (3_000, 100_000, 300_000):
        with Wire(place.rig.port) as wire:
            _configure_once(place, bench, agency, f"s3+http://127.0.0.1:{wire.port}/{bucket}")
            command = [sys.executable, "-m", "device.cli", "offload", "--config", str(bench.config)]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while wire.sent < at and process.poll() is None:
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert contents(bench.card) == before
    assert words(look(bench, place.store(bucket)))[-1] == "awaiting-receipt"
    assert words(list(desk(agency, bench, place.store(bucket)).receive(tmp_path))) == ["received", "received"]


def _configure_once(place: Place, bench: Bench, agency: Agency, end_point: str) -> None:
    if "[offload]" in bench.config.read_text("utf-8"):
        allow(bench, agency, end_point)
    else:
        _configure(place, bench, agency, end_point)


# -- memory ---------------------------------------------------------------------------------------------------------


def test_a_large_object_takes_no_more_memory_than_a_few_parts(place: Place, tmp_path: Path) -> None:
    """64 MiB through 1 MiB parts, there and back, in a process that says what it took at most."""
    bucket = place.new_bucket()
    script = f"""
import resource, hashlib
from datetime import UTC, datetime, timedelta
from device.clock import BootClock
from device.offload.end_points import Bucket
from device.offload.s3 import Credentials, S3Store
from device.offload.stores import Keeping
where = Bucket(host="127.0.0.1", port={place.rig.port}, tls=False, bucket="{bucket}")
keys = Credentials(access_key="{place.access}", secret_key="{place.secret}")
store = S3Store(where, keys, BootClock(), part_bytes=1 << 20)
store.size("recordings/a")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
keeping = Keeping(days=1, until=datetime.now(UTC) + timedelta(days=1))
store.upload("recordings/a", lambda: (bytes([n]) * (1 << 20) for n in range(64)), 64 << 20, keeping)
assert sum(map(len, store.blocks("recordings/a", 64 << 20))) == 64 << 20
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    told = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert int(told.stdout) < 16
