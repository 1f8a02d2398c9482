"""Saved views of MLflow's runs table with the important columns; the default view shows no metric.

MLflow stores saved views as tags of the experiment, lists them in its menu *Views*, and opens the view
that an address names.
"""

import json
import time
from typing import Any
from urllib.parse import quote

from tune_paddy.tracking.client import call
from tune_paddy.tracking.schema import KIND, PARENT, PREFIX
from tune_paddy.tracking.store import Store

VIEW = "mlflow.sharedViewState."
ALL_SEARCHES = "tune_paddy-searches"
"""Key of the view of all searches, whose rows expand to their members."""

WEIGHT = "ensemble_weight"
CONTRIBUTION = "ensemble_contribution"
LOG_LOSS, ERROR_RATE = "log_loss", "error_rate"
GPU_SECONDS, CPU_SECONDS = "gpu_seconds", "cpu_seconds"

_NAME, _CREATED, _DURATION = "attributes.`Run Name`", "runDateAndNestInfo", "duration"
"""Columns of every view, by MLflow's names."""
_WIDTHS = {
    _NAME: 290,
    _CREATED: 140,
    _DURATION: 80,
    f"metrics.`{CONTRIBUTION}`": 160,
    f"metrics.`{WEIGHT}`": 135,
}
"""Column → width in pixels; other columns get 110."""


def save_views(store: Store, search: str, run_id: str, *, on_gpu: bool) -> None:
    """Save three views for a search: all searches with expandable members, its members, and their curves.

    Args:
        store: The record, opened for the search's experiment.
        search: Name of the search.
        run_id: Run of the search.
        on_gpu: Whether its trials use GPUs; the views then show GPU-seconds, otherwise CPU-seconds.

    Raises:
        TunePaddyError: MLflow failed.
    """
    columns = _columns(on_gpu)
    members = {
        **columns,
        "searchFilter": f"tags.`{PARENT}` = '{run_id}' AND tags.`{KIND}` != 'search'",
        "orderByKey": f"metrics.`{LOG_LOSS}`",
        "orderByAsc": True,
    }
    _save(store, ALL_SEARCHES, "Searches and their members", columns)
    _save(store, members_view(search), f"{search}: members, best first", members)
    _save(store, curves_view(search), f"{search}: curves by epoch", members | _curves())


def uses_gpu(setting: object) -> bool:
    """Whether a search's setting `gpu`, as a value or as recorded text, gives GPUs to trials.

    >>> [uses_gpu(setting) for setting in (0, "0.0", "0.5", "auto")]
    [False, False, True, True]
    """
    return str(setting) not in ("0", "0.0")


def members_view(search: str) -> str:
    """Return the key of the view of a search's members."""
    return f"{PREFIX}{search}"


def curves_view(search: str) -> str:
    """Return the key of the view of the members' curves, which the page shows in its chart mode."""
    return f"{members_view(search)}.curves"


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


def _columns(on_gpu: bool) -> dict[str, Any]:
    cost = GPU_SECONDS if on_gpu else CPU_SECONDS
    shown = [f"metrics.`{name}`" for name in (LOG_LOSS, ERROR_RATE, WEIGHT, CONTRIBUTION, cost)]
    shown.append(f"tags.`{PREFIX}outcome`")
    order = [_NAME, _CREATED, *shown, _DURATION]
    return {
        "selectedColumns": [*shown, "attributes.`Duration`"],
        "columnOrder": order,
        "columnWidths": {column: _WIDTHS.get(column, 110) for column in order},
    }


def _curves() -> dict[str, Any]:
    """Return charts of the metrics of every epoch, over the epoch number."""
    section = "every-epoch"
    charts = [
        {
            "type": "LINE",
            "uuid": name,
            "metricSectionId": section,
            "metricKey": name,
            "selectedMetricKeys": [name],
            "isGenerated": False,
            "deleted": False,
            "xAxisKey": "step",
            "selectedXAxisMetricKey": "",
            "xAxisScaleType": "linear",
            "scaleType": "linear",
            "lineSmoothness": 0,
            "useGlobalXaxisKey": True,
            "useGlobalLineSmoothing": True,
        }
        for name in (LOG_LOSS, ERROR_RATE, "train_loss", "lr")
    ]
    return {
        "runsHiddenMode": "FIRST_20_RUNS",
        "compareRunSections": [
            {"uuid": section, "name": "Every epoch", "display": True, "isReordered": False}
        ],
        "compareRunCharts": charts,
    }


def _save(store: Store, key: str, name: str, state: dict[str, Any]) -> None:
    moment = int(time.time() * 1000)
    view = {"name": name, "createdAt": moment, "updatedAt": moment, "state": json.dumps(state)}
    call(store.client.set_experiment_tag, store.experiment_id, VIEW + key, json.dumps(view))
