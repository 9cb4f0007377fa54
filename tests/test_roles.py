"""One key a role: in every place where a certificate is asked for, one of each other role is refused.

A reader is a function that says whether a certificate of a role is taken in its place. A new reader is one more row of
`READERS`; what must hold for it is asked by the table.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from device.errors import ConfigurationError, EvidenceError, UsageError
from device.evidence import identity
from device.evidence.bundle import make_bundle, read_bundle
from device.evidence.identity import Role
from device.evidence.rotation import make_rotation
from device.evidence.verdicts import CardVerdict
from hw_sim.agency import Agency, Bench, Issued
from hw_sim.virtual import VirtualDevice
from tests import commands
from tests.benches import make_bench, policy_document, shown
from tests.cards import judged
from tests.rotations import UTC, give_key

NAME = "BC-000001"


class Place:
    """A fresh bench, and a certificate of the agency's of one role, to be put where another belongs."""

    def __init__(self, root: Path, role: Role) -> None:
        self.agency = Agency()
        self.role = role
        self.issued: Issued = self.agency.issue(NAME, role, device=True)
        self.root = root
        self._bench: Bench | None = None

    @property
    def bench(self) -> Bench:
        if self._bench is None:
            self._bench = make_bench(
                self.root / "bench", agency=self.agency, pre_event_s=1, post_event_s=1, audio=False
            )
        return self._bench

    def file(self, name: str, data: bytes) -> str:
        (self.root / name).write_bytes(data)
        return str(self.root / name)


def _record(bench: Bench) -> CardVerdict:
    """What is said of a card that a device made whose start asks for no role."""
    with _no_role_asked():
        device = VirtualDevice(bench)
        device.boot()
        device.run(2)
        device.record(1)
        device.stop()
    verdict = judged(bench)
    assert len(verdict.recordings) == 1
    assert verdict.recordings[0].answers.content == "matches", shown(verdict)
    return verdict


@contextmanager
def _no_role_asked() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity, "why_not_for", lambda *_: "")
        yield


def _taken(call: Callable[[], object]) -> bool:
    """Whether it is not refused for its role; refused for anything else is no answer."""
    try:
        call()
    except (ConfigurationError, EvidenceError, UsageError) as failure:
        return "its certificate is not for the role" not in str(failure)
    return True


def _refused_for_its_role(places: list[tuple[str, str]], place: str) -> bool:
    return any(where == place and "not for the role" in what for where, what in places)


def _verified(verdict: CardVerdict, place: str) -> bool:
    """Whether verification has nothing against the certificate in that place; then it has nothing against anything."""
    signers = [(f.place, f.what) for f in verdict.findings if f.question == "signer"]
    refused = _refused_for_its_role(signers, place)
    assert verdict.exit_status == (3 if refused else 0), shown(verdict)
    return not refused


# -- the places -----------------------------------------------------------------------------------------------------


def ledger(place: Place) -> bool:
    """The key of a recording's ledger."""
    give_key(place.bench, place.agency, place.issued)
    answers = _record(place.bench).recordings[0].answers
    assert ("not for the role ledger" in answers.signer_said) == (answers.signer == "not-trusted")
    return answers.signer == "trusted"


def journal(place: Place) -> bool:
    """The key of the journal."""
    give_key(place.bench, place.agency, place.issued)
    return _verified(_record(place.bench), "journal/000000.jsonl, line 0")


def provisioning(place: Place) -> bool:
    """Who signed the agency's statement."""
    _provisioned_by(place)
    return _verified(_record(place.bench), "journal/000000.jsonl, line 0")


def policy(place: Place) -> bool:
    """Who signed the policy that was in force, on a card."""
    place.bench.offered_policy.write_bytes(_bundle(place))
    verdict = _record(place.bench)
    names = [path.name for path in (place.bench.card / "policy").glob("*.bundle")]
    return _verified(verdict, f"policy/{names[0]}")


def policy_handed_in(place: Place) -> bool:
    """Who signed a policy that is offered to a device."""
    return _taken(lambda: read_bundle(_bundle(place), (place.agency.ca,), None))


def start_device(place: Place) -> bool:
    """The device's own certificate, as its daemon starts."""
    give_key(place.bench, place.agency, place.issued)
    return _taken(VirtualDevice(place.bench).boot)


def start_provisioner(place: Place) -> bool:
    """The provisioner's certificate, as a daemon starts."""
    _provisioned_by(place)
    return _taken(VirtualDevice(place.bench).boot)


def rotate_to(place: Place) -> bool:
    """The new key of a rotation, as it is made."""
    old = place.agency.issue(NAME, Role.LEDGER)
    return _rotates(old, place.issued)


def rotate_from(place: Place) -> bool:
    """The old key of a rotation, as it is made."""
    return _rotates(place.issued, place.agency.issue(NAME, Role.LEDGER))


def sign_policy(place: Place) -> bool:
    """Who signs a policy with `bodycam policy sign`."""
    status = commands.run(
        *("policy", "sign", place.file("policy.toml", policy_document())),
        *("--key", place.file("some.key", place.issued.key_pem)),
        *("--certificate", place.file("some.der", place.issued.certificate)),
        *("-o", str(place.root / "out.bundle")),
    )
    assert status in (0, 2)
    return status == 0


def _provisioned_by(place: Place) -> None:
    place.agency.provisioner = place.issued
    folder = place.bench.root / "device"
    (folder / "provisioner.der").write_bytes(place.issued.certificate)
    statement = place.agency.provision(NAME, (folder / "device.der").read_bytes())
    (folder / "provisioning.jsonl").write_bytes(statement + b"\n")


def _bundle(place: Place) -> bytes:
    return make_bundle(policy_document(1, 1), place.issued.signer, place.issued.certificate)


def _rotates(old: Issued, new: Issued) -> bool:
    return _taken(lambda: make_rotation(old.signer, old.certificate, new.signer, new.certificate, UTC))


READERS: dict[Callable[[Place], bool], Role] = {
    ledger: Role.LEDGER,
    journal: Role.LEDGER,
    provisioning: Role.PROVISIONING,
    policy: Role.POLICY,
    policy_handed_in: Role.POLICY,
    start_device: Role.LEDGER,
    start_provisioner: Role.PROVISIONING,
    rotate_to: Role.LEDGER,
    rotate_from: Role.LEDGER,
    sign_policy: Role.POLICY,
}
"""Every place that asks for a role, and which. Media signing, receipts and exports: a row each where they are read."""


@pytest.mark.parametrize("role", Role, ids=lambda role: role.name.lower())
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_only_its_own_role_is_taken(tmp_path: Path, reader: Callable[[Place], bool], role: Role) -> None:
    assert reader(Place(tmp_path, role)) == (role is READERS[reader])


def test_no_two_roles_have_one_identifier() -> None:
    assert len({role.oid for role in Role}) == 6
    assert [role.value.rpartition(".")[2] for role in Role] == ["1", "2", "3", "4", "5", "6"]
