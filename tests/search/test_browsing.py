"""What MLflow's pages show of a search that has run."""

from pathlib import Path

import pytest
from rich.console import Console

from tests.conftest import Finished
from tune_paddy.data.dataset import Dataset
from tune_paddy.search.plan import SearchPlan
from tune_paddy.search.run import run_search
from tune_paddy.spaces.space import SearchSpace
from tune_paddy.tracking.files import read_file
from tune_paddy.tracking.runs import get_search
from tune_paddy.tracking.schema import NOTE


def test_search_and_members_name_their_dataset(finished: Finished) -> None:
    """The same to MLflow, which filters by it."""
    parent = get_search(finished.store, "first")
    for run_id in (parent.run_id, *(member.run_id for member in finished.members)):
        (used,) = finished.store.client.get_run(run_id).inputs.dataset_inputs
        assert (used.dataset.name, used.dataset.digest) == ("digits", finished.plan.dataset.fingerprint)
        assert '"labelled": 150' in used.dataset.profile


def test_every_member_says_what_it_is_and_what_it_cost(finished: Finished) -> None:
    for member in finished.members:
        assert f"Member `{member.name}` of search `first`" in member.tags[NOTE]
        assert f"tune-paddy search {finished.plan.dataset.root} --space member.yaml" in member.tags[NOTE]
        if member.outcome == "finished":
            seconds = member.metrics["train_seconds_total"] + member.metrics["predict_seconds"]
            assert member.metrics["cpu_seconds"] == pytest.approx(seconds, abs=0.01)


def test_a_member_is_trained_again_from_what_its_run_holds(finished: Finished, tmp_path: Path) -> None:
    """On the same split and, on a CPU, to the same losses."""
    member = next(m for m in reversed(finished.members) if m.outcome == "finished")  # one that was sampled
    text = read_file(finished.store, member, "member.yaml", most=1, what="a space").decode()
    space = SearchSpace.parse(text, name="member")
    plan = SearchPlan(
        name="again",
        dataset=Dataset.open(finished.plan.dataset.root),
        space=space,
        settings=space.settings,
        folder=tmp_path / "again",
    )
    (again,) = run_search(plan, finished.store, console=Console(quiet=True))
    assert again.tags["tune_paddy.split"] == member.tags["tune_paddy.split"]
    assert again.params == member.params
    for name in ("plain/log_loss", "tta/log_loss", "train_loss"):
        assert again.metrics[name] == pytest.approx(member.metrics[name], rel=1e-6)
