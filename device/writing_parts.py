"""What writes the card, made at the start: journal, documents, custody and the recorder. Main thread, before anything runs.

It writes the journal's first lines of this boot: which keys are open, what of the policy or of a rotation is in doubt.
"""

import logging
import secrets
from collections.abc import Callable, Iterable
from importlib.metadata import version

import msgspec

from device.clock import Clock, Wake
from device.config import MIB, Configuration
from device.errors import ConfigurationError, EvidenceError
from device.evidence import layout
from device.evidence.adoption import Adoption
from device.evidence.anchoring import Anchoring, Witness
from device.evidence.bundle import Bundle
from device.evidence.custody import Custody
from device.evidence.disk import Disk
from device.evidence.envelope import Signer
from device.evidence.journal import SELF_TEST, Journal
from device.evidence.media_signing import MediaSigner, media_signer
from device.evidence.papers import Papers, keys_opened
from device.evidence.recorder import Recorder, state_facts
from device.evidence.records import Boot, Fault, Record, Software
from device.evidence.rotation import Former, find_former
from device.evidence.store import Documents, Reserve, free_for_start, make_folders
from device.evidence.writer import Facts
from device.hardware import MicrophoneDriver
from device.media.fmp4 import AudioFormat
from device.media.rates import Rates
from device.media.ring import Ring
from device.policy.inputs import Input
from device.policy.machine import MACHINE_VERSION
from device.policy.state import State

log = logging.getLogger("bodycam")


class Foundations(msgspec.Struct, frozen=True):
    """What they are made from. `recording_bps`: what a second of recording takes; `tell`: the way to the control loop."""

    configuration: Configuration
    adoption: Adoption
    papers: Papers
    signer: Signer
    media_key: Signer | None
    use_witness: Callable[[Witness], Witness]
    disk: Disk
    ring: Ring
    rates: Rates
    clock: Clock
    state: State
    microphone: MicrophoneDriver | None
    recording_bps: int
    tell: Callable[[Input], None]


class WritingParts(msgspec.Struct, frozen=True):
    """`doubt`: why the policy in force may be an old one ("": no reason)."""

    recorder: Recorder
    custody: Custody
    doubt: str


def make_writing_parts(given: Foundations, wake: Wake) -> WritingParts:
    """Everything that a refused start leaves alone has been checked before; from here on the card is written."""
    tables, papers, in_force = given.configuration.tables, given.papers, given.adoption.in_force
    begun = begin_journal(
        given.configuration, given.adoption, papers, given.signer, given.disk, given.clock, given.state
    )
    journal, former, documents, software = begun.journal, begun.former, begun.documents, begun.software
    reserve = Reserve(given.disk, given.configuration.ring_cap_bytes)
    full_below_bytes = tables.card.full_below_mib * MIB
    custody = Custody(
        given.disk,
        documents,
        journal,
        recording_bps=given.recording_bps,
        storage_hours=in_force.policy.readiness.storage_hours,
        least_bytes=full_below_bytes + reserve.size,
    )
    recorder = Recorder(
        disk=given.disk,
        ring=given.ring,
        clock=given.clock,
        wake=wake,
        signer=given.signer,
        keys={papers.signer.certificate_sha256: papers.key}
        | ({former.certificate_sha256: former.key} if former is not None else {}),
        journal=journal,
        footage=in_force.footage,
        context=in_force.context,
        facts=Facts(
            device=tables.device.id,
            certificate_sha256=papers.signer.certificate_sha256,
            policy=in_force.bundle.name,
            software=software,
            settings_sha256=given.configuration.settings_sha256,
            audio=_audio_format(given.microphone),
            media=_media(papers, given.media_key, tables.device.id, software.version),
        ),
        documents=documents,
        custody=custody,
        reserve=reserve,
        full_below_bytes=full_below_bytes,
        rates=given.rates,
        tell=given.tell,
        anchoring=_anchoring(given, journal),
    )
    return WritingParts(recorder=recorder, custody=custody, doubt=begun.doubt)


class BegunJournal(msgspec.Struct, frozen=True):
    """The journal with its first lines durable, and what was kept and found for them."""

    journal: Journal
    documents: Documents
    former: Former | None
    software: Software
    doubt: str


