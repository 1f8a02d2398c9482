from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tune_paddy.core.errors import InputError
from tune_paddy.serving.ensemble_model import Answer
from tune_paddy.serving.predicted import contact_sheet
from tune_paddy.serving.predicted.contact_sheet import SIDE, write_contact_sheet

HOSTILE = "<img src=x onerror=alert(1)>\n\u202e"


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    """Three images of other sizes, one of them with a hostile name, and a missing one."""
    files = [tmp_path / name for name in ("large.png", "sub/small.png", f"{HOSTILE}.png", "gone.png")]
    (tmp_path / "sub").mkdir()
    for file, size in zip(files[:3], ((640, 480), (8, 8), (20, 300)), strict=True):
        Image.new("RGB", size, "#335577").save(file)
    return [str(file) for file in files]


ANSWER = Answer(
    ("blast", HOSTILE),
    np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.5, 0.5]]),
    broken={},
)


class Page(HTMLParser):
    """Elements and texts of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts += [data.strip()] if data.strip() else []


def test_the_least_certain_image_is_first_and_the_page_needs_no_other_file(
    images: list[str], tmp_path: Path
) -> None:
    assert write_contact_sheet(tmp_path / "sheet.html", images, ANSWER) == 4
    page = Page(tmp_path / "sheet.html")
    confidences = [text.rpartition("· ")[2] for text in page.texts if "· " in text]
    assert confidences == ["50.0 %", "60.0 %", "80.0 %", "90.0 %"]
    sources = [attributes.get("src") or "" for tag, attributes in page.tags if tag == "img"]
    assert len(sources) == 3
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert page.texts.count("no image") == 1
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in page.tags}


def test_hostile_names_are_text(images: list[str], tmp_path: Path) -> None:
    """A line feed and an override of the writing direction are escaped."""
    write_contact_sheet(tmp_path / "sheet.html", images, ANSWER)
    page = Page(tmp_path / "sheet.html")
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert "<img src=x onerror=alert(1)>\\n\\u202e.png" in page.texts
    assert "\u202e" not in (tmp_path / "sheet.html").read_text(encoding="utf-8")


def test_a_picture_has_a_cell_for_each_image(images: list[str], tmp_path: Path) -> None:
    assert write_contact_sheet(tmp_path / "sheet.PNG", images, ANSWER) == 4
    with Image.open(tmp_path / "sheet.PNG") as sheet:
        assert sheet.format == "PNG"
        assert sheet.width >= 4 * SIDE
        colours = sheet.convert("RGB").getcolors(2**20)
    assert colours
    assert (0x33, 0x55, 0x77) in {colour for _, colour in colours}


def test_the_most_certain_images_are_left_out_of_a_long_sheet(
    images: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images that could not be read are in none."""
    monkeypatch.setattr(contact_sheet, "MOST", {".html": 2, ".png": 2})
    answer = Answer(ANSWER.classes, ANSWER.probs, broken={3: "is gone"})
    assert write_contact_sheet(tmp_path / "sheet.html", images, answer) == 2
    texts = Page(tmp_path / "sheet.html").texts
    assert "60.0 %" in " ".join(texts)
    assert "90.0 %" not in " ".join(texts)
    assert "1 more certain images are left out" in " ".join(texts)


def test_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"sheet\.pdf: end the name in \.html or \.png"):
        write_contact_sheet(tmp_path / "sheet.pdf", [], ANSWER)
