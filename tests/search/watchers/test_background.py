"""Whatever a server does, Ray's loop goes on, and a search ends."""

import threading
from typing import Any

import pytest
from mlflow import MlflowException

from tests.search.trials import make_trial
from tune_paddy.core.errors import TunePaddyError
from tune_paddy.search.trial import Trial
from tune_paddy.search.watchers import background
from tune_paddy.search.watchers.background import Background
from tune_paddy.tracking.client import call


class Asking:
    """A receiver that asks a server that is gone.

    Attributes:
        asked: Set once the first request was sent.
        sent: State of each event, and the number of requests that were sent for it.
    """

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.sent: list[tuple[str, int]] = []

    def trial_changed(self, trial: Trial, state: str, result: dict[str, Any]) -> None:
        """Send requests until there is an answer, or none is awaited."""
        del trial, result
        requests = 0

        def ask() -> None:
            nonlocal requests
            requests += 1
            self.asked.set()
            raise MlflowException("API request to http://host:5000/api failed: ('Connection aborted.')")

        with pytest.raises(TunePaddyError, match="does not answer"):
            call(ask)
        self.sent.append((state, requests))


def test_events_are_taken_while_a_receiver_waits_for_a_server_and_the_end_does_not_ask_it_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(background, "CLOSING_SECONDS", 0.0)
    receiver = Asking()
    with Background(receiver) as events:
        events.trial_changed(make_trial("a"), "stopped", {})
        assert receiver.asked.wait(60)
        for state in ("failed", "interrupted"):
            events.trial_changed(make_trial("a"), state, {})
    assert receiver.sent[0][1] >= 1
    assert receiver.sent[1:] == [("failed", 0), ("interrupted", 0)]
