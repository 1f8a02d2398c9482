"""The record that functions of the Python API read."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tune_paddy.tracking.store import Store


def existing_record(tracking_uri: str | None) -> "Store":
    """Open an existing record.

    Args:
        tracking_uri: Address of MLflow; None: `mlflow.db` in the working folder.

    Raises:
        InputError: There is no record.
    """
    from tune_paddy.tracking.store import open_store

    return open_store(tracking_uri, experiment=None, artifact_root=Path("runs"), create=False)
