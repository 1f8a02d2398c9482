import json

from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.store import Store
from tune_paddy.tracking.ui.layout import ALL_SEARCHES, curves_view, members_view, view_address


def saved(store: Store, key: str) -> tuple[str, dict]:
    """Name and content of a view, as MLflow's page reads it from the experiment's tags."""
    view = json.loads(store.client.get_experiment(store.experiment_id).tags[f"mlflow.sharedViewState.{key}"])
    assert isinstance(view["createdAt"], int)
    return view["name"], json.loads(view["state"])


def test_a_search_saves_a_view_of_its_members_and_one_of_all_searches(store: Store) -> None:
    """Scores, ensemble weight, contribution and cost are columns; only the second view expands to members."""
    run_id = start_search(store, name="night", params={"gpu": 0})
    name, members = saved(store, members_view("night"))
    assert name == "night: members, best first"
    for column in ("log_loss", "error_rate", "ensemble_weight", "ensemble_contribution", "cpu_seconds"):
        assert f"metrics.`{column}`" in members["selectedColumns"]
    assert run_id in members["searchFilter"]
    assert members["orderByKey"] == "metrics.`log_loss`"
    assert "searchFilter" not in saved(store, ALL_SEARCHES)[1]


def test_curves_are_drawn_over_the_epoch_number(store: Store) -> None:
    start_search(store, name="night", params={"gpu": 0})
    name, curves = saved(store, curves_view("night"))
    assert name == "night: curves by epoch"
    assert {chart["xAxisKey"] for chart in curves["compareRunCharts"]} == {"step"}
    assert [chart["metricKey"] for chart in curves["compareRunCharts"]][:2] == ["log_loss", "error_rate"]


def test_the_cost_of_a_search_on_gpus_is_in_gpu_seconds(store: Store) -> None:
    start_search(store, name="night", params={"gpu": "auto"})
    assert "metrics.`gpu_seconds`" in saved(store, members_view("night"))[1]["selectedColumns"]


def test_an_address_opens_a_view_whatever_the_searchs_name() -> None:
    address = view_address("http://127.0.0.1:5000", "3", members_view("a b+c"))
    assert address == (
        "http://127.0.0.1:5000/#/experiments/3/runs"
        "?workflowType=machine_learning&viewStateShareKey=tune_paddy.a%20b%2Bc"
    )
