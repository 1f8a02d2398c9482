"""README's table of commands: each can be typed, and is run by a test, or says why not."""

import re
import shlex
from pathlib import Path

import pytest

from tests.cli.commands import leaves, parse
from tests.cli.conftest import Call, call  # noqa: F401 a fixture
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
    "data check DATA": ("cli/test_cli.py", "test_check_counts_images_and_classes"),
    "search DATA --space paddy_search --dry-run": (
        "cli/test_cli.py",
        "test_a_dry_run_prints_the_first_trials",
    ),
    "search DATA --space road_to_the_top --stand-ins": ("cli/test_cli.py", "test_the_notebooks_six_members"),
    "search DATA --space paddy_search --folds 5": ("cli/test_refit.py", "test_a_search_with_folds_ends_in"),
    "search --resume SEARCH": ("cli/test_cli.py", '"--resume"'),
    "select SEARCH --metric error_rate": ("cli/test_cli.py", "test_select_prints_members_weights"),
    "select SEARCH --refit all": ("cli/test_refit.py", "test_images_that_are_gone_or_others"),
    "data fetch paddy-disease-classification": ("cli/test_submit.py", "test_a_fetched_competition_passes"),
    "submit SEARCH": ("cli/test_submit.py", "test_a_search_is_sent_by_its_name"),
    "submit SEARCH --score": ("cli/test_submit.py", "test_a_search_is_sent_by_its_name"),
    "export SEARCH model": ("cli/test_serving.py", "test_an_export_that_is_registered"),
    "predict model photos/ --out answers.csv": ("cli/test_serving.py", "test_images_that_cannot_be_read"),
    "bundle SEARCH": ("cli/test_serving.py", "test_a_bundle_is_named_after_its_search"),
    "show SEARCH": ("cli/test_show.py", "test_a_search_is_shown_with_its_leaderboard"),
}
"""Commands that other tests run, with stand-ins for Kaggle and smaller spaces; where, and by what."""

ONLY_PARSED = {
    "search DATA --space paddy_search --trials 40 --gpu 0.5": "a GPU",
    "memory calibrate": "a GPU",
    "weights fetch SPACE --to weights": "a network",
    "ui SEARCH": "a browser: it serves until it is stopped",
}
"""Commands that cannot be run by every machine's tests, and what they need."""


@pytest.mark.parametrize("row", ROWS)
def test_a_command_of_the_table_can_be_typed_and_is_run_by_a_test(row: str) -> None:
    assert parse(shlex.split(row))
    if row not in HERE and row not in ONLY_PARSED:
        file, words = ELSEWHERE[row]
        assert words in (ROOT / "tests" / file).read_text()


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
