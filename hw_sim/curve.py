"""Memory over time as a curve: a line of letters for a terminal, and an SVG of our own."""

from collections.abc import Sequence
from html import escape

BARS = "▁▂▃▄▅▆▇█"
COLUMNS = 60
MIB = 1 << 20
WIDTH, HEIGHT, LEFT, BELOW, TOP = 720, 240, 64, 32, 16

Curve = Sequence[tuple[float, int]]
"""Virtual seconds, and bytes."""


def letters(curve: Curve) -> str:
    """The highest of each column, between nothing and the highest of all, with both ends said."""
    if not curve:
        return ""
    width = min(COLUMNS, len(curve))
    columns = [
        max(size for _, size in curve[n * len(curve) // width : (n + 1) * len(curve) // width]) for n in range(width)
    ]
    most = max(columns)
    bars = "".join(BARS[min(len(BARS) - 1, size * len(BARS) // (most + 1))] for size in columns)
    return f"{bars}  {curve[0][1] / MIB:.0f} MiB at the start, {most / MIB:.0f} MiB at most, {curve[-1][1] / MIB:.0f} MiB at the end"


def picture(curve: Curve, title: str) -> str:
    """An SVG: hours across, MiB up from zero."""
    most_mib = max(size for _, size in curve) / MIB
    hours = max(at_s for at_s, _ in curve) / 3600
    top_mib = (int(most_mib) // 25 + 1) * 25

    def x(at_s: float) -> float:
        return LEFT + at_s / 3600 / hours * (WIDTH - LEFT - TOP) if hours else LEFT

    def y(mib: float) -> float:
        return HEIGHT - BELOW - mib / top_mib * (HEIGHT - BELOW - TOP)

    points = " ".join(f"{x(at_s):.1f},{y(size / MIB):.1f}" for at_s, size in curve)
    lines = [
        f'<line x1="{LEFT}" y1="{y(mib):.1f}" x2="{WIDTH - TOP}" y2="{y(mib):.1f}" stroke="#ddd"/>'
        f'<text x="{LEFT - 8}" y="{y(mib) + 4:.1f}" text-anchor="end">{mib}</text>'
        for mib in range(0, top_mib + 1, max(25, top_mib // 100 * 25))
    ]
    ticks = [
        f'<text x="{x(hours * 3600 * n / 4):.1f}" y="{HEIGHT - 10}" text-anchor="middle">{hours * n / 4:.3g} h</text>'
        for n in range(5)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif" '
        f'font-size="12"><title>{escape(title)}</title><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
        f'{"".join(lines)}{"".join(ticks)}<text x="8" y="12">MiB</text>'
        f'<polyline points="{points}" fill="none" stroke="#b00020" stroke-width="1.5"/></svg>\n'
    )
