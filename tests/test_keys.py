"""Where a device's keys are: a sealed file, a PKCS#11 token, a TPM. Each signs; the last two never let the key go."""

import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from device.config import Configuration
from device.errors import CannotPersist, ConfigurationError, EvidenceError
from device.evidence import tpm_words
from device.evidence.envelope import open_line, sign_line, verify_line
from device.evidence.identity import Role
from device.evidence.keys import FileKey, Key, KeySigner, make_key, open_key
from device.evidence.papers import read_papers
from device.evidence.pkcs11_key import TokenKey, open_session, place_of
from device.evidence.records import Fault, KeyOpened
from device.evidence.tpm import Tpm, TpmRefusedError
from device.evidence.tpm_key import TpmKey, TpmPlace, make_tpm_key, shared_tpm
from hw_sim.agency import Agency, Bench
from hw_sim.virtual import VirtualDevice
from tests.benches import journal, make_bench, shown, verified
from tests.tokens import MODULE, PIN, TOKEN, SimulatedTpm, enrol, put_key, run, token_uri, tpm_tables, write_pin

MESSAGE = b"what happened"


def signs(key: Key) -> bool:
    """A line by this key has the one accepted spelling, and its public half vouches for it."""
    line = open_line(sign_line(KeySigner(key, Role.LEDGER, b"certificate"), "application/x-test", MESSAGE))
    return verify_line(line, key.public)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return make_bench(tmp_path / "bench", pre_event_s=1, post_event_s=1)


# -- (a) a file -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o666])
def test_a_key_file_that_others_may_use_is_refused(bench: Bench, mode: int) -> None:
    key = bench.root / "device" / "device.key"
    assert signs(FileKey(key))
    key.chmod(mode)
    with pytest.raises(ConfigurationError, match=rf"device\.key: others than its owner .*mode {mode:04o}.*chmod 0600"):
        read_papers(put_key(bench, "device.key"))


def test_a_key_file_is_made_for_its_owner_alone_and_never_overwritten(bench: Bench) -> None:
    configuration = put_key(bench, "new.key")
    assert signs(make_key(configuration, Role.LEDGER))
    path = bench.root / "device" / "new.key"
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="there already, and a key is never overwritten"):
        make_key(configuration, Role.LEDGER)
    assert path.read_bytes() == before


# -- (b) a PKCS#11 token --------------------------------------------------------------------------------------------


def test_a_key_is_made_in_the_token_and_found_again(bench: Bench, token: Path) -> None:
    configuration = put_key(bench, token_uri(token, "found-again"))
    made = make_key(configuration, Role.LEDGER)
    assert (made.protection, made.where) == ("token", "pkcs11")
    assert signs(made)
    opened = open_key(configuration, Role.LEDGER)
    assert opened.public == made.public
    assert signs(opened)
    assert signs(made), "two sessions of one process, one login"
    opened.close()
    made.close()


def test_what_the_uri_leaves_out_the_table_says(bench: Bench, token: Path) -> None:
    table = f'[identity.pkcs11]\nmodule = "{MODULE}"\ntoken = "{TOKEN}"\npin_file = "{token / "pin"}"\n'
    configuration = put_key(bench, "pkcs11:object=by-table;id=%01%FF", table)
    key = make_key(configuration, Role.LEDGER)
    assert signs(key)
    key.close()
    place = place_of(configuration, "identity.key", "pkcs11:id=%01%FF")
    assert place.id == b"\x01\xff"
    found = TokenKey(place)
    assert found.public == key.public
    found.close()


def test_a_key_in_the_token_is_never_overwritten(bench: Bench, token: Path) -> None:
    configuration = put_key(bench, token_uri(token, "only-once"))
    make_key(configuration, Role.LEDGER).close()
    with pytest.raises(ConfigurationError, match="'only-once' in the token 'bodycam' is there already"):
        make_key(configuration, Role.LEDGER)


