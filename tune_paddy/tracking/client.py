"""The way to MLflow: imported late and quietly, a locked database waited out, failures in one line.

MLflow sets SQLite's busy timeout to 20 s in every session, whatever its address says, and raises after
that. A long writer (a backup, `mlflow gc`, a browser's heavy query) must not cost a trial its record, so
every call goes through `call`, which tries again for as long as the database is merely locked.
"""

import atexit
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from weakref import WeakSet

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.data.system.text import redact

if TYPE_CHECKING:
    from mlflow import MlflowClient

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE = 180.0
"""Seconds for which a locked database is waited for before a call fails."""

QUIET = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # Else the pyproject.toml and lock file of whoever stands in a uv project go into every exported model.
    "MLFLOW_UV_AUTO_DETECT": "false",
}
"""Environment that MLflow starts in, unless the user has set a variable otherwise."""


def load_mlflow() -> Any:
    """Import MLflow, in its quiet environment."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: PLC0415 - it takes 1.3 s, and the environment above must be set before

    # It prints a traceback for every locked database, which is no news to `call`.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    return mlflow


def connect(tracking_uri: str) -> "MlflowClient":
    """A client of the store at `tracking_uri`; cheap after the first, whose import takes a second."""
    if not tracking_uri.startswith(("http://", "https://")):
        _close_at_end()
    client: MlflowClient = load_mlflow().MlflowClient(tracking_uri=tracking_uri)
    return client


@cache
def _close_at_end() -> None:
    """Have this process close every database that it opens before it ends.

    The last one to close SQLite's takes what stands in the write-ahead log into the file, and removes the
    log. MLflow closes nothing; that Python does when it takes its objects apart is not to be relied on.
    """
    from sqlalchemy import event  # noqa: PLC0415 - MLflow's, imported with it
    from sqlalchemy.engine import Connection, Engine  # noqa: PLC0415

    engines: WeakSet[Engine] = WeakSet()

    def remember(connection: Connection) -> None:
        engines.add(connection.engine)

    def close() -> None:
        for engine in list(engines):
            with suppress(Exception):  # it is the end: there is nobody to tell
                engine.dispose()

    event.listen(Engine, "engine_connect", remember)
    atexit.register(close)


def call(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call MLflow; wait while the database is locked.

    Every call that goes through here may be repeated safely: a locked database has taken nothing, and
    what a half-done batch wrote is recognised by MLflow as the same values.

    Args:
        function: A method of `MlflowClient`.
        *args: Its arguments.
        **kwargs: Its keyword arguments.

    Returns:
        What the function returns.

    Raises:
        TunePaddyError: MLflow, its database or its artifact store failed; the message is one line.
    """
    return wait_out_locks(lambda: function(*args, **kwargs), patience=PATIENCE)


def wait_out_locks(
    attempt: Callable[[], T],
    *,
    patience: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Repeat `attempt` while it fails on a locked database, for `patience` seconds.

    Args:
        attempt: What to try.
        patience: Seconds after which a lock is a failure.
        clock: Seconds that never run backwards.
        sleep: Waits the seconds given.

    Returns:
        What `attempt` returns.

    Raises:
        TunePaddyError: The database stayed locked, or something else failed.
    """
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - MLflow's, imported with it

    failures = (load_mlflow().MlflowException, SQLAlchemyError, OSError)
    give_up = clock() + patience
    while True:
        try:
            return attempt()
        except failures as error:
            if not _is_lock(error) or clock() >= give_up:
                raise TunePaddyError(f"MLflow: {one_line(str(error))}") from error
        sleep(0.5)


def _is_lock(error: Exception) -> bool:
    return "database is locked" in str(error) or "database table is locked" in str(error)


def one_line(text: str, limit: int = 500) -> str:
    """Bring text for a person onto one line, without credentials, at most `limit` characters long."""
    line = redact(" ".join(text.split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"
