"""What is done to signed video as such: whole GOPs, frames, and the signatures between them. Pure.

test_media_alterations.py holds the verdict on each; the table of alterations shows them.
"""

from device.media.nal import is_slice
from device.media.onvif_sei import parse
from hw_sim.agency import Agency
from tests.media import Sample, flipped, gops_of, joined, media_key, resigned, seis_of, with_unit, without_seis

OTHER = Agency("Other")


def gop_dropped(samples: list[Sample]) -> list[Sample]:
    gops = gops_of(samples)
    return joined([gops[0], *gops[2:]])


def gops_swapped(samples: list[Sample]) -> list[Sample]:
    gops = gops_of(samples)
    return joined([gops[0], gops[2], gops[1], *gops[3:]])


def gop_doubled(samples: list[Sample]) -> list[Sample]:
    gops = gops_of(samples)
    return joined([*gops[:2], gops[1], *gops[2:]])


def of_second_gop(samples: list[Sample], frame: int) -> int:
    """The place of a frame of the second GOP in the list."""
    return len(gops_of(samples)[0]) + frame


def frame_dropped(samples: list[Sample]) -> list[Sample]:
    n = of_second_gop(samples, 10)
    return samples[:n] + samples[n + 1 :]


def frame_doubled(samples: list[Sample]) -> list[Sample]:
    n = of_second_gop(samples, 10)
    return samples[: n + 1] + samples[n:]


def frames_swapped(samples: list[Sample]) -> list[Sample]:
    n = of_second_gop(samples, 10)
    return [*samples[:n], samples[n + 1], samples[n], *samples[n + 2 :]]


def last_frame_dropped(samples: list[Sample]) -> list[Sample]:
    """Of the second GOP; its SEI, where it has one, stays."""
    n = of_second_gop(samples, 0) + len(gops_of(samples)[1]) - 1
    kept = [unit for unit in samples[n] if not is_slice(unit)]
    return [*samples[: n - 1], samples[n - 1] + kept, *samples[n + 1 :]]


def frame_added(samples: list[Sample]) -> list[Sample]:
    """One of the third GOP's, at the end of the second."""
    gops = gops_of(samples)
    stranger = [unit for unit in gops[2][7] if is_slice(unit)]
    return joined([gops[0], [*gops[1][:-1], stranger, gops[1][-1]], *gops[2:]])


def slice_added_at_the_end(samples: list[Sample]) -> list[Sample]:
    """Behind the second GOP's last picture, before anything of the third."""
    n = of_second_gop(samples, 0) + len(gops_of(samples)[1]) - 1
    stranger = next(unit for unit in gops_of(samples)[2][7] if is_slice(unit))
    place = next(k for k, unit in enumerate(samples[n]) if is_slice(unit))
    return with_unit(samples, (n, place), lambda unit: [unit, stranger])


def picture_changed(samples: list[Sample]) -> list[Sample]:
    n = of_second_gop(samples, 10)
    place = next(k for k, unit in enumerate(samples[n]) if is_slice(unit))
    return with_unit(samples, (n, place), lambda unit: [flipped(unit, len(unit) // 2)])


def keyframe_changed(samples: list[Sample]) -> list[Sample]:
    n = of_second_gop(samples, 0)
    place = next(k for k, unit in enumerate(samples[n]) if is_slice(unit))
    return with_unit(samples, (n, place), lambda unit: [flipped(unit, len(unit) // 2)])


def sei_removed(samples: list[Sample]) -> list[Sample]:
    return with_unit(samples, seis_of(samples)[1], lambda _: [])


def sei_changed(samples: list[Sample]) -> list[Sample]:
    """In its list of hashes."""
    return with_unit(samples, seis_of(samples)[1], lambda unit: [flipped(unit, len(unit) - 300)])


def signature_changed(samples: list[Sample]) -> list[Sample]:
    """The last SEI's; it is a signed one."""
    return with_unit(samples, seis_of(samples)[-1], lambda unit: [flipped(unit, len(unit) - 40)])


def sei_cut_short(samples: list[Sample]) -> list[Sample]:
    return with_unit(samples, seis_of(samples)[1], lambda unit: [unit[:-100]])


def seis_swapped(samples: list[Sample]) -> list[Sample]:
    first, second = seis_of(samples)[1:3]
    one, other = samples[first[0]][first[1]], samples[second[0]][second[1]]
    return with_unit(with_unit(samples, first, lambda _: [other]), second, lambda _: [one])


def resigned_from_there(samples: list[Sample]) -> list[Sample]:
    """Another key signs from the last SEI on."""
    return with_unit(samples, seis_of(samples)[-1], lambda unit: [resigned(unit, media_key(OTHER).issued)])


def _is_signed(samples: list[Sample], place: tuple[int, int]) -> bool:
    sei = parse(samples[place[0]][place[1]])
    return sei is not None and sei.signature != b""


def all_resigned(samples: list[Sample]) -> list[Sample]:
    key = media_key(OTHER).issued
    for place in (place for place in seis_of(samples) if _is_signed(samples, place)):
        samples = with_unit(samples, place, lambda unit: [resigned(unit, key)])
    return samples


def sei_not_signed(samples: list[Sample]) -> list[Sample]:
    """All SEIs gone."""
    return without_seis(samples)


def unchanged(samples: list[Sample]) -> list[Sample]:
    return samples
