"""The record: the only place that knows MLflow's tracking API.

Importing this package does not import MLflow; the first call of `open_store` does.
"""

from tune_paddy.tracking.context.system_metrics import process_metrics, system_metrics
from tune_paddy.tracking.ensembles import log_ensemble, log_live_score
from tune_paddy.tracking.files import log_files
from tune_paddy.tracking.members import (
    close_stale,
    fail_member,
    finish_run,
    log_epoch,
    log_member,
    start_member,
    start_search,
)
from tune_paddy.tracking.pool import load_pool
from tune_paddy.tracking.predictions_file import read_predictions, write_predictions
from tune_paddy.tracking.runs import RecordedRun, get_search, list_ensembles, list_members, list_searches
from tune_paddy.tracking.store import Store, open_store

__all__ = [
    "RecordedRun",
    "Store",
    "close_stale",
    "fail_member",
    "finish_run",
    "get_search",
    "list_ensembles",
    "list_members",
    "list_searches",
    "load_pool",
    "log_ensemble",
    "log_epoch",
    "log_files",
    "log_live_score",
    "log_member",
    "open_store",
    "process_metrics",
    "read_predictions",
    "start_member",
    "start_search",
    "system_metrics",
    "write_predictions",
]
