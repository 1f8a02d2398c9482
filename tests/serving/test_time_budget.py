"""A time budget: the whole ensemble if it fits, else a smaller one, and an end in time."""

import numpy as np
import pytest

from tests.conftest import Exported
from tune_paddy.core.errors import InputError
from tune_paddy.serving.ensemble_model import EnsembleModel
from tune_paddy.serving.time_budget import predict_within
from tune_paddy.training.inference import InferenceSettings


class Clock:
    """A clock that advances by one second per reading, so that loading a member takes 1 s."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def model(exported: Exported) -> EnsembleModel:
    return EnsembleModel(exported.folder, InferenceSettings("cpu", threads=1))


def test_with_enough_time_the_prediction_is_the_ensembles_own(
    exported: Exported, model: EnsembleModel
) -> None:
    timed = predict_within(model, exported.images, minutes=10)
    np.testing.assert_allclose(timed.answer.probs, exported.expected, atol=1e-5)
    assert timed.dropped == ()


def test_when_time_is_short_views_are_selected_again_from_those_that_fit(
    exported: Exported, model: EnsembleModel
) -> None:
    lines: list[str] = []
    timed = predict_within(model, exported.images, minutes=0.5, tell=lines.append, clock=Clock())
    assert "s are too short for the whole ensemble: selecting again" in " ".join(lines)
    used = np.flatnonzero(timed.selection.weights)
    assert 0 < len({model.manifest.views[view][0].name for view in used}) < 3
    assert timed.selection.weights.sum() == pytest.approx(1)
    assert len(timed.dropped) == 6 - len(used)
    expected = timed.selection.blend(exported.ensemble.pool.test)
    np.testing.assert_allclose(timed.answer.probs, expected, atol=1e-5)


def test_members_finished_at_the_deadline_are_blended(
    exported: Exported, model: EnsembleModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    predict_member, begun = model.predict_member, []

    def slower_than_measured(member: object, *args: object, **more: object) -> object:
        begun.append(member.name)
        clock.now += 3600 * (len(begun) - 1)  # all but the first
        return predict_member(member, *args, **more)

    monkeypatch.setattr(model, "predict_member", slower_than_measured)
    lines: list[str] = []
    timed = predict_within(model, exported.images, minutes=10, tell=lines.append, clock=clock)
    assert lines[-1] == f"{begun[1]}: dropped, the time ran out"
    used = {model.manifest.views[view][0].name for view in np.flatnonzero(timed.selection.weights)}
    assert used == {begun[0]}
    expected = timed.selection.blend(exported.ensemble.pool.test)
    np.testing.assert_allclose(timed.answer.probs, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("minutes", "message"),
    [
        (0, "minutes is 0: it must be more than 0"),
        (float("nan"), "minutes is nan: it must be more than 0"),
        (0.1, "no member predicts all images within .* s: the fastest takes 2 s"),
    ],
)
def test_a_budget_that_cannot_be_met_is_refused(
    exported: Exported, model: EnsembleModel, minutes: float, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        predict_within(model, exported.images, minutes=minutes, clock=Clock())
