"""How long a picture may be exposed: a change to the sensor's tuning, because libcamera has no control for it.

Its automatic exposure walks along tables in the sensor's tuning file, each a list of exposure times and the gains that go
with them. Capped tables keep what moves sharp, in every mode, whatever the light; past them only gain is raised. Pure.
"""

from typing import Any


def capped(tuning: dict[str, Any], longest_us: int) -> dict[str, Any]:
    """The tuning with no exposure time over `longest_us` in any table of its automatic exposure; nothing else changes.

    Both forms of the file are known: `rpi.agc` with its tables, and with a list of channels that each have some.
    """
    return {**tuning, "algorithms": [_algorithm(entry, longest_us) for entry in tuning.get("algorithms", [])]}


def _algorithm(entry: dict[str, Any], longest_us: int) -> dict[str, Any]:
    agc = entry.get("rpi.agc")
    if agc is None:
        return entry
    if "channels" in agc:
        return {"rpi.agc": {**agc, "channels": [_tables(channel, longest_us) for channel in agc["channels"]]}}
    return {"rpi.agc": _tables(agc, longest_us)}


def _tables(agc: dict[str, Any], longest_us: int) -> dict[str, Any]:
    modes = agc.get("exposure_modes", {})
    return {
        **agc,
        "exposure_modes": {
            name: {**mode, "shutter": [min(time_us, longest_us) for time_us in mode["shutter"]]}
            for name, mode in modes.items()
        },
    }
