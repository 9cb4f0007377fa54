"""Names in the agency's store. Each derives from a device and a recording, of known shape; none says more than the card
does to a thief: no officer, no place, no time. No I/O."""

import re

_DEVICE = r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}"
_RECORDING = r"[0-9]{6}-[0-9a-f]{16}"
_OBJECT = re.compile(rf"^recordings/({_DEVICE})/({_RECORDING})\.tar\Z")
_RECEIPT = re.compile(rf"^receipts/({_DEVICE})/({_RECORDING})\.receipt\Z")
OBJECTS = "recordings/"


def object_name(device: str, recording: str) -> str:
    return f"recordings/{device}/{recording}.tar"


def object_of(name: str) -> tuple[str, str] | None:
    """The device and the recording that an object's name says; None when it is no such name."""
    match = _OBJECT.match(name)
    return (match[1], match[2]) if match else None


def receipts_of(device: str) -> str:
    """What the names of a device's receipts begin with."""
    return f"receipts/{device}/"


def receipt_name(device: str, recording: str) -> str:
    return f"{receipts_of(device)}{recording}.receipt"


def receipt_of(name: str) -> tuple[str, str] | None:
    """The device and the recording that a receipt's name says; None when it is no such name."""
    match = _RECEIPT.match(name)
    return (match[1], match[2]) if match else None