def test_the_token_refuses_to_give_the_key_away(bench: Bench, token: Path) -> None:
    """Its value, a wrapped copy, and a change of its mind: the token itself says no to each."""
    configuration = put_key(bench, token_uri(token, "captive"))
    make_key(configuration, Role.LEDGER).close()
    place = place_of(configuration, "identity.key", configuration.tables.identity.key)
    session = open_session(place, write=True)
    key: Any = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label="captive")
    with pytest.raises(pkcs11.PKCS11Error) as refused:
        _ = key[pkcs11.Attribute.VALUE]
    assert type(refused.value) is pkcs11.AttributeSensitive
    wrapping: Any = session.generate_key(pkcs11.KeyType.AES, 256, store=False, capabilities=pkcs11.MechanismFlag.WRAP)
    with pytest.raises(pkcs11.KeyUnextractable):
        wrapping.wrap_key(key, mechanism=pkcs11.Mechanism.AES_KEY_WRAP_PAD)
    for attribute, value in ((pkcs11.Attribute.SENSITIVE, False), (pkcs11.Attribute.EXTRACTABLE, True)):
        with pytest.raises((pkcs11.AttributeReadOnly, pkcs11.PKCS11Error)):
            key[attribute] = value
    with pytest.raises(pkcs11.PKCS11Error):
        key.copy(
            {pkcs11.Attribute.EXTRACTABLE: True, pkcs11.Attribute.SENSITIVE: False, pkcs11.Attribute.LABEL: "copy"}
        )
    assert key[pkcs11.Attribute.ALWAYS_SENSITIVE]
    assert key[pkcs11.Attribute.NEVER_EXTRACTABLE]
    assert key[pkcs11.Attribute.LOCAL]
    session.close()


def test_a_key_that_could_leave_its_token_is_refused(bench: Bench, token: Path) -> None:
    configuration = put_key(bench, token_uri(token, "could-leave"))
    place = place_of(configuration, "identity.key", configuration.tables.identity.key)
    session = open_session(place, write=True)
    curve = session.create_domain_parameters(
        pkcs11.KeyType.EC,
        {pkcs11.Attribute.EC_PARAMS: pkcs11.util.ec.encode_named_curve_parameters("secp256r1")},
        local=True,
    )
    loose = {pkcs11.Attribute.EXTRACTABLE: True, pkcs11.Attribute.SENSITIVE: False}
    curve.generate_keypair(label="could-leave", store=True, private_template=loose)
    session.close()
    with pytest.raises(ConfigurationError, match=r"'could-leave' .* can leave its token"):
        open_key(configuration, Role.LEDGER)


def test_a_lost_session_is_opened_once_more(bench: Bench, token: Path) -> None:
    key = make_key(put_key(bench, token_uri(token, "lost-session")), Role.LEDGER)
    pkcs11.lib(str(MODULE)).reinitialize()
    assert signs(key)
    key.close()
    assert signs(key)
    key.close()


def test_an_unplugged_token_is_one_clear_failure_and_works_when_it_is_back(bench: Bench, token: Path) -> None:
    key = make_key(put_key(bench, token_uri(token, "unplugged")), Role.LEDGER)
    (token / "tokens").rename(token / "unplugged")
    try:
        pkcs11.lib(str(MODULE)).finalize()
        with pytest.raises(
            CannotPersist, match=r"'unplugged' in the token 'bodycam' can't be used now .*plug the token in"
        ):
            key.sign(MESSAGE)
    finally:
        (token / "unplugged").rename(token / "tokens")
    assert signs(key)
    key.close()


def test_a_refused_pin_is_not_tried_again_and_never_said(bench: Bench, token: Path) -> None:
    write_pin(token / "other-pin")
    uri = token_uri(token, "pin").replace("/pin", "/other-pin")
    key = make_key(put_key(bench, uri), Role.LEDGER)
    write_pin(token / "other-pin", "1111-not-it")
    pkcs11.lib(str(MODULE)).reinitialize()
    with pytest.raises(CannotPersist, match=r"refuses the PIN .PinIncorrect.*tokens lock") as refused:
        key.sign(MESSAGE)
    assert "1111-not-it" not in str(refused.value)
    write_pin(token / "other-pin")
    with pytest.raises(CannotPersist, match="its PIN was refused; not tried again"):
        key.sign(MESSAGE)


