"""Submissions in the record: find an ensemble's submission, and record Kaggle's response to it."""

import shlex
from pathlib import Path

from tune_paddy.core.errors import InputError
from tune_paddy.tracking.client import call, load_mlflow
from tune_paddy.tracking.runs import RecordedRun, find_runs, list_ensembles, recorded
from tune_paddy.tracking.schema import KIND, SUBMISSION_SHA256, EnsembleRecord, SubmissionRecord
from tune_paddy.tracking.store import Store
from tune_paddy.tracking.writing import set_tags


def find_ensemble(store: Store, digest: str) -> RecordedRun | None:
    """Return the newest ensemble whose submission has a SHA-256 digest, or None.

    Raises:
        TunePaddyError: MLflow failed.
    """
    condition = f"tags.`{KIND}` = 'ensemble' AND tags.`{SUBMISSION_SHA256}` = '{digest}'"
    return _newest([recorded(run) for run in find_runs(store, condition)])


def latest_ensemble(store: Store, search: str) -> RecordedRun:
    """Return the newest ensemble of a search that has a submission.

    Raises:
        InputError: The search is unknown, or has no submission.
        TunePaddyError: MLflow failed.
    """
    ensembles = list_ensembles(store, search)
    newest = _newest([run for run in ensembles if EnsembleRecord.from_run(run).submission_sha256])
    if newest is None:
        raise InputError(
            f"search {search!r} has no submission yet; write one with "
            f"`tune-paddy select {shlex.quote(search)}`; the dataset needs test images"
        )
    return newest


def download_file(store: Store, ensemble: RecordedRun, name: str, folder: Path) -> Path:
    """Copy a file of an ensemble's run into a folder; return its path.

    Raises:
        TunePaddyError: The file is missing, or MLflow failed.
    """
    download = load_mlflow().artifacts.download_artifacts
    uri = f"{ensemble.artifact_uri.rstrip('/')}/{name}"
    return Path(call(download, artifact_uri=uri, dst_path=str(folder), tracking_uri=store.tracking_uri))


def log_submission(store: Store, run_id: str, record: SubmissionRecord) -> None:
    """Record a submission or Kaggle's response on an ensemble's run; unset fields keep their tags.

    Raises:
        TunePaddyError: MLflow failed.
    """
    set_tags(store.client, run_id, record.to_tags())


def _newest(runs: list[RecordedRun]) -> RecordedRun | None:
    return max(runs, key=lambda run: (run.ended or 0.0, run.run_id), default=None)
