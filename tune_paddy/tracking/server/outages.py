"""Tell failures of the record that pass by themselves from those that a repeated call meets again.

MLflow's client repeats failed requests itself, for about four minutes and without regard to what a request
does: a run whose creation was answered too late is created twice. `tracking.client` therefore switches that
off (`MLFLOW_HTTP_REQUEST_MAX_RETRIES`) and repeats calls by the rules of this module.

MLflow turns the errors of requests into text, and so do its downloads: the rules read text.
"""

import re
import sqlite3
from http import HTTPStatus

from tune_paddy.data.system.repetition import ERROR_SECONDS, UNREACHABLE_SECONDS

LOCKED_SECONDS = 180.0
"""Time for which a call to a locked database is repeated."""

_STATUS = re.compile(
    r"too many (\d{3}) error responses|\b(\d{3}) (?:Client|Server) Error|error code (\d{3})\b"
)
_UNREACHABLE = re.compile(
    r"Max retries exceeded|Connection ?aborted|Connection reset|RemoteDisconnected|IncompleteRead"
    r"|[Rr]ead timed out|Connection to \S+ timed out|timeout exception"
    r"|server closed the connection|connection (?:is|already) closed"
    r"|terminating connection due to|the database system is (?:starting|shutting)"
)
_HOST = re.compile(r"API request to (https?://[^/\s]+)")
_PASSING = frozenset(
    (
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    )
)


def seconds_to_repeat(error: BaseException) -> float:
    """Return for how long a failed call is worth repeating, in seconds; 0: it would fail again.

    >>> seconds_to_repeat(OSError("(Caused by ResponseError('too many 503 error responses'))"))
    1200.0
    >>> seconds_to_repeat(OSError("500 Server Error: INTERNAL SERVER ERROR for url: http://127.0.0.1/x"))
    180.0
    >>> seconds_to_repeat(OSError("404 Client Error: NOT FOUND for url: http://127.0.0.1/x"))
    0.0
    >>> seconds_to_repeat(OSError(110, "Connection timed out"))  # of a folder, not of a server
    0.0
    """
    text = _message(error)
    if is_locked(error):
        return LOCKED_SECONDS
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
        return 0.0
    status = _status(text)
    if status is not None:
        passing = UNREACHABLE_SECONDS if status in _PASSING else 0.0
        return ERROR_SECONDS if status == HTTPStatus.INTERNAL_SERVER_ERROR else passing
    return UNREACHABLE_SECONDS if _UNREACHABLE.search(text) or _lost_database(error) else 0.0


def is_locked(error: BaseException) -> bool:
    """Return whether another process holds the lock of an SQLite database."""
    text = _message(error)
    return "database is locked" in text or "database table is locked" in text


def _message(error: BaseException) -> str:
    """Return the text of an error without the values of a statement, which may hold any text."""
    return str(error).partition("[SQL:")[0]


def in_words(error: BaseException) -> str | None:
    """Return in words that a server fails; None: the error says something else.

    >>> in_words(OSError("API request to http://h:5000/api failed … too many 503 error responses"))
    'the MLflow server at http://h:5000 answers 503; read its log, and those of its database and its storage'
    """
    text = str(error)
    host, status = _HOST.search(text), _status(text)
    if host is None:
        return None
    if status is not None and status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logs = "read its log, and those of its database and its storage"
        return f"the MLflow server at {host[1]} answers {status}; {logs}"
    if status is None and _UNREACHABLE.search(text):
        return f"the MLflow server at {host[1]} does not answer; start it again, or check the network"
    return None


def _status(text: str) -> int | None:
    """Return the HTTP status that a text names, or None."""
    found = _STATUS.search(text)
    return None if found is None else int(next(filter(None, found.groups())))


def _lost_database(error: BaseException) -> bool:
    """Return whether the connection to a database server failed; an SQLite file has no connection to lose."""
    from sqlalchemy.exc import DBAPIError, OperationalError  # noqa: PLC0415 - MLflow's, imported with it

    cause = error if isinstance(error, DBAPIError) else error.__cause__
    if not isinstance(cause, DBAPIError) or isinstance(cause.orig, sqlite3.Error):
        return False
    return isinstance(cause, OperationalError) or cause.connection_invalidated
