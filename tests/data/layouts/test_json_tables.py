"""Tables of labels in JSON beside images: read, refused, or none; images are empty files."""

import json
import time
from contextlib import suppress

import pytest

from tests.data.layouts.made import CLASSES, facts, make, refusal, table
from tune_paddy.core.errors import InputError
from tune_paddy.data.layouts.detect import list_dataset


@pytest.fixture
def cameras(tmp_path):
    """Images in the folders of two cameras, which are no classes."""
    rows = [(f"camera_{'ab'[k % 2]}/{k:04d}.jpg", CLASSES[k % 3]) for k in range(12)]
    make(tmp_path, *(name for name, _ in rows))
    return tmp_path, rows


def records(rows):
    return [{"file_name": name, "label": label} for name, label in rows]


def lines(values):
    return "".join(f"{json.dumps(value)}\n" for value in values)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("metadata.jsonl", lambda rows: lines(records(rows))),
        ("labels.ndjson", lambda rows: lines(records(rows))),
        ("meta/v1/labels.json", lambda rows: lines(records(rows))),
        ("labels.json", lambda rows: json.dumps(records(rows))),
        ("labels.json", lambda rows: json.dumps(records(rows), indent=2)),
        ("train.json", lambda rows: json.dumps(dict(rows))),
        ("labels.JSON", lambda rows: json.dumps({name: [label] for name, label in rows})),
    ],
)
def test_a_table_of_labels_in_json_is_read(cameras, name, write):
    root, rows = cameras
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(write(rows))
    listing = list_dataset(root)
    assert listing.labelled["label"].tolist() == [label for _, label in rows]
    assert listing.left_out == ()
    assert facts(root, labels=name) == facts(root) == (12, list(CLASSES), 0)


def test_the_dataset_may_be_named_by_its_table(cameras):
    root, rows = cameras
    (root / "metadata.jsonl").write_text(lines(records(rows)))
    assert facts(root / "metadata.jsonl") == (12, list(CLASSES), 0)


def test_a_folder_of_hugging_face_is_read(tmp_path):
    make(tmp_path, *(f"train/{k}.png" for k in range(6)), *(f"test/t{k}.png" for k in range(3)))
    (tmp_path / "train" / "metadata.jsonl").write_text(
        lines({"file_name": f"{k}.png", "label": k % 2, "site": None} for k in range(6))
    )
    (tmp_path / "test" / "metadata.jsonl").write_text(lines({"file_name": f"t{k}.png"} for k in range(3)))
    assert facts(tmp_path) == (6, ["0", "1"], 3)


def test_lists_are_several_labels(cameras):
    root, rows = cameras
    several = {name: [["rust"], ["scab", "rust"], []][k % 3] for k, (name, _) in enumerate(rows)}
    (root / "labels.json").write_text(json.dumps(several))
    assert set(list_dataset(root).labelled["label"]) == {"rust", "rust|scab", ""}


@pytest.mark.parametrize("values", ["xy", ([640, 480], [480, 640])], ids=["cameras", "sizes"])
def test_an_object_of_something_else_does_not_win_against_class_folders(cameras, values):
    root, rows = cameras
    (root / "about.json").write_text(json.dumps({name: values[k % 2] for k, (name, _) in enumerate(rows)}))
    assert "about.json: names 12 of 12 images in the folders camera_a, camera_b, with other" in refusal(root)
    assert facts(root, labels="folders") == (12, ["camera_a", "camera_b"], 0)
    assert facts(root, labels="about.json")[0] == 12


