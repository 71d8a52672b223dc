"""Draw a chart twice, wide and narrow, as SVG images that also show in an untrusted notebook."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from io import StringIO
from typing import Any

from opslib.display import escape

INK, MUTED, GRID, PAPER = "#1f2933", "#5f6c7b", "#e3e8ee", "#ffffff"
CYCLE = [
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#8a6d00",
    "#777777",
]  # Okabe-Ito, darker yellow
OK, WARN, BAD = "#0b7a55", "#a15c00", "#b3261e"
WIDE, NARROW = 9.0, 4.6  # inches; at 390 px the narrow one shows its 9 pt text at 9 px or more

_STYLE = {
    "figure.facecolor": PAPER, "figure.constrained_layout.use": True, "font.size": 10, "text.color": INK,
    "font.family": ["DejaVu Sans", "IPAexGothic"],  # per glyph: Latin stays Latin
    "axes.labelcolor": MUTED, "axes.labelsize": 9.5, "axes.edgecolor": GRID, "axes.axisbelow": True, "axes.xmargin": 0.01,
    "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False,
    "axes.grid": True, "axes.grid.axis": "y", "grid.color": GRID, "grid.linewidth": 0.8,
    "xtick.color": MUTED, "ytick.color": MUTED, "xtick.labelsize": 9, "ytick.labelsize": 9, "ytick.major.size": 0,
    "legend.frameon": False, "legend.fontsize": 9, "lines.linewidth": 1.8, "patch.linewidth": 0,
    "svg.fonttype": "path", "svg.hashsalt": "opslib", "date.converter": "concise",
}  # fmt: skip


@dataclass(frozen=True)
class Chart:
    """A chart as two SVG texts, drawn when they are looked at, with a sentence as title that is also the alt text."""

    title: str
    paint: Callable[[Any, bool], None]
    height: float
    narrow_height: float

    @cached_property
    def wide(self) -> str:
        """The drawing for a desk."""
        return _svg(self.paint, WIDE, self.height, False)

    @cached_property
    def narrow(self) -> str:
        """The drawing for a phone."""
        return _svg(self.paint, NARROW, self.narrow_height, True)

    def html(self) -> str:
        """Return the chart as an image; a narrow screen takes the narrow drawing where `picture` is allowed."""
        source = f'<source media="(max-width:40rem)" srcset="{_uri(self.narrow)}">'
        image = f'<img src="{_uri(self.wide)}" alt="{escape(self.title)}" style="display:block;width:100%;max-width:900px;height:auto;background:#fff">'
        return f"<picture>{source}{image}</picture>"


def draw(title: str, paint: Callable[[Any, bool], None], *, height: float, narrow_height: float | None = None) -> Chart:
    """Return the chart that `paint(axes, narrow)` makes for both widths; heights are in inches."""
    return Chart(title, paint, height, narrow_height or height)


def _svg(paint: Callable[[Any, bool], None], width: float, height: float, narrow: bool) -> str:
    _prepare()
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height))  # no pyplot: nothing to close, safe in threads
        paint(figure.subplots(), narrow)
        buffer = StringIO()
        # savefig draws everything twice, first without ink for the layout; the canvas itself lays out and draws at once
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


@lru_cache(maxsize=1)
def _prepare() -> None:
    """Register the Japanese glyphs once; importing matplotlib_fontja itself would make them the face of all text."""
    from importlib.util import find_spec
    from pathlib import Path

    from matplotlib import font_manager

    logging.getLogger("matplotlib.font_manager").setLevel(
        logging.ERROR
    )  # the Japanese face has no bold; the fallback is fine
    found = find_spec("matplotlib_fontja")
    if found and found.origin:
        for font in sorted(Path(found.origin).parent.rglob("*.ttf")):
            font_manager.fontManager.addfont(str(font))


def _uri(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
