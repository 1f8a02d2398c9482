"""How a dataset is read: what a person says, what a search records, and what is read by it again."""

import inspect
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tune_paddy.core.errors import InputError
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.options import ReadOptions, format_range, options_among, parse_range


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "2,1", "a,b", "0,inf", "nan,1", "3,3"])
def test_text_that_is_no_range_is_refused_in_one_line(text):
    with pytest.raises(InputError, match="`pixel_range` needs two numbers") as caught:
        ReadOptions(pixel_range=text)
    assert caught.value.options == ("pixel_range",)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [[4095], (1, "a"), (0, None), ()])
def test_other_values_that_are_no_range_are_refused(folders, wrong):
    with pytest.raises(InputError, match="two numbers"):
        Dataset.open(folders, pixel_range=wrong)


@pytest.mark.parametrize("pixel_range", [(0.0, 4095.0), (-1024.5, 3071.0), (0.1, 1e6 / 3), (-1e-7, 1e20)])
def test_a_range_survives_its_text(pixel_range):
    assert parse_range(format_range(pixel_range)) == pixel_range
    assert ReadOptions(pixel_range=format_range(pixel_range)).range == pixel_range


def test_a_dataset_is_read_again_as_it_was(tmp_path):
    for number in range(8):
        values = np.random.default_rng(number).integers(0, 4096, (24, 24), dtype=np.uint16)
        path = tmp_path / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(values).save(path)
    options = Dataset.open(tmp_path, pixel_range=(0, 9000), copies="off", skip_corrupt=True).options
    assert options.given() == {
        "task": "classes",
        "copies": "off",
        "pixel_range": "0,9000",
        "skip_corrupt": True,
    }
    again = Dataset.open(tmp_path, **ReadOptions.recorded(options.given()).given())
    assert (again.options.copies, again.pixel_range) == ("off", (0, 9000))
    detected = Dataset.open(tmp_path).options
    assert detected.given() == {"task": "classes", "copies": "near", "pixel_range": "0,4095"}


def test_without_a_record_every_deep_image_has_its_own_range():
    assert ReadOptions.recorded(None).given() == {
        "task": "classes",
        "copies": "near",
        "pixel_range": "each",
        "skip_corrupt": True,
        "skip_conflicts": True,
    }


def test_options_of_another_version_are_passed_over():
    assert ReadOptions.recorded({"label_column": "kind", "angle": 3}).given() == {
        "label_column": "kind",
        "task": "classes",
        "skip_corrupt": True,
        "skip_conflicts": True,
    }


def test_the_task_ordinal_has_one_spelling_and_contradictions_are_refused():
    assert ReadOptions(ordinal=True) == ReadOptions(task="ordered")
    with pytest.raises(InputError, match="`ordinal` is short for `task=ordered`, but the task is multilabel"):
        ReadOptions(ordinal=True, task="multilabel")
    for name in ("task", "submission_form", "copies"):
        with pytest.raises(InputError, match=f"`{name}` is one of .*, not 'cake'") as caught:
            ReadOptions(**{name: "cake"})
        assert caught.value.options == (name,)


def test_the_options_among_arguments_are_those_that_were_given_as_the_fields_hold_them():
    """Paths and ranges become texts; what was left out, and other arguments, are no options."""
    left_out = {name: option.default for name, option in inspect.signature(Dataset.open).parameters.items()}
    given = {"images": Path("a/b"), "pixel_range": (0, 4095), "skip_corrupt": True, "jobs": 3}
    collected = {"images": "a/b", "pixel_range": "0,4095", "skip_corrupt": True}
    assert options_among(left_out) == {}
    assert options_among(left_out | given) == collected
    assert ReadOptions(**collected).given() == collected