def test_a_pin_that_others_may_read_is_refused(bench: Bench, token: Path) -> None:
    write_pin(token / "open-pin")
    (token / "open-pin").chmod(0o644)
    with pytest.raises(ConfigurationError, match="open-pin: others than its owner may read this PIN") as refused:
        open_key(put_key(bench, token_uri(token, "x").replace("/pin", "/open-pin")), Role.LEDGER)
    assert PIN not in str(refused.value)


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("pkcs11:", "names no module"),
        ("pkcs11:object=a?module-path=/x", "names no token"),
        ("pkcs11:token=a?module-path=/x", "names no key"),
        ("pkcs11:token=a;object=b;type=cert?module-path=/x", "type is not private"),
        ("pkcs11:token=a;token=b", "'token' is given twice"),
        ("pkcs11:slot-id=1", "'slot-id' is none of"),
        ("pkcs11:token=%ZZ", "has a % that no two"),
        ("pkcs11:token=%FF;object=b?module-path=/x", "not UTF-8"),
        ("pkcs11:token=a%0A;object=b?module-path=/x", "can't be shown"),
        ("pkcs11:token=a;object=b?module-path=/nowhere.so", "nowhere.so: not a PKCS#11 module"),
        ("pkcs11:token=a;object=b?module-path=bodycam.toml", "bodycam.toml: not a PKCS#11 module"),
        ("pkcs11:token=a;object=b?module-path=/x&pin-source=file:/no/pin", "/no/pin: No such file"),
    ],
)
def test_a_wrong_uri_is_one_clear_message(bench: Bench, token: Path, uri: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        open_key(put_key(bench, uri), Role.LEDGER)


def test_a_token_or_a_key_that_is_not_there(bench: Bench, token: Path) -> None:
    configuration = put_key(bench, token_uri(token, "nobody"))
    with pytest.raises(ConfigurationError, match="'nobody' in the token 'bodycam': the token has 0 such keys"):
        open_key(configuration, Role.LEDGER)
    place = place_of(configuration, "identity.key", token_uri(token, "nobody").replace(TOKEN, "elsewhere"))
    with pytest.raises(CannotPersist, match="0 tokens have this name"):
        TokenKey(place)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 2))
def test_any_uri_is_read_or_refused(configuration: Configuration, noise: bytes, kind: int) -> None:
    text = noise.decode("latin-1")
    uri = ["pkcs11:" + text, f"pkcs11:token=a;object={text}?module-path=/x", f"pkcs11:token=a;id=%{text}"][kind]
    try:
        place = place_of(configuration, "identity.key", uri)
    except ConfigurationError:
        return
    assert place.label or place.id


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    return put_key(make_bench(tmp_path_factory.mktemp("any") / "bench"), "device.key")


# -- (c) a TPM ------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["handle", "blob"])
def tpm_key(request: pytest.FixtureRequest, tpm: SimulatedTpm, tmp_path: Path) -> Iterator[TpmKey]:
    number = 0x81020000 + random.Random(str(tmp_path)).randrange(0x10000)
    place = {
        "handle": TpmPlace("identity.key", tpm.tcti, number, None),
        "blob": TpmPlace("identity.key", tpm.tcti, None, tmp_path / "device.tpm"),
    }[request.param]
    key = make_tpm_key(place)
    yield key
    key.close()


def test_a_key_in_the_tpm_signs_before_and_after_a_power_cut(tpm_key: TpmKey, tpm: SimulatedTpm) -> None:
    assert signs(tpm_key)
    tpm.stop()
    with pytest.raises(CannotPersist, match=r"127.0.0.1, port .*is swtpm running"):
        tpm_key.sign(MESSAGE)
    tpm.start()
    assert signs(tpm_key)


def test_a_key_in_the_tpm_is_never_overwritten(tpm_key: TpmKey) -> None:
    with pytest.raises(ConfigurationError, match="there already, and a key is never overwritten"):
        make_tpm_key(tpm_key._place)
    assert signs(tpm_key)


def test_the_tpm_refuses_to_give_the_key_away(tpm_key: TpmKey, tpm: SimulatedTpm, tmp_path: Path) -> None:
    """Duplication to any parent, under the owner's and the key's own authorisation, by our commands and by tpm2-tools."""
    connection = shared_tpm(tpm.tcti)
    handle = tpm_key.handle()
    nothing = tpm_words.sized(b"") + struct.pack(">H", tpm_words.ALG_NULL)
    for parent in (tpm_words.NULL_HIERARCHY, connection._storage_key()):
        with pytest.raises(TpmRefusedError) as refused:
            connection.run("to duplicate", 0x14B, (handle, parent), nothing, authorised=1)
        assert refused.value.code & 0x0FF in (0x82, 0xA5, 0x2F, 0x24, 0x25), hex(refused.value.code)
    with pytest.raises(TpmRefusedError):  # TPM2_Unseal: only data is given out
        connection.run("to unseal", 0x15E, (handle,), authorised=1)
    area = connection.public(handle)
    assert area.attributes == 0x00040472
    assert signs(tpm_key)


def test_the_tools_of_another_maker_are_refused_too(tpm: SimulatedTpm, tmp_path: Path) -> None:
    place = TpmPlace("identity.key", tpm.tcti, 0x81010777, None)
    key = make_tpm_key(place)
    key.close()
    says = run("tpm2_readpublic", "-c", "0x81010777", TPM2TOOLS_TCTI=tpm.tcti)
    assert "value: fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign\n" in says
    with pytest.raises(AssertionError, match=r"(?i)duplicate|policy|auth|attributes"):
        run(
            "tpm2_duplicate", "-C", "null", "-c", "0x81010777", "-G", "null",
            "-r", str(tmp_path / "private"), "-s", str(tmp_path / "seed"), TPM2TOOLS_TCTI=tpm.tcti,
        )  # fmt: skip
    assert not (tmp_path / "private").exists()


