"""The table of a running search in a notebook, and the choice of a display."""

import io

from rich.console import Console

from tests.search.watchers.conftest import Running, resumed
from tune_paddy.search.watchers.display import search_display
from tune_paddy.search.watchers.log import LogDisplay
from tune_paddy.search.watchers.notebook import CellDisplay, page, text
from tune_paddy.search.watchers.terminal import TableDisplay


def test_the_page_has_a_bar_a_row_for_each_member_and_no_script(running: Running) -> None:
    assert "importing torch in 1 worker…" in page(running.progress)
    running.tell("0000-net<b>", at=0)
    running.epoch("0000-net<b>", 1, at=3)
    running.tell("0001-net", "failed", reason="no <i>weights</i>")
    html = page(running.progress)
    assert '<progress value="1" max="3"' in html
    assert html.count("<tr>") == 3
    assert "0000-net&lt;b&gt;" in html
    assert "no &lt;i&gt;weights&lt;/i&gt;" in html
    assert "<script" not in html
    assert "importing" not in html
    assert text(running.progress).startswith("1 of 3 members done · 3 s")


def test_the_last_state_stays_in_the_notebook(running: Running) -> None:
    shown: list[tuple[str, bool]] = []

    class Output:
        def show(self, html: str, _text: str, *, now: bool = False) -> None:
            shown.append((html, now))

    with CellDisplay(running.progress, Output()) as display:  # type: ignore[arg-type]
        running.displays.append(display)
        running.tell("0000-net")
        running.epoch("0000-net", 1)
        display.tick()
        running.tell("0000-net", "finished")
    assert [now for _, now in shown] == [True, False, False, False, False, True]
    assert "finished" in shown[-1][0]


def test_the_output_decides_the_display(running: Running) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    progress = running.progress
    screen = Console(file=Screen(), force_terminal=True, _environ={})
    assert isinstance(search_display(screen, progress), TableDisplay)
    assert isinstance(search_display(Console(force_jupyter=True), progress), CellDisplay)
    colours = Console(file=io.StringIO(), force_terminal=True, _environ={})
    assert isinstance(search_display(colours, progress), LogDisplay)
    assert isinstance(search_display(Console(quiet=True, force_jupyter=True), progress), LogDisplay)


def test_the_outlook_stands_in_the_cell() -> None:
    progress = resumed().progress
    first, second = progress.outlook()
    assert f"<div>{first}</div><div>{second}</div>" in page(progress)
    assert text(progress).endswith(f"{first}\n{second}")
