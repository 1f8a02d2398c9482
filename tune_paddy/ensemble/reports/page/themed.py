"""Figures as SVG pictures that follow the light or dark scheme of the reader's browser."""

import io
import re
import warnings
from collections.abc import Mapping

import matplotlib
from matplotlib.figure import Figure

from tune_paddy.data.thumbnails import data_uri
from tune_paddy.ensemble.reports.figures import BLUE, GREY, ORANGE
from tune_paddy.ensemble.reports.page.picture import SECTIONS, Picture

_ROLES = {
    "#000000": "ink",
    "#ffffff": "page",
    "#b0b0b0": "line",
    "#cccccc": "line",
    BLUE.lower(): "blue",
    ORANGE.lower(): "orange",
    GREY.lower(): "soft",
}
"""Colour of a figure → name of the page's colour that replaces it."""
_STYLE = """<style>
svg {
  --ink: #1c2430; --page: #ffffff; --line: #c3cad2;
  --blue: #0072b2; --orange: #d55e00; --soft: #6b7684;
}
@media screen and (prefers-color-scheme: dark) {
  svg {
    --ink: #e6eaef; --page: #14191f; --line: #465160;
    --blue: #6cb8e6; --orange: #ff9a57; --soft: #9aa7b5;
  }
}
svg { fill: var(--ink); }
text { font-family: system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif !important; }
</style>
"""
_PAINT = re.compile(r"\b(fill|stroke): (#[0-9a-f]{6})\b")
_PAD = 12
"""Space above the axes in points, for half a tick label."""


def make_pictures(figures: Mapping[str, Figure]) -> list[Picture]:
    """Turn figures into pictures of the report, in reading order; their titles become text of the page.

    Args:
        figures: Name → figure; it is changed and cannot be drawn as before.
    """
    names = [name for _, section in SECTIONS for name in section if name in figures]
    return [_picture(name, figures[name]) for name in names]


def _picture(name: str, figure: Figure) -> Picture:
    title, detail = (text.replace(r"\$", "$") for text in (figure.get_suptitle(), figure.axes[0].get_title()))
    figure.suptitle("")
    figure.axes[0].set_title("")
    return Picture(name, title, detail, data_uri(svg(figure), "image/svg+xml"))


def svg(figure: Figure) -> bytes:
    """Draw a figure as SVG with the page's colours; space above its axes is cut off."""
    file = io.BytesIO()
    # Text stays text: it is smaller than outlines, and the browser has the letters that the font lacks.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": ""}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        if figure.get_layout_engine() is not None:  # otherwise it was drawn before
            figure.draw_without_rendering()
            figure.set_layout_engine(None)  # not "none", with which `savefig` draws twice
        figure.savefig(file, format="svg", metadata={"Date": None})
    text = _PAINT.sub(_replaced, file.getvalue().decode())
    start = text.index("<svg")
    head, rest = text[start : (end := text.index(">", start)) + 1], text[end + 1 :]
    return (_cropped(head, figure) + _STYLE + rest).encode()


def _replaced(found: re.Match[str]) -> str:
    role = _ROLES.get(found[2])
    return f"{found[1]}: var(--{role})" if role else found[0]


def _cropped(head: str, figure: Figure) -> str:
    """Set the view box of the root element to the part from the top of the axes to the bottom."""
    width, height = (72 * float(inches) for inches in figure.get_size_inches())
    top = max(axes.get_position().y1 for axes in figure.axes)
    cut = max((1 - top) * height - _PAD, 0.0)
    head = re.sub(r' (width|height|viewBox)="[^"]*"', "", head)
    box = f'viewBox="0 {cut:.1f} {width:.1f} {height - cut:.1f}"'
    return f'{head[:-1]} width="{width:.1f}" height="{height - cut:.1f}" {box}>'
