"""Commands and Python of the documentation, run on the finished search of the tests."""

import pytest

import tune_paddy
from tests.cli.conftest import Call
from tests.conftest import Finished
from tests.documented import Block, blocks

READS_A_RECORD = [block for block in blocks("python") if "load_pool" in block.text]
"""Blocks that need a search; tests/test_documentation.py checks the others against signatures."""


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        pytest.param(
            ["select", "SEARCH", "--weights", "vit*=2"],
            "Submission: ",
            marks=pytest.mark.documents("select SEARCH --weights 'vit*=2'"),
        ),
        pytest.param(
            ["select", "SEARCH", "--max-minutes", "10"],
            "Submission: ",
            marks=pytest.mark.documents("select SEARCH --max-minutes 10"),
        ),
        pytest.param(
            ["select", "SEARCH", "OTHER-SEARCH"],
            "Submission: ",
            marks=pytest.mark.documents("select SEARCH OTHER-SEARCH"),
        ),
        pytest.param(
            ["memory", "forecast", "SPACE", "--gpu-memory", "16280"],
            "16,280 MiB",
            marks=pytest.mark.documents("memory forecast SPACE --gpu-memory 16280"),
        ),
    ],
)
def test_a_command_does_what_the_documentation_says(
    arguments: list[str], printed: str, finished: Finished, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fixture has no vision transformer, and also serves as the other search."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", finished.store.tracking_uri)
    meant = {"SEARCH": "first", "OTHER-SEARCH": "first", "SPACE": "road_to_the_top"}
    assert printed in call(*(meant.get(word, word.replace("vit", "test_")) for word in arguments))


@pytest.mark.parametrize("block", READS_A_RECORD, ids=lambda block: f"{block.page}:{block.line}")
def test_a_block_of_python_runs(block: Block, finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block reads the fixture's search instead of its own."""
    monkeypatch.chdir(finished.runs.parent)  # the folder of its record
    monkeypatch.setitem(vars(tune_paddy), "run_search", lambda *_, **__: finished.plan)
    exec(compile(block.text.replace('"digits"', '"first"'), block.page, "exec"), {})  # noqa: S102 our own pages