def begin_journal(
    configuration: Configuration,
    adoption: Adoption,
    papers: Papers,
    signer: Signer,
    disk: Disk,
    clock: Clock,
    state: State | None,
    whole: Callable[[Software], Iterable[Record]] = lambda _: (),
) -> BegunJournal:
    """A new epoch of this device's; `state` None: for a self-test, which decides nothing, and whose `whole` is all."""
    in_force = adoption.in_force
    software = Software(
        version=f"bodycam {version('bodycam')}",
        machine=MACHINE_VERSION,
        configuration_sha256=configuration.sha256,
    )
    free_for_start(disk)
    disk.sync_all()
    make_folders(disk)
    documents = _kept_documents(disk, papers, in_force.bundle)
    former, why_not = _former(disk, papers)
    journal = Journal(disk, signer, clock, configuration.tables.device.id, papers.provisioning, papers.key, former)
    for opened in keys_opened(papers):
        journal.add(opened)
    doubt = adoption.lost or _older_than_journal(in_force.policy.version, journal.found.policy_version)
    unread = (("evidence", f"a document can't be read: {why}") for why in documents.unread)
    for part, why in (("journal", why_not), ("policy", doubt), *unread):
        if why:
            log.warning("%s: %s", part, why)
            journal.add(Fault(part=part, present=True, at_us=clock.now_us(), detail=why[:200]))
    sealed = None if state is None else in_force.context.seal_context(state_facts(state), secrets.token_bytes(16))
    journal.begin(
        Boot(
            epoch="000000",
            previous=None,
            reason="start" if state is not None else SELF_TEST,
            certificate_sha256=papers.signer.certificate_sha256,
            policy=in_force.bundle.name,
            bundle_sha256=in_force.bundle.file_sha256,
            software=software,
            context=sealed,
        ),
        whole(software),
    )
    return BegunJournal(journal, documents, former, software, doubt)


def _kept_documents(disk: Disk, papers: Papers, bundle: Bundle) -> Documents:
    """The certificates and the policy that evidence is judged by, on the card."""
    documents = Documents(disk)
    documents.keep(layout.IDENTITY, layout.certificate_file, papers.certificate)
    documents.keep(layout.IDENTITY, layout.certificate_file, papers.provisioner)
    if papers.media is not None:
        documents.keep(layout.IDENTITY, layout.certificate_file, papers.media.certificate)
    documents.keep(layout.POLICY, layout.policy_file, bundle.document)
    documents.keep(layout.POLICY, layout.bundle_file, bundle.data)
    return documents


def _anchoring(given: Foundations, journal: Journal) -> Anchoring | None:
    """None where the configuration names no TPM that anchors, or the agency's statement has none."""
    configuration, papers = given.configuration, given.papers
    tpm, said = configuration.tables.identity.tpm, papers.statement.attestation
    if tpm is None or tpm.attestation_key is None:
        return None
    if said is None:
        raise ConfigurationError(
            f"{configuration.path}: identity.tpm.attestation_key is set, and the agency's statement names no TPM; ask "
            "the agency for one with --attestation, or take the key out"
        )
    from device.evidence.tpm_witness import TpmWitness

    witness = given.use_witness(TpmWitness(configuration, said))
    return Anchoring(given.disk, journal, witness, papers.key, said, given.clock, given.tell)


def _former(disk: Disk, papers: Papers) -> tuple[Former | None, str]:
    """The key before, whose journal on this card this one goes on with; or why it does not. It stops no start."""
    try:
        return None if papers.rotation is None else find_former(disk, papers.rotation, papers.key), ""
    except EvidenceError as failure:
        return None, f"the rotation is of no use: {failure}"


def _audio_format(microphone: MicrophoneDriver | None) -> AudioFormat | None:
    if microphone is None:
        return None
    return AudioFormat(
        sample_rate_hz=microphone.sample_rate_hz, channels=microphone.channels, config=microphone.extradata
    )


def _media(papers: Papers, signer: Signer | None, device: str, version: str) -> MediaSigner | None:
    if papers.media is None or signer is None:
        return None
    return media_signer(signer, papers.media.certificate, device, version)


def _older_than_journal(version: int, journal_version: int) -> str:
    """Why a policy that would be good may be an old one: what this device kept was lost, or put back."""
    if version >= journal_version:
        return ""
    return f"version {version} is older than {journal_version}, under which the journal on this card was written"
