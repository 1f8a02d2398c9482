import re
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.conftest import Finished
from tune_paddy.data.system.text import percent
from tune_paddy.tracking.members import start_member
from tune_paddy.tracking.schema import PROCESS
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.store import open_store


@pytest.mark.documents("show SEARCH")
def test_a_search_is_shown_with_its_leaderboard_its_failures_and_the_next_steps(
    finished: Finished, call: Call
) -> None:
    text = call("show", "first", "--tracking-uri", finished.store.tracking_uri)
    order = re.findall(r"^\d+ +(\S+)", text, re.MULTILINE)
    best = sorted(
        (m for m in finished.members if m.outcome == "finished"), key=lambda m: m.metrics["plain/log_loss"]
    )
    assert order == [member.name for member in best]
    assert percent(best[0].metrics["plain/error_rate"]) in text
    assert "0002-test_convnext-32  failed" in text
    assert "no-such-weights.safetensors" in text
    assert "3 members finished, 1 not of at most 4" in text
    assert f"Browse it: tune-paddy ui first --tracking-uri {finished.store.tracking_uri}\n" in text
    assert "--resume" not in text


def test_without_a_name_all_searches_are_listed(finished: Finished, call: Call) -> None:
    text = call("show", "--tracking-uri", finished.store.tracking_uri)
    assert any(line.split()[:3] == ["first", "finished", "tiny"] for line in text.splitlines())


def test_without_a_name_searches_of_a_deleted_experiment_are_named_as_deleted(
    tmp_path: Path, call: Call
) -> None:
    store = open_store(
        f"sqlite:///{tmp_path}/mlflow.db", experiment="paddy", artifact_root=tmp_path, create=True
    )
    start_search(store, name="night")
    store.client.delete_experiment(store.experiment_id)
    text = call("show", "--tracking-uri", store.tracking_uri)
    assert "has no searches" in text
    assert "search 'night' is in the experiment" in text
    assert "which was deleted; restore it with `mlflow experiments restore" in text


def test_a_running_member_is_shown_with_its_epoch(finished: Finished, call: Call) -> None:
    """The recorded process of the search and its member is this test's."""
    parent = start_search(finished.store, name="alive", params={"trials": 3, "folds": 0})
    params = {"arch": "test_resnet", "epochs": 5, "schedule": "one_cycle"}
    run_id = start_member(
        finished.store, search="alive", member="0000-net", parent_run_id=parent, params=params
    )
    finished.store.client.log_metric(run_id, "train_loss", 0.5, step=2)
    text = call("show", "alive", "--tracking-uri", finished.store.tracking_uri)
    assert "0000-net  2/5" in text
    assert "1 running of at most 3" in text


def test_a_search_whose_process_is_gone_is_shown_as_interrupted_with_the_command_that_resumes_it(
    finished: Finished, call: Call
) -> None:
    parent = start_search(finished.store, name="dead", tags={PROCESS: ":0:0.00"})
    start_member(
        finished.store,
        search="dead",
        member="0000-net",
        parent_run_id=parent,
        params={"arch": "test_resnet"},
        tags={PROCESS: ":0:0.00"},
    )
    text = call("show", "dead", "--tracking-uri", finished.store.tracking_uri)
    assert "Search dead interrupted" in text
    assert "0000-net  interrupted  its process ended without giving a reason" in text
    assert f"tune-paddy search --resume dead --tracking-uri {finished.store.tracking_uri}\n" in text
    assert "Running now" not in text


def test_an_unknown_search_is_bad_input(finished: Finished, call: Call) -> None:
    assert "did you mean 'first'?" in call(
        "show", "frist", "--tracking-uri", finished.store.tracking_uri, status=2
    )
