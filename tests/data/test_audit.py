import hashlib

import imagehash
import numpy as np
import pytest
from PIL import Image

from tune_paddy.data.audit import AuditReport, ImageFacts, hash_pixels, inspect_images
from tune_paddy.data.duplicates import SIDE
from tune_paddy.data.images import ImageError


@pytest.mark.parametrize("jobs", [None, 1, 7])
def test_every_image_yields_its_facts_or_its_error_in_order(tmp_path, save, jobs):
    paths = [str(save(tmp_path / f"{number}.png", number)) for number in range(5)]
    (tmp_path / "2.png").write_bytes(b"broken")
    found = inspect_images([*paths, str(tmp_path / "gone.png")], jobs=jobs)
    assert [isinstance(finding, ImageFacts) for finding in found] == [True, True, False, True, True, False]
    errors = [finding.path for finding in found if isinstance(finding, ImageError)]
    assert errors == [paths[2], str(tmp_path / "gone.png")]


def test_facts_are_the_sha256_of_the_file_and_the_hash_of_the_thumbnail(tmp_path, save):
    path = save(tmp_path / "x.png", 1)
    (facts,) = inspect_images([str(path)])
    assert isinstance(facts, ImageFacts)
    assert facts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert facts.thumbnail.shape == (SIDE, SIDE, 3)
    bits = imagehash.phash(Image.fromarray(facts.thumbnail)).hash.ravel()
    assert facts.phash == int("".join("1" if bit else "0" for bit in bits), 2)


def test_the_hash_of_pixels_does_not_depend_on_the_file_format(tmp_path, photo):
    photo(1).save(tmp_path / "a.png")
    photo(1).save(tmp_path / "b.bmp")
    photo(2).save(tmp_path / "c.png")
    Image.fromarray(np.asarray(photo(1)).reshape(48, 36, 3)).save(
        tmp_path / "d.png"
    )  # same bytes, other shape
    a, b, c, d = hash_pixels([str(tmp_path / name) for name in ("a.png", "b.bmp", "c.png", "d.png")])
    assert a == b
    assert len({a, c, d}) == 3


def test_a_clean_dataset_has_nothing_to_report():
    assert AuditReport().lines() == []


def test_a_report_lists_every_kind_of_finding():
    report = AuditReport(
        notes=("train/x is not used",),
        corrupt=(ImageError("a.jpg", "is empty"),),
        conflicts=("b.jpg",),
        groups=(("c.jpg", "d.jpg"), tuple(map(str, range(9)))),
        mixed=(("c.jpg", "d.jpg"),),
        test_copies=(("t.jpg", "c.jpg"),),
    )
    assert report.lines() == [
        "train/x is not used",
        "1 image skipped, cannot be decoded:\n  a.jpg: is empty",
        "1 image skipped, copies have other labels:\n  b.jpg",
        "2 groups of copies, 11 images, each kept on one side:\n  c.jpg = d.jpg\n  0 = 1 = 2 and 6 more",
        "1 group of these with several labels, check them:\n  c.jpg = d.jpg",
        "1 test image with copies or near-copies among the labelled images:\n  t.jpg = c.jpg",
    ]


def test_a_report_of_thousands_of_findings_stays_short():
    report = AuditReport(groups=tuple((f"{number}a", f"{number}b") for number in range(5000)))
    (text,) = report.lines()
    assert text.count("\n") == 6
    assert text.endswith("and 4995 more")
