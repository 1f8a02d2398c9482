"""Tables of members and views, for Python and notebooks."""

import itertools
from typing import TYPE_CHECKING

from tune_paddy.core.metrics import error_rate, log_loss
from tune_paddy.core.predictions import Pool
from tune_paddy.core.views import PLAIN, TTA

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 6
"""Number of rows of a table in a `repr`."""


def leaderboard(pool: Pool) -> "pd.DataFrame":
    """Return a row per member of a pool, the lowest log loss first; see `tune_paddy.api.Pool.leaderboard`."""
    from tune_paddy.api.table import Table

    rows: dict[str, dict[str, object]] = {}
    for view, probs in zip(pool.views, pool.select, strict=True):
        row = rows.setdefault(view.run_id, {"member": view.member, "search": view.search, "arch": view.arch})
        row["size"] = view.params.get("size")
        row[_column("log_loss", view.kind)] = log_loss(probs, pool.labels)
        row[_column("error_rate", view.kind)] = error_rate(probs, pool.labels)
        row["train_seconds"] = view.metrics.get("train_seconds_total")
        row["parameters_m"] = view.metrics.get("parameters_m")
        row["run_id"] = view.run_id
    further = [column for column in dict.fromkeys(itertools.chain(*rows.values())) if column not in COLUMNS]
    at = COLUMNS.index("train_seconds")
    frame = Table(list(rows.values()), columns=[*COLUMNS[:at], *further, *COLUMNS[at:]])
    return Table(frame.sort_values(["log_loss", "member"], ignore_index=True, kind="stable"))


def view_table(pool: Pool, weights: "pd.Series[float]") -> "pd.DataFrame":
    """Return a row per view of a pool, the largest weight first; see `tune_paddy.api.Chosen.table`."""
    from tune_paddy.api.table import Table

    rows = [
        {
            "member": view.member,
            "view": view.kind,
            "arch": view.arch,
            "log_loss": log_loss(probs, pool.labels),
            "error_rate": error_rate(probs, pool.labels),
        }
        for view, probs in zip(pool.views, pool.select, strict=True)
    ]
    frame = Table(rows)
    frame.insert(3, "weight", weights)
    return Table(frame.sort_values("weight", ascending=False, ignore_index=True, kind="stable"))


COLUMNS = [
    "member",
    "search",
    "arch",
    "size",
    "log_loss",
    "error_rate",
    "tta_log_loss",
    "tta_error_rate",
    "train_seconds",
    "parameters_m",
    "run_id",
]
"""Columns of a leaderboard; those of further views stand after those of TTA."""


def _column(metric: str, kind: str) -> str:
    return {PLAIN: metric, TTA: f"{TTA}_{metric}"}.get(kind, f"{kind}_{metric}")
