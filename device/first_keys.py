"""At a device's first start: every key that its configuration names, and the requests for their certificates. Called by
`bodycam provision requests`, which the service manager runs until the last request is there.

A power cut at any point leaves something that the next call completes; nothing that is there is overwritten.
"""

from collections.abc import Iterator
from pathlib import Path

from device.config import Configuration
from device.errors import ConfigurationError, UsageError
from device.provisioning import Made, make_request

LAST = "ledger"
"""This role's request is written last: once it is there, all is done."""


def make_requests(configuration: Configuration, folder: Path) -> Iterator[tuple[Path, Made]]:
    """Each request as it is written: `ROLE.csr`, and `attestation.json` where a TPM anchors. A key that is there is taken.
    `ConfigurationError`, `CannotPersist` as `make_key` and `open_key`; `UsageError` when the folder can't be written."""
    if not folder.is_dir():
        raise UsageError(f"--folder {folder}: no such folder; make it, and let this user write to it")
    identity = configuration.tables.identity
    roles = (["media"] if identity.media_key is not None else []) + [LAST]
    anchors = identity.tpm is not None and identity.tpm.attestation_key is not None
    for role in roles:
        request = folder / f"{role}.csr"
        if request.exists():
            continue
        attestation = folder / "attestation.json" if anchors and role == LAST else None
        yield request, _make(configuration, role, request, attestation)


def _make(configuration: Configuration, role: str, request: Path, attestation: Path | None) -> Made:
    """With a new key, or with the one that an earlier call made and could not finish."""
    try:
        return make_request(configuration, role, request, attestation, existing=False, force=True)
    except ConfigurationError as no_new_one:
        try:
            return make_request(configuration, role, request, attestation, existing=True, force=True)
        except ConfigurationError:
            raise no_new_one from None
