import pytest
import torch
from torch import nn

from tune_paddy.training.keeping.average import Average
from tune_paddy.training.saved.checkpoint import Averaged


@pytest.fixture
def model() -> nn.Sequential:
    """One number and a batch norm's statistics."""
    return nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))


def follow(average: Average, model: nn.Sequential, values: list[float]) -> float:
    """Return the average after steps to the given values."""
    for value in values:
        nn.init.constant_(model[0].weight, value)
        average.update(model)
    return average.model[0].weight.item()


def test_the_first_step_replaces_the_initial_parameters(model: nn.Sequential) -> None:
    assert follow(Average(model, 0.999), model, [5.0]) == 5.0


def test_after_few_steps_the_average_reaches_back_a_part_of_them(model: nn.Sequential) -> None:
    """With decay 0.9999 alone, 30 steps would leave 99.7 % of the initial parameters."""
    steps = [float(step) for step in range(30)]
    assert 15 < follow(Average(model, 0.9999), model, steps) < 29


def test_after_the_warm_up_the_decay_is_the_given_one(model: nn.Sequential) -> None:
    average = Average(model, 0.5)
    follow(average, model, [0.0] * 10)
    assert follow(average, model, [1.0]) == 0.5


def test_buffers_are_averaged_and_counts_copied(model: nn.Sequential) -> None:
    average = Average(model, 0.5)
    follow(average, model, [0.0] * 10)
    model[1].running_mean.fill_(2.0)
    model[1].num_batches_tracked.fill_(7)
    average.update(model)
    assert average.model[1].running_mean.item() == 1.0
    assert average.model[1].num_batches_tracked.item() == 7


def test_a_restored_average_goes_on_as_if_it_had_not_stopped(model: nn.Sequential) -> None:
    whole = Average(model, 0.99)
    follow(whole, model, [1.0, 2.0, 3.0])
    stored = Averaged(whole.averaged.steps, {k: v.clone() for k, v in whole.averaged.state.items()})
    again = Average(model, 0.99, stored)
    assert follow(again, model, [4.0]) == follow(whole, model, [4.0])
    assert (again.steps, again.model.training) == (4, False)


def test_the_network_itself_stays_as_it_is(model: nn.Sequential) -> None:
    average = Average(model, 0.9)
    follow(average, model, [1.0, 3.0])
    assert model[0].weight.item() == 3.0
    assert not torch.equal(average.model[0].weight, model[0].weight)
