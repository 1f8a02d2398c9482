from collections.abc import Callable
from pathlib import Path

import pytest

from tune_paddy.core.errors import InputError
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.labels.relabel import parse_corrections

Save = Callable[[Path, int], Path]


def written(path: Path, *rows: str) -> Path:
    path.write_text("id,given,label,confirmed\n" + "".join(f"{row}\n" for row in rows))
    return path


def test_labels_are_corrected_and_the_changes_are_named(folders: Path) -> None:
    table = written(folders.parent / "fixes.csv", "cat/0.png,cat,dog,yes", "dog/1.png,dog,dog,")
    dataset = Dataset.open(folders, relabel=table)
    labels = dict(zip(dataset.labelled["id"], dataset.labelled["label"], strict=True))
    assert labels["cat/0.png"] == labels["dog/1.png"] == "dog"
    assert any("1 label changed: cat/0.png cat → dog" in note for note in dataset.report.notes)
    assert dataset.fingerprint != Dataset.open(folders).fingerprint
    assert dataset.options.relabel == str(table)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("cat/9.png,cat,dog,", "is no labelled image"),
        ("cat/0.png,cat,dgo,", "no class of the dataset"),
        ("cat/0.png,cat,,", "has no label"),
        ("cat/0.png,dog,bird,", "no class of the dataset"),
        ("dog/1.png,cat,cat,\ndog/1.png,dog,dog,", "is there twice"),
    ],
)
def test_a_row_that_does_not_match_is_refused_by_its_line(folders: Path, row: str, problem: str) -> None:
    table = written(folders.parent / "fixes.csv", row)
    with pytest.raises(InputError, match=problem) as told:
        Dataset.open(folders, relabel=table)
    assert told.value.options == ("relabel",)
    assert "line " in str(told.value)


def test_a_label_that_has_changed_since_the_table_was_written_is_refused(folders: Path, save: Save) -> None:
    save(folders / "bird" / "7.png", 7)
    table = written(folders.parent / "fixes.csv", "cat/0.png,dog,bird,")
    with pytest.raises(InputError, match="has the label cat in the dataset, but had dog"):
        Dataset.open(folders, relabel=table)


def test_marks_of_confirmed_images_are_read_in_any_spelling(tmp_path: Path) -> None:
    table = written(tmp_path / "fixes.csv", "a,x,x,Yes", "b,x,x,x", "c,x,x,no", "d,x,x,")
    assert [row.confirmed for row in parse_corrections(table)] == [True, True, False, False]


@pytest.fixture
def several(tmp_path: Path, save: Save) -> Path:
    """Eight images with several labels each, separated by blanks."""
    labels = ("rust scab", "scab", "rust", "", "rust scab", "scab", "rust", "spot")
    for number in range(8):
        save(tmp_path / "images" / f"{number}.png", number)
    rows = "".join(f"{number},{label}\n" for number, label in enumerate(labels))
    (tmp_path / "train.csv").write_text(f"image,labels\n{rows}")
    return tmp_path


def test_several_labels_are_corrected_in_any_order_to_new_combinations_and_to_none(several: Path) -> None:
    table = written(
        several / "fixes.txt", "0,scab|rust,spot|scab,", "1,scab,,x", "2,rust,spot rust,", "3,,rust,"
    )
    dataset = Dataset.open(several, labels="train.csv", relabel=table)
    assert dataset.labelled["label"].tolist()[:4] == ["scab|spot", "", "rust|spot", "rust"]
    assert any(
        "4 labels changed: 0 rust|scab → scab|spot, 1 scab → no label" in n for n in dataset.report.notes
    )


def test_each_of_several_labels_is_checked_by_its_name(several: Path) -> None:
    table = written(several / "fixes.txt", "0,rust|scab,rust|scb,")
    with pytest.raises(
        InputError, match="the label scb, which is no class of the dataset; did you mean 'scab'"
    ):
        Dataset.open(several, labels="train.csv", relabel=table)


def test_a_submission_is_of_the_classes_that_corrections_leave(folders: Path, save: Save) -> None:
    save(folders / "bird" / "7.png", 7)
    save(folders / "test" / "8.png", 8)
    table = written(folders / "fixes.txt", "bird/7.png,bird,cat,")
    sample = folders / "sample_submission.csv"
    sample.write_text("image,cat,dog\n8.png,0.5,0.5\n")
    dataset = Dataset.open(folders, relabel=table)
    assert dataset.submission.classes == dataset.classes == ("cat", "dog")
    sample.write_text("image,bird,cat,dog\n8.png,0.2,0.3,0.5\n")
    with pytest.raises(InputError, match=r"1 column that is no class \(bird\)"):
        Dataset.open(folders, relabel=table)
