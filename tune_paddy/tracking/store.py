"""Open the record: a local SQLite database by default, or an MLflow server."""

import os
import sqlite3
import urllib.parse
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from filelock import Timeout

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.system.files import make_private_file, make_private_folder
from tune_paddy.data.system.locks import file_lock
from tune_paddy.data.system.own_output import mark_output
from tune_paddy.data.system.text import check_decoded, redact, shown, strip_credentials
from tune_paddy.tracking.client import call, connect, without_sql
from tune_paddy.tracking.integrity import check_integrity
from tune_paddy.tracking.server.health import first_answer

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

DATABASE = "mlflow.db"
"""File name of the default database in the working folder, which a bare `mlflow ui` opens."""

DATABASE_SCHEMES = ("sqlite", "postgresql", "mysql", "mssql")
URI_VARIABLE = "MLFLOW_TRACKING_URI"
INITIALISE_SECONDS = 300
NETWORK_FILE_SYSTEMS = frozenset(
    (
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.sshfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
    )
)
"""File systems on which SQLite's write-ahead log, which needs shared memory, is not safe."""


@dataclass(frozen=True)
class Store:
    """An open record; small and picklable, so that it can be passed to a trial.

    Its pickle contains no credentials, since Ray writes pickles to files. Unpickling takes them from
    MLFLOW_TRACKING_URI, which Ray's workers on this machine inherit. On other machines set that variable,
    or MLflow's MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.

    Attributes:
        tracking_uri: Absolute address of the database or the server; may contain credentials.
        experiment: Name of the experiment of new runs; empty if the record is opened only to read.
        experiment_id: Id of that experiment; empty if the record is opened only to read.
    """

    tracking_uri: str
    experiment: str
    experiment_id: str

    @property
    def client(self) -> "MlflowClient":
        """MLflow's client of this record."""
        return connect(self.tracking_uri)

    @property
    def address(self) -> str:
        """Address without credentials, for messages."""
        return redact(self.tracking_uri)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (strip_credentials(self.tracking_uri), self.experiment, self.experiment_id)


def _unpickled(stripped: str, experiment: str, experiment_id: str) -> Store:
    known = os.environ.get(URI_VARIABLE, "")
    return Store(known if strip_credentials(known) == stripped else stripped, experiment, experiment_id)


def open_store(
    tracking_uri: str | None, *, experiment: str | None, artifact_root: Path, create: bool
) -> Store:
    """Open the record; create it if `create` is true.

    A search's driver opens it with `create` before any trial starts: creating MLflow's schema takes
    seconds, and two processes must not do it at once. All other callers open it without `create`.

    Args:
        tracking_uri: Address of a database or a server; None: `mlflow.db` in the working folder.
        experiment: Name of the experiment of new runs, one per dataset; None: open to read all experiments.
        artifact_root: Folder of artifacts if the address is a database; a server has its own setting.
            A new folder is private to this user. If the experiment keeps its artifacts in another folder, new
            runs get an experiment of their own, whose name ends with this folder.
        create: Whether to create the database and the experiment if they are missing.

    Returns:
        The record, with its absolute address.

    Raises:
        InputError: The address is not valid, or there is no record and `create` is false.
        TunePaddyError: The database or the server failed.
    """
    uri = resolve_uri(tracking_uri)
    path = sqlite_path(uri)
    if strip_credentials(uri) != uri:
        os.environ[URI_VARIABLE] = uri  # for trials, see `Store`
    if create:
        check_decoded(artifact_root)
        make_private_folder(artifact_root)
        mark_output(artifact_root)
    if path is None:
        first = partial(first_answer, uri)
        return _open(uri, experiment, artifact_root, create=create, first=first)
    if not create:
        check_integrity(path)
        _check_database(path, experiment)
        return _open(uri, experiment, artifact_root, create=False)
    make_private_folder(path.parent)
    try:
        with file_lock(path.with_name(f"{path.name}.lock"), seconds=INITIALISE_SECONDS):
            check_integrity(make_private_file(path))
            use_write_ahead_log(path)
            return _open(uri, experiment, artifact_root, create=True)
    except Timeout:
        raise TunePaddyError(
            f"{path}: another process has held the lock of this database for {INITIALISE_SECONDS} s"
        ) from None


def resolve_uri(tracking_uri: str | None) -> str:
    """Make an address absolute, since trials run in another folder.

    Args:
        tracking_uri: Address as the user writes it; None: `mlflow.db` in the working folder.

    Raises:
        InputError: The address is a file store, which MLflow no longer supports, a database in memory, or
            not valid.
    """
    check_decoded(tracking_uri or Path.cwd())
    uri = tracking_uri or f"sqlite:///{DATABASE}"
    scheme, _, rest = uri.partition("://")
    if scheme.partition("+")[0] in DATABASE_SCHEMES[1:] or scheme in ("http", "https", "databricks"):
        if not uri.isprintable() or " " in uri:
            raise InputError(f"{shown(redact(uri))}: remove spaces and control characters from the address")
        return uri
    if scheme != "sqlite":
        raise InputError(
            f"{redact(uri)}: not an address of a record; use sqlite:///FILE, postgresql://…, or http(s)://HOST"
        )
    name = rest.removeprefix("/")
    path = str(Path(name).absolute())
    # SQLAlchemy 2.1 decodes percent escapes, 2.0 does not, and MLflow reads the address both ways.
    if not rest.startswith("/") or name in ("", ":memory:") or {"?", "%"} & set(path):
        raise InputError(f"{uri}: name a file whose whole path has no '?' or '%', as in sqlite:///{DATABASE}")
    return f"sqlite:///{path}"


