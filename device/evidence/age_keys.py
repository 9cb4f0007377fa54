"""Reading an age identity file: what opens footage, or what is private. On a laptop only: no device has one (E6)."""

from pathlib import Path

import pyrage

from device.errors import EvidenceError, UsageError

MAX_IDENTITY_BYTES = 64 * 1024
NO_KEY = "No matching keys"
"""What the library says when a file is encrypted for others."""


class WrongKeyError(EvidenceError):
    """It is encrypted, and not for this identity: that says nothing of the evidence."""


def age_identities(path: Path, option: str, whose: str) -> list[pyrage.x25519.Identity]:
    """The keys of a file (`AGE-SECRET-KEY-1…`, each on a line of its own, comments allowed); `UsageError`, which names
    the option and `whose` file is wanted, when there is none."""
    try:
        with path.open("rb") as file:
            lines = file.read(MAX_IDENTITY_BYTES).decode("ascii").splitlines()
    except UnicodeDecodeError as failure:
        raise UsageError(f"{option} {path}: it is no text; give {whose} age identity file") from failure
    except OSError as failure:
        raise UsageError(f"{option} {path}: {failure.strerror}; give {whose} age identity file") from failure
    keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    try:
        identities = [pyrage.x25519.Identity.from_str(key) for key in keys]
    except pyrage.IdentityError as failure:
        raise UsageError(f"{option} {path}: {failure}; a key begins with AGE-SECRET-KEY-1") from failure
    if not identities:
        raise UsageError(f"{option} {path}: no key is in it; a key begins with AGE-SECRET-KEY-1")
    return identities
