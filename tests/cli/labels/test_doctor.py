import csv
from pathlib import Path

import pytest

import tune_paddy as tp
from tests.cli.conftest import Call
from tests.conftest import Finished
from tune_paddy.core.errors import InputError
from tune_paddy.data.tables.csv_table import read_csv
from tune_paddy.search.plan import SearchPlan


@pytest.mark.documents("data doctor SEARCH")
def test_all_labels_of_a_search_with_folds_are_judged_and_written_as_page_and_table(
    finished: Finished, folded: SearchPlan, call: Call, tmp_path: Path
) -> None:
    uri = finished.store.tracking_uri
    text = call("data", "doctor", "folded", "--to", str(tmp_path / "out"), "--tracking-uri", uri)
    assert "150 labels judged by 4 views" in text
    assert f"--relabel {tmp_path / 'out' / 'labels.csv'}" in text
    assert " --trials=2 --folds=2 " in text
    table = read_csv(tmp_path / "out" / "labels.csv")
    assert table.column("label") == table.column("given")
    assert set(table.column("id")) <= set(folded.dataset.labelled["id"])
    page = (tmp_path / "out" / "labels.html").read_text("utf-8")
    assert page.count("data:image/jpeg;base64,") == len(table.rows) >= 20
    assert "http" not in page.replace("http-equiv", "")


def test_an_edited_table_is_kept_and_two_searches_are_compared_on_its_confirmed_images(
    finished: Finished, folded: SearchPlan, call: Call, tmp_path: Path
) -> None:
    """The search is compared with itself: the difference is nil."""
    uri, path = finished.store.tracking_uri, tmp_path / "labels.csv"
    call("data", "doctor", "folded", "--to", str(tmp_path), "--tracking-uri", uri)
    table = read_csv(path)
    rows = [dict(zip(table.columns, row, strict=True)) | {"confirmed": "yes"} for row in table.rows]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, table.columns)
        writer.writeheader()
        writer.writerows(rows)
    arguments = ("--to", str(tmp_path), "--tracking-uri", uri)
    assert "has been edited" in call("data", "doctor", "folded", *arguments, status=2)
    compared = ("--before", "folded", "--relabel", str(path), "--tracking-uri", uri)
    text = call("data", "doctor", "folded", *compared)
    assert f"{len(rows)} images with a confirmed label" in text
    assert "(+0.0 points, 95 % interval +0.0 to +0.0 points)" in text
    alone = ("--before", "folded", "--tracking-uri", uri)
    assert "was not started with --relabel" in call("data", "doctor", "folded", *alone, status=2)
    assert folded.settings.folds


def test_python_returns_the_same_suspects_as_a_table(finished: Finished, folded: SearchPlan) -> None:
    found = tp.find_label_errors("folded", most=7, tracking_uri=finished.store.tracking_uri)
    assert list(found.table().columns) == ["id", "given", "likelier", "doubt", "votes"]
    assert len(found.table()) == 7
    assert found.table()["doubt"].is_monotonic_decreasing
    assert found.labelled == found.images == len(folded.dataset.labelled)


def test_a_select_split_that_is_too_small_is_refused_with_folds_as_the_way_out(finished: Finished) -> None:
    with pytest.raises(InputError, match="at least 50 images; there are 30") as told:
        tp.find_label_errors("first", tracking_uri=finished.store.tracking_uri)
    assert told.value.options == ("folds",)
