"""The report command: it prints the report's path, and opens it on a desktop."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.cli.commands import assert_start_light
from tests.cli.conftest import Call
from tests.conftest import Finished
from tune_paddy.cli import report
from tune_paddy.cli.report import DISPLAYS
from tune_paddy.tracking.runs import get_search
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.writing import set_tags


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses opened in the browser; there is no desktop unless a test adds one."""
    addresses: list[str] = []
    monkeypatch.setattr("webbrowser.open", addresses.append)
    monkeypatch.setattr(report, "sys", SimpleNamespace(platform="linux"))  # for the command alone
    for name in DISPLAYS:
        monkeypatch.delenv(name, raising=False)
    return addresses


@pytest.fixture(params=[*DISPLAYS, "macOS"])
def desktop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind of desktop."""
    if request.param in DISPLAYS:
        monkeypatch.setenv(request.param, ":0")
    else:
        monkeypatch.setattr(report, "sys", SimpleNamespace(platform="darwin"))


@pytest.fixture
def uri(finished: Finished) -> list[str]:
    return ["--tracking-uri", finished.store.tracking_uri]


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A report in the working folder."""
    path = tmp_path / "runs/first/report.html"
    path.parent.mkdir(parents=True)
    path.write_text("<p>")
    return path


@pytest.fixture
def elsewhere(finished: Finished, tmp_path: Path) -> Iterator[Path]:
    """Another folder, recorded as that of the search."""
    client, run = finished.store.client, get_search(finished.store, "first")
    set_tags(client, run.run_id, {"tune_paddy.folder": tmp_path / "other runs/first"})
    yield tmp_path / "other runs/first"
    set_tags(client, run.run_id, {"tune_paddy.folder": run.tags["tune_paddy.folder"]})


@pytest.mark.documents("report SEARCH")
@pytest.mark.usefixtures("desktop")
def test_a_report_is_opened_where_there_is_a_desktop(
    uri: list[str], page: Path, call: Call, opened: list[str]
) -> None:
    assert call("report", "first", *uri) == "runs/first/report.html\n"
    assert opened == [page.as_uri()]


@pytest.mark.usefixtures("page")
def test_without_a_desktop_only_the_path_is_printed(uri: list[str], call: Call, opened: list[str]) -> None:
    assert call("report", "first", *uri) == "runs/first/report.html\n"
    assert opened == []


@pytest.mark.usefixtures("desktop", "page")
def test_no_open_only_prints_the_path(uri: list[str], call: Call, opened: list[str]) -> None:
    assert call("report", "first", "--no-open", *uri) == "runs/first/report.html\n"
    assert opened == []


def test_the_report_is_found_in_the_recorded_folder(uri: list[str], elsewhere: Path, call: Call) -> None:
    """Its path is quoted for the shell."""
    elsewhere.mkdir(parents=True)
    (elsewhere / "report.html").write_text("<p>")
    assert call("report", "first", *uri) == f"'{elsewhere}/report.html'\n"


def test_a_missing_report_names_the_command_that_writes_it(
    uri: list[str], elsewhere: Path, call: Call
) -> None:
    assert not elsewhere.exists()
    told = call("report", "first", *uri, status=2)
    assert told == (
        "error: search 'first' has no report in runs/first; to write it: tune-paddy select first\n"
    )


def test_a_refit_names_the_report_of_its_search(finished: Finished, uri: list[str], call: Call) -> None:
    start_search(finished.store, name="again-refit", tags={"refit_of": "again"})
    assert "tune-paddy report again\n" in call("report", "again-refit", *uri, status=2)


def test_an_unknown_search_is_bad_input(uri: list[str], call: Call) -> None:
    assert "did you mean 'first'?" in call("report", "frist", *uri, status=2)
    assert "mlflow.db" in call("report", "first", status=2)


@pytest.mark.usefixtures("page")
def test_show_and_report_start_without_ray_and_torch(uri: list[str], tmp_path: Path) -> None:
    assert_start_light([["show", "first", *uri], ["report", "first", "--no-open", *uri]], tmp_path)
