from typing import Any

import pytest

from tune_paddy.data.system.progress.notebook import CellOutput, NotebookProgress

Sent = list[tuple[dict[str, str], dict[str, Any]]]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """What a notebook receives: content and options of each display."""
    calls: Sent = []
    monkeypatch.setattr(
        "IPython.display.display", lambda content, **options: calls.append((content, options))
    )
    return calls


def test_the_same_output_is_replaced_and_emptied_at_the_end(sent: Sent) -> None:
    progress = NotebookProgress()
    progress.stage("reading <b>", 2)
    progress.stage("selecting")
    progress.clear()
    contents = [content["text/html"] for content, _ in sent]
    assert "<progress " in contents[0]
    assert "reading &lt;b&gt;… 0 %" in contents[0]
    assert contents[1:] == ["<div> selecting…</div>", ""]
    assert [options["update"] for _, options in sent] == [False, True, True]
    assert len({options["display_id"] for _, options in sent}) == 1


def test_updates_get_rarer_the_longer_the_work_takes(sent: Sent) -> None:
    """Half a second apart at first, ten seconds apart after an hour; what must be seen is seen."""
    now = 0.0
    output = CellOutput(lambda: now)
    for now in (0.0, 0.1, 0.6, 4000.0, 4001.0, 4011.0):
        output.show(str(now), "")
    output.show("last", "", now=True)
    assert [content["text/html"] for content, _ in sent] == ["0.0", "0.6", "4000.0", "4011.0", "last"]
