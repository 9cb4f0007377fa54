"""Where recordings may go: the end points of the signed policy in force, and nowhere else.

The policy is read as the daemon keeps it, under the agency's anchor; what the agency only offers counts for nothing here.
"""

import hashlib
import os
from pathlib import Path

import msgspec

from device.config import Configuration
from device.errors import ConfigurationError, EvidenceError, UsageError
from device.evidence.bundle import MAX_BUNDLE_BYTES, Anchors, Bundle, read_bundle
from device.evidence.identity import load_anchors
from device.evidence.reading import read_file
from device.policy.model import EndPoint

_WANTED = "s3+https://host/bucket (s3+http:// for localhost only) or folder:/path"


class Folder(msgspec.Struct, frozen=True):
    path: Path


class Bucket(msgspec.Struct, frozen=True):
    """A bucket of an S3 store. In the clear (`tls` false) only on this machine."""

    host: str
    port: int
    tls: bool
    bucket: str

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"


def parse_end_point(text: str) -> Folder | Bucket:
    """`UsageError` when it is none."""
    try:
        msgspec.convert(text, EndPoint)
    except msgspec.ValidationError as failure:
        raise UsageError(f"{text!r}: no end point; give {_WANTED}") from failure
    kind, _, rest = text.partition(":")
    if kind == "folder":
        return Folder(Path(rest))
    tls = kind == "s3+https"
    authority, _, bucket = rest.removeprefix("//").partition("/")
    host, _, port = authority.partition(":")
    number = int(port) if port else (443 if tls else 80)
    if not 0 < number < 65_536:
        raise UsageError(f"{text!r}: there is no port {number}; give one of 1 to 65535")
    return Bucket(host=host, port=number, tls=tls, bucket=bucket)


class Allowed(msgspec.Struct, frozen=True):
    """The end point that was chosen, as the policy spells it, and the policy that allows it, under these anchors."""

    text: str
    bundle: Bundle
    anchors: Anchors

    @property
    def end_point(self) -> Folder | Bucket:
        return parse_end_point(self.text)

    @property
    def memory_key(self) -> str:
        """Of what was sent there."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def allowed_end_point(configuration: Configuration) -> Allowed:
    """`ConfigurationError` when there is no policy in force, or when it does not name the end point."""
    tables = configuration.tables
    try:
        anchors = load_anchors(configuration.at(tables.policy.anchor))
    except UsageError as failure:
        said = str(failure).removeprefix("--trust ")
        raise ConfigurationError(f"{configuration.path}: policy.anchor: {said}") from failure
    bundle = _in_force(configuration, anchors)
    named, wanted = bundle.policy.disclosure.end_points, tables.offload.end_point
    says = f"the policy in force, {bundle.name.id} {bundle.name.version}, names {', '.join(named) or 'none'}"
    if not wanted and len(named) == 1:
        return Allowed(named[0], bundle, anchors)
    if wanted not in named:
        way_out = "choose one of these, or sign a policy" if named else "sign a policy"
        raise ConfigurationError(
            f"{configuration.path}: offload.end_point is {wanted!r}: {says}; {way_out} whose disclosure.end_points has it"
        )
    return Allowed(wanted, bundle, anchors)


def _in_force(configuration: Configuration, anchors: Anchors) -> Bundle:
    kept = configuration.at(configuration.tables.policy.kept)
    try:
        data = read_file(Path(os.path.realpath(kept)), MAX_BUNDLE_BYTES)
        if data is None:
            raise ConfigurationError(f"{kept}: no such file: no policy is in force yet; start the daemon first")
        return read_bundle(data, anchors, None)
    except EvidenceError as failure:
        raise ConfigurationError(f"{kept}: {failure}; hand in a bundle that the agency signed") from failure
