"""Files of a run."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit
from urllib.request import url2pathname

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.split import MAX_MIB
from tune_paddy.data.system import files as reading
from tune_paddy.data.system.owned_folders import owned_folder
from tune_paddy.data.system.text import shown
from tune_paddy.tracking.client import call, load_mlflow, wait_out
from tune_paddy.tracking.runs import RecordedRun
from tune_paddy.tracking.schema import SearchRecord
from tune_paddy.tracking.store import Store

SUBMISSION_FILE = "submission.csv"
"""Artifact of an ensemble's run: predicted labels of the test images."""

SPACE_FILE, IMAGES_FILE, SPLIT_FILE = "space.yaml", "images.csv", "split.json"
"""Artifacts of a search's run: the space as it was read, the list of all images, and the split."""

TARGETS_FILE = "targets.npz"
"""Artifact of a search's run: the soft labels and pseudo-labels that earlier searches gave it."""

MOST_MIB = {SPACE_FILE: 1, IMAGES_FILE: 512, SPLIT_FILE: MAX_MIB, TARGETS_FILE: 4096}
"""Size limits in MiB: enough for a million images with a line of a few hundred bytes each."""

FIGURES = "figures"
"""Name of the folder of figures, in a search's folder and among a run's artifacts."""

PARTIAL = ".artifact.uploading."
"""Prefix of files that MLflow has not yet written completely."""


def log_files(store: Store, run_id: str, files: Sequence[Path], *, most: float = math.inf) -> None:
    """Store files as artifacts of a run, under their own names.

    Args:
        store: The record.
        run_id: The run.
        files: Files to store.
        most: Limit of the time for which an upload is repeated, see `wait_out`, in seconds.

    Raises:
        TunePaddyError: A file is missing, or MLflow failed.
    """
    for file in files:
        wait_out(partial(store.client.log_artifact, run_id, str(file)), most=most)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hex.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def artifacts_folder(store: Store, run_id: str) -> Path | None:
    """Return the folder of a run's artifacts, or None if a server or an object store keeps them.

    Raises:
        TunePaddyError: MLflow failed.
    """
    return _local_folder(call(store.client.get_run, run_id).info.artifact_uri)


def _local_folder(artifact_uri: str) -> Path | None:
    return Path(url2pathname(urlsplit(artifact_uri).path)) if artifact_uri.startswith("file:") else None


def remove_partial_files(artifact_uri: str) -> None:
    """Remove the partial artifacts of a killed process, if the artifacts are on this machine.

    Args:
        artifact_uri: Address of the artifacts of a run that no process writes to.
    """
    folder = _local_folder(artifact_uri)
    if folder is not None:
        for path in list(folder.glob(f"{PARTIAL}*")):
            path.unlink(missing_ok=True)


def read_file(store: Store, run: RecordedRun, name: str, *, most: int, what: str) -> bytes:
    """Read a file of a run.

    Args:
        store: The record.
        run: Run that the file belongs to.
        name: Name of the file.
        most: Size limit in MiB; the record may have been written by others.
        what: Kind of file, for the message, such as `an ensemble`.

    Raises:
        InputError: The file is too large or cannot be read; the message names the run.
        TunePaddyError: The file is missing, or MLflow failed.
    """
    with fetched(store, run.artifact_uri, name) as path:
        try:
            return reading.read_file(path, most=most, what=what)
        except InputError as error:
            raise InputError(str(error).replace(str(path), file_in_record(run, name))) from error


def read_text_of_search(store: Store, search: RecordedRun, name: str) -> str:
    """Return a file of a search's run, a key of `MOST_MIB`, as text; empty if it cannot be read."""
    try:
        content = read_file(store, search, name, most=MOST_MIB[name], what="a file of a search")
    except TunePaddyError:
        return ""
    return content.decode("utf-8", errors="replace")


def read_search_file(store: Store, search: RecordedRun, name: str, *, what: str) -> tuple[bytes, str]:
    """Read a file of a search from its folder, or from its run if the folder is gone or on another machine.

    Args:
        store: The record.
        search: Run of the search.
        name: Name of the file, a key of `MOST_MIB`.
        what: Kind of file, for the message, such as `a search space`.

    Returns:
        The content, and the file's name in messages.

    Raises:
        InputError: The file is too large or cannot be read.
        TunePaddyError: Neither place has it, or MLflow failed.
    """
    folder = SearchRecord.from_run(search).folder
    if folder is not None and (folder / name).is_file():
        return reading.read_file(folder / name, most=MOST_MIB[name], what=what), shown(folder / name)
    return read_file(store, search, name, most=MOST_MIB[name], what=what), file_in_record(search, name)


def file_in_record(run: RecordedRun, name: str) -> str:
    """Return the name of a run's file in messages."""
    return f"run {run.run_id}/{name}"


@contextmanager
def fetched(store: Store, artifact_uri: str, name: str) -> Iterator[Path]:
    """Yield the path of a run's file: the file itself, or a temporary copy from a server.

    Args:
        store: The record.
        artifact_uri: Address of the run's artifacts.
        name: Name of the file.

    Raises:
        TunePaddyError: The file is missing, or MLflow failed.
    """
    uri = f"{artifact_uri.rstrip('/')}/{name}"
    if uri.startswith("file:"):  # the part of MLflow that downloads takes most of a second to import
        path = Path(url2pathname(urlsplit(uri).path))
        if not path.is_file():
            raise TunePaddyError(f"{path}: there is no such file")
        yield path
        return
    with owned_folder() as folder:
        yield download(uri, folder, store.tracking_uri)


def download(uri: str, folder: Path, tracking_uri: str) -> Path:
    """Download a file or a folder of artifacts into a folder; return its path.

    A missing one raises at once, although a server whose storage is S3 answers 500 for it, as for a storage
    that fails.

    Args:
        uri: Address of the artifact.
        folder: Folder to download into.
        tracking_uri: Address of the record, whose server may pass artifacts on.

    Raises:
        TunePaddyError: The artifact is missing, or MLflow failed.
    """
    return call(_download, uri, folder, tracking_uri)


def _download(uri: str, folder: Path, tracking_uri: str) -> Path:
    mlflow = load_mlflow()
    try:
        found = mlflow.artifacts.download_artifacts(
            artifact_uri=uri, dst_path=str(folder), tracking_uri=tracking_uri
        )
    except (mlflow.MlflowException, OSError):
        if _is_missing(uri, tracking_uri):
            raise FileNotFoundError(f"{uri}: there is no such file") from None
        raise
    return Path(found)


def _is_missing(uri: str, tracking_uri: str) -> bool:
    parent, _, name = uri.rstrip("/").rpartition("/")
    listed = load_mlflow().artifacts.list_artifacts(artifact_uri=parent, tracking_uri=tracking_uri)
    return name not in {PurePosixPath(file.path).name for file in listed}
