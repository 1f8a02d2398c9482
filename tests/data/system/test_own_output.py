import pytest

from tune_paddy.data.image_table import HEADER
from tune_paddy.data.system.own_output import (
    MARKER,
    are_answers,
    is_output,
    is_own_dataset,
    is_search,
    mark_output,
    mark_sample,
    table_kind,
)


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_a_new_folder_is_marked_and_recognised(tmp_path):
    mark_output(tmp_path / "runs" / "first")
    assert is_output("first", names(tmp_path / "runs" / "first"))
    assert is_search(names(tmp_path / "runs" / "first"))


def test_a_folder_with_other_files_is_not_marked(tmp_path):
    (tmp_path / "photo.jpg").touch()
    mark_output(tmp_path)
    assert names(tmp_path) == ["photo.jpg"]


def test_marking_again_changes_nothing(tmp_path):
    mark_output(tmp_path)
    before = (tmp_path / MARKER).stat().st_mtime_ns
    mark_output(tmp_path)
    assert (tmp_path / MARKER).stat().st_mtime_ns == before


def test_sample_images_are_a_dataset_but_no_results(tmp_path):
    mark_sample(tmp_path)
    assert is_own_dataset(names(tmp_path))
    assert not is_output("digits", names(tmp_path))


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("0a" * 16, True),
        (f"m-{'0a' * 16}", True),
        (f"tr-{'0a' * 16}", True),
        (f"x-{'0a' * 16}", False),
        ("0a" * 15, False),
        ("photos", False),
    ],
)
def test_a_run_model_or_trace_of_mlflow_is_recognised_by_its_name_and_its_artifacts(name, written):
    assert is_output(name, ["artifacts"]) == written
    assert not is_output(name, ["1.jpg"])


def test_answers_of_predict_are_recognised_by_their_columns():
    from tune_paddy.serving.answers import COLUMNS  # noqa: PLC0415 it belongs to this test alone

    assert are_answers(COLUMNS, [])
    assert are_answers(COLUMNS[:5], [])
    assert not are_answers(("file", "label", "width"), [])


def test_the_table_of_the_label_doctor_is_recognised_by_its_columns():
    from tune_paddy.ensemble.doctor.write import COLUMNS  # noqa: PLC0415 it belongs to this test alone

    assert table_kind(COLUMNS, []) == "suspects of tune-paddy data doctor"
    assert table_kind(("id", "label"), []) == ""


def test_the_table_of_a_searchs_images_is_recognised_by_its_columns():
    assert table_kind(HEADER, []) == "images of a search"


@pytest.mark.parametrize(
    ("row", "answers"),
    [
        (("a.jpg", "cat|dog", "0.700000", "0.600000"), True),
        (("a.jpg", "", "0.000000", "1.000000"), True),
        (("a.jpg", "cat", "1", "0"), False),
        (("a.jpg", "eel", "0.700000", "0.600000"), False),
    ],
)
def test_answers_with_several_labels_are_recognised_by_their_fractions(row, answers):
    assert are_answers(("file", "labels", "cat", "dog"), [row]) == answers
    assert not are_answers(("file", "labels"), [row[:2]])
