"""Contact sheet of predictions: thumbnails with class and confidence, the least certain first."""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont, ImageOps

from tune_paddy.core.errors import InputError
from tune_paddy.core.scores.decided import hits_of
from tune_paddy.data.images import ImageError, load_rgb
from tune_paddy.data.system.files import write_atomically
from tune_paddy.data.system.text import shown, shown_value
from tune_paddy.data.thumbnails import thumbnail_uri
from tune_paddy.serving.predicted.summary import least_certain

if TYPE_CHECKING:
    from tune_paddy.serving.ensemble_model import Answer  # imports torch

MOST = {".html": 1000, ".png": 240}
"""Suffix of a contact sheet → maximum number of images: a page has about 8 MB, a picture 8 million px."""

SIDE = 144
"""Longer side of a thumbnail, in px."""
_COLUMNS = 12
_MARGIN, _LINE = 8, 16
"""Space around a thumbnail, and height of a line of text, in px."""
_BACKGROUND, _INK, _PALE = "#ffffff", "#1a1a1a", "#666666"


@dataclass(frozen=True)
class Cell:
    """One image of a contact sheet.

    Attributes:
        file: Path of the image within the folder that holds all of them, escaped for display.
        label: Predicted class, escaped for display.
        confidence: Probability of the predicted class, such as `87.5 %`.
        second: Second class with its probability; empty with a single class.
    """

    file: str
    label: str
    confidence: str
    second: str


def check_sheet(path: Path) -> None:
    """Refuse a contact sheet of another format than HTML and PNG.

    Raises:
        InputError: The suffix is another one.
    """
    if path.suffix.lower() not in MOST:
        raise InputError(
            f"`contact_sheet` {shown(path)}: end the name in {' or '.join(MOST)}", options=("contact_sheet",)
        )


def write_contact_sheet(path: Path, files: Sequence[str], answer: "Answer") -> int:
    """Write a contact sheet as one file that needs no other; return the number of its images.

    Args:
        path: Path of the sheet; its suffix, `.html` or `.png`, is the format.
        files: Paths of the images, [images].
        answer: Predictions of the images.

    Raises:
        InputError: The suffix is another one.
        TunePaddyError: The file cannot be written.
    """
    check_sheet(path)
    suffix = path.suffix.lower()
    rows = least_certain(answer)[: MOST[suffix]]
    names = _within(files)
    labels, confidences = answer.labels(), answer.confidences().tolist()
    cells = [
        Cell(
            shown(names[row]),
            shown(labels[row] or "no label"),
            f"{100 * confidences[row]:.1f} %",
            _second(answer, row),
        )
        for row in rows
    ]
    sources = [Path(files[row]) for row in rows]
    n_left_out = len(answer.probs) - len(answer.broken) - len(rows)
    page = _picture if suffix == ".png" else _page
    write_atomically(path, page(cells, sources, n_left_out))
    return len(rows)


def _within(files: Sequence[str]) -> list[str]:
    """Return the paths without the folder that all of them share."""
    folders = {str(Path(file).absolute().parent) for file in files}
    try:
        shared = os.path.commonpath(folders) if folders else ""
    except ValueError:  # on several drives
        return list(files)
    return [os.path.relpath(Path(file).absolute(), shared) for file in files]


def _second(answer: "Answer", row: int) -> str:
    """Return the likeliest class that is not decided, with its probability; "" if there is none."""
    decided = hits_of(answer.decisions[row : row + 1], len(answer.classes))[0]
    names = {name for name, chosen in zip(answer.classes, decided, strict=True) if chosen}
    ranking = answer.top(row, len(answer.classes))
    others = (f"{shown(name)} {100 * value:.1f} %" for name, value in ranking if name not in names)
    return next(others, "")


def _page(cells: Sequence[Cell], sources: Sequence[Path], n_left_out: int) -> bytes:
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 only pages need it

    # Names of files and classes are untrusted: the template escapes every value.
    environment = Environment(
        autoescape=True, finalize=shown_value, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = resources.files("tune_paddy.serving.predicted").joinpath("contact_sheet.html").read_text("utf-8")
    images = [
        {**vars(cell), "thumbnail": thumbnail_uri(source, SIDE)}
        for cell, source in zip(cells, sources, strict=True)
    ]
    return environment.from_string(text).render(images=images, n_left_out=n_left_out).encode()


def _picture(cells: Sequence[Cell], sources: Sequence[Path], n_left_out: int) -> bytes:
    columns = max(1, min(_COLUMNS, len(cells)))
    width, height = SIDE + 2 * _MARGIN, SIDE + 2 * _MARGIN + 2 * _LINE
    rows = -(-len(cells) // columns)
    top = _LINE + 2 * _MARGIN
    sheet = Image.new("RGB", (max(columns * width, 4 * width), top + rows * height), _BACKGROUND)
    draw, font = ImageDraw.Draw(sheet), _font()
    more = f", {n_left_out:,} more certain ones left out" if n_left_out else ""
    draw.text((_MARGIN, _MARGIN), f"{len(cells):,} images, the least certain first{more}", _INK, font)
    for number, (cell, source) in enumerate(zip(cells, sources, strict=True)):
        x, y = number % columns * width + _MARGIN, top + number // columns * height
        small = _thumbnail(source)
        sheet.paste(small, (x + (SIDE - small.width) // 2, y + (SIDE - small.height) // 2))
        draw.text((x, y + SIDE + 2), _cut(f"{cell.label} · {cell.confidence}", font), _INK, font)
        draw.text((x, y + SIDE + 2 + _LINE), _cut(cell.file, font), _PALE, font)
    file = io.BytesIO()
    sheet.save(file, "PNG", optimize=True)
    return file.getvalue()


def _thumbnail(source: Path) -> Image.Image:
    """Return a copy of an image that fills a cell; grey if the image has gone meanwhile."""
    try:
        image = load_rgb(source)
    except ImageError:
        return Image.new("RGB", (SIDE, SIDE), "#dddddd")
    is_small = max(image.size) < SIDE
    return ImageOps.contain(
        image, (SIDE, SIDE), Image.Resampling.NEAREST if is_small else Image.Resampling.LANCZOS
    )


def _font() -> ImageFont.FreeTypeFont:
    """Return matplotlib's font, which has more letters than Pillow's."""
    from matplotlib import get_data_path  # noqa: PLC0415 only pictures need it

    return ImageFont.truetype(str(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), 11)


def _cut(text: str, font: ImageFont.FreeTypeFont) -> str:
    """Shorten a text to the width of a thumbnail."""
    if font.getlength(text) <= SIDE:
        return text
    while text and font.getlength(f"{text}…") > SIDE:
        text = text[:-1]
    return f"{text}…"
