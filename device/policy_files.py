"""Policy documents from the disk, or by the name of a shipped profile; what is wrong with one, in a line with a way out."""

import hashlib
from importlib import resources
from pathlib import Path

import msgspec

from device.errors import UsageError
from device.policy.document import MAX_DOCUMENT_BYTES, DocumentError
from device.policy.model import Policy, parse_policy
from device.terminal import safe

WAY_OUT = "`bodycam policy schema` lists the keys and their limits"


class Document(msgspec.Struct, frozen=True):
    """A policy that was read, under the name that the person gave, with its bytes."""

    file: str
    content: bytes
    policy: Policy

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def read_document(file: str) -> Document:
    content = _content(file)
    try:
        policy = parse_policy(content)
    except DocumentError as failure:
        raise UsageError(safe(f"{file}: {failure}; {WAY_OUT}")) from failure
    return Document(file, content, policy)


def shipped_profiles() -> dict[str, bytes]:
    """The profiles that come with the product, by name."""
    folder = resources.files("device.policy") / "profiles"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name)
    return {file.name.removesuffix(".toml"): file.read_bytes() for file in files}


def _content(file: str) -> bytes:
    """At most one byte more than a policy may have, so that a longer one is refused for its length."""
    path = Path(file)
    if not path.is_file():
        shipped = shipped_profiles()
        if file in shipped:
            return shipped[file]
        there = "not a file" if path.exists() else "no such file, and no profile that is shipped"
        raise UsageError(safe(f"{file}: {there}; name a policy's file, or one of: {', '.join(shipped)}"))
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as failure:
        raise UsageError(safe(f"{file}: {failure.strerror}; make it readable, or name another")) from failure
