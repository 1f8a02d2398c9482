import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.tune.experiment import Experiment

from tune_paddy.core.errors import SearchInterruptedError
from tune_paddy.search.stopping.interruption import LAST_EPOCH, ONE_PRESS, Interruption, interruptible
from tune_paddy.search.timing.budget import TimeBudget


@pytest.fixture(autouse=True)
def _signals_are_heard() -> Iterator[None]:
    """Handle the signals that `nohup` and the background jobs of scripts ignore."""
    before = {
        number: signal.signal(
            number, signal.SIG_DFL if number != signal.SIGINT else signal.default_int_handler
        )
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_interrupts_a_search_and_the_second_stops_it_at_once(
    number: signal.Signals,
) -> None:
    times = iter((0.0, ONE_PRESS))
    interruption, said = Interruption(lambda: next(times)), []
    before = signal.getsignal(number)

    def signal_twice() -> None:
        with interruptible(interruption, said.append):
            assert not interruption.requested
            os.kill(os.getpid(), number)
            assert interruption.requested
            assert interruption("a trial", {})
            os.kill(os.getpid(), number)

    with pytest.raises(SearchInterruptedError) as error:
        signal_twice()
    assert error.value.exit_status == 128 + number
    assert error.value.at_once
    assert len(said) == 1
    assert signal.getsignal(number) is before


def test_a_signal_that_arrives_twice_counts_once() -> None:
    """`timeout` signals a program and then its group."""
    interruption = Interruption(lambda: 0.0)
    with interruptible(interruption, lambda line: None):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert interruption.requested
    assert not interruption.at_once


def test_a_search_started_by_nohup_survives_the_end_of_its_terminal() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interruption = Interruption()
    with interruptible(interruption, lambda line: None):
        os.kill(os.getpid(), signal.SIGHUP)
    assert not interruption.requested


def test_at_the_end_of_its_time_a_search_stops_trials_with_their_epoch_and_later_at_once() -> None:
    """A trial that has reported its last epoch predicts until the later time."""
    now = [0.0]
    budget = TimeBudget(0.0, 3600.0, clock=lambda: now[0])
    interruption = Interruption(budget=budget)
    interruption.look_at(running=True)
    states = []
    for now[0] in (budget.training_end - 1, budget.training_end, budget.last_end):
        reports = [interruption("a trial", {LAST_EPOCH: last}) for last in (False, True)]
        states.append((*reports, interruption.stop_all(), interruption.requested))
    assert states == [
        (False, False, False, False),
        (True, False, False, False),
        (True, False, True, False),
    ]


def test_tune_keeps_the_stopper_before_any_signal(tmp_path: Path) -> None:
    interruption = Interruption()
    experiment = Experiment("any", run=lambda config: None, stop=interruption, storage_path=str(tmp_path))
    assert experiment.stopper is interruption
    assert interruption or False, "Tune's controller tests its truth value"


def test_rays_loop_ends_once_no_trial_runs() -> None:
    interruption = Interruption()
    interruption.look_at(running=False)
    assert not interruption.stop_all()
    interruption.signal = signal.SIGTERM
    interruption.look_at(running=True)
    assert not interruption.stop_all()
    interruption.look_at(running=False)
    assert interruption.stop_all()
