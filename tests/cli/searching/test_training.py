"""What the search command says at the end of the training."""

from types import SimpleNamespace
from typing import Any

import pytest

from tune_paddy.cli.searching import training
from tune_paddy.cli.searching.training import train_and_print
from tune_paddy.core.errors import MembersFailError, TunePaddyError

STORE: Any = SimpleNamespace(tracking_uri="sqlite:///x.db", address="sqlite:///x.db")


def ended(monkeypatch: pytest.MonkeyPatch, *outcomes: str) -> Any:
    """Return the plan of a search of three minutes and nine trials whose members ended like that."""
    members = [
        SimpleNamespace(
            name=f"{number:04d}-net", outcome=outcome, failure="" if outcome == "finished" else "x"
        )
        for number, outcome in enumerate(outcomes)
    ]
    monkeypatch.setattr("tune_paddy.search.run.run_search", lambda *_, **__: members)
    monkeypatch.setattr("tune_paddy.tracking.runs.list_members", lambda *_: members)
    monkeypatch.setattr("tune_paddy.tracking.runs.get_search", lambda *_: None)
    record = SimpleNamespace(from_run=lambda _: SimpleNamespace(ended_by=""))
    monkeypatch.setattr("tune_paddy.tracking.schema.SearchRecord", record)
    monkeypatch.setattr(training, "record_command", lambda _, *words: " ".join(("tune-paddy", *words)))
    plan = SimpleNamespace(
        name="night",
        space=SimpleNamespace(name="nets"),
        settings=SimpleNamespace(minutes=3.0, keep_weights="all"),
        total=9,
    )
    return SimpleNamespace(plan=plan)


def test_a_search_whose_members_all_failed_does_not_say_that_none_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ready = ended(monkeypatch, "failed", "diverged", "interrupted")
    with pytest.raises(TunePaddyError) as raised:
        train_and_print(ready, STORE)
    assert str(raised.value) == (
        "no member finished: 2 members failed, 0001-net: x; to try again: "
        "tune-paddy search --resume night --minutes 6 --retry-failed"
    )


@pytest.mark.parametrize("outcomes", [(), ("interrupted",), ("stopped",)])
def test_a_search_in_whose_time_no_member_ended_names_the_time(
    outcomes: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TunePaddyError, match="no further member fits the 3 minutes; to go on: "):
        train_and_print(ended(monkeypatch, *outcomes), STORE)


def test_a_search_that_ends_for_its_failures_names_the_command_that_tries_them_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ready = ended(monkeypatch)

    def fail(*_: object, **__: object) -> None:
        raise MembersFailError("search night ends")

    monkeypatch.setattr("tune_paddy.search.run.run_search", fail)
    with pytest.raises(MembersFailError) as raised:
        train_and_print(ready, STORE)
    assert raised.value.__notes__ == ["to resume it: tune-paddy search --resume night --retry-failed"]
