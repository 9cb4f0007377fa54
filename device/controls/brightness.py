"""How bright a light is that is lit: by day, and by night. No I/O but the system's time zone; control thread.

Night is a window of local hours, and not what the camera sees: a lens in a pocket, or behind a hand, is dark by day too,
and would dim the light that tells the public. While the time of day is not known it is day: brighter is never wrong.
"""

from datetime import UTC, datetime, tzinfo

from device.clock import Wall
from device.tables import LightLevels


def percent(levels: LightLevels, wall: Wall, zone: tzinfo | None = None) -> int:
    """Of full brightness, 20 to 100. `zone`: None is the system's."""
    return levels.night_percent if _is_night(levels, wall, zone) else levels.day_percent


def _is_night(levels: LightLevels, wall: Wall, zone: tzinfo | None) -> bool:
    if wall.source == "none":
        return False
    local = datetime.fromtimestamp(wall.utc_us // 1_000_000, tz=UTC).astimezone(zone)
    now, begins, ends = f"{local:%H:%M}", levels.night_from, levels.night_until
    return begins <= now < ends if begins < ends else now >= begins or now < ends
