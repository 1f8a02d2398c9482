"""Charts of MLflow's saved views, in the form that its page stores.

MLflow titles a chart with its metric's name. The heading of its section says units and axes. Charts of all
other metrics follow in MLflow's own sections.
"""

from collections.abc import Mapping, Sequence
from typing import Any

STEP, METRIC = "step", "metric"
"""Horizontal axes of a line: the step of its points, or another metric with the same steps."""

_OURS = {"isGenerated": False, "deleted": False}


def line(metric: str, *, against: str = "", log: bool = False) -> dict[str, Any]:
    """Return a chart of a metric's curve, one line per run.

    Args:
        metric: Name of the metric.
        against: Metric on the horizontal axis; empty: the step.
        log: Whether the vertical axis is logarithmic.
    """
    return {
        "type": "LINE",
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "xAxisKey": METRIC if against else STEP,
        "selectedXAxisMetricKey": against,
        "xAxisScaleType": "linear",
        "scaleType": "log" if log else "linear",
        "lineSmoothness": 0,
        "useGlobalXaxisKey": False,
        "useGlobalLineSmoothing": False,
    }


def scatter(across: str, up: str) -> dict[str, Any]:
    """Return a chart of two metrics, one point per run.

    Args:
        across: Metric on the horizontal axis.
        up: Metric on the vertical axis.
    """
    return {
        "type": "SCATTER",
        "xaxis": {"key": across, "type": "METRIC"},
        "yaxis": {"key": up, "type": "METRIC"},
    }


def charts(sections: Mapping[str, Sequence[Mapping[str, Any]]], *, runs: str = "SHOW_ALL") -> dict[str, Any]:
    """Return the part of a view's state that holds its charts.

    Args:
        sections: Heading of a section → its charts, in their order.
        runs: Runs of the table that are drawn: `SHOW_ALL`, `FIRST_10_RUNS` or `FIRST_20_RUNS`.
    """
    drawn = [
        {**chart, "uuid": f"{heading} {place}", "metricSectionId": heading, **_OURS}
        for heading, within in sections.items()
        for place, chart in enumerate(within)
    ]
    return {
        "runsHiddenMode": runs,
        "isAccordionReordered": True,  # otherwise MLflow sorts its own sections between ours
        "compareRunSections": [
            {"uuid": heading, "name": heading, "display": True, "isReordered": True} for heading in sections
        ],
        "compareRunCharts": drawn,
    }