def test_another_tpm_does_not_load_the_blob(tpm: SimulatedTpm, tmp_path: Path) -> None:
    blob = tmp_path / "device.tpm"
    make_tpm_key(TpmPlace("identity.key", tpm.tcti, None, blob)).close()
    other = SimulatedTpm(tmp_path / "other")
    other.start()
    try:
        with pytest.raises(
            ConfigurationError, match=r"device.tpm: the TPM refuses the key's blob.*name a key of this TPM"
        ):
            TpmKey(TpmPlace("identity.key", other.tcti, None, blob))
        shared_tpm(other.tcti).close()
    finally:
        other.stop()


def test_a_restricted_key_signs_nothing_but_the_tpms_own_word(tpm: SimulatedTpm, tmp_path: Path) -> None:
    key = make_tpm_key(TpmPlace("identity.tpm", tpm.tcti, None, tmp_path / "ak.tpm"), tpm_words.ATTESTING)
    with pytest.raises(TpmRefusedError):
        key.sign(MESSAGE)
    with pytest.raises(ConfigurationError, match="has the attributes 0x00050472; 0x00040472 are wanted"):
        TpmKey(TpmPlace("identity.key", tpm.tcti, None, tmp_path / "ak.tpm"))
    key.close()


@pytest.mark.parametrize("text", ["tpm:", "tpm:0x80000000", "tpm:0x81800000", "tpm:0x8101"])
def test_a_wrong_tpm_name_is_one_clear_message(bench: Bench, text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"identity\.key is 'tpm:.*(a handle|name a handle)"):
        open_key(put_key(bench, text), Role.LEDGER)


@pytest.mark.parametrize("content", [b"", b"\x00", b"\xff\xff" + b"x" * 100, b"x" * 5000])
def test_a_blob_that_is_none_is_one_clear_message(bench: Bench, tpm: SimulatedTpm, content: bytes) -> None:
    (bench.root / "device" / "device.tpm").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"device\.tpm: .*(not a key's blob|refuses)"):
        open_key(put_key(bench, "tpm:device.tpm", tpm_tables(tpm)), Role.LEDGER)
    shared_tpm(tpm.tcti).close()


class Babbler:
    """A TPM that answers anything."""

    def __init__(self, noise: bytes) -> None:
        self._answer = struct.pack(">HII", 0x8001, 10 + len(noise), 0) + noise

    def exchange(self, command: bytes) -> bytes:
        return self._answer

    def close(self) -> None:
        pass


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=120))
def test_any_answer_of_a_tpm_is_taken_or_refused(noise: bytes) -> None:
    tpm = Tpm("device:/none")
    tpm._transport = Babbler(noise)
    for use in (
        lambda: tpm.public(1), lambda: tpm.sign(1, bytes(32)), lambda: tpm.counter(1), lambda: tpm.certify(1, 1, b""),
        lambda: tpm.create(tpm_words.SIGNING), tpm._forget_loaded,
    ):  # fmt: skip
        try:
            use()
        except CannotPersist:
            continue


def certified(tpm: SimulatedTpm, folder: Path) -> bytes:
    key = make_tpm_key(TpmPlace("identity.tpm", tpm.tcti, None, folder / "ak.tpm"), tpm_words.ATTESTING)
    index = 0x01800C00 + random.Random(str(folder)).randrange(200)
    shared_tpm(tpm.tcti).define_counter(index)
    statement = key.certify(index, bytes(range(32)))
    said = tpm_words.read_certified(statement)
    key.public.verify(said.signature, said.signed, ec.ECDSA(hashes.SHA256()))
    assert said.qualifier == bytes(range(32))
    assert said.name == tpm_words.counter_name(index)
    assert said.counter == shared_tpm(tpm.tcti).counter(index)
    key.close()
    return statement


def test_any_statement_of_a_tpm_is_read_or_refused(tpm: SimulatedTpm, tmp_path: Path) -> None:
    good = certified(tpm, tmp_path)
    draw = random.Random(26)
    for n in range(len(good)):
        with pytest.raises(EvidenceError):
            tpm_words.read_certified(good[:n])
    with pytest.raises(EvidenceError):
        tpm_words.read_certified(good + b"\0")
    for _ in range(2000):
        noisy = bytearray(good)
        for _ in range(draw.randrange(1, 4)):
            noisy[draw.randrange(len(noisy))] = draw.randrange(256)
        try:
            tpm_words.read_certified(bytes(noisy))
        except EvidenceError:
            continue


