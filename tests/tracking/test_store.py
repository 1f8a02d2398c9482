import os
import pickle
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from tests.capabilities import becomes_another_user
from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.tracking.client import call
from tune_paddy.tracking.members import log_epoch
from tune_paddy.tracking.store import Store, open_store, resolve_uri, sqlite_path, use_write_ahead_log

WRITERS = 3
POINTS = 50


def write_points(uri: str, root: Path, writer: int) -> None:
    """Open a fresh database and log to a run of its own, as each of several processes does."""
    store = open_store(uri, experiment="race", artifact_root=root, create=True)
    run_id = store.client.create_run(store.experiment_id, run_name=f"writer {writer}").info.run_id
    for step in range(POINTS):
        log_epoch(store, run_id, {"loss": writer + step / POINTS}, step)


def test_processes_that_start_at_once_lose_nothing(tmp_path: Path) -> None:
    """Several processes initialise one fresh database and write 50 points each: all are stored."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    context = get_context("forkserver")
    context.set_forkserver_preload(["mlflow.store.tracking.sqlalchemy_store", "tune_paddy.tracking.store"])
    processes = [context.Process(target=write_points, args=(uri, tmp_path, i)) for i in range(WRITERS)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * WRITERS
    store = open_store(uri, experiment="race", artifact_root=tmp_path, create=False)
    runs = store.client.search_runs([store.experiment_id])
    assert sorted(run.info.run_name for run in runs) == [f"writer {i}" for i in range(WRITERS)]
    for run in runs:
        history = store.client.get_metric_history(run.info.run_id, "loss")
        writer = int(run.info.run_name[-1])
        expected = [writer + step / POINTS for step in range(POINTS)]
        assert [point.value for point in history] == pytest.approx(expected)


def test_a_writer_waits_while_another_holds_the_database(store: Store, database: Path) -> None:
    """A lock of five seconds costs five seconds and no point."""
    run_id = store.client.create_run(store.experiment_id).info.run_id
    released = threading.Event()
    with closing(sqlite3.connect(database, check_same_thread=False)) as other:
        other.execute("BEGIN EXCLUSIVE")

        def release() -> None:
            released.set()
            other.rollback()

        timer = threading.Timer(5, release)
        timer.start()
        log_epoch(store, run_id, {"loss": 1.5}, 1)
        assert released.is_set()
        timer.join()
    assert store.client.get_run(run_id).data.metrics == {"loss": 1.5}


def test_an_experiment_is_created_once(store: Store, database: Path) -> None:
    """Opening again, with or without `create`, gives the same experiment."""
    for create in (True, False):
        root = database.parent / "runs" / "artifacts"
        assert open_store(store.tracking_uri, experiment="digits", artifact_root=root, create=create) == store


def test_another_folder_of_artifacts_gets_an_experiment_of_its_own(store: Store, tmp_path: Path) -> None:
    """MLflow fixes the folder of an experiment when it is created."""
    root = tmp_path / "elsewhere"
    for _ in range(2):
        other = open_store(store.tracking_uri, experiment="digits", artifact_root=root, create=True)
        assert other.experiment_id != store.experiment_id
        run_id = other.client.create_run(other.experiment_id).info.run_id
        other.client.log_text(run_id, "hello", "note.txt")
        assert (root / run_id / "artifacts" / "note.txt").is_file()
    found = other.client.get_experiment(other.experiment_id)
    assert found.name == f"digits in {root}"


def test_files_of_runs_lie_under_the_artifact_root(store: Store, database: Path) -> None:
    """Artifacts go to the given folder, independent of the process's working folder."""
    run_id = store.client.create_run(store.experiment_id).info.run_id
    store.client.log_text(run_id, "hello", "note.txt")
    assert (database.parent / "runs" / "artifacts" / run_id / "artifacts" / "note.txt").read_text() == "hello"


def test_odd_characters_in_the_path_work(database: Path, tmp_path: Path) -> None:
    """Spaces, hashes and letters beyond ASCII need no escaping by the user."""
    folder = tmp_path / "a b #ü"
    folder.mkdir()
    shutil.copyfile(database, folder / "mlflow.db")
    store = open_store(
        f"sqlite:///{folder}/mlflow.db", experiment="e", artifact_root=folder / "r", create=True
    )
    run_id = store.client.create_run(store.experiment_id).info.run_id
    store.client.log_text(run_id, "hello", "note.txt")
    assert (folder / "r" / run_id / "artifacts" / "note.txt").exists()
    assert open_store(store.tracking_uri, experiment="e", artifact_root=folder, create=False) == store


