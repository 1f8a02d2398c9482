import io
import queue
import sys

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tune_paddy.data.system.progress.lines import LineProgress, Silence, longest_silence, write_line


def test_a_long_stage_is_repeated_with_its_progress_until_it_ends() -> None:
    written: queue.SimpleQueue[str] = queue.SimpleQueue()
    progress = LineProgress(written.put, interval=0.001)
    progress.stage("predicting", 4)
    assert written.get(timeout=60) == "predicting… 0 %"
    progress.advance(3)
    while "75 %" not in written.get(timeout=60):
        pass
    progress.clear()


def test_a_short_stage_prints_nothing() -> None:
    written: list[str] = []
    progress = LineProgress(written.append, interval=3600)
    progress.stage("starting Ray")
    progress.stage("selecting")
    progress.clear()
    assert written == []


def test_a_line_is_plain_and_not_wrapped() -> None:
    output = io.StringIO()
    write_line(Console(file=output, width=10, force_terminal=True), "0001-net  [bold]  " + "x" * 100)
    assert output.getvalue() == "0001-net  [bold]  " + "x" * 100 + "\n"


def test_a_reader_that_has_gone_ends_no_work() -> None:
    class Closed(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    console = Console(file=Closed())
    write_line(console, "one")
    assert console.quiet
    write_line(console, "two")
    assert sys.stdout is not console.file


def test_the_silence_counts_over_all_stages() -> None:
    """Many short stages print a line as soon as nothing was printed for the interval."""
    now, written = [0.0], queue.SimpleQueue[str]()
    silence = Silence(clock=lambda: now[0])
    progress = LineProgress(written.put, silence, interval=10)
    progress.stage("reading")
    now[0] = 9.0
    progress.stage("selecting")
    progress.clear()
    assert written.empty()
    now[0] = 11.0
    progress.stage("drawing")
    assert written.get(timeout=60) == "drawing…"
    assert silence.seconds == 0
    progress.clear()


@given(st.floats(0, 1e6))
def test_a_silence_lasts_from_ten_seconds_to_a_minute_and_grows_with_the_work(seconds: float) -> None:
    assert 10 <= longest_silence(seconds) <= longest_silence(seconds + 1) <= 60
