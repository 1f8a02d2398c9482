"""Submissions in the record: find an ensemble's submission, and record Kaggle's response to it."""

import shlex
from pathlib import Path

from tune_paddy.core.errors import InputError
from tune_paddy.tracking.files import download
from tune_paddy.tracking.lookup.ensembles import current_ensemble, get_ensemble, selected_at
from tune_paddy.tracking.runs import RecordedRun, find_tagged, recorded
from tune_paddy.tracking.schema import KIND, SUBMISSION_SHA256, EnsembleRecord, SubmissionRecord
from tune_paddy.tracking.store import Store
from tune_paddy.tracking.writing import set_tags


def find_ensemble(store: Store, digest: str) -> RecordedRun | None:
    """Return the newest ensemble whose submission has a SHA-256 digest, or None.

    Raises:
        TunePaddyError: MLflow failed.
    """
    found = find_tagged(store, SUBMISSION_SHA256, digest, f"tags.`{KIND}` = 'ensemble'")
    return _newest([recorded(run) for run in found])


def submittable_ensemble(store: Store, search: str, wanted: str | None = None) -> RecordedRun:
    """Return an ensemble of a search that has a submission.

    Args:
        store: The record.
        search: Name of the search.
        wanted: Name or run id of the ensemble; None: the current one.

    Raises:
        InputError: The search or the ensemble is unknown, or has no submission.
        TunePaddyError: MLflow failed.
    """
    found = current_ensemble(store, search) if wanted is None else get_ensemble(store, search, wanted)
    if found is None or not EnsembleRecord.from_run(found).submission_sha256:
        raise InputError(
            f"search {search!r} has no submission yet; write one with "
            f"`tune-paddy select {shlex.quote(search)}`; the dataset needs test images"
        )
    return found


def download_file(store: Store, ensemble: RecordedRun, name: str, folder: Path) -> Path:
    """Copy a file of an ensemble's run into a folder; return its path.

    Raises:
        TunePaddyError: The file is missing, or MLflow failed.
    """
    return download(f"{ensemble.artifact_uri.rstrip('/')}/{name}", folder, store.tracking_uri)


def mark_sending(store: Store, run_id: str, message: str) -> None:
    """Record on an ensemble's run that its submission is about to be sent; `log_submission` ends that.

    Args:
        store: The record.
        run_id: Run of the ensemble.
        message: Message of the submission.

    Raises:
        TunePaddyError: MLflow failed.
    """
    set_tags(store.client, run_id, SubmissionRecord.tags_of(sending=message))


def log_submission(store: Store, run_id: str, record: SubmissionRecord) -> None:
    """Record a submission or Kaggle's response on an ensemble's run; unset fields keep their tags.

    A submission (one with `sent_at`) has no score yet, whatever the record has of an earlier one.

    Raises:
        TunePaddyError: MLflow failed.
    """
    unscored = SubmissionRecord.tags_of(sending="", status="", public="", private="", problem="")
    set_tags(store.client, run_id, {**(unscored if record.sent_at else {}), **record.to_tags()})


def _newest(runs: list[RecordedRun]) -> RecordedRun | None:
    return max(runs, key=lambda run: (selected_at(run), run.run_id), default=None)
