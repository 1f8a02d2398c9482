"""Read what searches have recorded: the predictions of their members, and their ensembles."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from tune_paddy.api.record import existing_record
from tune_paddy.api.results import Chosen, Pool
from tune_paddy.core.arguments.checked import checked
from tune_paddy.core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from tune_paddy.core import predictions
    from tune_paddy.core.estimate import Estimate
    from tune_paddy.tracking.store import Store


@checked
def load_pool(*searches: str | Sequence[str], tracking_uri: str | None = None) -> Pool:
    """Read the predictions of all finished members of one or more searches from the record.

    Args:
        *searches: Names of the searches, or lists of them; with more than one, members are named
            `SEARCH:MEMBER`.
        tracking_uri: Address of MLflow; None: `mlflow.db` in the working folder.

    Raises:
        InputError: The record or a search does not exist, or no member can be used.
    """
    from tune_paddy.tracking.pool import load_pool as load

    names = [name for one in searches for name in ([one] if isinstance(one, str) else one)]
    if not names:
        raise InputError("give the name of at least one search")
    store = existing_record(tracking_uri)
    pool = load(store, names)
    if not pool.views:
        reasons = "; ".join(f"{refused.member}: {refused.reason}" for refused in pool.refused[:5])
        raise InputError(f"no finished member in {', '.join(names)} {f'({reasons})' if reasons else ''}")
    return _pool_of(store, pool, names)


def _pool_of(store: "Store", pool: "predictions.Pool", searches: Sequence[str]) -> Pool:
    """Return a pool that knows its record and its searches."""
    from tune_paddy.tracking.runs import get_search
    from tune_paddy.tracking.schema import SearchRecord

    record = SearchRecord.from_run(get_search(store, searches[0]))
    return Pool(
        **{one.name: getattr(pool, one.name) for one in fields(pool)},
        form=record.submission(pool.classes),
        searches=tuple(dict.fromkeys(searches)),
        tracking_uri=store.tracking_uri,
    )


@checked
def list_ensembles(search: str, *, tracking_uri: str | None = None) -> "pd.DataFrame":
    """Return the ensembles of a search, oldest first: name, current, method, metric, score, interval, run id.

    Args:
        search: Name of the search.
        tracking_uri: Address of MLflow; None: `mlflow.db` in the working folder.

    Raises:
        InputError: The record or the search does not exist.
    """
    from tune_paddy.api.table import Table
    from tune_paddy.core.metrics import metric_key
    from tune_paddy.tracking.lookup.ensembles import current_among, finished_ensembles
    from tune_paddy.tracking.runs import get_search

    store = existing_record(tracking_uri)
    ensembles = finished_ensembles(store, search)
    current = current_among(get_search(store, search), ensembles)
    names = ("score", ""), ("low", "_low"), ("high", "_high")
    rows = [
        {
            "name": run.name,
            "current": run is current,
            "method": run.params.get("method", ""),
            "metric": (metric := run.params.get("metric", "")),
            **{name: run.metrics.get(f"ensemble_{metric_key(metric)}{end}") for name, end in names},
            "run_id": run.run_id,
        }
        for run in ensembles
    ]
    columns = ["name", "current", "method", "metric", "score", "low", "high", "run_id"]
    return Table(rows, columns=columns)


@checked
def load_ensemble(search: str, ensemble: str | None = None, *, tracking_uri: str | None = None) -> Chosen:
    """Read a recorded ensemble of a search, with the predictions of its members.

    Args:
        search: Name of the search.
        ensemble: Name or run id of the ensemble, see `list_ensembles`; None: the current one.
        tracking_uri: Address of MLflow; None: `mlflow.db` in the working folder.

    Returns:
        The pool and the selection; its `assessment` is None, `list_ensembles` has the score.

    Raises:
        InputError: The record, the search or the ensemble does not exist.
    """
    from tune_paddy.ensemble.recorded import load_recorded
    from tune_paddy.tracking.lookup.ensembles import get_ensemble

    store = existing_record(tracking_uri)
    run = get_ensemble(store, search, ensemble)
    read = load_recorded(store, run)
    searches = run.params.get("searches", search).split(", ")
    estimate = _recorded_estimate(run.metrics, read.selection.metric)
    return Chosen(_pool_of(store, read.pool, searches), read.selection, None, recorded=estimate)


def _recorded_estimate(metrics: Mapping[str, float], metric: str) -> "Estimate | None":
    """Return the estimate of a recorded ensemble; None if it has none."""
    from tune_paddy.core.estimate import Estimate
    from tune_paddy.core.metrics import metric_key

    key = f"ensemble_{metric_key(metric)}"
    if not {key, f"{key}_low", f"{key}_high"} <= metrics.keys():
        return None
    return Estimate(metrics[key], float("nan"), metrics[f"{key}_low"], metrics[f"{key}_high"])


@checked
def use_ensemble(
    search: str, ensemble: str, *, tracking_uri: str | None = None, runs: str | Path = "runs"
) -> None:
    """Make an ensemble the current one of a search, as `tune-paddy use` does.

    Args:
        search: Name of the search.
        ensemble: Name or run id of the ensemble, see `list_ensembles`.
        tracking_uri: Address of MLflow; None: `mlflow.db` in the working folder.
        runs: Folder of searches and their files.

    Raises:
        InputError: The record, the search or the ensemble does not exist.
        TunePaddyError: A file cannot be written, or MLflow failed.
    """
    from tune_paddy.ensemble.switch import search_folder
    from tune_paddy.ensemble.switch import use_ensemble as use
    from tune_paddy.tracking.runs import get_search

    store = existing_record(tracking_uri)
    use(store, search, ensemble, search_folder(get_search(store, search), Path(runs)))
