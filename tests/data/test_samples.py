import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn import datasets
from sklearn.datasets import load_digits
from sklearn.utils import Bunch

from tune_paddy.core.errors import InputError
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.images import load_rgb
from tune_paddy.data.samples import DEMO_NOISE, SIDE, TEST_LABELS, _with_noise, score_submission, write_digits
from tune_paddy.data.submission.files import check_submission, write_submission
from tune_paddy.data.submission.form import SubmissionFormat


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return write_digits(tmp_path_factory.mktemp("data") / "digits")


@pytest.fixture
def few(monkeypatch):
    """Let there be only 200 digits, for tests that write them several times."""
    every = load_digits()
    some = Bunch(images=every.images[:200], target=every.target[:200])
    monkeypatch.setattr(datasets, "load_digits", lambda: some)


def write(path, ids, labels):
    write_submission(path, ids, np.empty((len(ids), 0)), labels, SubmissionFormat(), classes=())


def snapshot(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_the_digits_are_a_dataset_of_1797_images_without_copies(digits):
    dataset = Dataset.open(digits)
    assert dataset.layout == "a table of labels"
    assert dataset.classes == tuple("0123456789")
    assert (len(dataset.labelled), len(dataset.test)) == (1438, 359)
    assert len(np.unique(dataset.groups)) == 1438
    assert dataset.report.lines() == []


def test_every_image_is_its_scan(digits):
    """Averaged back to 8 × 8 px, each is nearest to its own original; every seventh is tested."""
    originals = load_digits().images[::7] * (255 / 16)
    paths = sorted(digits.rglob("*.png"), key=lambda path: path.name)[::7]
    small = np.stack([np.asarray(load_rgb(path).convert("L").resize((8, 8)), float) for path in paths])
    distances = np.abs(small[:, None] - originals[None]).mean(axis=(2, 3))
    assert distances.argmin(axis=1).tolist() == list(range(len(originals)))


def test_without_noise_images_are_exactly_the_enlarged_scans(digits):
    originals = load_digits().images
    for path in sorted(digits.rglob("*.png"))[::50]:
        scan = np.rint(originals[int(path.stem)] * (255 / 16)).astype(np.uint8)
        enlarged = Image.fromarray(scan).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(load_rgb(path).convert("L"), enlarged)


@pytest.mark.usefixtures("few")
def test_noise_is_added_to_the_scans_and_depends_only_on_the_seed(tmp_path):
    """The split and the labels do not change."""
    digits = write_digits(tmp_path / "digits")
    noisy, again, other = (
        write_digits(tmp_path / name, noise=DEMO_NOISE, seed=seed)
        for name, seed in (("noisy", 0), ("again", 0), ("other", 1))
    )
    first = "test_images/" + min(path.name for path in (noisy / "test_images").iterdir())
    contents = [
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (digits, noisy, again, other)
    ]
    clean = {name: content for name, content in contents[0].items() if name.suffix == ".csv"}
    assert contents[0].keys() == contents[1].keys()
    assert clean.items() <= contents[1].items()
    assert contents[1] == contents[2]
    assert contents[1] != contents[3]
    assert (digits / first).read_bytes() != (noisy / first).read_bytes()


def test_noise_has_the_given_deviation_and_stays_within_the_scale():
    grey = np.full((100, 8, 8), 8.0)  # half of the full scale
    noisy = _with_noise(grey, DEMO_NOISE, np.random.default_rng(0))
    assert noisy.std() == pytest.approx(16 * DEMO_NOISE, rel=0.05)
    assert noisy.mean() == pytest.approx(8, abs=0.2)
    dark = _with_noise(grey - 8, DEMO_NOISE, np.random.default_rng(0))
    bright = _with_noise(grey + 8, DEMO_NOISE, np.random.default_rng(0))
    assert (dark.min(), bright.max()) == (0, 16)


def test_test_images_are_a_share_of_every_digit_and_their_labels_are_kept_apart(digits):
    truth = pd.read_csv(digits / TEST_LABELS)
    np.testing.assert_allclose(np.bincount(truth["label"]), 0.2 * np.bincount(load_digits().target), atol=1)
    sample = pd.read_csv(digits / "sample_submission.csv")
    assert sample["image_id"].tolist() == truth["image_id"].tolist()
    assert set(sample["label"]) == {0}


def test_a_second_call_changes_nothing(digits):
    before = snapshot(digits)
    write_digits(digits)
    assert snapshot(digits) == before


@pytest.mark.usefixtures("few")
def test_a_half_written_folder_is_completed(tmp_path):
    folder = write_digits(tmp_path / "digits")
    whole = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("[!.]*") if path.is_file()}
    (folder / "train.csv").write_text("image_id,la")
    (folder / "sample_submission.csv").unlink()
    next((folder / "test_images").iterdir()).write_bytes(b"\x89PNG")
    (folder / ".DS_Store").touch()
    write_digits(folder)
    assert {p.relative_to(folder): p.read_bytes() for p in folder.rglob("[!.]*") if p.is_file()} == whole


def test_a_folder_with_other_data_is_left_alone(kaggle):
    before = snapshot(kaggle)
    with pytest.raises(InputError, match=r"holds other files, such as test_images/200000\.jpg"):
        write_digits(kaggle)
    assert snapshot(kaggle) == before


def test_digits_of_another_seed_are_not_mixed_in(digits):
    with pytest.raises(InputError, match="holds other files"):
        write_digits(digits, seed=1)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "digits").touch()
    with pytest.raises(InputError, match="is a file: name a folder"):
        write_digits(tmp_path / "digits")


def test_the_score_counts_correct_labels_in_any_order(digits, tmp_path):
    truth = pd.read_csv(digits / TEST_LABELS, dtype=str).sample(frac=1, random_state=0)
    answers = truth["label"].to_numpy().copy()
    answers[:36] = [str((int(label) + 1) % 10) for label in answers[:36]]
    path = tmp_path / "submission.csv"
    write(path, truth["image_id"].tolist(), answers.tolist())
    assert score_submission(path, digits / TEST_LABELS) == (359 - 36) / 359


def test_the_true_labels_match_the_sample_submission(digits):
    check_submission(digits / TEST_LABELS, digits / "sample_submission.csv", list("0123456789"))


def test_a_submission_of_other_images_gets_no_score(digits, tmp_path):
    write(tmp_path / "s.csv", ["x.png"], ["1"])
    with pytest.raises(InputError, match="lacks 359 images"):
        score_submission(tmp_path / "s.csv", digits / TEST_LABELS)
