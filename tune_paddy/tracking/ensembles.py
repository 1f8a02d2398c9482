"""Record ensembles: the live curve of a search, and the selections from it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.core.timing.gains import Point
from tune_paddy.data.ensemble_file import (
    ENSEMBLE_FILE,
    LABELS,
    MAX_MIB,
    DescribedEnsemble,
    parse_ensemble,
    write_ensemble,
)
from tune_paddy.data.system.owned_folders import owned_folder
from tune_paddy.tracking.client import call
from tune_paddy.tracking.context.provenance import git_revision, source_tags, this_process
from tune_paddy.tracking.files import (
    SUBMISSION_FILE,
    file_in_record,
    file_sha256,
    log_files,
    read_file,
    remove_partial_files,
)
from tune_paddy.tracking.runs import (
    RecordedRun,
    find_runs,
    find_tagged,
    get_search,
    list_ensembles,
    read_curve,
    recorded,
)
from tune_paddy.tracking.schema import (
    ENSEMBLE,
    KIND,
    NOTE,
    OUTCOME,
    PARENT,
    PROCESS,
    SEARCH,
    SELECTION,
    EnsembleRecord,
    SearchRecord,
)
from tune_paddy.tracking.server.creation import create_run
from tune_paddy.tracking.store import Store
from tune_paddy.tracking.ui.layout import (
    CONTRIBUTION,
    ERROR_RATE,
    LIVE,
    LIVE_HOURS,
    LIVE_SECONDS,
    LOG_LOSS,
    WEIGHT,
)
from tune_paddy.tracking.ui.tags import stored_tags
from tune_paddy.tracking.writing import finish_run, log_at_step, log_latest, log_params, now, points, set_tags

if TYPE_CHECKING:
    from mlflow.entities import Run

_HEADING = "## The search"


def read_recorded_ensemble(store: Store, ensemble: RecordedRun) -> DescribedEnsemble:
    """Read and validate the `ensemble.json` of an ensemble's run.

    Raises:
        InputError: The file is not one that `tune-paddy select` writes; the message names run and key.
        TunePaddyError: The file is missing, or MLflow failed.
    """
    content = read_file(store, ensemble, ENSEMBLE_FILE, most=MAX_MIB, what="an ensemble")
    return parse_ensemble(content, file_in_record(ensemble, ENSEMBLE_FILE))


def selected_members(store: Store) -> frozenset[str]:
    """Return the run ids of all members that a recorded ensemble of the store's experiment gives weight.

    Raises:
        TunePaddyError: MLflow failed.
    """
    ensembles = map(recorded, find_runs(store, f"tags.`{KIND}` = 'ensemble'", [store.experiment_id]))
    members: set[str] = set()
    for ensemble in ensembles:
        with suppress(TunePaddyError):  # its file is not written yet, or gone
            members |= {view.run_id for view, _ in read_recorded_ensemble(store, ensemble).weights}
    return frozenset(members)


def was_selected(store: Store, member_run_id: str) -> bool:
    """Whether a current ensemble gives or gave a member an ensemble weight above 0.

    Raises:
        TunePaddyError: MLflow failed.
    """
    return any(point.value > 0 for point in call(store.client.get_metric_history, member_run_id, WEIGHT))


def log_live_score(
    store: Store,
    parent_run_id: str,
    step: int,
    log_loss: float,
    error_rate: float,
    *,
    seconds: float,
    new: bool = False,
) -> None:
    """Add a point to the live curve: the greedy ensemble's score after each finished member.

    The hours since the search began are logged with it, for a chart against time: MLflow's own relative
    time begins at a curve's first point.

    Args:
        store: The record.
        parent_run_id: Run of the search.
        step: Number of finished members.
        log_loss: Log loss of the ensemble on the select split, in nats.
        error_rate: Error rate of the ensemble on the select split, from 0 to 1.
        seconds: Time of the search over all its sessions, in s.
        new: Whether the curve is known to have no point at this step; otherwise the whole curve is read.

    Raises:
        TunePaddyError: MLflow failed.
    """
    client, time = store.client, now()
    scores = {LIVE + LOG_LOSS: log_loss, LIVE + ERROR_RATE: error_rate}
    if new or step not in read_curve(store, parent_run_id, LIVE_HOURS):
        started = call(client.get_run, parent_run_id).info.start_time
        scores[LIVE_HOURS] = round((time - started) / 3_600_000, 4)
        scores[LIVE_SECONDS] = round(seconds, 1)
    if new:
        call(client.log_batch, parent_run_id, metrics=points(scores, step=step, milliseconds=time))
    else:
        log_at_step(client, parent_run_id, scores, step, time)


def read_live_points(store: Store, search_run_id: str) -> dict[int, Point]:
    """Return the live curve of a search: number of finished members → time of the search, log loss.

    Points that an earlier version recorded, without the time of the search, are left out.

    Args:
        store: The record.
        search_run_id: Run of the search.

    Raises:
        TunePaddyError: MLflow failed.
    """
    seconds = read_curve(store, search_run_id, LIVE_SECONDS)
    losses = read_curve(store, search_run_id, LIVE + LOG_LOSS) if seconds else {}
    return {step: (seconds[step], losses[step]) for step in sorted(seconds.keys() & losses.keys())}


def log_ensemble(
    store: Store,
    *,
    search: str,
    name: str,
    selection_dict: Mapping[str, Any],
    files: Sequence[Path],
    metrics: Mapping[str, float],
    params: Mapping[str, object],
    description: str = "",
    started: float | None = None,
) -> str:
    """Record an ensemble as a run under its search; `make_current` shows it on the search's own run.

    The same selection, recorded again under its name, reuses its run.

    Args:
        store: The record.
        search: Name of the search.
        name: Name of the ensemble, unique among those of the search.
        selection_dict: Content that identifies the selection, plain JSON. Stored as `ensemble.json`,
            unless a file of that name is among `files`.
        files: Files to store with the run, such as the submission and reports.
        metrics: Scores of the ensemble.
        params: Settings of the selection.
        description: Markdown for the run's page.
        started: Start of the selection, in seconds since 1970; None: now. The run's duration is that of its
            last selection.

    Returns:
        The id of the run.

    Raises:
        InputError: The search is unknown.
        TunePaddyError: A file is missing, or MLflow failed.
    """
    client, parent = store.client, get_search(store, search)
    start = now() if started is None else round(1000 * started)
    digest = selection_digest(selection_dict)
    tags = {
        PARENT: parent.run_id,
        KIND: "ensemble",
        SEARCH: search,
        OUTCOME: "running",
        PROCESS: this_process(),
        **source_tags(git_revision()),
        **({NOTE: description} if description else {}),
        **EnsembleRecord(digest, _submission_sha256(files), name=name, selected_at=now() / 1000).to_tags(),
    }
    _close_stale(store, search)
    run_id, first = _open(store, parent.experiment_id, tags, start)
    log_params(client, run_id, params)
    _log_files(store, run_id, selection_dict, files)
    log_latest(client, run_id, metrics)
    finish_run(store, run_id, "FINISHED", first + max(now() - start, 0))  # the clock may be set back
    return run_id


def make_current(
    store: Store,
    ensemble: RecordedRun,
    *,
    weights: Mapping[str, float],
    contributions: Mapping[str, float],
    files: Sequence[Path] = (),
) -> None:
    """Make an ensemble the one that commands use, and show it on the runs of its search and its members.

    The search's run gets the metrics, so that MLflow's table compares searches.

    Args:
        store: The record.
        ensemble: Run of the ensemble.
        weights: Run id of a member → its ensemble weight, 0 for members that were not selected; logged
            to the members as the metric `ensemble_weight`.
        contributions: Run id of a member → increase of the ensemble's loss without it; logged to the
            members as the metric `ensemble_contribution`.
        files: Files and folders to store with the search's run; they overwrite those of the same names.

    Raises:
        InputError: The search is unknown.
        TunePaddyError: A file is missing, or MLflow failed.
    """
    client, parent = store.client, get_search(store, ensemble.search)
    description = ensemble.tags.get(NOTE, "")
    # First: commands follow this tag alone. The rest is for MLflow's pages, and repeated by the next call.
    set_tags(client, parent.run_id, SearchRecord.tags_of(current_ensemble=ensemble.run_id))
    log_latest(client, parent.run_id, ensemble.metrics)
    for member, values in _by_member({WEIGHT: weights, CONTRIBUTION: contributions}).items():
        log_latest(client, member, values)
    log_files(store, parent.run_id, files)
    if description:
        set_tags(client, parent.run_id, {NOTE: _with_ensemble(parent.tags.get(NOTE, ""), description)})


def selection_digest(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 that identifies a selection, whatever its name.

    Args:
        content: Content of an `ensemble.json`; `LABELS` in it are ignored.
    """
    identity = {key: value for key, value in content.items() if key not in LABELS}
    text = json.dumps(identity, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return hashlib.sha256(text.encode()).hexdigest()


def _with_ensemble(note: str, description: str) -> str:
    """Put an ensemble's description at the top of a search's page, replacing that of an earlier ensemble."""
    before, heading, own = note.partition(_HEADING)
    return f"{description.rstrip()}\n\n{_HEADING}\n\n{(own if heading else before).strip()}\n"


def _by_member(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Turn metric → run → value into run → metric → value: one request per run."""
    turned: dict[str, dict[str, float]] = {}
    for name, values in metrics.items():
        for run_id, value in values.items():
            turned.setdefault(run_id, {})[name] = value
    return turned


def _open(store: Store, experiment_id: str, tags: Mapping[str, str], start: int) -> tuple[str, int]:
    """Return the run of the same selection under the same name, or a new one, and its start.

    MLflow never changes the start, in ms since 1970. A finished run stays finished: if this process dies, a
    current ensemble must not be lost.
    """
    known = _same_selection(store, experiment_id, tags)
    if known:
        run_id = str(known[0].info.run_id)
        if known[0].info.status == "FINISHED":
            tags = {**tags, OUTCOME: "finished"}
        else:
            call(store.client.update_run, run_id, status="RUNNING")
        set_tags(store.client, run_id, tags)
        remove_partial_files(known[0].info.artifact_uri)
        return run_id, int(known[0].info.start_time)
    name = f"ensemble {tags[ENSEMBLE]}"
    return create_run(store.client, experiment_id, name, stored_tags(tags), start), start


def _same_selection(store: Store, experiment_id: str, tags: Mapping[str, str]) -> list["Run"]:
    """Return the runs of the same selection under the same name, oldest first."""
    condition = f"tags.`{PARENT}` = '{tags[PARENT]}'"
    found = find_tagged(store, SELECTION, tags[SELECTION], condition, [experiment_id])
    return [run for run in found if recorded(run).name == tags[ENSEMBLE]]


def _close_stale(store: Store, search: str) -> None:
    """End the runs of ensembles whose process died while it recorded them: nothing else ends them."""
    for ensemble in list_ensembles(store, search):
        if ensemble.status == "RUNNING" and ensemble.outcome == "interrupted":
            finish_run(store, ensemble.run_id, "KILLED")
            remove_partial_files(ensemble.artifact_uri)


def _submission_sha256(files: Sequence[Path]) -> str:
    """Return the digest that finds the ensemble of a submission later; empty: no submission was written."""
    written = [path for path in files if path.name == SUBMISSION_FILE and path.is_file()]
    return file_sha256(written[0]) if written else ""


def _log_files(store: Store, run_id: str, content: Mapping[str, Any], files: Sequence[Path]) -> None:
    log_files(store, run_id, files)
    if ENSEMBLE_FILE in (path.name for path in files):
        return
    with owned_folder() as folder:
        log_files(store, run_id, [write_ensemble(folder, content)])
