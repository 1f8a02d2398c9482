import io

import numpy as np
import pytest
from PIL import Image

from tune_paddy.core.errors import InputError
from tune_paddy.data.alike import split_alike
from tune_paddy.data.dataset import Dataset


def scene(camera, number, side=96):
    """A photo of a fixed camera: photos of one camera differ by noise and a scratch only."""
    fixed = np.random.default_rng([7, camera])
    board = np.full((side, side), 60.0)
    for _ in range(30):
        y, x, height, width = fixed.integers(6, side - 30, 4)
        board[y : y + height // 3, x : x + width // 3] = fixed.integers(30, 230)
    rng = np.random.default_rng([camera, number])
    if number % 2:
        y, x = rng.integers(10, side - 30, 2)
        board[y : y + 3, x : x + 12] = 250
    return Image.fromarray(np.clip(board + rng.normal(0, 6, board.shape), 0, 255).astype(np.uint8))


@pytest.mark.parametrize("cameras", [1, 3])
def test_photos_of_a_fixed_camera_are_no_copies_of_each_other_but_brightened_ones_are(tmp_path, cameras):
    for number in range(36 * cameras):
        folder = tmp_path / ("good", "scratch")[number % 2]
        folder.mkdir(exist_ok=True)
        image = scene(number % cameras, number)
        image.save(folder / f"{number:02d}.png")
        if number < 4:
            image.point(lambda value: value * 0.95).save(folder / f"{number:02d}-copy.png")
    dataset = Dataset.open(tmp_path)
    copied = {frozenset(group) for group in dataset.report.groups}
    for number in range(4):
        name = f"{('good', 'scratch')[number % 2]}/{number:02d}"
        assert any({f"{name}.png", f"{name}-copy.png"} <= group for group in copied)
    assert max(map(len, copied)) <= 5
    assert sum(map(len, copied)) < len(dataset.labelled) / 2
    assert any("look alike as a whole" in note for note in dataset.report.notes)


def test_parts_with_a_scratch_at_the_same_place_are_no_copies():
    """Of 24 photos three have a scratch at each of four places; the last two are a photo and its copy."""
    rng = np.random.default_rng(0)
    photos = np.repeat(rng.integers(60, 190, (1, 16, 16, 3)), 24, axis=0) + rng.normal(0, 3, (24, 16, 16, 3))
    for number in range(12):
        photos[number, 4 * (number % 4), 3:9] += 60
    photos[23] = photos[22] * 1.1 + rng.normal(0, 1, (16, 16, 3))
    thumbnails = np.clip(photos.round(), 0, 255).astype(np.uint8)
    groups, divided = split_alike(np.zeros(24, np.int64), thumbnails, np.repeat([0, 1], 12))
    assert divided == 24
    assert groups[22] == groups[23]
    assert len(set(groups.tolist())) == 23


def test_identical_images_stay_together_however_many(folders, photo):
    for number in range(12):
        photo(40).save(folders / "cat" / f"same{number}.png")
    dataset = Dataset.open(folders)
    assert [len(group) for group in dataset.report.groups] == [12]


def test_a_class_of_a_fixed_camera_is_divided_however_small(tmp_path):
    for number in range(8):
        folder = tmp_path / ("good", "other")[number % 2]
        folder.mkdir(exist_ok=True)
        scene(number % 2, 2 * number).save(folder / f"{number}.png")
    assert not Dataset.open(tmp_path).report.groups


def test_a_label_of_a_fixed_camera_is_divided_whatever_labels_its_images_have_beside_it(tmp_path):
    rows = []
    for number in range(12):
        scene(number // 9, 2 * number).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{'cut|' * (number // 9)}{('good', 'bad', 'worn')[number % 3]}")
    (tmp_path / "train.csv").write_text("\n".join(["image,labels", *rows]) + "\n")
    assert not Dataset.open(tmp_path).report.groups


def test_an_ordinary_group_of_copies_is_not_divided(folders, photo):
    """Seven versions of one photo are plausible, whatever their share."""
    for quality in range(60, 95, 5):
        file = io.BytesIO()
        photo(40).save(file, "JPEG", quality=quality)
        (folders / "cat" / f"{quality}.jpg").write_bytes(file.getvalue())
    assert [len(group) for group in Dataset.open(folders).report.groups] == [7]


def test_no_group_is_left_that_is_too_large():
    """Pictures that vary in one direction correlate even without their mean: they are no copies either."""
    base, change = np.random.default_rng(0).integers(60, 190, (2, 8, 8, 3))
    thumbnails = np.stack([base + (change - 125) * step / 40 for step in range(40)]).astype(np.uint8)
    groups, divided = split_alike(np.zeros(40, np.int64), thumbnails, np.repeat([0, 1], 20))
    assert divided == 40
    assert np.bincount(groups).max() <= 8


def test_copies_are_what_a_person_says(folders, photo):
    photo(0).save(folders / "cat" / "equal.bmp")
    photo(2).save(folders / "cat" / "similar.jpg")
    sizes = {kind: sorted(map(len, Dataset.open(folders, copies=kind).report.groups)) for kind in KINDS}
    assert sizes == {"near": [2, 2], "exact": [2], "off": []}
    with pytest.raises(InputError, match="`copies` is one of exact, near, off, not 'none'"):
        Dataset.open(folders, copies="none")


KINDS = ("near", "exact", "off")
