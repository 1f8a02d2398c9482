import io

from rich.console import Console

from tests.search.trials import make_trial
from tune_paddy.search.watchers.events import FirstNote


def test_a_note_is_printed_once_for_all_members() -> None:
    written = io.StringIO()
    watcher = FirstNote(Console(file=written, width=100))
    watcher.trial_changed(make_trial("0000-resnet"), "running", {})
    watcher.trial_changed(make_trial("0001-resnet"), "finished", {"note": ""})
    watcher.trial_changed(
        make_trial("0002-resnet"), "finished", {"note": "batch norm sees 2 images at a time"}
    )
    watcher.trial_changed(
        make_trial("0003-resnet"), "finished", {"note": "batch norm sees 4 images at a time"}
    )
    assert written.getvalue() == "0002-resnet: batch norm sees 2 images at a time\n"
