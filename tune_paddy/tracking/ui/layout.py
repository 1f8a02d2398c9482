"""Saved views of MLflow's runs table: columns and charts; the default view shows no metric.

MLflow stores saved views as tags of the experiment, lists them in its menu *Views*, and opens the view
that an address names. It keeps all other settings of its pages, such as the charts of a single run, in the
browser.
"""

import json
import time
from typing import Any
from urllib.parse import quote

from tune_paddy.tracking.client import call
from tune_paddy.tracking.schema import KIND, OUTCOME, PARENT, PREFIX
from tune_paddy.tracking.store import Store
from tune_paddy.tracking.ui.charts import charts, line, scatter

VIEW = "mlflow.sharedViewState."
ALL_SEARCHES = "tune_paddy-searches"
"""Key of the view of all searches, whose rows expand to their members and ensembles."""

WEIGHT = "ensemble_weight"
CONTRIBUTION = "ensemble_contribution"
LOG_LOSS, ERROR_RATE = "log_loss", "error_rate"
GPU_SECONDS, CPU_SECONDS = "gpu_seconds", "cpu_seconds"
LIVE = "live_"
"""Prefix of the metrics of the ensemble while a search runs."""
LIVE_HOURS = LIVE + "hours"
LIVE_SECONDS = LIVE + "seconds"
"""Time of the search over all its sessions, without the pauses between them, which the hours have."""

_NAME, _CREATED, _DURATION = "attributes.`Run Name`", "runDateAndNestInfo", "duration"
"""Columns of every view, by MLflow's names."""
_OUTCOME = f"tags.`{OUTCOME}`"
_WIDTHS = {
    _NAME: 280,
    _CREATED: 130,
    _DURATION: 80,
    f"metrics.`{CONTRIBUTION}`": 160,
    f"metrics.`{WEIGHT}`": 130,
    **{f"metrics.`ensemble_{LOG_LOSS}_{end}`": 170 for end in ("low", "high")},
}
"""Column → width in pixels; other columns get 100."""
_SCORES = "Loss (nats), error (0–1)"
"""Beginning of the headings of charts; MLflow cuts headings of more than 40 characters."""


def save_views(store: Store, search: str, run_id: str, *, on_gpu: bool) -> None:
    """Save the view of all searches, and a search's views: members, curves, ensembles, growth.

    Args:
        store: The record, opened for the search's experiment.
        search: Name of the search.
        run_id: Run of the search.
        on_gpu: Whether its trials use GPUs; the views then show GPU-seconds, otherwise CPU-seconds.

    Raises:
        TunePaddyError: MLflow failed.
    """
    cost = GPU_SECONDS if on_gpu else CPU_SECONDS
    members = _best_first(run_id, "member") | _member_columns(cost)
    ensembles = _best_first(run_id, "ensemble") | _ensemble_columns()
    growth = {"searchFilter": f"attributes.run_id = '{run_id}'"} | _member_columns(cost)
    _save(store, ALL_SEARCHES, "Searches, with members and ensembles", _member_columns(cost) | _growth())
    _save(store, members_view(search), f"{search}: members, best first", members | _costs(cost))
    _save(store, curves_view(search), f"{search}: curves of the ten best members", members | _curves())
    _save(store, ensembles_view(search), f"{search}: ensembles, best first", ensembles)
    _save(store, growth_view(search), f"{search}: ensemble against time", growth | _growth())
    _forget_old_curves(store, search)


def uses_gpu(setting: object) -> bool:
    """Whether a search's setting `gpu`, as a value or as recorded text, gives GPUs to trials.

    >>> [uses_gpu(setting) for setting in (0, "0.0", "0.5", "auto")]
    [False, False, True, True]
    """
    return str(setting) not in ("0", "0.0")


def members_view(search: str) -> str:
    """Return the key of the view of a search's members; its charts show their costs."""
    return f"{PREFIX}{search}"


def curves_view(search: str) -> str:
    """Return the key of the view of the members' curves, which the page shows in its chart mode."""
    return f"{members_view(search)}:curves"  # no name of a search has a colon


