from xml.etree import ElementTree as ET

import pytest
from matplotlib.figure import Figure

from tests.ensemble.conftest import make_pool
from tune_paddy.core.selection.plain import greedy_select
from tune_paddy.ensemble.reports.figures import BLUE, add_title, draw_figures
from tune_paddy.ensemble.reports.page.picture import KINDS, SECTIONS
from tune_paddy.ensemble.reports.page.themed import make_pictures, svg

pytestmark = pytest.mark.usefixtures("rasterised")


def drawn(label: str = "x", detail: str = "the data") -> Figure:
    """Draw a line in a figure with a title."""
    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot([1, 2], [1, 2], color=BLUE)
    axes.set_xlabel(label)
    add_title(figure, "The line rises", detail)
    return figure


def parsed(content: bytes) -> ET.Element:
    """Return the root of a picture."""
    return ET.fromstring(content)  # noqa: S314 the program's own output


def test_inks_are_names_with_a_light_and_a_dark_value() -> None:
    """No black line or white area is left that a dark page would hide, or that would be glaring there."""
    text = svg(drawn()).decode()
    paints = [part.split(";")[0] for part in text.replace("fill: ", "stroke: ").split("stroke: ")[1:]]
    assert not {"#000000", "#ffffff", BLUE.lower()} & set(paints)
    assert "var(--blue)" in paints
    assert "prefers-color-scheme: dark" in text


def test_title_and_detail_become_text_of_the_page_and_their_space_is_cut_off() -> None:
    (picture,) = make_pictures({"cost": drawn()})
    assert (picture.title, picture.detail) == ("The line rises", "the data")
    assert picture.alt == f"{KINDS['cost']}. The line rises."
    plain = Figure(figsize=(5, 3))
    plain.subplots().set_position((0.1, 0.1, 0.8, 0.5))  # the axes end at six tenths of the height
    box = parsed(svg(plain)).attrib["viewBox"].split()
    assert float(box[1]) == pytest.approx(0.4 * 3 * 72 - 12)
    assert float(box[1]) + float(box[3]) == pytest.approx(3 * 72, abs=0.2)


def test_hostile_labels_are_text() -> None:
    hostile = "</text><script>alert(1)</script>&]]>"
    root = parsed(svg(drawn(hostile)))
    assert not [element for element in root.iter() if element.tag.endswith("script")]
    assert hostile in [element.text for element in root.iter() if element.tag.endswith("text")]


def test_letters_that_the_font_lacks_are_kept_for_the_browser() -> None:
    assert "稲" in svg(drawn("稲")).decode()


def test_each_figure_has_a_place_and_a_kind() -> None:
    """A figure without them would be missing in the report."""
    placed = [name for _, names in SECTIONS for name in names]
    assert sorted(placed) == sorted(KINDS)
    pool = make_pool()
    assert set(draw_figures(pool, greedy_select(pool.select, pool.labels))) <= set(placed)
