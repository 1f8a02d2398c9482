"""README's table of commands: each can be typed, and is run by a test, or says why not."""

import ast
import re
import shlex
from pathlib import Path

import pytest

from tests.cli.commands import leaves, parse
from tests.cli.conftest import Call, as_before, call  # noqa: F401 fixtures
from tests.conftest import Finished

ROOT = Path(__file__).parents[1]
ROWS = re.findall(
    r"^\| [^|]+ \| `uv run tune-paddy ([^`]+)` \|$", (ROOT / "README.md").read_text(), re.MULTILINE
)

HERE = {
    "select SEARCH --weights 'vit*=2'": "Submission: ",
    "select SEARCH --max-minutes 10": "Submission: ",
    "select SEARCH OTHER-SEARCH": "Submission: ",
    "memory SPACE --gpu-memory 16280": "16,280 MiB",
}
"""Commands that are run below, and what they print."""

ELSEWHERE = {
    "data check DATA": "cli/test_cli.py::test_check_counts_images_and_classes",
    "search DATA --space paddy_search --dry-run": (
        "cli/test_cli.py::test_a_dry_run_prints_the_first_trials_and_leaves_nothing_behind"
    ),
    "search DATA --space road_to_the_top --stand-ins": (
        "cli/test_cli.py::test_the_notebooks_six_members_are_rehearsed_with_stand_ins_and_the_vits_counted_twice"
    ),
    "search DATA --space paddy_search --folds 5": (
        "cli/test_refit.py::test_a_search_with_folds_ends_in_a_refit"
    ),
    "search --resume SEARCH": (
        "faults/test_drivers.py::test_a_search_is_killed_told_to_end_and_goes_on_until_every_member_is_there_once"
    ),
    "select SEARCH --metric error_rate": (
        "cli/test_cli.py::test_select_prints_members_weights_and_what_the_ensemble_must_beat"
    ),
    "select SEARCH --refit all": "cli/test_refit.py::test_a_search_with_folds_ends_in_a_refit",
    "data fetch paddy-disease-classification": (
        "cli/test_submit.py::test_a_fetched_competition_passes_the_check"
    ),
    "submit SEARCH": (
        "cli/test_submit.py::test_a_search_is_sent_by_its_name_and_its_score_kept_with_the_ensemble"
    ),
    "submit SEARCH --score": (
        "cli/test_submit.py::test_a_search_is_sent_by_its_name_and_its_score_kept_with_the_ensemble"
    ),
    "show SEARCH": (
        "cli/test_show.py::test_a_search_is_shown_with_its_leaderboard_its_failures_and_what_to_do_next"
    ),
    "report SEARCH": "cli/test_report.py::test_a_report_is_opened_where_there_is_a_desktop",
    "ui SEARCH": (
        "cli/test_browser.py::test_a_person_finds_members_and_their_curves_the_search_a_figure_and_the_report"
    ),
    "export SEARCH model": "cli/test_serving.py::test_an_export_that_is_registered_is_found_by_its_address",
    "predict model photos/ --out answers.csv": (
        "cli/test_serving.py::test_predict_prints_a_csv_with_the_three_likeliest_classes"
    ),
    "bundle SEARCH": "cli/test_serving.py::test_a_bundle_is_named_after_its_search_and_not_written_over",
}
"""Commands that other tests run, with stand-ins for Kaggle and smaller spaces; which ones."""

TYPED_BY = {"faults/test_drivers.py": ["faults/harness.py"]}
"""Where the commands of a file of tests stand, if not in it."""

ONLY_PARSED = {
    "search DATA --space paddy_search --trials 40 --gpu 0.5": "a GPU",
    "memory calibrate": "a GPU",
    "weights fetch SPACE --to weights": "a network",
}
"""Commands that cannot be run by every machine's tests, and what they need."""


@pytest.mark.parametrize("row", ROWS)
def test_a_command_of_the_table_can_be_typed_and_is_run_by_a_test(row: str) -> None:
    assert parse(shlex.split(row))
    if row in HERE or row in ONLY_PARSED:
        return
    file, name = ELSEWHERE[row].split("::")
    tests = ast.parse((ROOT / "tests" / file).read_text())
    assert name in {node.name for node in tests.body if isinstance(node, ast.FunctionDef)}
    typed = {
        node.value
        for path in TYPED_BY.get(file, [file])
        for node in ast.walk(ast.parse((ROOT / "tests" / path).read_text()))
        if isinstance(node, ast.Constant)
    }
    command, *rest = shlex.split(row)
    assert {command, *(word for word in rest if word.startswith("--"))} <= typed


def test_the_table_has_every_command() -> None:
    named = [tuple(shlex.split(row)) for row in [*ROWS, "demo"]]  # the demo has a section of its own
    missing = [words for words, _ in leaves() if not any(row[: len(words)] == words for row in named)]
    assert missing == []


@pytest.mark.parametrize("row", HERE)
def test_a_command_of_the_table_does_what_it_says(
    row: str,
    finished: Finished,
    small_digits: Path,
    call: Call,  # noqa: F811 the fixture
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The fixture has no vision transformer, and is its own other search."""
    assert row in ROWS
    monkeypatch.setenv("MLFLOW_TRACKING_URI", finished.store.tracking_uri)
    meant = {"DATA": str(small_digits), "SEARCH": "first", "OTHER-SEARCH": "first", "SPACE": "digits_demo"}
    arguments = [meant.get(word, word.replace("vit", "test_")) for word in shlex.split(row)]
    assert HERE[row] in call(*arguments)
