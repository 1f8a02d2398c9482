import json
from pathlib import Path

import numpy as np
import pytest

from tests.ensemble.conftest import recorded
from tune_paddy.core.errors import InputError
from tune_paddy.core.selection.result import Selection
from tune_paddy.data.ensemble_file import ENSEMBLE_FILE
from tune_paddy.ensemble.naming import choose_name, proposed_name
from tune_paddy.ensemble.options import SelectionOptions
from tune_paddy.tracking.ensembles import selection_digest
from tune_paddy.tracking.runs import check_name


@pytest.mark.parametrize(
    ("options", "searches", "name"),
    [
        (SelectionOptions(), ["a"], "log_linear-trimmed"),
        (SelectionOptions(metric="error_rate", max_members=1), ["a"],
         "log_linear-trimmed-error_rate-1-member"),
        (SelectionOptions(max_minutes=2.5, max_size=9, speed_factor=2), ["a"],
         "log_linear-trimmed-2.5-minutes-9-MiB-speed-2"),
        (SelectionOptions(weights=("vit*=2",), seed=3), ["a"], "by-hand-seed-3"),
        (SelectionOptions(), ["a", "night 2"], "log_linear-trimmed+night 2"),
        (SelectionOptions(), [f"{'long' * 9}-{n}" for n in range(5)], "log_linear-trimmed+4-searches"),
    ],
)  # fmt: skip
def test_a_name_tells_the_method_and_the_options(
    options: SelectionOptions, searches: list[str], name: str
) -> None:
    """It is valid as the name of a folder, whatever the options."""
    selection = Selection(np.ones(1), 0.0, "log_loss", "log_linear, trimmed")
    assert proposed_name(selection, options, searches) == name
    assert check_name(name, "ensemble") == name


def run(name: str, digest: str) -> object:
    return recorded(name, "ensemble", tags={"tune_paddy.selection": digest})


def test_the_same_selection_keeps_its_name_and_another_gets_a_number(tmp_path: Path) -> None:
    known = [run("greedy", "d1"), run("Greedy-2", "d2")]
    arguments = {"given": None, "recorded": known, "folder": tmp_path}
    assert choose_name("other", "d1", **arguments) == "greedy"
    assert choose_name("greedy", "d3", **arguments) == "greedy-3"  # folders may ignore case
    assert choose_name("top", "d3", **arguments) == "top"


def test_a_given_name_of_another_selection_is_refused(tmp_path: Path) -> None:
    arguments = {"recorded": [run("final", "d1")], "folder": tmp_path}
    assert choose_name("greedy", "d1", given="final", **arguments) == "final"
    assert choose_name("greedy", "d1", given="again", **arguments) == "again"
    with pytest.raises(InputError, match="another ensemble 'final'; choose another `name`"):
        choose_name("greedy", "d2", given="final", **arguments)


def test_a_folder_that_is_not_in_the_record_is_replaced_only_by_the_same_selection(tmp_path: Path) -> None:
    """A killed process leaves such a folder; a folder of anything else is left alone."""
    content = {"views": [1], "name": "greedy"}
    (tmp_path / "greedy").mkdir()
    (tmp_path / "greedy" / ENSEMBLE_FILE).write_text(json.dumps(content))
    (tmp_path / "top").mkdir()
    arguments = {"given": None, "recorded": [], "folder": tmp_path}
    assert choose_name("greedy", selection_digest({"views": [1]}), **arguments) == "greedy"
    assert choose_name("greedy", selection_digest({"views": [2]}), **arguments) == "greedy-2"
    assert choose_name("top", "d", **arguments) == "top-2"
