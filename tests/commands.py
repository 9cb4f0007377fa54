"""A command of `bodycam` as a person would give it, in this process."""

import device.cli


def run(*arguments: str) -> int:
    """Its exit status."""
    return device.cli.main(arguments)
