"""The report in a real browser: narrow and wide, light and dark.

With TUNE_PADDY_SCREENSHOTS set to a folder, screenshots are saved there.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.capabilities import chromium, needs_chromium
from tests.conftest import draw_again
from tests.ensemble.conftest import ensemble_of, make_pool, recorded
from tune_paddy.core.selection.plain import fixed_select
from tune_paddy.ensemble.options import SelectionOptions
from tune_paddy.ensemble.reports.figures import draw_figures
from tune_paddy.ensemble.reports.html import Sources, write_report
from tune_paddy.ensemble.reports.page import themed
from tune_paddy.ensemble.reports.page.class_figure import draw_gains
from tune_paddy.ensemble.reports.page.gains import find_gains
from tune_paddy.ensemble.reports.page.picture import GAINS

pytestmark = needs_chromium

OUTSIDE = """() => [...document.querySelectorAll('main *')]
    .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .filter(e => !e.closest('.wide, figure')).map(e => e.outerHTML.slice(0, 80))"""
DRAWN = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Wait until a changed scheme has reached the figures, which the browser draws one frame later."""
COLOUR = "e => getComputedStyle(e).getPropertyValue('background-color')"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, _blank_figures: dict[str, Any]) -> str:
    """Address of a report with long names of members and classes, and with every kind of section."""
    pool = make_pool(members=4, classes=6, images=240)
    long = "of_a_really_long_name_without_a_single_space_in_it" * 2
    pool = replace(
        pool,
        classes=tuple(f"{name}_{long}" for name in pool.classes),
        views=tuple(replace(view, member=f"{view.member}-{long}") for view in pool.views),
    )
    ensemble = ensemble_of(pool, fixed_select(pool.select, pool.labels, np.ones(8)))
    gains = find_gains(ensemble, SelectionOptions())
    assert gains is not None
    broken = recorded(long, outcome="failed", failure=f"CUDA error: {long}")
    sources = Sources([recorded("night", "search")], [broken], SelectionOptions(), long, f"sqlite:////{long}")
    with pytest.MonkeyPatch.context() as patch:
        draw_again(_blank_figures, patch)  # the fixture `rasterised` lasts for one test only
        figures = draw_figures(pool, ensemble.selection, ensemble.assessment, ensemble.frontier)
        pictures = themed.make_pictures({**figures, GAINS: draw_gains(gains)})
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, ensemble, sources, pictures, gains)
    return path.as_uri()


@pytest.fixture(scope="module")
def opened(browser: Browser, address: str) -> Page:
    """The report with all its details, which takes longer to load than to look at again."""
    page = browser.new_page()
    page.goto(address)
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    return page


def looked_at(page: Page, scheme: Literal["light", "dark"], width: int = 1280) -> Page:
    """Return the page as seen on a screen of this width, with this scheme of colours."""
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    page.evaluate(DRAWN)
    folder = os.environ.get("TUNE_PADDY_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"report-{width}-{scheme}.png", full_page=True)
    return page


def test_nothing_is_cut_on_a_telephone_or_a_desk_in_light_or_dark(opened: Page) -> None:
    """Wide tables and figures scroll in boxes of their own; the page does not."""
    looks: list[tuple[int, Literal["light", "dark"]]] = [(390, "light"), (390, "dark"), (1280, "light")]
    for width, scheme in looks:
        page = looked_at(opened, scheme, width)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(OUTSIDE) == []
        assert all(page.eval_on_selector_all("img", "all => all.map(e => e.naturalWidth > 0)"))
        dark = page.eval_on_selector("body", COLOUR) == "rgb(20, 25, 31)"
        assert dark == (scheme == "dark")


def test_figures_change_their_colours_with_the_scheme(opened: Page) -> None:
    """Their background is the page's own colour."""
    corner = """e => {
        const canvas = document.createElement('canvas'); canvas.width = 100; canvas.height = 60;
        const context = canvas.getContext('2d'); context.drawImage(e, 0, 0, 100, 60);
        return [...context.getImageData(1, 1, 1, 1).data].slice(0, 3) }"""
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    corners = [looked_at(opened, scheme).eval_on_selector("figure img", corner) for scheme in schemes]
    assert corners == [[255, 255, 255], [20, 25, 31]]


def test_a_printed_page_is_light_and_has_the_collapsed_parts_and_whole_tables(
    browser: Browser, address: str
) -> None:
    page = browser.new_page(viewport={"width": 700, "height": 1000}, color_scheme="dark")
    page.goto(address)
    page.emulate_media(media="print", color_scheme="dark")
    assert page.eval_on_selector("body", COLOUR) == "rgb(255, 255, 255)"
    assert page.evaluate("document.documentElement.scrollWidth") == 700
    assert page.eval_on_selector("details .cards", "e => e.checkVisibility({contentVisibilityAuto: true})")
    page.close()