def test_the_default_is_a_database_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative addresses are made absolute, since trials run in another folder."""
    monkeypatch.chdir(tmp_path)
    assert resolve_uri(None) == f"sqlite:///{tmp_path}/mlflow.db"
    assert resolve_uri("sqlite:///sub/my.db") == f"sqlite:///{tmp_path}/sub/my.db"
    assert sqlite_path(resolve_uri(None)) == tmp_path / "mlflow.db"


@pytest.mark.parametrize("uri", ["http://host:5000", "https://host/x", "postgresql+psycopg2://u:p@h/db"])
def test_addresses_of_servers_stay_as_they_are(uri: str) -> None:
    """An absolute address is not changed."""
    assert resolve_uri(uri) == uri
    assert sqlite_path(uri) is None


@pytest.mark.parametrize(
    "uri",
    [
        "mlruns",
        "file:///tmp/mlruns",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///a.db?x=1",
        "ftp://me:pw@host",
    ],
)
def test_addresses_without_a_record_are_refused(uri: str) -> None:
    """File stores, databases in memory and the like give a one-line error without credentials."""
    with pytest.raises(InputError, match=r"sqlite:///") as error:
        resolve_uri(uri)
    assert "pw" not in str(error.value)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("http://exa mple", "remove spaces"),
        ("https://host\n", r"https://host\\n: remove spaces and control characters from the address"),
        ("http://[", "no MLflow server answers"),
        ("mysql://me:pw@127.0.0.1:9/x", r"\*\*\*@127.0.0.1:9/x: needs the Python package MySQLdb; install"),
        ("postgresql+nonsense://me:pw@127.0.0.1/x", "nonsense"),
    ],
)
def test_an_invalid_address_is_a_one_line_error(tmp_path: Path, uri: str, words: str) -> None:
    """Neither a parser's error nor a missing driver ends in a traceback."""
    with pytest.raises(TunePaddyError, match=words) as error:
        open_store(uri, experiment=None, artifact_root=tmp_path, create=False)
    assert "\n" not in str(error.value)
    assert "pw" not in str(error.value)


@pytest.mark.parametrize(
    "uri",
    [
        "http://me:hunter2@127.0.0.1:9/x",
        "postgresql+psycopg2://me:hunter2@host/db",
        "postgresql:///db?user=me&password=hunter2&sslmode=require",
    ],
)
def test_a_pickled_store_holds_no_credentials_and_finds_them_in_the_environment(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray writes the arguments of trials to files; its workers inherit the environment."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://other")
    with pytest.raises(TunePaddyError):  # no server answers
        open_store(uri, experiment=None, artifact_root=tmp_path, create=False)
    pickled = pickle.dumps(Store(uri, "digits", "1"))
    assert b"hunter2" not in pickled
    assert pickle.loads(pickled) == Store(uri, "digits", "1")  # noqa: S301 our own
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:other@elsewhere")
    assert "hunter2" not in pickle.loads(pickled).tracking_uri  # noqa: S301 our own
    assert "elsewhere" not in pickle.loads(pickled).tracking_uri  # noqa: S301 our own


def test_new_files_are_private_to_their_owner(
    initialised_database: Path, store: Store, database: Path
) -> None:
    """Other users of the machine see neither names nor predictions of the record."""
    assert initialised_database.stat().st_mode & 0o777 == 0o600
    assert (database.parent / "runs").stat().st_mode & 0o777 == 0o700
    run_id = store.client.create_run(store.experiment_id).info.run_id
    store.client.log_text(run_id, "hello", "note.txt")
    assert (database.parent / "runs" / "artifacts" / run_id).is_dir()


def test_opening_without_create_creates_nothing(tmp_path: Path) -> None:
    """A trial, or `select` in the wrong folder, fails and leaves no database behind."""
    with pytest.raises(InputError, match="no record here"):
        open_store(f"sqlite:///{tmp_path}/mlflow.db", experiment="e", artifact_root=tmp_path, create=False)
    assert not list(tmp_path.iterdir())


def test_a_database_without_a_schema_is_no_record(tmp_path: Path) -> None:
    """MLflow would create the schema, and two trials at once would break it."""
    path = tmp_path / "mlflow.db"
    sqlite3.connect(path).close()
    path.touch()
    with pytest.raises(InputError, match="no record here"):
        open_store(f"sqlite:///{path}", experiment=None, artifact_root=tmp_path, create=False)
    assert path.read_bytes() == b""


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    """Neither reading nor creating changes it."""
    path = tmp_path / "my files" / "mlflow.db"
    path.parent.mkdir()
    path.write_text("this is a letter, not a database\n" * 100)
    for create in (True, False):
        with pytest.raises(InputError, match=r"damaged .* `sqlite3 '.*/my files/mlflow\.db' \.recover`"):
            open_store(f"sqlite:///{path}", experiment="e", artifact_root=tmp_path, create=create)
    assert path.read_text().startswith("this is a letter")


def test_an_unknown_experiment_is_named(database: Path) -> None:
    """Without `create`, no experiment is created."""
    with pytest.raises(InputError, match="no experiment 'other'"):
        open_store(f"sqlite:///{database}", experiment="other", artifact_root=database.parent, create=False)


