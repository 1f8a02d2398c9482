"""The lines of a running search in a log or a pipe."""

import io

import pytest
from rich.console import Console

from tests.search.watchers.conftest import Clock, Running, resumed
from tune_paddy.data.image_cache.cache import Progress
from tune_paddy.search.watchers.log import WIDTH, LogDisplay
from tune_paddy.search.watchers.progress import SearchProgress


@pytest.fixture
def output() -> io.StringIO:
    """What is written."""
    return io.StringIO()


def logged(running: Running, output: io.StringIO) -> LogDisplay:
    """Return the display of a search in a log, which begins."""
    display = LogDisplay(Console(file=output, width=40), running.progress, interval=10)
    running.displays.append(display)
    return display.__enter__()


def test_a_line_has_member_epoch_scores_elapsed_time_and_time_left(
    running: Running, output: io.StringIO
) -> None:
    logged(running, output)
    running.tell("0000-net", at=0)
    running.epoch("0000-net", 1, at=30)
    running.tell("0000-net", "finished", at=60, epoch=3, **{"plain/log_loss": 0.4, "plain/error_rate": 0.2})
    assert output.getvalue().splitlines() == [
        "Importing torch in 1 worker…",
        "0000-net  epoch 1/2  loss 0.5000  error 25.00 %  30 s, about 2.5 min left",
        "0000-net  finished 1/3  loss 0.4000  error 20.00 %  1.0 min, about 2.0 min left",
    ]


def test_short_epochs_do_not_fill_the_log_but_every_end_is_written(
    running: Running, output: io.StringIO
) -> None:
    """Epochs of a second: one line in ten seconds, and one for each member."""
    logged(running, output)
    for number in range(2):
        running.tell(f"000{number}-net")
        for epoch in range(1, 16):
            running.epoch(f"000{number}-net", epoch, at=running.clock.now + 1)
        running.tell(f"000{number}-net", "finished")
    lines = output.getvalue().splitlines()
    assert sum(" epoch " in line for line in lines) == 2
    assert sum(" finished " in line for line in lines) == 2


def test_a_failure_is_written_with_its_reason(running: Running, output: io.StringIO) -> None:
    logged(running, output)
    running.tell("0000-net", "retrying")
    running.tell("0000-net", "failed", reason="its process was killed")
    assert output.getvalue().splitlines()[1:] == [
        "0000-net  retrying after epoch 0/2",
        "0000-net  failed 1/3: its process was killed",
    ]


def test_no_line_is_longer_than_100_columns_or_has_a_control_character(output: io.StringIO) -> None:
    clock = Clock()
    running = Running(clock, SearchProgress(40, folds=5, clock=clock))
    logged(running, output)
    name = "0001-convnextv2_large.fcmae_ft_in22k_in1k_384-384x288"
    running.tell(name)
    running.epoch(name, 7, at=20000)
    running.tell(name, "failed", reason="word " * 100)
    lines = output.getvalue().split("\n")
    assert "fold 4/5  epoch 1/2" in lines[1]
    assert max(map(len, lines)) <= WIDTH
    assert output.getvalue().replace("\n", "").isprintable()


def test_the_preparation_of_images_is_written_after_a_silence(running: Running, output: io.StringIO) -> None:
    display = logged(running, output)
    running.progress.preparing = lambda: [Progress("squish 480×480", 500, 2000)]
    for running.clock.now in range(25):
        display.tick()
    lines = output.getvalue().splitlines()[1:]
    assert lines == ["Preparing images, squish 480×480: 500 of 2,000"] * 2


def test_a_long_epoch_is_not_silent(running: Running, output: io.StringIO) -> None:
    """In the first ten minutes a line every ten seconds, later one less often."""
    display = logged(running, output)
    running.tell("0000-net", at=0)
    for running.clock.now in range(3600):
        display.tick()
    lines = output.getvalue().splitlines()[1:]
    assert lines[0].startswith("0 of 3 members done · 10 s")
    assert 600 / 10 + 3000 / 60 < len(lines) < 3600 / 10


def test_the_outlook_is_written_as_often_as_the_progress_if_it_has_changed(output: io.StringIO) -> None:
    running = resumed()
    running.progress.ensemble = "Greedy ensemble"
    display, outlook = logged(running, output), running.progress.outlook()
    for _ in range(2):
        display.tick()
    assert len(outlook) == 2
    assert output.getvalue().splitlines()[1:] == ["Greedy ensemble", *outlook]
    running.progress.points = {}
    running.clock.now += 60
    display.tick()
    assert output.getvalue().count("not expected") == 1
