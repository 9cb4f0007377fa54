"""The card's folder, and that one process writes it: a second one is refused before it has written anything."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from device.config import Configuration
from device.errors import ConfigurationError, UsageError


def card_folder(configuration: Configuration) -> Path:
    """`ConfigurationError` when there is none."""
    card = configuration.at(configuration.tables.card.path)
    if not card.is_dir():
        raise ConfigurationError(
            f"{configuration.path}: card.path is {configuration.tables.card.path!r}: no such folder; mount the evidence "
            "partition"
        )
    return card


def refuse_root(configuration: Configuration, user: int) -> None:
    """`UsageError` for root where the card is another user's: what root writes there, that user's daemon could not use."""
    card = card_folder(configuration)
    if user != 0 or card.stat().st_uid == 0:
        return
    raise UsageError(
        f"{card} belongs to another user, whose daemon could not use what root writes there; run this as that user: "
        f"runuser -u bodycam -g bodycam -G video -G audio -G gpio -G i2c -G tss -- bodycam selftest "
        f"--config {configuration.path}"
    )


@contextmanager
def only_writer(configuration: Configuration) -> Iterator[None]:
    """Hold the card's lock. `ConfigurationError` while another process holds it."""
    descriptor = os.open(card_folder(configuration), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(descriptor, configuration)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, configuration: Configuration) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as failure:
        raise ConfigurationError(
            f"{configuration.path}: card.path is {configuration.tables.card.path!r}: another daemon is writing this "
            "card; end that one first"
        ) from failure
