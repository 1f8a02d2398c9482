"""Files of a run."""

from collections.abc import Sequence
from pathlib import Path

from tune_paddy.tracking.client import call
from tune_paddy.tracking.store import Store


def log_files(store: Store, run_id: str, files: Sequence[Path]) -> None:
    """Store files as artifacts of a run, under their own names.

    Raises:
        TunePaddyError: A file is missing, or MLflow failed.
    """
    for file in files:
        call(store.client.log_artifact, run_id, str(file))
