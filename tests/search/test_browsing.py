"""Content of MLflow's pages on a search that has run."""

import pytest

from tests.conftest import Finished, Retrained
from tune_paddy.tracking.runs import get_search
from tune_paddy.tracking.schema import NOTE


def test_search_and_members_name_their_dataset(finished: Finished) -> None:
    """MLflow can filter runs by it."""
    parent = get_search(finished.store, "first")
    for run_id in (parent.run_id, *(member.run_id for member in finished.members)):
        (used,) = finished.store.client.get_run(run_id).inputs.dataset_inputs
        assert (used.dataset.name, used.dataset.digest) == ("digits", finished.plan.dataset.fingerprint)
        assert '"labelled": 150' in used.dataset.profile


def test_every_member_has_a_description_and_a_cost(finished: Finished) -> None:
    for member in finished.members:
        assert f"Member `{member.name}` of search `first`" in member.tags[NOTE]
        assert f"tune-paddy search {finished.plan.dataset.root} --space member.yaml" in member.tags[NOTE]
        if member.outcome == "finished":
            seconds = member.metrics["train_seconds_total"] + member.metrics["predict_seconds"]
            assert member.metrics["cpu_seconds"] == pytest.approx(seconds, abs=0.01)


def test_a_member_can_be_trained_again_from_its_run(retrained: Retrained) -> None:
    """The split is the same and, on a CPU, so are the losses."""
    member, (trained,) = retrained.member, retrained.result.members
    assert trained.tags["tune_paddy.split"] == member.tags["tune_paddy.split"]
    assert trained.params == member.params
    for name in ("plain/log_loss", "tta/log_loss", "train_loss"):
        assert trained.metrics[name] == pytest.approx(member.metrics[name], rel=1e-6)