def sqlite_path(uri: str) -> Path | None:
    """Return the file of an SQLite database from its absolute address; None for any other address."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def _open(
    uri: str,
    experiment: str | None,
    artifact_root: Path,
    *,
    create: bool,
    first: Callable[[Callable[[], Any]], Any] = call,
) -> Store:
    """Open the record; `first` sends the first query, see `first_answer`."""
    try:
        if experiment is None:
            first(lambda: connect(uri).search_experiments(max_results=1))
            return Store(uri, "", "")
        found = first(lambda: connect(uri).get_experiment_by_name(experiment))
        return Store(uri, experiment, _experiment_id(uri, experiment, found, artifact_root, create=create))
    except ImportError as error:  # MLflow does not install database drivers
        raise InputError(f"{redact(uri)}: needs the Python package {error.name}; install it") from error


def _experiment_id(
    uri: str, name: str, found: "Experiment | None", artifact_root: Path, *, create: bool
) -> str:
    """Return the id of the experiment of a name, which `found` is; create it if it is missing."""
    client = connect(uri)
    location = artifact_root.absolute().as_uri() if _is_database(uri) else None
    elsewhere = found is not None and location not in (None, found.artifact_location)
    if found is not None and create and elsewhere and found.lifecycle_stage == "active":
        # MLflow fixes the folder of an experiment's artifacts when it is created.
        name = f"{name} in {artifact_root.absolute()}"
        found = call(client.get_experiment_by_name, name)
    if found is None and not create:
        raise InputError(f"{redact(uri)}: no experiment {name!r}; start a search to create it")
    if found is None:
        # Without this tag MLflow's page asks whether to show the layout for language models.
        tags = {"mlflow.experimentKind": "custom_model_development"}
        return _created(client, name, location, tags)
    if found.lifecycle_stage != "active":
        raise InputError(
            f"{redact(uri)}: the experiment {name!r} was deleted; restore it with "
            f"`mlflow experiments restore --experiment-id {found.experiment_id}`, or choose another name"
        )
    return str(found.experiment_id)


def _created(client: "MlflowClient", name: str, location: str | None, tags: dict[str, Any]) -> str:
    """Create an experiment; another driver may do the same now, or a first request may have done it."""
    try:
        return str(call(client.create_experiment, name, artifact_location=location, tags=tags))
    except TunePaddyError:
        found = call(client.get_experiment_by_name, name)
        if found is None or found.lifecycle_stage != "active":
            raise
        return str(found.experiment_id)


def _is_database(uri: str) -> bool:
    return uri.partition("://")[0].partition("+")[0] in DATABASE_SCHEMES


def _check_database(path: Path, experiment: str | None) -> None:
    """Raise unless the schema is complete, without creating it, as MLflow's client would.

    The driver adds experiments after the schema, so an existing experiment proves a complete schema.
    """
    missing = f"{path}: no record here; start a search in this folder first, or give `tracking_uri`"
    if not path.is_file():
        raise InputError(missing, options=("tracking_uri",))
    address = f"file:{urllib.parse.quote(str(path))}?mode=ro"
    name = "Default" if experiment is None else experiment
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=60)) as database:
            found = database.execute("SELECT 1 FROM experiments WHERE name = ?", (name,)).fetchone()
    except sqlite3.DatabaseError as error:
        absent, reason = "no such table" in str(error), without_sql(str(error))
        raise InputError(
            missing if absent else f"{path}: the database cannot be read ({reason})",
            options=("tracking_uri",),
        ) from None
    if found is None:
        raise InputError(f"{path}: no experiment {name!r}; start a search to create it")


def use_write_ahead_log(path: Path) -> None:
    """Switch a database to a write-ahead log: readers do not block the writer, and writes take half the time.

    The mode is stored in the file. While the database is open, a `-wal` and a `-shm` file belong to it.
    """
    if _file_system(path.parent) in NETWORK_FILE_SYSTEMS:
        return
    try:
        with closing(sqlite3.connect(path, timeout=60)) as database:
            database.execute("PRAGMA journal_mode = WAL")
    except sqlite3.DatabaseError as error:
        raise InputError(f"{path}: the database cannot be written ({error})") from None


def _file_system(folder: Path) -> str:
    """Return the type of a folder's file system; empty if the system does not report it."""
    mounts = [part for part in psutil.disk_partitions(all=True) if folder.is_relative_to(part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else ""
