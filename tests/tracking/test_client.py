import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from mlflow import MlflowException

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.data.system.patience import Patience
from tune_paddy.data.system.repetition import UNREACHABLE_SECONDS
from tune_paddy.data.system.text import redact
from tune_paddy.tracking.client import one_line, wait_out
from tune_paddy.tracking.server.outages import LOCKED_SECONDS

LOCKED = "(sqlite3.OperationalError) database is locked\n[SQL: UPDATE runs SET status=?]"

UNREACHABLE = "API request to http://host:5000/api failed (ResponseError('too many 503 error responses'))"


def outcomes(*results: object) -> Callable[[], object]:
    """Return a function that raises or returns the results one after the other."""
    remaining: Iterator[object] = iter(results)

    def attempt() -> object:
        result = next(remaining)
        if isinstance(result, Exception):
            raise result
        return result

    return attempt


class FakeTime:
    """A clock that only `sleep` advances."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        """Return the time in seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Advance the clock."""
        self.now += seconds


def test_a_call_to_a_locked_database_is_retried() -> None:
    """MLflow's own wait ends after 20 s; ours continues until there is a result."""
    time = FakeTime()
    attempt = outcomes(MlflowException(LOCKED), MlflowException(LOCKED), "done")
    assert wait_out(attempt, clock=time.clock, sleep=time.sleep) == "done"


def test_a_long_wait_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """A search that stands still without a word would be taken for a hang."""
    time = FakeTime()
    attempt = outcomes(*[MlflowException(UNREACHABLE)] * 30, "done")
    assert wait_out(attempt, clock=time.clock, sleep=time.sleep) == "done"
    words = "answers 503; read its log, and those of its database and its storage; waiting for up to 20.0 min"
    assert caplog.messages == [f"MLflow: the MLflow server at http://host:5000 {words}"]


def test_patience_ends() -> None:
    """A database that stays locked gives a one-line error, not a hang."""
    time = FakeTime()
    attempt = outcomes(*[MlflowException(LOCKED)] * 1000)
    with pytest.raises(TunePaddyError, match=r"^MLflow: .*database is locked") as error:
        wait_out(attempt, most=10, clock=time.clock, sleep=time.sleep)
    assert "\n" not in str(error.value)
    assert time.now == pytest.approx(LOCKED_SECONDS)


def test_a_caller_may_have_less_patience_with_a_server() -> None:
    time = FakeTime()
    with pytest.raises(TunePaddyError, match="answers 503"):
        wait_out(outcomes(*[MlflowException(UNREACHABLE)] * 100), most=10, clock=time.clock, sleep=time.sleep)
    assert time.now == pytest.approx(10)


@pytest.mark.parametrize(
    "text",
    [
        "(sqlite3.OperationalError) disk is full\n[SQL: INSERT …]\n[parameters: ('Read timed out',)]",
        "QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00",
    ],
    ids=["values", "pool"],
)
def test_only_words_of_the_failure_itself_make_a_call_wait(text: str) -> None:
    with pytest.raises(TunePaddyError):
        wait_out(outcomes(MlflowException(text), "never"))


def test_other_failures_are_not_retried() -> None:
    """Without a lock, the call would fail again."""
    with pytest.raises(TunePaddyError, match="no such run"):
        wait_out(outcomes(MlflowException("no such run"), "never"))


def test_programming_errors_are_raised_unchanged() -> None:
    """Only failures of MLflow, its database and its files become one-line errors."""
    with pytest.raises(ZeroDivisionError):
        wait_out(outcomes(ZeroDivisionError()))


@pytest.mark.parametrize(
    "text",
    [
        "API request to http://me:hunter2@host:5000/api failed",
        "postgresql+psycopg2://me:hunter2@host/db refused",
        "postgresql:///db?user=me&password=hunter2&sslmode=require",
        "http://me:hun@ter/hunter2 hunter2".replace("/hunter2 hunter2", "hunter2@host/"),
    ],
)
def test_credentials_are_hidden(text: str) -> None:
    """No password of an address reaches a message."""
    assert "hunter2" not in redact(text)
    assert "hunter2" not in one_line(text)


def test_long_text_is_cut() -> None:
    """A traceback in a reason does not fill the screen."""
    assert len(one_line("word\n" * 1000)) == 500


def test_importing_the_package_leaves_mlflow_alone() -> None:
    """`tune-paddy --help` must not wait for MLflow; and MLflow starts with telemetry off."""
    code = """
import os, sys
import tune_paddy.tracking
assert "mlflow" not in sys.modules
from tune_paddy.tracking.client import load_mlflow
load_mlflow()
from mlflow.telemetry.utils import is_telemetry_disabled
assert is_telemetry_disabled()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_thread_that_somebody_waits_for_gives_up_and_then_asks_no_more() -> None:
    """A request to a server that is gone may take minutes, and a search has many to send at its end."""
    time, asked = FakeTime(), list[float]()
    patience = Patience(clock=time.clock)

    def attempt() -> None:
        asked.append(time.now)
        if len(asked) == 20:
            patience.end_in(60)  # the search has ended
        raise MlflowException(UNREACHABLE)

    with patience.applied():
        for _ in range(3):
            with pytest.raises(TunePaddyError, match="answers 503"):
                wait_out(attempt, clock=time.clock, sleep=time.sleep)
    assert asked[19] + 60 <= asked[-1] == time.now <= asked[19] + 70
    with pytest.raises(TunePaddyError, match="answers 503"):
        wait_out(attempt, clock=time.clock, sleep=time.sleep)
    assert asked[-1] > UNREACHABLE_SECONDS


def test_a_thread_whose_time_is_over_still_sends_what_a_server_answers() -> None:
    time = FakeTime()
    patience = Patience(clock=time.clock)
    patience.end_in(0)
    with patience.applied():
        locked = outcomes(MlflowException(LOCKED), "done")
        assert wait_out(locked, clock=time.clock, sleep=time.sleep) == "done"
        assert wait_out(outcomes("done"), clock=time.clock, sleep=time.sleep) == "done"


def test_a_call_that_waits_says_so_before_each_pause() -> None:
    """A trial that waits for the record must not be taken for one that hangs."""
    time, told = FakeTime(), list[float]()
    attempt = outcomes(*[MlflowException(UNREACHABLE)] * 30, "done")
    with Patience(waiting=lambda: told.append(time.now)).applied():
        wait_out(attempt, clock=time.clock, sleep=time.sleep)
    pauses = [after - before for before, after in itertools.pairwise([*told, time.now])]
    assert len(told) == 30
    assert max(pauses) < 10