def ensembles_view(search: str) -> str:
    """Return the key of the view of a search's ensembles."""
    return f"{members_view(search)}:ensembles"


def growth_view(search: str) -> str:
    """Return the key of the view of the ensemble while the search runs, for the page's chart mode."""
    return f"{members_view(search)}:growth"


def view_address(page: str, experiment_id: str, key: str, *, charts: bool = False) -> str:
    """Return the address of a view in a browser.

    Args:
        page: Address of MLflow's page.
        experiment_id: Id of the view's experiment.
        key: Key of the view.
        charts: Whether to show charts instead of the table.
    """
    query = f"workflowType=machine_learning&viewStateShareKey={quote(key, safe='')}"
    return f"{page}/#/experiments/{experiment_id}/runs?{query}{'&compareRunsMode=CHART' * charts}"


def _best_first(run_id: str, kind: str) -> dict[str, Any]:
    """Return the query of a search's members or ensembles, the lowest log loss first."""
    return {
        "searchFilter": f"tags.`{PARENT}` = '{run_id}' AND tags.`{KIND}` = '{kind}'",
        "orderByKey": f"metrics.`{LOG_LOSS}`",
        "orderByAsc": True,
    }


def _member_columns(cost: str) -> dict[str, Any]:
    metrics = (LOG_LOSS, ERROR_RATE, WEIGHT, CONTRIBUTION, cost)
    return _columns([*(f"metrics.`{name}`" for name in metrics), _OUTCOME, f"tags.`{PREFIX}proposed_by`"])


def _ensemble_columns() -> dict[str, Any]:
    scores = (LOG_LOSS, f"ensemble_{LOG_LOSS}_low", f"ensemble_{LOG_LOSS}_high", ERROR_RATE)
    public = f"tags.`{PREFIX}kaggle.public`"
    settings = [f"params.`{name}`" for name in ("method", "metric", "searches")]
    return _columns([*(f"metrics.`{name}`" for name in scores), *settings, public])


def _columns(shown: list[str]) -> dict[str, Any]:
    order = [_NAME, _CREATED, *shown, _DURATION]
    return {
        "selectedColumns": [*shown, "attributes.`Duration`"],
        "columnOrder": order,
        "columnWidths": {column: _WIDTHS.get(column, 100) for column in order},
    }


def _curves() -> dict[str, Any]:
    scores = [line(LOG_LOSS, log=True), line(ERROR_RATE), line("train_loss", log=True)]
    sections = {f"{_SCORES} by epoch": scores, "Learning rate by epoch": [line("lr")]}
    return charts(sections, runs="FIRST_10_RUNS")


def _costs(cost: str) -> dict[str, Any]:
    unit = "GPU-seconds" if cost == GPU_SECONDS else "CPU-seconds"
    return charts({f"{_SCORES} by {unit}": [scatter(cost, LOG_LOSS), scatter(cost, ERROR_RATE)]})


def _growth() -> dict[str, Any]:
    scores = (LIVE + LOG_LOSS, LIVE + ERROR_RATE)
    return charts(
        {
            f"{_SCORES} by hours": [line(score, against=LIVE_HOURS) for score in scores],
            f"{_SCORES} by members": [line(score) for score in scores],
        }
    )


def _save(store: Store, key: str, name: str, state: dict[str, Any]) -> None:
    moment = int(time.time() * 1000)
    text = json.dumps(state, separators=(",", ":"))
    view = json.dumps({"name": name, "createdAt": moment, "updatedAt": moment, "state": text})
    call(store.client.set_experiment_tag, store.experiment_id, VIEW + key, view)


def _forget_old_curves(store: Store, search: str) -> None:
    """Remove the view of version 0.2.0 that drew ensembles as points among the curves."""
    old = f"{VIEW}{members_view(search)}.curves"  # also the key of the members of a search `SEARCH.curves`
    kept = call(store.client.get_experiment, store.experiment_id).tags.get(old, "")
    if f'"name": "{search}: curves by epoch"' in kept:
        call(store.client.delete_experiment_tag, store.experiment_id, old)
