"""Ask a server or a database whether it answers, before anything depends on it."""

import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TypeVar

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.system.text import redact
from tune_paddy.tracking.client import call, load_mlflow, one_line, wait_out, without_sql

SERVER_WAITS = (1.0, 2.0, 2.0)
"""Times to wait for a server that answers with an error before it is asked again, in s."""

OPENING_SECONDS = 5.0
"""Time for which the first request to a record is repeated, in seconds: a person waits for the answer."""

CONNECT_SECONDS = 20
"""Time for a connection to a database server, in seconds."""

_REFUSALS: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "the MLflow server refuses the user name or the password; set "
    "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    HTTPStatus.FORBIDDEN: "the MLflow server forbids the request (403): this user lacks the permission, or "
    "the server does not allow this name of its host (`mlflow server --allowed-hosts`); ask who runs it",
}
"""HTTP status of a refusal → words for the user."""

_DRIVERS = "postgresql+psycopg, mysql+pymysql or mssql+pyodbc"

T = TypeVar("T")


def first_answer(uri: str, query: Callable[[], T]) -> T:
    """Return the answer of a server of MLflow, or of a database server, to the first query.

    MLflow itself would repeat the query for minutes, also with a wrong password.

    Args:
        uri: Address of a server or of a database that is not a file.
        query: Function that sends the query.

    Raises:
        InputError: The user name, the password or the address is wrong, the user lacks a permission, or the
            driver of the database is not installed.
        TunePaddyError: Nothing answers, or the answer is an error.
    """
    if uri.startswith("databricks"):  # MLflow knows where these are
        return call(query)
    if not uri.startswith(("http://", "https://")):
        _check_database(uri)
        return call(query)
    check_server(uri)
    try:
        return wait_out(query, most=OPENING_SECONDS)
    except TunePaddyError as error:
        words = _REFUSALS.get(getattr(error.__cause__, "get_http_status_code", int)())
        if words is None:
            raise
        raise InputError(f"{redact(uri)}: {words}") from error


def check_server(uri: str) -> None:
    """Raise if no server answers, or one that fails.

    Args:
        uri: Address of a server, http or https.

    Raises:
        TunePaddyError: Nothing answers, or the answer is an error.
    """
    for wait in (*SERVER_WAITS, None):
        status = _health(uri)
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return  # possibly a request for the password
        if wait is not None:  # it may be starting
            time.sleep(wait)
    raise TunePaddyError(f"{redact(uri)}: the MLflow server answers {status}: read its log, or try later")


def _check_database(uri: str) -> None:
    load_mlflow()
    from sqlalchemy import create_engine  # noqa: PLC0415 - MLflow's, imported with it
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError  # noqa: PLC0415
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    where = redact(uri)
    limited = uri.startswith(("postgresql", "mysql"))  # other drivers have other names for it
    try:
        engine = create_engine(
            uri, poolclass=NullPool, connect_args={"connect_timeout": CONNECT_SECONDS} if limited else {}
        )
        engine.connect().close()
    except ImportError as error:  # neither MLflow nor SQLAlchemy installs drivers
        raise InputError(f"{where}: needs the Python package {error.name}; install it") from error
    except NoSuchModuleError:
        driver = uri.partition("://")[0]
        raise InputError(
            f"{where}: {driver} is no driver that SQLAlchemy knows; write one such as {_DRIVERS}"
        ) from None
    except (ArgumentError, ValueError) as error:
        raise InputError(
            f"{where}: is no address of a database ({one_line(str(error))}); write one such as "
            "postgresql+psycopg://USER@HOST:5432/NAME"
        ) from None
    except SQLAlchemyError as error:
        reason = one_line(without_sql(str(error)))
        if "password" in reason or "authentication" in reason:
            raise InputError(
                f"{where}: the database refuses the user name or the password ({reason})"
            ) from None
        raise TunePaddyError(f"{where}: the database does not answer ({reason})") from None


def _health(uri: str) -> int:
    """Return the status that a server answers when it is asked for its health."""
    try:
        parts = urllib.parse.urlsplit(uri)
        host = parts.netloc.rpartition("@")[2]
        health = urllib.parse.urlunsplit((parts.scheme, host, parts.path.rstrip("/") + "/health", "", ""))
        with urllib.request.urlopen(health, timeout=20) as answer:  # noqa: S310 - the scheme was checked above
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except (OSError, ValueError) as error:
        raise TunePaddyError(f"{redact(uri)}: no MLflow server answers ({error})") from None
