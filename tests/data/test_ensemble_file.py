import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.ensemble.conftest import make_pool
from tune_paddy.core.errors import InputError
from tune_paddy.core.selection.plain import greedy_select
from tune_paddy.data import ensemble_file
from tune_paddy.data.ensemble_file import (
    ENSEMBLE_FILE,
    DescribedEnsemble,
    ensemble_content,
    read_ensemble,
    write_ensemble,
)

SOUND: dict[str, Any] = {
    "format": 1,
    "searches": ["first"],
    "split": "0123456789abcdef",
    "classes": ["blast", "blight"],
    "views": [
        {"member": "0000-net", "view": "plain", "arch": "net", "run_id": "ab12", "weight": 0.25},
        {"member": "0000-net", "view": "tta", "arch": "net", "run_id": "ab12", "weight": 0.75},
        {"member": "other:0001-net", "view": "tta", "arch": "net", "run_id": "cd34", "weight": 0.0},
    ],
    "selection": {
        "score": 0.1,
        "metric": "log_loss",
        "method": "greedy",
        "rule": "mean",
        "temperature": 1.0,
        "member_temperatures": [1.0, 1.5, 2.0],
        "trajectory": [0.2, 0.1],
        "order": [1, 0],
        "kept": 2,
        "gap": None,
        "candidates": [],
    },
    "assessment": None,
    "refused": [],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the valid file with one value changed, given its dotted path."""
    content: Any = json.loads(json.dumps(SOUND))
    *above, last = (int(key) if key.isdecimal() else key for key in path.split("."))
    inner = content
    for key in above:
        inner = inner[key]
    inner[last] = value
    return content


def read(folder: Path, content: Any) -> DescribedEnsemble:
    path = folder / "ensemble.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_ensemble(path)


def test_an_ensemble_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = make_pool()
    named = tuple(replace(view, run_id=view.run_id.replace(" ", "-")) for view in made.views)
    pool = replace(made, views=named)
    selection = greedy_select(pool.select, pool.labels)
    path = write_ensemble(tmp_path, ensemble_content(pool, selection, ["night", "day"], None))
    assert path == tmp_path / ENSEMBLE_FILE
    described = read_ensemble(path)
    assert (described.searches, described.split, described.classes) == (("night", "day"), "abc", pool.classes)
    assert [(view.name, view.run_id) for view in described.views] == [
        (view.name, view.run_id) for view in pool.views
    ]
    assert described.selection.to_dict() == selection.to_dict()


def test_only_views_with_weight_are_needed(tmp_path: Path) -> None:
    weights = read(tmp_path, SOUND).weights
    assert [(view.name, weight) for view, weight in weights] == [
        ("0000-net/plain", 0.25),
        ("0000-net/tta", 0.75),
    ]


@pytest.mark.parametrize(
    "name", ["..", "../x", "/etc", "a/b", "a\\b", ".hidden", "a:../b", "a:b:c", "a\n", "", "-rf", "a" * 500]
)
def test_a_member_whose_name_could_leave_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"views\.0\.member"):
        read(tmp_path, changed("views.0.member", name))
    with pytest.raises(InputError, match=r"searches\.0"):
        read(tmp_path, changed("searches.0", name))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("format", 2, "format"),
        ("classes", [], "classes"),
        ("classes", ["a", "a"], "a class is listed twice"),
        ("views", [], "views"),
        ("views.1.view", "plain", "a view is listed twice"),
        ("views.0.weight", 0.5, r"the weights sum to 1\.25"),
        ("views.0.weight", -0.25, r"views\.0\.weight"),
        ("views.0.weight", float("nan"), r"views\.0\.weight"),
        ("views.0.weight", "0.25", r"views\.0\.weight"),
        ("views.0.run_id", "../../x", r"views\.0\.run_id"),
        ("selection.rule", "eval", r"selection\.rule"),
        ("views.1.run_id", "ef56", "one member has two"),
        ("views.2.run_id", "ab12", "two members have one run"),
        ("selection.metric", "log\x1b[2Jloss\n", r"selection\.metric"),
        ("selection.method", "greedy\n", r"selection\.method"),
        ("selection.temperature", 1e-300, r"selection\.temperature"),
        ("selection.member_temperatures", [1.0, 1e300, 1.0], r"selection\.member_temperatures\.1"),
        ("refit", {"searches": ["first"]}, r"refit\.members"),
        ("refit", {"searches": [], "members": {}}, r"refit\.searches"),
        ("selection.temperature", 0, r"selection\.temperature"),
        ("selection.temperature", float("inf"), r"selection\.temperature"),
        ("selection.member_temperatures", [1.0], "1 member_temperatures for 3 views"),
        ("selection.order", [3], "selection.order has a number that is not one of the 3 views"),
        ("selection", None, "selection"),
    ],
)
def test_invalid_content_is_refused_with_its_key(tmp_path: Path, path: str, value: Any, words: str) -> None:
    with pytest.raises(InputError, match=rf"ensemble\.json: is no valid ensemble: .*{words}") as error:
        read(tmp_path, changed(path, value))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "[" * 10**6, "1" * 10**6, '{"a":' * 10**5, "\0", "null", '"x"', "{}"])
def test_invalid_json_is_a_one_line_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"ensemble\.json: is no valid ensemble") as error:
        read(tmp_path, text)
    assert len(str(error.value)) < 1000
    assert "\n" not in str(error.value)


def test_a_huge_or_missing_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ensemble_file, "MAX_MIB", 0)
    with pytest.raises(InputError, match="is larger than"):
        read(tmp_path, SOUND)
    with pytest.raises(InputError, match=r"none\.json: cannot be read: No such file"):
        read_ensemble(tmp_path / "none.json")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
PATHS = [
    *SOUND,
    *(f"views.0.{key}" for key in SOUND["views"][0]),
    *(f"selection.{key}" for key in SOUND["selection"]),
]


@settings(max_examples=150)
@given(path=st.sampled_from(PATHS), value=VALUES)
@example(path="views.0.arch", value="\ud800")
def test_any_value_anywhere_gives_an_ensemble_that_blends_or_a_one_line_error(
    tmp_path: Path, path: str, value: Any
) -> None:
    try:
        described = read(tmp_path, changed(path, value))
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017 either outcome is right
    else:
        views, classes = len(described.views), len(described.classes)
        blended = described.selection.blend(np.full((views, 2, classes), 1 / classes, np.float32))
        np.testing.assert_allclose(blended.sum(axis=1), 1)
