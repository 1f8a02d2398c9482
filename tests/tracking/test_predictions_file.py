import dataclasses
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.core.predictions import FoldPredictions, Predictions
from tune_paddy.core.tasks.task import Task
from tune_paddy.tracking.predictions_file import read_predictions, write_predictions

Make = Callable[..., Predictions]


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


def entries(path: Path) -> dict[str, Any]:
    """Every array of a valid file."""
    with np.load(path) as archive:
        return dict(archive)


@pytest.fixture
def path(tmp_path: Path, make_predictions: Make) -> Path:
    """A valid file, to be read or damaged."""
    path = tmp_path / "predictions.npz"
    write_predictions(path, make_predictions())
    return path


def test_what_is_read_is_what_was_written(path: Path, make_predictions: Make) -> None:
    """Reading gives back every name, label and number, with its dtype."""
    written, read = make_predictions(), read_predictions(path)
    assert read.classes == written.classes
    assert read.split == written.split
    for name in ("select_ids", "select_labels", "test_ids"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name), strict=True)
    for part in ("select", "test"):
        assert getattr(read, part).keys() == {"plain", "tta"}
        for view in ("plain", "tta"):
            np.testing.assert_array_equal(
                getattr(read, part)[view], getattr(written, part)[view], strict=True
            )


def test_members_without_a_test_set_round_trip(tmp_path: Path, make_predictions: Make) -> None:
    """A dataset may have no test images."""
    none = {"plain": np.empty((0, 3), np.float32), "tta": np.empty((0, 3), np.float32)}
    predictions = dataclasses.replace(make_predictions(), test_ids=np.array([], np.str_), test=none)
    write_predictions(tmp_path / "p.npz", predictions)
    assert read_predictions(tmp_path / "p.npz").test["tta"].shape == (0, 3)


def with_folds(predictions: Predictions, **changes: Any) -> Predictions:
    """Add predictions of the models of five folds."""
    rng = np.random.default_rng(0)
    select, test = (rng.dirichlet(np.ones(3), (5, n)).astype(np.float16) for n in (6, 4))
    by_fold = FoldPredictions(select, rng.random((5, 6)) < 0.5, test)
    return dataclasses.replace(predictions, by_fold=dataclasses.replace(by_fold, **changes))


def test_predictions_of_each_fold_round_trip_and_may_be_missing(
    tmp_path: Path, path: Path, make_predictions: Make
) -> None:
    """Files of older versions have none."""
    written = with_folds(make_predictions())
    write_predictions(tmp_path / "p.npz", written)
    read = read_predictions(tmp_path / "p.npz").by_fold
    for name in ("select", "trained", "test"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written.by_fold, name), strict=True)
    assert read_predictions(path).by_fold is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"test": np.full((5, 4, 3), 0.5, np.float16)}, "test by fold 0: a row sums to 1.5"),
        ({"select": np.full((5, 5, 3), 1 / 3, np.float16)}, "select by fold 0: shape"),
        ({"trained": np.zeros((4, 6), np.bool_)}, "folds: shape"),
    ],
)
def test_invalid_predictions_of_folds_are_not_written(
    tmp_path: Path, make_predictions: Make, changes: dict[str, Any], reason: str
) -> None:
    """A student would learn from them."""
    with pytest.raises(TunePaddyError, match=reason):
        write_predictions(tmp_path / "p.npz", with_folds(make_predictions(), **changes))


def test_a_part_of_the_predictions_of_folds_is_refused(tmp_path: Path, make_predictions: Make) -> None:
    """The three entries belong together."""
    path = tmp_path / "p.npz"
    write_predictions(path, with_folds(make_predictions()))
    arrays = entries(path)
    del arrays["fold_trained"]
    np.savez(path, allow_pickle=False, **arrays)
    with pytest.raises(InputError, match="it has only select, test"):
        read_predictions(path)