def test_a_deleted_experiment_is_refused_with_the_command_that_restores_it(
    store: Store, database: Path
) -> None:
    """MLflow would refuse each run later, with a message of its own."""
    store.client.delete_experiment(store.experiment_id)
    with pytest.raises(InputError, match=f"experiments restore --experiment-id {store.experiment_id}"):
        open_store(store.tracking_uri, experiment="digits", artifact_root=database.parent, create=True)


def test_a_database_that_stays_locked_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a write-ahead log, as on storage that many machines share, a writer blocks readers."""
    monkeypatch.setattr("tune_paddy.tracking.integrity.LOCK_SECONDS", 0.1)
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("CREATE TABLE experiments (name TEXT)")
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(InputError, match=r"stays locked: .*; end that program, or keep the record on a"):
            open_store(f"sqlite:///{path}", experiment=None, artifact_root=tmp_path, create=False)


def test_a_server_that_does_not_answer_is_reported_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's client would retry for minutes."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # which a store sets for the processes that it starts
    with pytest.raises(TunePaddyError, match=r"http://\*\*\*@127.0.0.1:9: no MLflow server answers"):
        open_store("http://me:pw@127.0.0.1:9", experiment="e", artifact_root=tmp_path, create=True)


def test_readers_do_not_block_the_writer(store: Store, database: Path) -> None:
    """An open read transaction, such as a browser's, does not block a trial's write."""
    run_id = store.client.create_run(store.experiment_id).info.run_id
    with closing(sqlite3.connect(database)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM runs").fetchone()
        log_epoch(store, run_id, {"loss": 1.0}, 1)
        assert reader.execute("SELECT count(*) FROM metrics").fetchone() == (0,)
        reader.rollback()
        assert reader.execute("SELECT count(*) FROM metrics").fetchone() == (1,)


def test_a_network_file_system_keeps_the_plain_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write-ahead log needs shared memory, which two machines do not have."""
    mount = SimpleNamespace(mountpoint=str(tmp_path), fstype="nfs4")
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: [mount])  # noqa: A006 - its signature
    path = tmp_path / "mlflow.db"
    use_write_ahead_log(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_database_with_a_zeroed_page_is_refused_before_anything_is_written(
    store: Store, database: Path, tmp_path: Path
) -> None:
    run_id = store.client.create_run(store.experiment_id).info.run_id
    for step in range(300):
        store.client.log_metric(run_id, "loss", 1.0, step=step)
    copied = tmp_path / "damaged.db"
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copied)) as target:
        source.backup(target)
        (page,) = target.execute("SELECT rootpage FROM sqlite_master WHERE name = 'metrics'").fetchone()
        (size,) = target.execute("PRAGMA page_size").fetchone()
    content = bytearray(copied.read_bytes())
    content[(page - 1) * size : page * size] = bytes(size)
    copied.write_bytes(content)
    for create in (True, False):
        with pytest.raises(InputError, match=r"damaged\.db: the database is damaged .* put back a copy"):
            open_store(f"sqlite:///{copied}", experiment=None, artifact_root=tmp_path, create=create)
    assert copied.read_bytes() == content


def test_the_lock_of_a_new_database_is_private(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    open_store(uri, experiment="x", artifact_root=tmp_path, create=True)
    assert (tmp_path / "mlflow.db.lock").stat().st_mode & 0o777 == 0o600


def test_a_file_system_without_locks_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS without its lock service: flock fails with ENOLCK, and filelock raises NotImplementedError."""
    for error in (NotImplementedError("no flock"), OSError(37, "No locks available")):

        def refuse(_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr("filelock.FileLock.acquire", refuse)
        with pytest.raises(TunePaddyError, match=r"mlflow\.db\.lock: cannot be locked: .*supports locks"):
            open_store(f"sqlite:///{tmp_path}/mlflow.db", experiment="x", artifact_root=tmp_path, create=True)


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be a user whom modes keep out, as root is not."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def create_experiment(path: Path) -> None:
    store = open_store(f"sqlite:///{path}", experiment=None, artifact_root=path, create=False)
    call(store.client.create_experiment, "another")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or (os.geteuid() == 0 and not becomes_another_user()),
    reason="needs POSIX's modes, and a user whom they keep out",
)
@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_read_only_database_is_named_without_sql(database: Path, mode: str) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        path = Path(name, "mlflow.db")
        shutil.copy(database, path)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA journal_mode = {mode}")
        path.chmod(0o444)
        path.parent.chmod(0o555)
        with unprivileged(), pytest.raises(TunePaddyError, match="read-only: make the file") as caught:
            create_experiment(path)
        path.parent.chmod(0o755)
    assert "SQL:" not in str(caught.value)
