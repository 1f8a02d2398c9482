import socket

from tests.search.trials import make_trial
from tune_paddy.search.watchers.stopwatch import HEARTBEAT, Stopwatch
from tune_paddy.tracking.store import Store


def test_the_heartbeat_does_not_wait_for_a_server_that_is_gone() -> None:
    """It runs in Ray's loop, which would start no trial meanwhile; a wait would last 20 minutes."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    now = [0.0]
    watch = Stopwatch(Store(f"http://127.0.0.1:{port}", "e", "0"), "run", 0.0, clock=lambda: now[0])
    now[0] = HEARTBEAT
    watch.trial_changed(make_trial("some"), "running", {})
