import pytest

from tests.conftest import Finished
from tune_paddy.core.errors import InputError
from tune_paddy.data.image_table import describe_images
from tune_paddy.tracking.history import read_recorded_search


def test_a_search_is_read_with_its_files_and_members(finished: Finished) -> None:
    recorded = read_recorded_search(finished.store, "first")
    assert recorded.record.dataset_fingerprint == finished.plan.dataset.fingerprint
    assert recorded.settings["seed"] == finished.plan.settings.seed
    assert recorded.images == describe_images(finished.plan.dataset)
    assert recorded.space == finished.plan.space.text
    assert [member.run.name for member in recorded.members] == [m.name for m in finished.members]


def test_curves_are_read_only_for_the_requested_outcomes(finished: Finished) -> None:
    """Each curve takes a request, and most members have ended."""
    recorded = read_recorded_search(finished.store, "first", curves_of={"finished"})
    assert {bool(member.curve) for member in recorded.members if member.run.outcome == "finished"} == {True}
    assert not any(member.curve for member in recorded.members if member.run.outcome != "finished")
    assert not any(member.curve for member in read_recorded_search(finished.store, "first").members)


def test_an_unknown_search_is_refused_with_a_suggestion(finished: Finished) -> None:
    with pytest.raises(InputError, match="did you mean 'first'"):
        read_recorded_search(finished.store, "frist")
