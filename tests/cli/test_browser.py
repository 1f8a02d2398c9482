"""MLflow's pages of a search in a real browser.

With TUNE_PADDY_SCREENSHOTS set to a folder, screenshots are saved there.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.capabilities import chromium, needs_chromium
from tests.cli.commands import HEARS_CTRL_C
from tests.conftest import Finished
from tune_paddy.ensemble.build import build_ensemble
from tune_paddy.tracking.ui.layout import ALL_SEARCHES, curves_view, growth_view, members_view

SECONDS = 120_000  # milliseconds; the first page on a busy machine is slow

pytestmark = needs_chromium

SCREENSHOTS = "TUNE_PADDY_SCREENSHOTS"
"""Name of the variable with the folder of screenshots."""

CHARTS = {
    members_view("first"): "Loss (nats), error (0–1) by CPU-seconds",
    growth_view("first"): "Loss (nats), error (0–1) by hours",
}
"""View → heading of its first charts."""
MOST_TAGS = 6

PATIENT = """\
from tune_paddy.tracking.ui import server
server.PATIENCE = 1200  # two processes import MLflow, on a machine that may be busy
from tune_paddy.cli import program
program()
"""

Look = Callable[[str], None]


@pytest.fixture
def ui(finished: Finished, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Addresses that `tune-paddy ui` prints for the finished search after a selection.

    A proxy does not keep it from its own server.
    """
    if os.environ.get(SCREENSHOTS):
        request.getfixturevalue("rasterised")  # drawing takes seconds, and only screenshots show it
    build_ensemble(finished.store, ["first"], folder=tmp_path)
    program = HEARS_CTRL_C + PATIENT
    command = [sys.executable, "-c", program, "ui", "first", "--tracking-uri", finished.store.tracking_uri]
    proxied = {**os.environ, "http_proxy": "http://127.0.0.1:9", "no_proxy": "", "NO_PROXY": ""}
    process = subprocess.Popen(command, cwd=tmp_path, env=proxied, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    told = ""
    while "Ctrl-C" not in told:
        line = process.stdout.readline()
        assert line, told
        told += line
    try:
        yield re.findall(r"(?:Browse|Curves): (\S+)", told)
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=300)
    assert (process.returncode, rest) == (0, "Stopped.\n")


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of a browser that has visited MLflow before: on a first visit an assistant opens."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1360, "height": 760})
        page.set_default_timeout(SECONDS)
        page.add_init_script("localStorage['mlflow.assistant.fab.autoOpenedOnFirstLoad_v1'] = 'true'")
        yield page
        browser.close()


@pytest.fixture
def look(page: Page) -> Look:
    """Return a function that saves a screenshot, if the environment asks for them."""
    folder = os.environ.get(SCREENSHOTS)

    def save(name: str) -> None:
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(folder) / f"{name}.png")

    return save


def visit(page: Page, address: str) -> None:
    """Load an address from scratch: if only the part after # changes, MLflow may rewrite it."""
    page.goto("about:blank")
    page.goto(address, wait_until="load")


@pytest.mark.documents("ui SEARCH")
def test_a_person_finds_members_and_their_curves_the_search_a_figure_and_the_report(
    ui: list[str], page: Page, look: Look
) -> None:
    """The table of members, all charts, the search unfolded, its page with few tags, figure and report."""
    table, curves = ui
    visit(page, table)
    page.get_by_role("link", name="0000-test_resnet-32").wait_for()
    columns = page.locator(".ag-header-cell").all_inner_texts()
    assert {"log_loss", "error_rate", "ensemble_weight", "ensemble_contribution", "cpu_seconds"} <= set(
        columns
    )
    assert page.get_by_role("link", name="ensemble", exact=False).count() == 0
    look("members")

    visit(page, curves)
    page.get_by_text("Loss (nats), error (0–1) by epoch").wait_for()
    page.get_by_text("train_loss", exact=True).first.wait_for()
    look("curves")

    for view, heading in CHARTS.items():
        visit(page, curves.replace(quote(curves_view("first")), quote(view)))
        page.get_by_text(heading).wait_for()
        page.locator(".js-plotly-plot").first.wait_for()
        look(view.rpartition(":")[2])

    visit(page, table.replace(members_view("first"), ALL_SEARCHES))
    search = page.get_by_role("link", name="first", exact=True)
    page.get_by_role("gridcell").filter(has=search).get_by_role("button").first.click()
    page.get_by_role("link", name="0000-test_resnet-32").wait_for()
    look("search")

    search.click()
    page.get_by_text("Ensemble of").first.wait_for()
    assert 3 <= page.get_by_text(re.compile(r"^tune_paddy\.")).count() <= MOST_TAGS
    look("page")
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("figures", exact=True).click()
    page.get_by_text("cost.png").click()
    figure = page.locator("img[src^=blob]").first
    figure.wait_for()
    assert figure.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1000
    look("figure")

    page.get_by_text("report.html").click()
    report = page.frame_locator("iframe")
    report.get_by_text("on new images", exact=False).first.wait_for()
    thumbnails = report.locator(".card img")
    assert thumbnails.evaluate_all("images => images.filter(image => image.naturalWidth > 0).length") > 10
    look("report")
