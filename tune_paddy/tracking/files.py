"""Files of a run."""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.system import files as reading
from tune_paddy.tracking.client import call, load_mlflow
from tune_paddy.tracking.runs import RecordedRun
from tune_paddy.tracking.store import Store

SUBMISSION_FILE = "submission.csv"
"""An ensemble's predicted labels of the test images, among the files of its run."""

SPACE_FILE, IMAGES_FILE = "space.yaml", "images.csv"
"""Files of a search's run: the space as it was read, and all images."""

MOST_MIB = {SPACE_FILE: 1, IMAGES_FILE: 512}
"""What they may have; a line of a few hundred bytes for each of a million images."""

FIGURES = "figures"
"""Folder of pictures, of a search and among a run's files."""

PARTIAL = ".artifact.uploading."
"""What MLflow's names of files begin with that are not yet written."""


def log_files(store: Store, run_id: str, files: Sequence[Path]) -> None:
    """Store files as artifacts of a run, under their own names.

    Raises:
        TunePaddyError: A file is missing, or MLflow failed.
    """
    for file in files:
        call(store.client.log_artifact, run_id, str(file))


def file_sha256(path: Path) -> str:
    """Hex digest by which a file is known again, wherever it lies.

    Raises:
        OSError: It cannot be read.
    """
    return hashlib.sha256(path.read_bytes()).hexdigest()


def remove_partial_files(artifact_uri: str) -> None:
    """Remove what a killed process was writing to a run's files, where these are on this machine.

    Args:
        artifact_uri: Where the files of a run are that nobody writes to.
    """
    if artifact_uri.startswith("file:"):
        for path in list(Path(url2pathname(urlsplit(artifact_uri).path)).glob(f"{PARTIAL}*")):
            path.unlink(missing_ok=True)


def read_file(store: Store, run: RecordedRun, name: str, *, most: int, what: str) -> bytes:
    """Read a file of a run.

    Args:
        store: The record.
        run: Whose file it is.
        name: Of the file.
        most: MiB that such a file may have; others may have written to the record, too.
        what: The file should be, for the message, such as `an ensemble`.

    Raises:
        InputError: It is too large, or cannot be read; the message names the run.
        TunePaddyError: There is none, or MLflow failed.
    """
    with fetched(store, run.artifact_uri, name) as path:
        try:
            return reading.read_file(path, most=most, what=what)
        except InputError as error:
            raise InputError(str(error).replace(str(path), file_in_record(run, name))) from error


def read_text_of_search(store: Store, search: RecordedRun, name: str) -> str:
    """A file of a search's run, a key of `MOST_MIB`, as text; empty where none can be read."""
    try:
        content = read_file(store, search, name, most=MOST_MIB[name], what="a file of a search")
    except TunePaddyError:
        return ""
    return content.decode("utf-8", errors="replace")


def file_in_record(run: RecordedRun, name: str) -> str:
    """How messages name a file of a run."""
    return f"run {run.run_id}/{name}"


@contextmanager
def fetched(store: Store, artifact_uri: str, name: str) -> Iterator[Path]:
    """Have a file of a run: where it lies, or, while the block runs, a copy of it from a server.

    Args:
        store: The record.
        artifact_uri: Where the run's files are.
        name: Of the file.

    Raises:
        TunePaddyError: There is none, or MLflow failed.
    """
    uri = f"{artifact_uri.rstrip('/')}/{name}"
    if uri.startswith("file:"):  # the part of MLflow that downloads takes most of a second to import
        path = Path(url2pathname(urlsplit(uri).path))
        if not path.is_file():
            raise TunePaddyError(f"{path}: there is no such file")
        yield path
        return
    download = load_mlflow().artifacts.download_artifacts
    with tempfile.TemporaryDirectory(prefix="tune_paddy-") as folder:
        yield Path(call(download, artifact_uri=uri, dst_path=folder, tracking_uri=store.tracking_uri))
