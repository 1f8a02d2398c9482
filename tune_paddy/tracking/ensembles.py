"""Writing the record of ensembles: the live curve of a search, and what was selected from it."""

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tune_paddy.data.ensemble_file import (
    ENSEMBLE_FILE,
    MAX_MIB,
    DescribedEnsemble,
    parse_ensemble,
    write_ensemble,
)
from tune_paddy.tracking.client import call
from tune_paddy.tracking.context.provenance import git_revision, source_tags
from tune_paddy.tracking.files import SUBMISSION_FILE, file_in_record, file_sha256, log_files, read_file
from tune_paddy.tracking.runs import RecordedRun, find_runs, get_search
from tune_paddy.tracking.schema import KIND, NOTE, OUTCOME, PARENT, SEARCH, SELECTION, EnsembleRecord
from tune_paddy.tracking.store import Store
from tune_paddy.tracking.ui.layout import CONTRIBUTION, WEIGHT
from tune_paddy.tracking.writing import finish_run, log_at_step, log_latest, log_params, set_tags

_DIGITS = 5
"""Decimals of weights and contributions: MLflow's table would show sixteen. `ensemble.json` has them all."""
_NAMING = ("method", "metric")
"""Parameters that stand in the name of an ensemble's run, where it has them."""
_HEADING = "## The search"
LIVE = "live_"
"""What the names of the live curve's metrics begin with."""


def read_recorded_ensemble(store: Store, ensemble: RecordedRun) -> DescribedEnsemble:
    """Read and check what the record says of an ensemble.

    Raises:
        InputError: It is not what `tune-paddy select` writes; the message names the run and the key.
        TunePaddyError: It is gone, or MLflow failed.
    """
    content = read_file(store, ensemble, ENSEMBLE_FILE, most=MAX_MIB, what="an ensemble")
    return parse_ensemble(content, file_in_record(ensemble, ENSEMBLE_FILE))


def was_selected(store: Store, member_run_id: str) -> bool:
    """Whether an ensemble in the record gives a member weight, or once did.

    Raises:
        TunePaddyError: MLflow failed.
    """
    return any(point.value > 0 for point in call(store.client.get_metric_history, member_run_id, WEIGHT))


def log_live_score(store: Store, parent_run_id: str, step: int, log_loss: float, error_rate: float) -> None:
    """Add a point to the live curve: the greedy ensemble's score after each finished member.

    Args:
        store: The record.
        parent_run_id: Run of the search.
        step: Number of finished members.
        log_loss: Of the ensemble on the select split, in nats.
        error_rate: The same, share of images.

    Raises:
        TunePaddyError: MLflow failed.
    """
    scores = {LIVE + "log_loss": log_loss, LIVE + "error_rate": error_rate}
    log_at_step(store.client, parent_run_id, scores, step, None)


def log_ensemble(
    store: Store,
    *,
    search: str,
    selection_dict: Mapping[str, Any],
    files: Sequence[Path],
    metrics: Mapping[str, float],
    params: Mapping[str, object],
    weights: Mapping[str, float] | None = None,
    contributions: Mapping[str, float] | None = None,
    description: str = "",
    search_files: Sequence[Path] = (),
) -> str:
    """Record an ensemble as a run under its search.

    The same selection recorded again goes on in the same run. Its metrics also stand on the search's
    run, so that the search can be compared with others in MLflow's table.

    Args:
        store: The record.
        search: Name of the search.
        selection_dict: What identifies the selection; plain JSON. Stored as `ensemble.json`, unless a
            file of that name is among `files`.
        files: Such as the submission and reports.
        metrics: Scores of the ensemble.
        params: Settings of the selection.
        weights: MLflow run of a member → its weight, zeros for members that were not selected; written
            to the members as the metric `ensemble_weight`.
        contributions: MLflow run of a member → what the ensemble's loss would rise by without it; written
            to the members as the metric `ensemble_contribution`.
        description: Markdown for the run's page; the page of the search begins with it, too.
        search_files: Files and folders that the search's run gets, in place of those of the same names.

    Returns:
        The id of the run.

    Raises:
        InputError: There is no such search.
        TunePaddyError: A file is missing, or MLflow failed.
    """
    client, parent = store.client, get_search(store, search)
    content = json.dumps(selection_dict, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    digest = hashlib.sha256(content.encode()).hexdigest()
    tags = {
        PARENT: parent.run_id,
        KIND: "ensemble",
        SEARCH: search,
        OUTCOME: "running",
        **source_tags(git_revision()),
        **({NOTE: description} if description else {}),
        **EnsembleRecord(digest, _submission_sha256(files)).to_tags(),
    }
    name = " ".join(["ensemble", *(str(params[key]) for key in _NAMING if key in params), digest[:4]])
    run_id = _open(store, parent.experiment_id, name, digest, tags)
    log_params(client, run_id, params)
    _log_files(store, run_id, selection_dict, files)
    for target in (run_id, parent.run_id):
        log_latest(client, target, metrics)
    for member, values in _by_member({WEIGHT: weights or {}, CONTRIBUTION: contributions or {}}).items():
        log_latest(client, member, values)
    log_files(store, parent.run_id, search_files)
    if description:
        set_tags(client, parent.run_id, {NOTE: _with_ensemble(parent.tags.get(NOTE, ""), description)})
    finish_run(store, run_id, "FINISHED")
    return run_id


def _with_ensemble(note: str, description: str) -> str:
    """The page of a search with its newest ensemble in place of an earlier one; MLflow shows only its top."""
    before, heading, own = note.partition(_HEADING)
    return f"{description.rstrip()}\n\n{_HEADING}\n\n{(own if heading else before).strip()}\n"


def _by_member(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Metric → run → value, rounded and turned into run → metric → value: a request for each run."""
    turned: dict[str, dict[str, float]] = {}
    for name, values in metrics.items():
        for run_id, value in values.items():
            turned.setdefault(run_id, {})[name] = round(value, _DIGITS)
    return turned


def _open(store: Store, experiment_id: str, name: str, digest: str, tags: Mapping[str, str]) -> str:
    condition = f"tags.`{PARENT}` = '{tags[PARENT]}' AND tags.`{SELECTION}` = '{digest}'"
    known = find_runs(store, condition, [experiment_id])
    if known:
        run_id = str(known[0].info.run_id)
        call(store.client.update_run, run_id, status="RUNNING")
        set_tags(store.client, run_id, tags)
        return run_id
    return str(call(store.client.create_run, experiment_id, tags=dict(tags), run_name=name).info.run_id)


def _submission_sha256(files: Sequence[Path]) -> str:
    """By which the ensemble is found again when its submission is sent; empty: it wrote none."""
    written = [path for path in files if path.name == SUBMISSION_FILE and path.is_file()]
    return file_sha256(written[0]) if written else ""


def _log_files(store: Store, run_id: str, content: Mapping[str, Any], files: Sequence[Path]) -> None:
    log_files(store, run_id, files)
    if ENSEMBLE_FILE in (path.name for path in files):
        return
    with tempfile.TemporaryDirectory(prefix="tune_paddy-") as folder:
        log_files(store, run_id, [write_ensemble(Path(folder), content)])
