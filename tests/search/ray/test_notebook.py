import pytest

from tune_paddy.search.ray import notebook
from tune_paddy.search.ray.notebook import silent_reporter


def test_only_a_notebook_gets_a_reporter_that_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's own reporter for notebooks erases the cell's output; elsewhere Ray warns of any reporter."""
    assert silent_reporter() is None
    monkeypatch.setattr(notebook, "in_notebook", lambda: True)
    reporter = silent_reporter()
    assert reporter is not None
    assert not reporter.should_report([], done=True)
    reporter.report([], True)
