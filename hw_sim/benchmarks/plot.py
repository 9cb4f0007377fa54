"""Bars, as an SVG of our own: one panel a question, ours beside the others, on a scale from zero. Pure."""

from collections.abc import Sequence
from html import escape

import msgspec

WIDTH, LABEL, BAR, LINE, HEAD = 860, 330, 400, 24, 34
OURS, OTHERS, AIM = "#1f6f5c", "#b8bec4", "#b3261e"
STYLE = 'font-family="sans-serif" font-size="13" fill="#20262b"'


class Bar(msgspec.Struct, frozen=True):
    """`ours`: drawn in colour. `said`: beside the bar, instead of the number."""

    label: str
    value: float
    ours: bool = False
    said: str = ""


class Panel(msgspec.Struct, frozen=True):
    """`aim`: a line across, at this value."""

    title: str
    bars: Sequence[Bar]
    aim: float | None = None


def drawn(panels: Sequence[Panel], subtitle: str) -> str:
    """The picture, as text. A bar that is not a number was not measured, and says so."""
    parts: list[str] = []
    top = 30
    for panel in panels:
        most = max([each.value for each in panel.bars if each.value == each.value] + [panel.aim or 0.0]) or 1.0
        parts.append(f'<text x="10" y="{top + 20}" {STYLE} font-weight="bold">{escape(panel.title)}</text>')
        for n, each in enumerate(panel.bars):
            parts += _bar(each, top + HEAD + n * LINE, most)
        if panel.aim is not None:
            x = LABEL + BAR * panel.aim / most
            end = top + HEAD + len(panel.bars) * LINE
            parts.append(f'<path d="M{x:.1f} {top + HEAD - 4}V{end}" stroke="{AIM}" stroke-dasharray="4 3"/>')
            parts.append(f'<text x="{x + 4:.1f}" y="{top + 20}" {STYLE} fill-opacity="0.7">aim ≤ {panel.aim:g}</text>')
        top += HEAD + len(panel.bars) * LINE + 16
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}">'
    ground = f'<rect width="{WIDTH}" height="{top}" fill="#ffffff"/>'
    return "\n".join([head, ground, f'<text x="10" y="20" {STYLE}>{escape(subtitle)}</text>', *parts, "</svg>", ""])


def _bar(bar: Bar, top: int, most: float) -> list[str]:
    measured = bar.value == bar.value
    width = BAR * max(0.0, bar.value) / most if measured else 0.0
    said = bar.said or (f"{bar.value:.3g}" if measured else "not measured: not installed")
    return [
        f'<text x="{LABEL - 8}" y="{top + 15}" {STYLE} text-anchor="end">{escape(bar.label)}</text>',
        f'<rect x="{LABEL}" y="{top + 3}" width="{max(1.0, width):.1f}" height="16" fill="{OURS if bar.ours else OTHERS}"/>',
        f'<text x="{LABEL + width + 6:.1f}" y="{top + 15}" {STYLE}>{escape(said)}</text>',
    ]