COCO = {
    "info": {"year": 2024},
    "images": [{"id": 1, "file_name": "0000.jpg"}, {"id": 2, "file_name": "camera_b\\/0001.jpg"}],
    "categories": [{"id": 7, "name": "blast"}],
    "annotations": [{"image_id": 1, "category_id": 7}],
}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("coco.json", COCO, "coco.json:1: label of info holds more than a text, a number or a list of them"),
        ("a.json", [["0000.jpg", "blast"], ["0001.jpg", "healthy"]], "a.json:1: is no record such as"),
        ("a.json", {"a": ["0000.jpg", "x.jpg"], "b": ["0001.jpg", "y.jpg"]}, "a.json: 2 images missing"),
        (
            "a.json",
            [{"label": label, "files": [f"{k}.jpg", "0000.jpg", "0001.jpg"]} for k, label in enumerate("ab")],
            "a.json: no key of its records names images alone: save the table as CSV",
        ),
        ("a.jsonl", '{"file_name": "0000.jpg"}\n{"file_name": "0001.jpg"', "a.jsonl:2: is not valid JSON"),
        ("a.json", "// corrected\n{'a': \"0000.jpg\", 'b': \"0001.jpg\"}", "a.json:1: is not valid JSON"),
    ],
    ids=["coco", "lists", "images of labels", "files of labels", "cut off", "no JSON"],
)
def test_other_json_that_names_images_is_refused_in_one_line(cameras, name, content, reason):
    root, _ = cameras
    (root / name).write_text(content if isinstance(content, str) else json.dumps(content))
    message = refusal(root)
    assert reason in message
    assert (
        "; it names 2 images of the dataset; give `labels=FILE` to read one, or `labels=folders`" in message
    )
    assert "\n" not in message
    assert facts(root, labels="folders") == (12, ["camera_a", "camera_b"], 0)


def test_a_table_in_json_has_the_errors_of_a_table(cameras):
    root, rows = cameras
    (root / "a.jsonl").write_text(lines(records([*rows, rows[0]])))
    assert "a.jsonl:13: duplicate image camera_a/0000.jpg, first in line 1" in refusal(root)
    (root / "a.jsonl").write_text(lines(records([*rows, ("gone.jpg", "blast")])))
    assert "a.jsonl: 1 image missing" in refusal(root)
    (root / "a.jsonl").write_text(lines(records([*rows[:5], (rows[5][0], None), *rows[6:]])))
    assert "a.jsonl:6: has no label" in refusal(root)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("label_num_to_disease_map.json", {"0": "Blight (CBB)", "1": "Streak (CBSD)", "2": "Healthy"}),
        ("classes.json", [{"id": 0, "label": "blast"}, {"id": 1, "label": "healthy"}]),
        ("splits.json", {"train": ["camera_a/0000.jpg", "camera_b/0001.jpg"], "val": ["camera_a/0002.jpg"]}),
        ("config.json", {"thumbnail": "camera_a/0000.jpg", "size": [224, 224], "model": {"name": "x"}}),
        ("images.json", ["camera_a/0000.jpg", "camera_b/0001.jpg"]),
        ("coco.json", {**COCO, "images": [{"id": 1, "file_name": "x.jpg"}, {"id": 2, "file_name": "y.jpg"}]}),
        ("captions.jsonl", '{"text": "a"}\n{"text"'),
        ("empty.json", ""),
        ("deep.json", "[" * 100_000),
    ],
)
def test_json_that_gives_no_image_a_label_is_left_out(cameras, name, content):
    root, rows = cameras
    (root / name).write_text(content if isinstance(content, str) else json.dumps(content))
    assert facts(root) == (12, ["camera_a", "camera_b"], 0)
    assert [(kind.what, kind.examples) for kind in list_dataset(root).left_out] == [
        (f".{name.rpartition('.')[2]} file", (name,))
    ]
    table(root / "labels.csv", [("image", "label"), *rows])
    assert facts(root) == (12, list(CLASSES), 0)


def test_files_of_single_images_are_left_out(tmp_path):
    make(tmp_path, *(f"{label}/{k}.jpg" for label in CLASSES for k in range(3)))
    for label in CLASSES:
        for k in range(3):
            (tmp_path / label / f"{k}.json").write_text(json.dumps({"imagePath": f"{k}.jpg", "shapes": []}))
    assert facts(tmp_path) == (9, list(CLASSES), 0)


@pytest.mark.parametrize("unit", ['"\\"', '"0000.jpg', "[", '{"a":', "\\", '"\\\n', '{"a":1}\n', "[1],"])
def test_the_time_is_linear_in_the_size(cameras, unit):
    root, _ = cameras

    def seconds(count):
        (root / "a.json").write_text(f'["x" {unit * count}')
        start = time.process_time()
        with suppress(InputError):
            list_dataset(root)
        return time.process_time() - start

    seconds(10)
    assert seconds(100_000) < 5
