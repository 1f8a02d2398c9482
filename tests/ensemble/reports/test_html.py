from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Finished
from tests.ensemble.conftest import ensemble_of, make_pool, recorded
from tune_paddy.core.selection.plain import fixed_select, uniform_select
from tune_paddy.ensemble.build import build_ensemble
from tune_paddy.ensemble.options import SelectionOptions
from tune_paddy.ensemble.reports.html import MOST_IMAGES, MOST_ROWS, Sources, write_report
from tune_paddy.ensemble.reports.page.gains import find_gains
from tune_paddy.ensemble.reports.page.picture import KINDS, LEARNING, PARAMETERS, Picture
from tune_paddy.ensemble.switch import use_ensemble
from tune_paddy.tracking.lookup.ensembles import get_ensemble
from tune_paddy.tracking.runs import get_search

HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>{{ 7*7 }}"


class Page(HTMLParser):
    """Elements that a browser would find in a page.

    Attributes:
        tags: Tag → number of its elements.
        sources: Addresses of pictures.
        links: Addresses of links.
        alts: Text alternatives of pictures.
        ids: Names that links can lead to.
        headings: Level and text of the headings, in order.
        boxed: Whether each table is in a box that scrolls and takes the keyboard's focus.
        collapsed: Pictures inside of closed details.
        text: All text.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.sources: list[str] = []
        self.links: list[str] = []
        self.alts: list[str] = []
        self.ids: list[str] = []
        self.headings: list[tuple[int, str]] = []
        self.boxed: list[bool] = []
        self.collapsed: list[str] = []
        self.text = ""
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        values = dict(attrs)
        assert not [name for name in values if name.startswith("on") or name in ("srcset", "action")]
        self.links += [values["href"] or ""] if "href" in values else []
        self.ids += [values["id"] or ""] if "id" in values else []
        if tag == "img":
            self.sources.append(values["src"] or "")
            self.alts.append(values["alt"] or "")
            self.collapsed += [self.sources[-1]] * any(name == "details" for name, _ in self._open)
        if tag == "table":
            box = self._open[-1][1]
            self.boxed.append(box.get("class") == "wide" and box.get("tabindex") == "0")
        if tag in ("h1", "h2", "h3", "h4"):
            self.headings.append((int(tag[1]), ""))
        if tag not in ("img", "meta"):
            self._open.append((tag, values))

    def handle_endtag(self, tag: str) -> None:
        while self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._open and self._open[-1][0] in ("h1", "h2", "h3", "h4"):
            level, text = self.headings[-1]
            self.headings[-1] = level, text + data

    @property
    def sections(self) -> list[str]:
        """Texts of the headings of the second level."""
        return [text for level, text in self.headings if level == 2]


@pytest.fixture(scope="module")
def page(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Page]:
    """The report of an ensemble of the finished search, and the folder it is in."""
    folder = tmp_path_factory.mktemp("report")
    ensemble = build_ensemble(finished.store, ["first"], folder=folder)
    use_ensemble(finished.store, "first", ensemble.name, folder)
    return folder, Page(folder / "report.html")


def test_the_score_is_first_and_the_other_sections_follow(page: tuple[Path, Page]) -> None:
    text = page[1].text
    places = [text.index(words) for words in ("on new images", "Submission:", "Written", "Dataset")]
    assert places == sorted(places)
    assert page[1].sections == [
        "Members",
        "Comparison",
        "The search",
        "Classes",
        "The ensemble",
        "Not finished",
        "Errors and unsure images",
        "Reproduce",
    ]
    assert text.rindex("Reproduce") < text.index("tune-paddy select first")
    assert "no-such-weights.safetensors" in text
    assert "trials: 4" in text  # the space


def test_the_contents_lead_to_every_section(page: tuple[Path, Page]) -> None:
    found = page[1]
    assert [link.removeprefix("#") for link in found.links] == found.ids
    assert len(found.ids) == len(found.sections)


def test_headings_are_nested_without_gaps(page: tuple[Path, Page]) -> None:
    levels = [level for level, _ in page[1].headings]
    assert levels.count(1) == 1
    assert all(below - above <= 1 for above, below in pairwise(levels))
    assert all(text.strip() for _, text in page[1].headings)


def test_every_picture_has_a_text_alternative(page: tuple[Path, Page]) -> None:
    """Those of figures start with the kind of the chart."""
    found = page[1]
    assert all(alt.strip() for alt in found.alts)
    figures = [a for a, s in zip(found.alts, found.sources, strict=True) if s.startswith("data:image/svg")]
    assert len(figures) >= 8
    assert all(alt.startswith(tuple(KINDS.values())) for alt in figures)


def test_every_table_scrolls_in_a_box_that_the_keyboard_reaches(page: tuple[Path, Page]) -> None:
    assert len(page[1].boxed) >= 4
    assert all(page[1].boxed)


def test_date_dataset_and_record_are_named(page: tuple[Path, Page], finished: Finished) -> None:
    """The record of these tests is a local file, which a command shows."""
    text = page[1].text
    now = datetime.now(UTC)
    assert any(f"{date:%Y-%m}" in text for date in (now, now - timedelta(days=1)))  # a month may have ended
    assert f"digits ({finished.plan.dataset.root})" in text
    assert "150 labelled images, 20 images to predict, 10 classes" in text
    assert f"tune-paddy ui first --tracking-uri {finished.store.tracking_uri}" in text


def test_the_search_has_curves_against_epochs_and_time(page: tuple[Path, Page]) -> None:
    assert any(KINDS[LEARNING] in alt for alt in page[1].alts)
    assert any("against time" in alt for alt in page[1].alts)
    assert not any(KINDS[PARAMETERS] in alt for alt in page[1].alts)  # three members teach nothing of them


def test_it_needs_no_other_file_no_network_and_no_script(page: tuple[Path, Page]) -> None:
    """Every image is embedded in the page, which stays small enough to send."""
    folder, found = page
    assert found.tags["img"] == len(found.sources) > 10
    assert all(source.startswith("data:image/") for source in found.sources)
    assert all(link.startswith("#") for link in found.links)
    assert not {"script", "link", "iframe", "object", "base"} & set(found.tags)
    assert (folder / "report.html").stat().st_size < 2_000_000


def test_errors_are_shown_with_their_thumbnails_in_closed_sections(page: tuple[Path, Page]) -> None:
    assert sum(source.startswith("data:image/jpeg") for source in page[1].collapsed) >= MOST_IMAGES
    assert "no image" not in page[1].text


def test_search_and_ensemble_have_it_as_an_artifact(page: tuple[Path, Page], finished: Finished) -> None:
    content = (page[0] / "report.html").read_bytes()
    for run in (get_search(finished.store, "first"), get_ensemble(finished.store, "first")):
        files = [file.path for file in finished.store.client.list_artifacts(run.run_id)]
        assert {"report.html", "figures"} <= set(files)
    stored = Path(get_search(finished.store, "first").artifact_uri.removeprefix("file://")) / "report.html"
    assert stored.read_bytes()[:2000] == content[:2000]


def test_hostile_names_are_escaped(tmp_path: Path) -> None:
    pool = make_pool()
    pool = replace(
        pool,
        classes=(HOSTILE, "b", "c"),
        select_ids=np.array([HOSTILE] + [f"{i}" for i in range(59)]),
        labels=np.where(np.arange(60) == 0, (pool.select.mean(0)[0].argmax() + 1) % 3, pool.labels),
    )
    ensemble = ensemble_of(pool, fixed_select(pool.select, pool.labels, np.ones(6)))
    broken = recorded("0009-net", outcome="failed", failure=HOSTILE)
    search = recorded("night", "search", tags={"tune_paddy.dataset": HOSTILE, "tune_paddy.command": HOSTILE})
    sources = Sources([search], [broken], SelectionOptions(), HOSTILE)
    picture = Picture("recall", HOSTILE, HOSTILE, "data:image/svg+xml;base64,")
    gains = find_gains(ensemble, SelectionOptions())
    write_report(tmp_path / "report.html", ensemble, sources, [picture], gains)
    found = Page(tmp_path / "report.html")
    assert "script" not in found.tags
    assert found.sources == [picture.source]
    assert found.alts == [picture.alt]
    assert found.text.count(HOSTILE) >= 8


def test_many_members_are_in_a_second_collapsed_table(tmp_path: Path) -> None:
    pool = make_pool(members=MOST_ROWS + 3)
    ensemble = ensemble_of(pool, fixed_select(pool.select, pool.labels, np.ones(2 * MOST_ROWS + 6)))
    sources = Sources([recorded("night", "search")], [], SelectionOptions())
    write_report(tmp_path / "report.html", ensemble, sources)
    text = Page(tmp_path / "report.html").text
    first, _, second = text.partition("3 more members")
    assert [sum(view.member in part for view in pool.views) for part in (first, second)] == [2 * MOST_ROWS, 6]


def test_the_table_of_members_says_what_proposed_each(tmp_path: Path) -> None:
    pool = make_pool()
    ensemble = ensemble_of(pool, uniform_select(pool.select, pool.labels))
    tags = {"tune_paddy.proposed_by": "recipe", "tune_paddy.origin": "wide nets"}
    members = [recorded("0000-net", run_id="run 0", tags=tags)]
    sources = Sources([recorded("night", "search")], members, SelectionOptions())
    write_report(tmp_path / "report.html", ensemble, sources)
    assert "recipe: wide nets" in Page(tmp_path / "report.html").text


def test_confused_pairs_stand_beside_typical_images_of_both_classes(tmp_path: Path) -> None:
    """Without the images their places are marked."""
    pool = make_pool(members=1)
    ensemble = ensemble_of(pool, fixed_select(pool.select, pool.labels, np.ones(2)), assessed=False)
    write_report(
        tmp_path / "report.html", ensemble, Sources([recorded("n", "search")], [], SelectionOptions())
    )
    found = Page(tmp_path / "report.html")
    pairs = [text for level, text in found.headings if level == 4]
    assert pairs
    assert all(" taken for " in text and text.endswith(" images") for text in pairs)
    assert found.text.count("typical ") == 1 + 2 * len(pairs)


def test_missing_images_estimate_and_test_set_are_reported(tmp_path: Path) -> None:
    pool = make_pool(tests=0)
    ensemble = ensemble_of(pool, fixed_select(pool.select, pool.labels, np.ones(6)), assessed=False)
    search = recorded("night", "search", tags={"tune_paddy.dataset": str(tmp_path / "gone")})
    write_report(tmp_path / "report.html", ensemble, Sources([search], [], SelectionOptions()), [])
    text = Page(tmp_path / "report.html").text
    for words in ("no honest estimate", "There is no test set", "no longer at", "no image"):
        assert words in text


def test_control_characters_of_names_are_shown_not_written(tmp_path: Path) -> None:
    pool = make_pool()
    pool = replace(pool, classes=("a\x1b[31m", "b\x07\udce9", "c"))
    ensemble = ensemble_of(pool, fixed_select(pool.select, pool.labels, np.ones(6)))
    sources = Sources([recorded("night", "search")], [], SelectionOptions(), "")
    write_report(tmp_path / "report.html", ensemble, sources, [], find_gains(ensemble, SelectionOptions()))
    text = (tmp_path / "report.html").read_text()
    assert r"a\x1b[31m" in text
    assert r"b\x07\udce9" in text
    assert not {letter for letter in text if not letter.isprintable()} - {"\n"}
