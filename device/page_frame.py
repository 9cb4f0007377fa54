"""What the pages for people share: one file of HTML, no script, nothing fetched, readable on a phone and on paper.

What a page says is the page's own; everything that comes from a card it escapes itself.
"""

from collections.abc import Iterable
from html import escape

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1, h2, h3, p, figcaption, summary { overflow-wrap: anywhere; }
table { border-collapse: collapse; min-width: 18rem; }
caption { text-align: left; font-weight: bold; padding: .3rem 0; }
caption span { display: inline-block; position: sticky; left: 0; max-width: calc(100vw - 4.5rem); }
th, td { border: 1px solid #767676; padding: .25rem .6rem; text-align: left; vertical-align: top; }
td { overflow-wrap: anywhere; min-width: 7rem; }
td:last-child { min-width: 12rem; }
td.n { text-align: right; min-width: 3rem; }
td.t, th.t { white-space: nowrap; }
thead th { background: #eee; }
.bad { border: 3px solid #b00020; padding: .5rem 1rem; }
.good { border: 3px solid #1b6e2d; padding: .5rem 1rem; }
.unproven { border: 3px solid #8a5a00; padding: .5rem 1rem; }
figure { margin: 1rem 0; }
svg { max-width: none; }
.wide {
  overflow-x: auto; margin: 1rem 0;
  background:
    linear-gradient(to right, #fff 50%, #fff0) left / 3rem 100% no-repeat local,
    linear-gradient(to left, #fff 50%, #fff0) right / 3rem 100% no-repeat local,
    linear-gradient(to right, #0006, #0000) left / .8rem 100% no-repeat scroll,
    linear-gradient(to left, #0006, #0000) right / .8rem 100% no-repeat scroll;
}
@media print { .wide { overflow: visible; } .wide svg { max-width: 100%; height: auto; } }
"""


def framed(title: str, parts: Iterable[str], style: str = "") -> str:
    """The whole page around its parts. `style`: what it adds to the common one."""
    return (
        f"<!DOCTYPE html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n"
        f"<meta name='viewport' content='width=device-width, initial-scale=1'>\n<title>{escape(title)}</title>\n"
        f"<style>{_STYLE}{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )
