import shutil

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from tune_paddy.core.errors import InputError
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.submission.form import SubmissionFormat


def refusal(path, **options):
    with pytest.raises(InputError) as caught:
        Dataset.open(path, **options)
    return str(caught.value)


def add(folders, name, image):
    path = folders / name
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


# --- contents ------------------------------------------------------------------------------------------


@pytest.fixture
def fixed_camera(tmp_path):
    """Photographs of one scene: 12 of each of two classes, which differ by noise and by a scratch."""
    scene = np.random.default_rng(7).integers(40, 220, (8, 8, 3)).repeat(8, 0).repeat(8, 1)
    for k in range(24):
        rng = np.random.default_rng(k)
        pixels = scene + rng.normal(0, 6, scene.shape)
        if k % 2:
            row, column = rng.integers(4, 50, 2)
            pixels[row : row + 2, column : column + 10] = 250
        path = tmp_path / ("good", "scratch")[k % 2] / f"{k:02d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)
    return tmp_path


def test_a_copied_file_of_a_fixed_camera_is_still_a_copy(fixed_camera):
    shutil.copy(fixed_camera / "good" / "00.png", fixed_camera / "good" / "again.png")
    for copies in (None, "near", "exact"):
        assert len(np.unique(Dataset.open(fixed_camera, copies=copies).groups)) == 24
    assert len(np.unique(Dataset.open(fixed_camera, copies="off").groups)) == 25


def test_a_dataset_has_its_images_classes_and_form(kaggle):
    dataset = Dataset.open(kaggle)
    assert (dataset.root, dataset.layout) == (kaggle, "a table of labels")
    assert dataset.classes == ("blast", "hispa", "normal")
    assert len(dataset.labelled) == 12
    assert dataset.labelled.columns.tolist() == ["id", "path", "label", "variety", "age"]
    assert dataset.test["id"].tolist() == ["200002.jpg", "200000.jpg", "200001.jpg"]
    assert dataset.submission == SubmissionFormat("image_id", "label")
    assert dataset.groups.tolist() == list(range(12))
    assert dataset.report.lines() == []


def test_the_three_layouts_of_the_same_images_have_the_same_groups(folders):
    by_folder = Dataset.open(folders)
    rows = zip(by_folder.labelled["id"], by_folder.labelled["label"], strict=True)
    (folders / "labels.csv").write_text("path,label\n" + "".join(f"{name},{label}\n" for name, label in rows))
    by_table = Dataset.open(folders / "labels.csv")
    assert by_table.labelled.equals(by_folder.labelled)
    assert by_table.fingerprint == by_folder.fingerprint


def test_parts_of_class_folders_and_a_table_of_each_part_have_the_same_fingerprint(tmp_path, save):
    names = [f"{part}/{('cat', 'dog')[k % 2]}/{k}.png" for part in ("train", "val") for k in range(6)]
    for seed, name in enumerate(names):
        save(tmp_path / name, seed)
    by_folder = Dataset.open(tmp_path)
    for part in ("train", "val"):
        rows = [f"{name},{name.split('/')[1]}" for name in names if name.startswith(part)]
        (tmp_path / f"{part}.csv").write_text("\n".join(("path,label", *rows)))
    by_tables = Dataset.open(tmp_path)
    assert by_tables.description.labels.startswith("train.csv and val.csv, column label")
    assert by_tables.fingerprint == by_folder.fingerprint


def test_classes_are_sorted_in_any_order_of_the_table(kaggle):
    header, *rows = (kaggle / "train.csv").read_text().splitlines(keepends=True)
    (kaggle / "train.csv").write_text(header + "".join(reversed(rows)))
    assert Dataset.open(kaggle).classes == ("blast", "hispa", "normal")


# --- the fingerprint -----------------------------------------------------------------------------------


def test_the_fingerprint_does_not_depend_on_location_or_order(kaggle, tmp_path_factory):
    before = Dataset.open(kaggle).fingerprint
    elsewhere = shutil.copytree(kaggle, tmp_path_factory.mktemp("copy") / "paddy")
    header, *rows = (elsewhere / "train.csv").read_text().splitlines(keepends=True)
    (elsewhere / "train.csv").write_text(header + "".join(reversed(rows)))
    assert Dataset.open(elsewhere, jobs=1).fingerprint == before
    assert len(before) == 16
    assert int(before, 16) >= 0


def change_content(root, save):
    save(root / "train_images" / "blast" / "100330.jpg", 99)


def change_test_content(root, save):
    save(root / "test_images" / "200000.jpg", 99)


def change_label(root, _save):
    image = root / "train_images" / "blast" / "100330.jpg"
    image.rename(root / "train_images" / "hispa" / "100330.jpg")
    text = (root / "train.csv").read_text()
    (root / "train.csv").write_text(text.replace("100330.jpg,blast", "100330.jpg,hispa"))


def change_name(root, _save):
    image = root / "train_images" / "blast" / "100330.jpg"
    image.rename(image.with_name("new.jpg"))
    text = (root / "train.csv").read_text()
    (root / "train.csv").write_text(text.replace("100330.jpg", "new.jpg"))


@pytest.mark.parametrize("change", [change_content, change_test_content, change_label, change_name])
def test_the_fingerprint_reflects_every_change(kaggle, save, change):
    before = Dataset.open(kaggle).fingerprint
    change(kaggle, save)
    assert Dataset.open(kaggle).fingerprint != before


# --- images that cannot be decoded ---------------------------------------------------------------------


@pytest.fixture
def damaged(kaggle):
    (kaggle / "train_images" / "blast" / "100330.jpg").write_bytes(b"")
    whole = (kaggle / "train_images" / "hispa" / "100331.jpg").read_bytes()
    (kaggle / "train_images" / "hispa" / "100331.jpg").write_bytes(whole[: len(whole) // 2])
    return kaggle


def test_all_images_that_cannot_be_decoded_are_listed(damaged):
    message = refusal(damaged)
    assert "2 images cannot be decoded; copy them again, or skip them with `skip_corrupt`" in message
    assert f"\n  {damaged}/train_images/blast/100330.jpg: is empty" in message
    assert f"\n  {damaged}/train_images/hispa/100331.jpg: cannot be decoded: " in message


def test_a_flag_skips_them_and_the_report_lists_them(damaged):
    dataset = Dataset.open(damaged, skip_corrupt=True)
    assert len(dataset.labelled) == len(dataset.groups) == 10
    assert dataset.labelled.index.tolist() == list(range(10))
    assert not dataset.labelled["id"].isin(["100330.jpg", "100331.jpg"]).any()
    assert dataset.report.lines()[0].startswith("2 images skipped, cannot be decoded:")


def test_an_image_of_the_sample_submission_cannot_be_skipped(damaged):
    (damaged / "test_images" / "200001.jpg").write_bytes(b"no image")
    message = refusal(damaged, skip_corrupt=True)
    assert "1 image cannot be decoded" in message
    assert "sample_submission.csv lists them" in message
    assert "test_images/200001.jpg: is not an image of a known format" in message


def test_without_a_sample_a_test_image_can_be_skipped(damaged):
    (damaged / "sample_submission.csv").unlink()
    (damaged / "test_images" / "200001.jpg").write_bytes(b"no image")
    dataset = Dataset.open(damaged, skip_corrupt=True)
    assert dataset.test["id"].tolist() == ["200000.jpg", "200002.jpg"]
    assert len(dataset.labelled) == 10


def test_a_long_list_is_truncated(folders):
    for number in range(50):
        (folders / "cat" / f"bad{number}.png").write_bytes(b"bad")
    assert refusal(folders).endswith("and 30 more")


def test_a_class_without_a_valid_image_is_refused(folders):
    for path in (folders / "dog").iterdir():
        path.write_bytes(b"")
    assert "no image of class dog can be used" in refusal(folders, skip_corrupt=True)


def test_a_dataset_of_one_class_is_refused_with_its_layout(folders):
    shutil.rmtree(folders / "dog")
    assert "was read as a folder per class: all images have the label cat" in refusal(folders)


def test_a_class_that_is_named_like_a_part_is_one_where_a_person_says_so(tmp_path):
    """As in trials, which compare a control with a test."""
    for k in range(8):
        pixels = np.random.default_rng(k).integers(0, 255, (8, 8, 3), np.uint8)
        add(tmp_path, f"{('control', 'test')[k % 2]}/{k}.png", Image.fromarray(pixels))
    told = refusal(tmp_path)
    assert "all images have the label control (to predict: the images in test)" in told
    assert "give `images=FOLDER` to read every folder in it as a class" in told
    assert Dataset.open(tmp_path, images=tmp_path).classes == ("control", "test")


# --- copies --------------------------------------------------------------------------------------------


def test_copies_are_one_group_and_reported(folders, photo):
    add(folders, "cat/same.png", photo(0))
    add(folders, "cat/smaller.png", photo(0).resize((44, 33)))
    add(folders, "cat/brighter.png", ImageEnhance.Brightness(photo(0)).enhance(0.9))
    dataset = Dataset.open(folders)
    group = dict(zip(dataset.labelled["id"], dataset.groups, strict=True))
    copies = ("cat/0.png", "cat/brighter.png", "cat/same.png", "cat/smaller.png")
    assert {group[name] for name in copies} == {group["cat/0.png"]}
    assert len(np.unique(dataset.groups)) == 6
    assert dataset.report.groups == (copies,)
    assert "1 group of copies, 4 images" in dataset.report.lines()[0]


def test_test_images_that_are_copies_of_labelled_ones_are_reported(folders, photo):
    add(folders, "test/known.png", photo(1))
    add(folders, "test/new.png", photo(77))
    dataset = Dataset.open(folders)
    assert dataset.report.test_copies == (("known.png", "dog/1.png"),)
    assert dataset.report.groups == ()


@pytest.mark.parametrize("form", ["png", "bmp"])
def test_the_same_image_under_two_labels_is_refused_with_both_names(folders, photo, form):
    """The copy has the same bytes, or the same pixels in another format."""
    twin = add(folders, f"dog/twin.{form}", photo(0))
    message = refusal(folders)
    assert "1 image with several labels" in message
    assert f"{folders}/cat/0.png (cat) = {twin} (dog)" in message
    assert "`skip_conflicts`" in message


def test_a_flag_skips_every_copy_and_the_report_lists_them(folders, photo):
    add(folders, "dog/twin.png", photo(0))
    add(folders, "cat/third.png", photo(0))
    dataset = Dataset.open(folders, skip_conflicts=True)
    assert dataset.report.conflicts == ("cat/0.png", "cat/third.png", "dog/twin.png")
    assert len(dataset.labelled) == len(dataset.groups) == 5
    assert dataset.groups.tolist() == list(range(5))
    assert dataset.report.groups == ()


def test_similar_images_may_have_two_labels_and_are_reported(folders, photo):
    add(folders, "dog/alike.jpg", photo(0))
    dataset = Dataset.open(folders)
    assert dataset.report.mixed == dataset.report.groups == (("cat/0.png", "dog/alike.jpg"),)
    assert "of these with several labels" in dataset.report.lines()[1]
    assert len(dataset.labelled) == 7


def test_copies_with_one_label_do_not_conflict(folders, photo):
    add(folders, "cat/twin.png", photo(0))
    assert len(Dataset.open(folders).labelled) == 7


def test_a_class_with_only_conflicts_is_refused_by_name(folders):
    for number in (0, 2, 4):
        shutil.copy(folders / "cat" / f"{number}.png", folders / "dog" / f"copy{number}.png")
    assert "no image of class cat can be used" in refusal(folders, skip_conflicts=True)


def test_an_image_that_is_too_large_is_refused_and_named(folders):
    Image.new("1", (30_000, 4_000)).save(folders / "cat" / "huge.png")
    assert "cat/huge.png: has more than 89 million pixels" in refusal(folders)
