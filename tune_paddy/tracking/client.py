"""Calls to MLflow: a late and quiet import, retries while the record cannot be reached, one-line errors.

MLflow sets SQLite's busy timeout to 20 s in every session, whatever its address says, and raises after
that. A long writer (a backup, `mlflow gc`, a browser's heavy query), or a server that is restarted, must not
cost a trial its record. Every call therefore goes through `call`, which retries what passes by itself.
"""

import atexit
import logging
import math
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from weakref import WeakSet

from tune_paddy.data.system.repetition import Failure, repeated
from tune_paddy.data.system.text import redact
from tune_paddy.tracking.server.outages import in_words, is_locked, seconds_to_repeat

if TYPE_CHECKING:
    from mlflow import MlflowClient

P = ParamSpec("P")
T = TypeVar("T")

_DATABASE_ERROR = re.compile(r"^\((?:sqlite3|psycopg2?)\.\w+\) ")
"""Name of a driver's error before its message."""

QUIET = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Otherwise large uploads and all downloads would bypass the server, where its storage allows that: every
    # trial would have to reach the storage itself.
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
    # `call` repeats requests, see `server.outages`.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # Otherwise MLflow copies the working folder's pyproject.toml and lock file into every exported model.
    "MLFLOW_UV_AUTO_DETECT": "false",
}
"""Default environment variables of MLflow; variables that the user has set override them."""


def load_mlflow() -> Any:
    """Import MLflow with the environment `QUIET`."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: PLC0415 - it takes 1.3 s, and the environment above must be set before

    # It logs a traceback for every locked database, which `call` handles.
    logger = logging.getLogger("mlflow.store.db.utils")
    if logger.level != logging.CRITICAL:  # each change takes 2 ms: it empties the caches of all loggers
        logger.setLevel(logging.CRITICAL)
    return mlflow


def connect(tracking_uri: str) -> "MlflowClient":
    """Return a client of the store at `tracking_uri`; the first call imports MLflow, which takes a second."""
    if not tracking_uri.startswith(("http://", "https://")):
        _close_at_end()
    client: MlflowClient = load_mlflow().MlflowClient(tracking_uri=tracking_uri)
    return client


@cache
def _close_at_end() -> None:
    """Close every database that this process opened when it exits.

    The last connection to close copies SQLite's write-ahead log into the database and removes the log.
    MLflow closes nothing, and Python does not guarantee to close connections at exit.
    """
    from sqlalchemy import event  # noqa: PLC0415 - MLflow's, imported with it
    from sqlalchemy.engine import Connection, Engine  # noqa: PLC0415

    engines: WeakSet[Engine] = WeakSet()

    def remember(connection: Connection) -> None:
        engines.add(connection.engine)

    def close() -> None:
        for engine in list(engines):
            with suppress(Exception):  # the process is exiting: nobody can handle an error
                engine.dispose()

    event.listen(Engine, "engine_connect", remember)
    atexit.register(close)


def call(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call MLflow; retry while its database is locked, or its server or database cannot be reached.

    Retries are safe where a second call changes nothing: tags and parameters keep their values, and MLflow
    recognises the points of a batch. What a second call would create again, such as
    a run, is created by `server.creation`.

    Args:
        function: A method of `MlflowClient`.
        *args: Positional arguments of the method.
        **kwargs: Keyword arguments of the method.

    Returns:
        The method's result.

    Raises:
        TunePaddyError: MLflow, its database or its artifact store failed; the message is one line.
    """
    return wait_out(lambda: function(*args, **kwargs))


def wait_out(
    attempt: Callable[[], T],
    *,
    most: float = math.inf,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Retry `attempt` while it fails for a reason that passes by itself, see `server.outages`.

    The `Patience` of this thread limits the time, too.

    Args:
        attempt: Function to retry.
        most: Limit of the time that the kind of failure allows, in seconds, except for a locked database.
        clock: Monotonic clock, in seconds.
        sleep: Function that waits for a number of seconds.

    Returns:
        The result of `attempt`.

    Raises:
        TunePaddyError: The failure lasted, or is one that a retry cannot fix.
    """
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - MLflow's, imported with it

    def judge(error: BaseException) -> Failure:
        words = f"MLflow: {in_words(error) or one_line(without_sql(str(error)))}"
        if is_locked(error):  # a lock passes, however short the patience with a server is
            return Failure(words, seconds_to_repeat(error), limited=False)
        return Failure(words, min(seconds_to_repeat(error), most))

    kinds = (load_mlflow().MlflowException, SQLAlchemyError, OSError)
    return repeated(attempt, "MLflow", kinds=kinds, judge=judge, clock=clock, sleep=sleep)


def without_sql(text: str) -> str:
    """Return the message of a database without the statement and its values, which mean nothing to a user."""
    reason = _DATABASE_ERROR.sub("", text.partition("[SQL:")[0].partition("(Background on this")[0].strip())
    if "attempt to write a readonly database" in text:
        return "the database of the record is read-only: make the file and its folder writable for this user"
    return reason


def one_line(text: str, limit: int = 500) -> str:
    """Join text into one line without credentials, of at most `limit` characters."""
    line = redact(" ".join(text.split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"
