import json

import pytest

from tune_paddy.tracking.ensembles import log_ensemble
from tune_paddy.tracking.members import fail_member, start_member
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.store import Store
from tune_paddy.tracking.ui.layout import (
    ALL_SEARCHES,
    VIEW,
    curves_view,
    ensembles_view,
    growth_view,
    members_view,
    view_address,
)
from tune_paddy.tracking.writing import log_latest


def saved(store: Store, key: str) -> tuple[str, dict]:
    """Name and content of a view, as MLflow's page reads it from the experiment's tags."""
    view = json.loads(store.client.get_experiment(store.experiment_id).tags[f"mlflow.sharedViewState.{key}"])
    assert isinstance(view["createdAt"], int)
    return view["name"], json.loads(view["state"])


VIEWS = {
    ALL_SEARCHES: "Searches, with members and ensembles",
    members_view("night"): "night: members, best first",
    curves_view("night"): "night: curves of the ten best members",
    ensembles_view("night"): "night: ensembles, best first",
    growth_view("night"): "night: ensemble against time",
}


def found(store: Store, state: dict) -> list[str]:
    """Names of the runs that MLflow lists for a view, in its order."""
    order = [f"{state['orderByKey']} ASC"] if "orderByKey" in state else None
    runs = store.client.search_runs([store.experiment_id], state.get("searchFilter", ""), order_by=order)
    return [run.info.run_name for run in runs]


def drawn(state: dict) -> dict[str, list[str]]:
    """Heading of each section → the metrics of its charts."""
    charts = [(chart["metricSectionId"], chart) for chart in state["compareRunCharts"]]
    return {
        section["name"]: [
            chart["metricKey"]
            if chart["type"] == "LINE"
            else f"{chart['xaxis']['key']} {chart['yaxis']['key']}"
            for name, chart in charts
            if name == section["uuid"]
        ]
        for section in state["compareRunSections"]
    }


@pytest.fixture
def night(store: Store) -> str:
    """A search with two members that finished, one that failed, and an ensemble."""
    search = start_search(store, name="night", params={"gpu": 0})
    for number, loss in enumerate((0.5, 0.25, None)):
        name = f"000{number}-net"
        run = start_member(store, search="night", member=name, parent_run_id=search, params={})
        if loss is None:
            fail_member(store, run, "out of memory", "failed")
        else:
            log_latest(store.client, run, {"log_loss": loss})
    log_ensemble(
        store,
        search="night",
        name="greedy",
        selection_dict={},
        files=[],
        metrics={"log_loss": 0.1},
        params={"method": "greedy"},
    )
    return search


def test_every_view_shows_what_its_name_says(store: Store, night: str) -> None:
    assert night
    states = {}
    for key, title in VIEWS.items():
        name, states[key] = saved(store, key)
        assert name == title
    members = ["0001-net", "0000-net", "0002-net"]
    assert found(store, states[members_view("night")]) == members
    assert found(store, states[curves_view("night")]) == members
    (ensemble,) = found(store, states[ensembles_view("night")])
    assert ensemble.startswith("ensemble")
    assert found(store, states[growth_view("night")]) == ["night"]
    assert sorted(found(store, states[ALL_SEARCHES])) == sorted([*members, ensemble, "night"])


def test_scores_weight_contribution_and_cost_are_columns(store: Store) -> None:
    start_search(store, name="night", params={"gpu": 0})
    for key in (ALL_SEARCHES, members_view("night")):
        for column in ("log_loss", "error_rate", "ensemble_weight", "ensemble_contribution", "cpu_seconds"):
            assert f"metrics.`{column}`" in saved(store, key)[1]["selectedColumns"]


def test_charts_show_curves_of_the_best_ten_costs_and_the_ensemble_against_time(store: Store) -> None:
    """The headings name the units, since MLflow titles a chart with its metric."""
    start_search(store, name="night", params={"gpu": 0})
    curves, costs, growth = (
        saved(store, view("night"))[1] for view in (curves_view, members_view, growth_view)
    )
    assert curves["runsHiddenMode"] == "FIRST_10_RUNS"
    assert {chart["xAxisKey"] for chart in curves["compareRunCharts"]} == {"step"}
    assert drawn(curves) == {
        "Loss (nats), error (0–1) by epoch": ["log_loss", "error_rate", "train_loss"],
        "Learning rate by epoch": ["lr"],
    }
    assert costs["runsHiddenMode"] == "SHOW_ALL"
    points = {"Loss (nats), error (0–1) by CPU-seconds": ["cpu_seconds log_loss", "cpu_seconds error_rate"]}
    assert drawn(costs) == points
    hours = growth["compareRunCharts"][0]
    assert (hours["metricKey"], hours["selectedXAxisMetricKey"]) == ("live_log_loss", "live_hours")
    assert len({chart["uuid"] for chart in growth["compareRunCharts"]}) == len(growth["compareRunCharts"])


def test_a_view_fits_into_a_tag_of_every_database(store: Store) -> None:
    """The column of an experiment's tags holds 5,000 characters."""
    start_search(store, name="n" * 200, params={"gpu": "auto"})
    tags = store.client.get_experiment(store.experiment_id).tags
    assert max(len(text) for name, text in tags.items() if name.startswith(VIEW)) <= 5000
    assert max(map(len, tags)) <= 250


def test_the_curves_of_version_0_2_0_are_replaced(store: Store) -> None:
    """They drew ensembles as single points; the view of a search of that name stays."""
    old, other = f"{VIEW}tune_paddy.night.curves", f"{VIEW}tune_paddy.day.curves"
    for key, name in ((old, "night: curves by epoch"), (other, "day.curves: members, best first")):
        text = json.dumps({"name": name, "state": "{}"})
        store.client.set_experiment_tag(store.experiment_id, key, text)
    start_search(store, name="night")
    start_search(store, name="day")
    tags = store.client.get_experiment(store.experiment_id).tags
    assert old not in tags
    assert other in tags


def test_the_cost_of_a_search_on_gpus_is_in_gpu_seconds(store: Store) -> None:
    start_search(store, name="night", params={"gpu": "auto"})
    assert "metrics.`gpu_seconds`" in saved(store, members_view("night"))[1]["selectedColumns"]


def test_an_address_opens_a_view_whatever_the_searchs_name() -> None:
    address = view_address("http://127.0.0.1:5000", "3", members_view("a b+c"))
    assert address == (
        "http://127.0.0.1:5000/#/experiments/3/runs"
        "?workflowType=machine_learning&viewStateShareKey=tune_paddy.a%20b%2Bc"
    )
