"""The live table of a running search on a terminal."""

import io

import pytest
from rich.console import Console

from tests.search.watchers.conftest import Clock, Running, resumed
from tune_paddy.data.image_cache.cache import Progress
from tune_paddy.search.watchers.progress import SearchProgress
from tune_paddy.search.watchers.terminal import TableDisplay


def drawn(progress: SearchProgress, width: int = 80, height: int = 40) -> list[str]:
    """Return the lines of the table on a terminal of some size."""
    console = Console(file=io.StringIO(), width=width, height=height)
    console.print(TableDisplay(console, progress))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_an_empty_table_has_its_reason_instead(running: Running) -> None:
    running.progress.at_once = 2
    lines = drawn(running.progress)
    assert lines[0] == "0 of 3 members done · 0 s"
    assert lines[1].endswith(" importing torch in 2 workers…")
    assert len(lines) == 2


@pytest.mark.parametrize("folds", [0, 5])
def test_a_member_has_one_row_and_every_column_a_name(folds: int) -> None:
    """Also if its name is too long for 80 columns: its number and its size remain."""
    clock = Clock()
    running = Running(clock, SearchProgress(3, folds=folds, clock=clock))
    long = "0001-convnextv2_large.fcmae_ft_in22k_in1k_384-384x288"
    running.tell("0000-net", at=0)
    running.epoch("0000-net", 1, at=5)
    running.tell(long, "infeasible", at=60, reason="it needs 20,000 MiB, and the GPU has 16,280 MiB " * 3)
    lines = drawn(running.progress)
    assert max(map(len, lines)) <= 80
    names = ["member", "state", *(["fold"] if folds else []), "epoch", "log loss", "error", "time"]
    assert lines[1].replace("log loss", "log_loss").split() == [name.replace(" ", "_") for name in names]
    (row,) = [line for line in lines if line.startswith("0000-net")]
    fold = ["1/5"] if folds else []
    assert row.split() == ["0000-net", "running", *fold, "1/2", "0.5000", "25.00", "%", "1.0", "min"]
    (other,) = [line for line in lines if " infeasible " in line]
    assert other.startswith("0001-convnext")
    assert "384x288" in other
    assert "…" in other
    assert sum("infeasible: it needs 20,000 MiB" in line for line in lines) == 1


def test_the_last_members_that_ended_fit_the_screen_with_those_that_run() -> None:
    clock = Clock()
    running = Running(clock, SearchProgress(50, clock=clock))
    for number in range(30):
        running.tell(f"{number:04d}-net", at=number)
        running.tell(f"{number:04d}-net", "finished", at=number + 0.5)
    running.tell("0030-net", at=31)
    lines = drawn(running.progress, height=20)
    assert len(lines) <= 20
    assert lines[-1].startswith("0030-net")
    assert lines[-2].startswith("0029-net")


def test_the_preparation_of_images_has_a_bar(running: Running) -> None:
    preparing = [Progress("squish 480×480", 500, 2000)]
    running.progress.preparing = lambda: preparing
    assert any("Preparing images, squish 480×480: 500 of 2,000" in line for line in drawn(running.progress))
    preparing.clear()
    assert not any("Preparing" in line for line in drawn(running.progress))


def test_the_outlook_stands_below_the_ensemble_within_80_columns() -> None:
    running = resumed()
    running.progress.ensemble = "Greedy ensemble"
    outlook = running.progress.outlook()
    assert len(outlook) == 2
    lines = drawn(running.progress)
    assert lines[-3:] == ["Greedy ensemble", *outlook]
