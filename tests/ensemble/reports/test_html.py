from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Finished
from tests.ensemble.conftest import ensemble_of, make_pool, recorded
from tune_paddy.core.selection.plain import fixed_select
from tune_paddy.ensemble.build import build_ensemble
from tune_paddy.ensemble.options import SelectionOptions
from tune_paddy.ensemble.reports.html import MOST_IMAGES, Sources, write_report
from tune_paddy.ensemble.switch import use_ensemble
from tune_paddy.tracking.lookup.ensembles import get_ensemble
from tune_paddy.tracking.runs import get_search

HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>{{ 7*7 }}"


class Page(HTMLParser):
    """Elements that a browser would find in a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.addresses: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.addresses += [
            value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")
        ]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def page(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Page]:
    """The report of an ensemble of the finished search, and the folder it is in."""
    folder = tmp_path_factory.mktemp("report")
    ensemble = build_ensemble(finished.store, ["first"], folder=folder)
    use_ensemble(finished.store, "first", ensemble.name, folder)
    return folder, Page(folder / "report.html")


def test_the_score_is_first_and_the_other_sections_follow(page: tuple[Path, Page]) -> None:
    text = page[1].text
    order = (
        "on new images",
        "Submission:",
        "Members",
        "Comparison",
        "Not finished",
        "Errors and unsure images",
    )
    places = [text.index(words) for words in (*order, "Figures", "Reproduce", "tune-paddy select first")]
    assert places == sorted(places)
    assert "no-such-weights.safetensors" in text
    assert "trials: 4" in text  # the space


def test_it_needs_no_other_file_no_network_and_no_script(page: tuple[Path, Page]) -> None:
    """Every image is embedded in the page, which stays small enough to send."""
    folder, found = page
    assert found.tags["img"] == len(found.addresses) > 10
    assert all(address.startswith("data:image/") for address in found.addresses)
    assert not {"script", "link", "iframe", "object", "base"} & set(found.tags)
    assert (folder / "report.html").stat().st_size < 2_000_000


def test_errors_are_shown_with_their_thumbnails(page: tuple[Path, Page]) -> None:
    assert sum(address.startswith("data:image/jpeg") for address in page[1].addresses) >= MOST_IMAGES
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
    write_report(
        tmp_path / "report.html", ensemble, Sources([search], [broken], SelectionOptions(), HOSTILE), []
    )
    found = Page(tmp_path / "report.html")
    assert not {"script", "img"} & set(found.tags)
    assert found.text.count(HOSTILE) >= 6


def test_missing_images_estimate_and_test_set_are_reported(tmp_path: Path) -> None:
    pool = make_pool(tests=0)
    ensemble = ensemble_of(pool, fixed_select(pool.select, pool.labels, np.ones(6)), assessed=False)
    search = recorded("night", "search", tags={"tune_paddy.dataset": str(tmp_path / "gone")})
    write_report(tmp_path / "report.html", ensemble, Sources([search], [], SelectionOptions()), [])
    text = Page(tmp_path / "report.html").text
    for words in ("no honest estimate", "There is no test set", "no longer at", "no image"):
        assert words in text