def test_equal_predictions_give_equal_bytes(path: Path, tmp_path: Path, make_predictions: Make) -> None:
    """Clock, width of the text's dtype, order of views and strides do not change the file."""
    same = make_predictions()
    same = dataclasses.replace(
        same,
        select_ids=same.select_ids.astype("<U200"),
        select={view: np.asfortranarray(same.select[view]) for view in ("tta", "plain")},
    )
    write_predictions(tmp_path / "again.npz", same)
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_numpy_alone_reads_the_file(path: Path, make_predictions: Make) -> None:
    """A notebook can read the file without this package."""
    np.testing.assert_array_equal(entries(path)["select_tta"], make_predictions().select["tta"])


def test_a_failed_write_leaves_the_old_file_and_no_other(
    path: Path, make_predictions: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk is full, the old file stays and no temporary file remains."""

    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(TunePaddyError, match="No space left"):
        write_predictions(path, make_predictions(seed=1))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"select": {"plain": np.full((6, 3), np.nan)}}, "views differ|not finite"),
        ({"select_labels": np.full(6, 7)}, "labels range from 7 to 7"),
    ],
)
def test_invalid_predictions_are_not_written(
    tmp_path: Path, make_predictions: Make, change: dict[str, Any], reason: str
) -> None:
    """The record never contains predictions that a pool would refuse."""
    with pytest.raises(TunePaddyError, match=reason):
        write_predictions(tmp_path / "p.npz", dataclasses.replace(make_predictions(), **change))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, make_predictions: Make) -> None:
    """The error says which file could not be written."""
    with pytest.raises(TunePaddyError, match=r"missing.*cannot be written"):
        write_predictions(tmp_path / "missing" / "p.npz", make_predictions())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"select_plain": np.full((6, 3), np.nan, np.float32)}, "not finite"),
        ({"select_plain": np.full((6, 3), 0.5, np.float32)}, "sums to"),
        ({"test_tta": np.array([[2, -0.5, -0.5]] * 4, np.float32)}, "negative"),
        ({"select_plain": np.full((6, 3), 1 / 3)}, "dtype float64"),
        ({"select_plain": np.full((5, 3), 1 / 3, np.float32)}, r"shape \(5, 3\)"),
        ({"select_plain": np.full(6, 1, np.float32)}, "2 dimensions"),
        ({"select_labels": np.array([0, 1, 2, 0, 1, 3])}, "labels range from 0 to 3"),
        ({"select_labels": np.array([0, 1, 2, 0, 1, -1])}, "labels range from -1"),
        ({"select_labels": np.zeros(6, np.int32)}, "dtype int32"),
        ({"select_ids": np.array(["same"] * 6)}, "twice"),
        ({"select_ids": np.empty(6, "V8")}, "where text is needed"),
        ({"classes": np.array(["a", "b", "a"])}, "a class is listed twice"),
        ({"format": np.array(2)}, "format 2"),
        ({"surprise": np.zeros(1)}, "unknown: .'surprise'"),
        ({"select_labels": None}, "missing: .'select_labels'"),
        ({"test_tta": None}, "views differ"),
    ],
)
def test_wrong_content_is_refused_with_the_file_and_a_reason(
    path: Path, change: dict[str, Any], reason: str
) -> None:
    """A one-line error names the file and the entry."""
    arrays = {name: array for name, array in (entries(path) | change).items() if array is not None}
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=f"predictions.npz: .*{reason}") as error:
        read_predictions(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["select_plain", "select_ids", "split", "format"])
def test_no_pickle_is_loaded(path: Path, tmp_path: Path, name: str) -> None:
    """An array of objects is refused before its pickle is loaded, in every entry."""
    trace = tmp_path / "exploded"
    np.savez(path, **(entries(path) | {name: np.array([Bomb(trace)] * 6, object)}))
    with pytest.raises(InputError, match=f"{name} has dtype object"):
        read_predictions(path)
    assert not trace.exists()


def test_a_file_that_unpacks_to_more_than_its_size_is_refused(path: Path) -> None:
    """A zip bomb is refused by the sizes that it declares."""
    np.savez_compressed(path, **(entries(path) | {"select_plain": np.zeros((10**6, 3), np.float32)}))
    with pytest.raises(InputError, match="unpack to more than its own size"):
        read_predictions(path)


def test_compressed_entries_are_refused(path: Path) -> None:
    """Our files are never compressed, so a compressed entry is not ours."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("select_noise.npy", np.random.default_rng(0).bytes(100))
    with pytest.raises(InputError, match=r"select_noise is compressed"):
        read_predictions(path)


@pytest.mark.parametrize(
    ("shape", "descr"),
    [((10**12, 3), "<f4"), ((10**12,), "<U0"), ((-6, -3), "<f4")],
    ids=["more than there is", "a trillion empty strings", "negative"],
)
def test_a_header_that_lies_about_the_shape_takes_no_memory(
    path: Path, shape: tuple[int, ...], descr: str
) -> None:
    """No memory is allocated for a shape that does not match the bytes."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
    name = "select_plain" if "f" in descr else "select_ids"
    arrays = entries(path)
    data = b"" if "U" in descr else arrays[name].tobytes()
    with zipfile.ZipFile(path, "w") as archive:
        for other in arrays.keys() - {name}:
            with archive.open(f"{other}.npy", "w") as entry:
                np.lib.format.write_array(entry, arrays[other])
        archive.writestr(f"{name}.npy", header.getvalue() + data)
    with pytest.raises(InputError, match=name + r"|damaged"):
        read_predictions(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A missing file is reported as missing, not as damaged."""
    with pytest.raises(InputError, match=r"nowhere\.npz: there is no such file"):
        read_predictions(tmp_path / "nowhere.npz")


@settings(max_examples=150)
@given(data=st.data())
def test_a_damaged_file_gives_a_one_line_error_or_valid_predictions(path: Path, data: st.DataObject) -> None:
    """Cut anywhere, with any bytes changed, a file raises no other error."""
    sound = path.read_bytes()
    damaged = bytearray(sound[: data.draw(st.integers(0, len(sound)), label="length")])
    for _ in range(data.draw(st.integers(0, 8), label="changes")):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    target = path.with_name("damaged.npz")
    target.write_bytes(damaged)
    try:
        read = read_predictions(target)
    except InputError as error:
        assert str(target) in str(error)  # noqa: PT017 - either outcome is right
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert read.select["plain"].dtype == np.float32


def several_labels() -> Predictions:
    """Predictions of two independent labels on three select images, without test images."""
    return Predictions(
        classes=("rust", "scab"),
        split="abc",
        select_ids=np.array(["1", "2", "3"]),
        select_labels=np.array([[1, 1], [0, 0], [0, 1]]),
        test_ids=np.array([], np.str_),
        select={"plain": np.array([[0.9, 0.8], [0.1, 0.2], [0.3, 0.6]], np.float32)},
        test={"plain": np.empty((0, 2), np.float32)},
        task=Task.of("multilabel"),
    )


def test_several_labels_an_image_round_trip(tmp_path: Path) -> None:
    """The task and a row of 0 and 1 for each image come back."""
    path = tmp_path / "predictions.npz"
    write_predictions(path, several_labels())
    read = read_predictions(path)
    assert read.task is Task.of("multilabel")
    np.testing.assert_array_equal(read.select_labels, several_labels().select_labels, strict=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": np.array("guess")}, "`task` is one of"),
        ({"task": np.array("classes")}, "one number an image"),
        ({"select_labels": np.array([[1, 2], [0, 0], [0, 1]])}, "0 and 1 are needed"),
        ({"select_labels": np.zeros((3, 2, 1), np.int64)}, "does not match 2 dimensions"),
    ],
)
def test_labels_that_do_not_fit_their_task_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    """A file from elsewhere may say anything."""
    path = tmp_path / "predictions.npz"
    write_predictions(path, several_labels())
    np.savez(path, allow_pickle=False, **(entries(path) | changes))
    with pytest.raises(InputError, match=message):
        read_predictions(path)
