"""Files of a run."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from tune_paddy.tracking.client import call
from tune_paddy.tracking.store import Store

SUBMISSION_FILE = "submission.csv"
"""An ensemble's predicted labels of the test images, among the files of its run."""


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