# -- the daemon -----------------------------------------------------------------------------------------------------


def faults(device: VirtualDevice) -> tuple[str, ...]:
    return device.daemon.control.state.faults


def recorded(bench: Bench) -> None:
    device = VirtualDevice(bench)
    device.boot()
    device.run(2)
    device.record(1.2)
    device.stop()


def test_the_daemon_records_with_a_key_in_a_token(bench: Bench, token: Path) -> None:
    agency = Agency()
    bench = make_bench(bench.root.parent / "token", agency=agency, pre_event_s=1, post_event_s=1)
    key = make_key(put_key(bench, token_uri(token, "recording")), Role.LEDGER)
    enrol(bench, agency, key)
    key.close()
    recorded(bench)
    verdict = verified(bench)
    assert verdict.exit_status == 0, shown(verdict)
    assert verdict.recordings[0].answers.signer_said.endswith("; key protected by: token")
    records = list(journal(bench))
    opened = [record for record in records if isinstance(record, KeyOpened)]
    assert opened == records[1:3]
    assert [(key.role, key.protection, key.where) for key in opened] == [
        ("ledger", "token", "pkcs11"), ("media", "file", "pem-file"),
    ]  # fmt: skip


def test_the_daemon_records_with_a_key_in_a_tpm(tmp_path: Path, tpm: SimulatedTpm) -> None:
    agency = Agency()
    bench = make_bench(tmp_path / "bench", agency=agency, pre_event_s=1, post_event_s=1)
    key = make_key(put_key(bench, "tpm:device.tpm", tpm_tables(tpm)), Role.LEDGER)
    enrol(bench, agency, key)
    recorded(bench)
    verdict = verified(bench)
    assert verdict.exit_status == 0, shown(verdict)
    assert verdict.recordings[0].answers.signer_said.endswith("; key protected by: tpm")


def test_verify_says_that_a_key_in_a_file_is_for_development_only(bench: Bench) -> None:
    recorded(bench)
    said = verified(bench).recordings[0].answers.signer_said
    assert said.endswith("; key protected by: file (development only)")


def test_what_the_agency_says_of_the_key_must_be_where_the_key_is(bench: Bench, tmp_path: Path) -> None:
    agency = Agency()
    bench = make_bench(tmp_path / "other", agency=agency)
    configuration = put_key(bench, "device.key")
    key = FileKey(bench.root / "device" / "device.key")
    certificate = (bench.root / "device" / "device.der").read_bytes()
    statement = agency.provision("BC-000001", certificate, "tpm")
    (bench.root / "device" / "provisioning.jsonl").write_bytes(statement + b"\n")
    with pytest.raises(ConfigurationError, match="it says that the key is protected by: tpm; the key is in: file"):
        read_papers(configuration)
    lies = agency.certify("BC-000001", Role.LEDGER, key.public, protection="token")
    (bench.root / "device" / "device.der").write_bytes(lies)
    statement = agency.provision("BC-000001", lies, "file")
    (bench.root / "device" / "provisioning.jsonl").write_bytes(statement + b"\n")
    with pytest.raises(ConfigurationError, match="its key is protected by: token; the key is in: file"):
        read_papers(configuration)


def test_a_token_that_goes_while_it_records_costs_no_frame(tmp_path: Path, token: Path) -> None:
    """What can't be signed waits in the ring; a fault is shown; when the token is back, the same ledger goes on."""
    agency = Agency()
    bench = make_bench(tmp_path / "bench", agency=agency, pre_event_s=1, post_event_s=1)
    key = make_key(put_key(bench, token_uri(token, "goes")), Role.LEDGER)
    enrol(bench, agency, key)
    key.close()
    device = VirtualDevice(bench)
    device.boot()
    device.run(2)
    device.double()
    device.run(3)
    (token / "tokens").rename(token / "gone")
    try:
        pkcs11.lib(str(MODULE)).finalize()
        device.run(3)
        assert faults(device) == ("key",)
    finally:
        (token / "gone").rename(token / "tokens")
    device.run(12)
    assert faults(device) == ()
    device.confirmed_stop()
    device.until_idle()
    device.stop()
    verdict = verified(bench)
    assert verdict.exit_status == 0, shown(verdict)
    (one,) = verdict.recordings
    assert one.missing == {}
    assert one.frames == round(one.seconds * 30)
    (said,) = [r.detail for r in journal(bench) if isinstance(r, Fault)]
    assert said.startswith("identity.key: the key 'goes' in the token 'bodycam' can't be used now (")
