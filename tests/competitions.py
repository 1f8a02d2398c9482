"""Tiny copies of the forms in which image competitions publish their data, each with what is right.

The layouts, the names of files and columns and the samples are those of the public descriptions; pictures,
ids and numbers of images are made up.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tune_paddy.data.submission.form import Kind

SIDE = 32
"""Side of the pictures, in px."""

Rows = Sequence[Sequence[object]]


@dataclass(frozen=True)
class Competition:
    """What is right for a competition's data.

    Attributes:
        labels: Id of a labelled image → text of its label.
        test_ids: Ids to predict, in the sample's order.
        kind: Content of a submission in the sample's form.
        header: Columns of a submission.
        task: What the labels are.
        options: Options that a person has to give.
    """

    labels: Mapping[str, str]
    test_ids: Sequence[str]
    kind: Kind
    header: Sequence[str]
    task: str = "classes"
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def classes(self) -> list[str]:
        """Names of the classes, sorted."""
        return sorted({name for text in self.labels.values() for name in text.split("|") if name})


def cassava(root: Path, n: int = 30) -> Competition:
    """Flat images, ids with suffix, numbers as labels."""
    train, test = _names("{}.jpg", n, 1000), _names("{}.jpg", 6, 5000)
    labels = {name: str(k % 3) for k, name in enumerate(train)}
    _pictures(root / "train_images", labels)
    _pictures(root / "test_images", dict.fromkeys(test, "0"))
    _table(root / "train.csv", [("image_id", "label"), *labels.items()])
    _table(root / "sample_submission.csv", [("image_id", "label"), *((name, 2) for name in test)])
    (root / "label_num_to_disease_map.json").write_text('{"0": "CBB", "1": "CBSD", "2": "CGM"}')
    return Competition(labels, test, Kind.LABELS, ("image_id", "label"))


def aptos(root: Path, n: int = 30) -> Competition:
    """Ids without suffix, grades, a list of test images."""
    train, test = _names("{:012x}", n, 4096), _names("{:012x}", 6, 9001)
    labels = {name: str(k % 5) for k, name in enumerate(train)}
    _pictures(root / "train_images", labels, ".png")
    _pictures(root / "test_images", dict.fromkeys(test, "0"), ".png")
    _table(root / "train.csv", [("id_code", "diagnosis"), *labels.items()])
    _table(root / "test.csv", [("id_code",), *((name,) for name in test)])
    _table(root / "sample_submission.csv", [("id_code", "diagnosis"), *((name, 0) for name in test)])
    return Competition(labels, test, Kind.LABELS, ("id_code", "diagnosis"), "ordered", {"task": "ordered"})


def plant_pathology_2020(root: Path, n: int = 32) -> Competition:
    """A column of 0 and 1 per class, train and test images in one folder, a column of probabilities each."""
    classes = ("healthy", "multiple_diseases", "rust", "scab")
    train, test = _names("Train_{}", n), _names("Test_{}", 6)
    labels = {name: classes[k % 4] for k, name in enumerate(train)}
    _pictures(root / "images", {**labels, **dict.fromkeys(test, "rust")}, ".jpg")
    flags = [(name, *(int(label == one) for one in classes)) for name, label in labels.items()]
    _table(root / "train.csv", [("image_id", *classes), *flags])
    _table(root / "test.csv", [("image_id",), *((name,) for name in test)])
    _table(root / "sample_submission.csv", [("image_id", *classes), *((name, *[0.25] * 4) for name in test)])
    return Competition(labels, test, Kind.PROBABILITIES, ("image_id", *classes))


def plant_pathology_2021(root: Path, n: int = 36) -> Competition:
    """Several labels an image, separated by blanks."""
    written = ("healthy", "scab", "rust", "complex", "scab frog_eye_leaf_spot complex", "frog_eye_leaf_spot")
    train, test = _names("{:016x}.jpg", n, 2**60), _names("{:016x}.jpg", 3, 2**61)
    rows = [(name, written[k % 6]) for k, name in enumerate(train)]
    labels = {name: "|".join(sorted(value.split())) for name, value in rows}
    _pictures(root / "train_images", labels)
    _pictures(root / "test_images", dict.fromkeys(test, "scab"))
    _table(root / "train.csv", [("image", "labels"), *rows])
    _table(root / "sample_submission.csv", [("image", "labels"), *((name, "healthy") for name in test)])
    return Competition(labels, test, Kind.JOINED, ("image", "labels"), "multilabel")


def dog_breeds(root: Path, n: int = 32) -> Competition:
    """Words as labels, a column of probabilities per class, in another order than the sorted one."""
    classes = ("boston_bull", "dingo", "pekinese", "golden_retriever")
    train, test = _names("{:032x}", n, 2**100), _names("{:032x}", 6, 2**101)
    labels = {name: classes[k % 4] for k, name in enumerate(train)}
    _pictures(root / "train", labels, ".jpg")
    _pictures(root / "test", dict.fromkeys(test, "dingo"), ".jpg")
    _table(root / "labels.csv", [("id", "breed"), *labels.items()])
    _table(root / "sample_submission.csv", [("id", *classes), *((name, *[0.25] * 4) for name in test)])
    return Competition(labels, test, Kind.PROBABILITIES, ("id", *classes))


def dogs_vs_cats(root: Path, n: int = 30) -> Competition:
    """Labels in the names of the files, the probability of a dog."""
    train = [f"{('cat', 'dog')[k % 2]}.{k // 2}.jpg" for k in range(n)]
    test = [str(k) for k in (3, 1, 2, 10)]
    labels = {name: name.partition(".")[0] for name in train}
    _pictures(root / "train", labels)
    _pictures(root / "test", dict.fromkeys(test, "cat"), ".jpg")
    _table(root / "sample_submission.csv", [("id", "label"), *((name, 0.5) for name in test)])
    return Competition(labels, test, Kind.PROBABILITY, ("id", "label"))


def leaf(root: Path, n: int = 32) -> Competition:
    """All images in one folder, many columns of numbers beside the label, a column per class."""
    classes = ("Acer_Opalus", "Quercus_Rubra", "Tilia_Platyphyllos", "Zelkova_Serrata")
    ids = [str(k) for k in range(1, n + 7)]
    labels = {name: classes[k % 4] for k, name in enumerate(ids[:n])}
    test = ids[n:]
    rng = np.random.default_rng(0)
    features = tuple(f"{kind}{k}" for kind in ("margin", "shape", "texture") for k in range(1, 65))
    numbers = {name: rng.random(len(features)).round(6).tolist() for name in ids}
    _pictures(root / "images", {**labels, **dict.fromkeys(test, classes[0])}, ".jpg")
    rows = [(name, label, *numbers[name]) for name, label in labels.items()]
    _table(root / "train.csv", [("id", "species", *features), *rows])
    _table(root / "test.csv", [("id", *features), *((name, *numbers[name]) for name in test)])
    _table(root / "sample_submission.csv", [("id", *classes), *((name, *[0.01] * 4) for name in test)])
    return Competition(labels, test, Kind.PROBABILITIES, ("id", *classes))


def plant_seedlings(root: Path, n: int = 30) -> Competition:
    """A folder per class with blanks in its name; the sample lists the test images."""
    classes = ("Black-grass", "Common Chickweed", "Sugar beet")
    labels = {f"{classes[k % 3]}/{k:09x}.png": classes[k % 3] for k in range(n)}
    test = _names("{:09x}.png", 6, 5000)
    _pictures(root / "train", labels)
    _pictures(root / "test", dict.fromkeys(test, "Sugar beet"))
    _table(root / "sample_submission.csv", [("file", "species"), *((name, "Sugar beet") for name in test)])
    return Competition(labels, test, Kind.LABELS, ("file", "species"))


def aerial_cactus(root: Path, n: int = 30) -> Competition:
    """Doubled folders, 0 and 1 as labels, one probability."""
    train, test = _names("{:032x}.jpg", n, 7), _names("{:032x}.jpg", 6, 900)
    labels = {name: str(k % 2) for k, name in enumerate(train)}
    _pictures(root / "train" / "train", labels)
    _pictures(root / "test" / "test", dict.fromkeys(test, "1"))
    _table(root / "train.csv", [("id", "has_cactus"), *labels.items()])
    _table(root / "sample_submission.csv", [("id", "has_cactus"), *((name, 0.5) for name in test)])
    return Competition(labels, test, Kind.PROBABILITY, ("id", "has_cactus"))


def histopathologic(root: Path, n: int = 30) -> Competition:
    """TIFF images, 0 and 1 as labels, and a sample of 0: probabilities, as a person has to say."""
    train, test = _names("{:040x}", n, 7), _names("{:040x}", 6, 900)
    labels = {name: str(k % 2) for k, name in enumerate(train)}
    _pictures(root / "train", labels, ".tif")
    _pictures(root / "test", dict.fromkeys(test, "1"), ".tif")
    _table(root / "train_labels.csv", [("id", "label"), *labels.items()])
    _table(root / "sample_submission.csv", [("id", "label"), *((name, 0) for name in test)])
    options = {"submission_form": "probabilities"}
    return Competition(labels, test, Kind.PROBABILITY, ("id", "label"), options=options)


def diabetic_retinopathy(root: Path, n: int = 30) -> Competition:
    """Names without the suffix .jpeg, grades, names of files in another spelling."""
    train = [f"{k // 2 + 10}_{('left', 'right')[k % 2]}" for k in range(n)]
    test = [f"{k}_{side}" for k in (1, 2, 3) for side in ("left", "right")]
    labels = {name: str(k % 5) for k, name in enumerate(train)}
    _pictures(root / "train", labels, ".jpeg")
    _pictures(root / "test", dict.fromkeys(test, "0"), ".jpeg")
    _table(root / "trainLabels.csv", [("image", "level"), *labels.items()])
    _table(root / "sampleSubmission.csv", [("image", "level"), *((name, 0) for name in test)])
    return Competition(labels, test, Kind.LABELS, ("image", "level"), "ordered", {"ordinal": True})


def isic(root: Path, n: int = 40) -> Competition:
    """Several columns that may be the label; the sample names the one."""
    train, test = _names("ISIC_{:07d}", n, 15719), _names("ISIC_{:07d}", 6, 52060)
    labels = {name: str(int(k % 4 == 0)) for k, name in enumerate(train)}
    header = ("image_name", "patient_id", "sex", "age_approx", "anatom_site_general_challenge")
    about = [(f"IP_{k // 3}", ("female", "male")[k % 2], 45 + k % 4 * 5, "torso") for k in range(n)]
    words = {"0": ("nevus", "benign"), "1": ("melanoma", "malignant")}
    rows = [(name, *about[k], *words[label], label) for k, (name, label) in enumerate(labels.items())]
    _pictures(root / "jpeg" / "train", labels, ".jpg")
    _pictures(root / "jpeg" / "test", dict.fromkeys(test, "0"), ".jpg")
    _table(root / "train.csv", [(*header, "diagnosis", "benign_malignant", "target"), *rows])
    _table(root / "test.csv", [header, *((name, *about[k]) for k, name in enumerate(test))])
    _table(root / "sample_submission.csv", [("image_name", "target"), *((name, 0) for name in test)])
    options = {"submission_form": "probabilities", "positive": "1"}
    return Competition(labels, test, Kind.PROBABILITY, ("image_name", "target"), options=options)


def ranzcr(root: Path, n: int = 36) -> Competition:
    """Columns of 0 and 1 with several ones or none, the patient beside them, a table of annotations."""
    classes = ("ETT - Abnormal", "ETT - Normal", "NGT - Normal", "CVC - Normal")
    train, test = _names("1.2.826.0.1.{}", n, 100), _names("1.2.826.0.1.{}", 6, 900)
    ones = ({0}, {1}, {2}, {3}, {0, 1}, set[int]())
    flags = {name: [int(c in ones[k % 6]) for c in range(4)] for k, name in enumerate(train)}
    labels = {
        name: "|".join(sorted(one for one, flag in zip(classes, row, strict=True) if flag))
        for name, row in flags.items()
    }
    _pictures(root / "train", labels, ".jpg")
    _pictures(root / "test", dict.fromkeys(test, ""), ".jpg")
    rows = [(name, *flags[name], f"p{k // 3}") for k, name in enumerate(train)]
    _table(root / "train.csv", [("StudyInstanceUID", *classes, "PatientID"), *rows])
    annotations = [(name, classes[k % 4], "[[1, 2]]") for name in train[:8] for k in range(3)]
    _table(root / "train_annotations.csv", [("StudyInstanceUID", "label", "data"), *annotations])
    _table(
        root / "sample_submission.csv",
        [("StudyInstanceUID", *classes), *((name, *[0] * 4) for name in test)],
    )
    return Competition(labels, test, Kind.PROBABILITIES, ("StudyInstanceUID", *classes), "multilabel")


def state_farm(root: Path, n: int = 36) -> Competition:
    """A folder per class and a table that names the class, the driver and the image."""
    names = [f"img_{k}" for k in range(100, 100 + n)]
    test = _names("img_{}.jpg", 6, 1)
    labels = {f"{name}.jpg": f"c{k % 3}" for k, name in enumerate(names)}
    _pictures(root / "imgs" / "train", {f"{label}/{name}": label for name, label in labels.items()})
    _pictures(root / "imgs" / "test", dict.fromkeys(test, "c0"))
    rows = [(f"p{k // 6:03d}", label, name) for k, (name, label) in enumerate(labels.items())]
    _table(root / "driver_imgs_list.csv", [("subject", "classname", "img"), *rows])
    header = ("img", "c0", "c1", "c2")
    _table(root / "sample_submission.csv", [header, *((name, 0.3, 0.3, 0.4) for name in test)])
    return Competition(labels, test, Kind.PROBABILITIES, header)


COMPETITIONS: Mapping[str, Callable[[Path], Competition]] = {
    made.__name__: made
    for made in (
        cassava, aptos, plant_pathology_2020, plant_pathology_2021, dog_breeds, dogs_vs_cats, leaf,
        plant_seedlings, aerial_cactus, histopathologic, diabetic_retinopathy, isic, ranzcr, state_farm,
    )
}  # fmt: skip
"""Name → function that writes the data into a folder and returns what is right."""


def _names(pattern: str, n: int, start: int = 0) -> list[str]:
    return [pattern.format(start + k) for k in range(n)]


def _table(path: Path, rows: Rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def _pictures(folder: Path, labels: Mapping[str, str], suffix: str = "") -> None:
    """Write a picture per name: its stripes depend on its label, its texture on itself."""
    kinds = sorted(set(labels.values()))
    for k, (name, label) in enumerate(labels.items()):
        path = folder / f"{name}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = [len(str(folder.name)), k]
        Image.fromarray(_picture(kinds.index(label), len(kinds), seed)).save(path)


def _picture(kind: int, kinds: int, seed: Sequence[int]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    angle = np.pi * kind / max(kinds, 2)
    stripes = np.sin((np.cos(angle) * x + np.sin(angle) * y) * 0.6 + rng.uniform(0, 2 * np.pi))
    coarse = Image.fromarray((rng.random((5, 5, 3)) * 255).astype(np.uint8))
    texture = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC), float)
    return np.clip(0.5 * texture + 60 + 60 * stripes[..., None], 0, 255).astype(np.uint8)
