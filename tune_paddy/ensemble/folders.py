"""Folders of ensembles: `SEARCH/ensembles/NAME`, and copies of the current one's files in `SEARCH`.

The copies are plain files, since links do not survive Windows, archives and uploads. The key `name` of
`SEARCH/ensemble.json` says whose copies they are; it is written last.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.ensemble_file import ENSEMBLE_FILE, read_ensemble
from tune_paddy.data.system.files import write_atomically
from tune_paddy.data.system.locks import file_lock
from tune_paddy.data.system.own_output import mark_output
from tune_paddy.ensemble.reports.html import REPORT
from tune_paddy.tracking.files import FIGURES, SUBMISSION_FILE
from tune_paddy.tracking.names import LOCK
from tune_paddy.tracking.runs import RecordedRun, check_name
from tune_paddy.tracking.store import Store
from tune_paddy.tracking.submissions import download_file

ENSEMBLES = "ensembles"
"""Name of the folder of all ensembles, in the folder of a search."""

_UNFINISHED = ".unfinished-"
"""Prefix of folders that are being written."""
_COPIED = (SUBMISSION_FILE, REPORT, ENSEMBLE_FILE)
"""Files of an ensemble, the last one naming it."""
FILES = (*_COPIED, FIGURES)
"""Files and folders of an ensemble; submission and report may be missing."""


@contextmanager
def ensembles_lock(search: Path) -> Iterator[Path]:
    """Hold the lock of a search's ensembles while the block runs; wait if another process holds it.

    Args:
        search: Folder of the search, created if missing.

    Yields:
        The folder of the ensembles, without remains of killed processes.
    """
    folder = search / ENSEMBLES
    mark_output(search)
    folder.mkdir(parents=True, exist_ok=True)
    with file_lock(folder / LOCK):
        for remains in folder.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(remains, ignore_errors=True)
        yield folder


def ensemble_folder(search: Path, name: str) -> Path:
    """Return the folder of an ensemble.

    Args:
        search: Folder of the search.
        name: Name of the ensemble; a record of others may hold any text.

    Raises:
        InputError: The name is not valid, so that it could lead out of the folder.
    """
    return search / ENSEMBLES / check_name(name, "ensemble")


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder; it becomes `target`, and replaces it, when the block ends without an error.

    Args:
        target: Path of the folder; the caller holds the lock of its parent.
    """
    temporary = Path(mkdtemp(prefix=_UNFINISHED, dir=target.parent))
    try:
        (temporary / "new").mkdir()
        yield temporary / "new"
        if target.exists():
            target.rename(temporary / "old")
        (temporary / "new").rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def publish(ensemble: Path, search: Path) -> None:
    """Copy the files of an ensemble into its search's folder, each atomically, if they differ.

    Args:
        ensemble: Folder of the ensemble.
        search: Folder of the search.

    Raises:
        TunePaddyError: A file cannot be written.
    """
    mark_output(search)
    # The search's own figures lie in the same folder: only figures that some ensemble has are replaced.
    figures = sorted({f"{FIGURES}/{path.name}" for path in ensemble.parent.glob(f"*/{FIGURES}/*.png")})
    for name in (*figures, *_COPIED):
        source, target = ensemble / name, search / name
        if not source.is_file():
            target.unlink(missing_ok=True)
        elif not (target.is_file() and target.read_bytes() == source.read_bytes()):
            write_atomically(target, source.read_bytes())


def published_name(search: Path) -> str | None:
    """Return the name of the ensemble whose copies a search's folder holds.

    Returns:
        The name; empty if an older version wrote the files, or they cannot be read; None if there are none.
    """
    try:
        return read_ensemble(search / ENSEMBLE_FILE).name if (search / ENSEMBLE_FILE).exists() else None
    except InputError:
        return ""


def keep_published(search: Path, name: str) -> None:
    """Move an ensemble that an older version wrote into a search's folder to a folder of its own.

    Args:
        search: Folder of the search, whose ensembles the caller has locked.
        name: Name for the ensemble.
    """
    with new_folder(ensemble_folder(search, name)) as folder:
        for file in _COPIED:
            if (search / file).is_file():
                shutil.copy2(search / file, folder / file)
        if (search / FIGURES).is_dir():
            shutil.copytree(search / FIGURES, folder / FIGURES)


def restore(store: Store, ensemble: RecordedRun, target: Path) -> None:
    """Write the folder of an ensemble from the record, as on another machine.

    Args:
        store: The record.
        ensemble: Run of the ensemble.
        target: Folder of the ensemble; the caller holds the lock of its parent.

    Raises:
        TunePaddyError: The record has no `ensemble.json`, or MLflow failed.
    """
    with new_folder(target) as folder:
        download_file(store, ensemble, ENSEMBLE_FILE, folder)
        for name in (SUBMISSION_FILE, REPORT, FIGURES):  # an older record may lack them
            with suppress(TunePaddyError):
                download_file(store, ensemble, name, folder)
