"""The live table of a running search."""

import io

import pytest
from rich.console import Console

from tests.search.trials import make_trial
from tune_paddy.search.watchers.progress import ProgressTable


@pytest.mark.parametrize("reason", ["", "its process was killed"])
def test_the_table_has_a_column_of_notes_only_if_there_are_notes(reason: str) -> None:
    """Every column has a name; without notes, long names of members fit 80 columns in one line."""
    console = Console(file=io.StringIO(), width=80)
    table = ProgressTable(console, 2, lambda _: 10)
    scores = {"epoch": 10, "log_loss": 0.5, "error_rate": 0.1}
    table.trial_changed(make_trial("0001-test_efficientnet.r160_in1k-48"), "finished", scores)
    table.trial_changed(make_trial("0002-net"), "failed", {"reason": reason} if reason else {})
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    heads = [cell.strip() for cell in lines[2].strip("┃").split("┃")]
    assert heads == ["member", "state", "epoch", "log loss", "error", *(["note"] if reason else [])]
    assert max(map(len, lines)) <= 80
    assert any("0001-test_efficientnet.r160_in1k-48" in line for line in lines) == (not reason)
