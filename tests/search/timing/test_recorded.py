"""Costs of members from their record."""

from dataclasses import replace

import pytest

from tests.conftest import Finished
from tune_paddy.core.config import MemberConfig, SearchSettings
from tune_paddy.core.timing.cost import StepCost, Workload, member_seconds
from tune_paddy.core.timing.kinds import kind_of
from tune_paddy.core.timing.workload import workload
from tune_paddy.search.timing.members import open_earlier, with_times
from tune_paddy.search.timing.recorded import MOST_FIT, median_cost, member_cost, recorded_costs
from tune_paddy.tracking.integrity import DamagedError
from tune_paddy.tracking.runs import list_searches
from tune_paddy.training.forecast.planning import find_gpu, plan_space

CONFIG = MemberConfig(arch="any", epochs=3, freeze_epochs=2, subsample=1.0, tta=1)
COST = StepCost(train=0.1, frozen=0.05, predict=0.02, tta_pass=0.02, build=0.0)
IMAGES, SELECT = 100, 40


def metrics_of(models: int) -> dict[str, float]:
    """What the record holds of a member with these costs: its last epoch, and sums over its models."""
    judged = SELECT * COST.predict
    epochs = 2 * (IMAGES * COST.frozen + judged) + 3 * (IMAGES * COST.train + judged)
    return {
        "train_seconds": IMAGES * COST.train,
        "eval_seconds": judged,
        "train_seconds_total": models * epochs,
        "train_images": IMAGES,
        "predict_ms_per_image": 1000 * models * (COST.predict + COST.tta_pass),
    }


@pytest.mark.parametrize(("folds", "models", "select"), [(0, 1, 20), (4, 4, 25)])
def test_a_model_trains_on_what_its_select_split_or_fold_leaves(folds: int, models: int, select: int) -> None:
    settings = SearchSettings(folds=folds, select_share=0.2, cache_limit=0, cpus=2)
    others = 100 - select if folds else 0
    assert workload(settings, 100, test=7, decode=3.0) == Workload(
        100 - select, select, 7, models, 1.5, cached=False, others=others
    )
    pseudo = settings.override({"pseudo": "first"})
    assert workload(pseudo, 100, test=7, decode=3.0) == Workload(
        107 - select, select, 7, models, 1.5, cached=False, others=others
    )


@pytest.mark.parametrize("folds", [0, 5])
def test_the_recorded_times_of_a_member_give_its_cost_back(folds: int) -> None:
    cost = member_cost(CONFIG, metrics_of(max(1, folds)), folds)
    assert cost is not None
    assert vars(cost) == pytest.approx(vars(COST))
    load = Workload(IMAGES, SELECT, 0)
    assert member_seconds(CONFIG, cost, load) == pytest.approx(member_seconds(CONFIG, COST, load))


def test_a_frozen_member_that_found_features_in_the_cache_has_no_cost() -> None:
    """Its seconds an image would be too few for a member that embeds its images."""
    frozen = MemberConfig(arch="any", schedule="frozen", subsample=1.0, tta=0)
    metrics = metrics_of(1)
    cost = member_cost(frozen, {**metrics, "embedded_images": IMAGES})
    assert cost is not None
    assert member_seconds(frozen, cost, Workload(IMAGES, 0, 0)) == pytest.approx(metrics["train_seconds"])
    assert cost.fit == pytest.approx(MOST_FIT * (cost.train + cost.fit))
    for known in ({"embedded_images": IMAGES - 1}, {}):
        assert member_cost(frozen, {**metrics, **known}) is None


@pytest.mark.parametrize("folds", [0, 5])
def test_the_fit_of_a_head_is_what_comes_before_the_epochs(folds: int) -> None:
    config = MemberConfig(arch="any", epochs=3, schedule="one_cycle", head="fitted", subsample=1.0, tta=1)
    known, cost = metrics_of(max(1, folds)), replace(COST, frozen=COST.train, fit=0.03)
    epochs = 3 * (known["train_seconds"] + known["eval_seconds"])
    for computed in (IMAGES, 0, IMAGES / 5):
        features = computed * cost.predict
        known["train_seconds_total"] = max(1, folds) * (epochs + features + IMAGES * cost.fit)
        known["head_embedded_images"] = computed
        found = member_cost(config, known, folds)
        assert found is not None
        assert vars(found) == pytest.approx(vars(cost))
    patient = member_cost(MemberConfig(**{**vars(config), "patience": 2, "keep": "best"}), known, folds)
    assert patient is not None
    assert patient.fit == 0
    known.pop("head_embedded_images")
    older = member_cost(config, known, folds)
    assert older is not None
    assert older.fit == 0, "the features may have come from the cache"


def test_a_fit_that_was_not_timed_does_not_lower_the_fit_of_its_kind() -> None:
    costs = [replace(COST, fit=fit) for fit in (0.0, 0.0, 0.03, 0.05, 0.04)]
    assert median_cost(costs) == replace(COST, fit=0.04)
    assert median_cost(costs[:2]).fit == 0


def test_a_member_without_times_has_no_cost() -> None:
    assert member_cost(CONFIG, {"log_loss": 0.1}) is None


def test_members_of_this_machine_with_as_many_cpus_are_found(finished: Finished) -> None:
    kinds = {kind_of(MemberConfig(**recipe.values)) for recipe in finished.plan.space.recipes}
    assert kinds & set(recorded_costs(finished.store, cpus=1))
    assert recorded_costs(finished.store, cpus=7) == recorded_costs(finished.store, gpu="Tesla P100") == {}


def test_trials_with_a_share_of_a_cpu_count_as_those_with_one_thread(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = [
        replace(search, params={**search.params, "cpus": "0.5"}) for search in list_searches(finished.store)
    ]
    monkeypatch.setattr("tune_paddy.search.timing.recorded.list_searches", lambda _: shared)
    assert recorded_costs(finished.store, cpus=1)


def test_a_plan_takes_the_times_of_the_record_and_times_nothing_with_a_limit_of_0(finished: Finished) -> None:
    space, gpu = finished.plan.space, find_gpu(mib=16280)
    settings = space.settings
    timed = with_times(list(plan_space(space, gpu, 1.0)), settings, finished.store, limit=0)
    sources = [None if row.time is None else row.time.source for row in timed.rows]
    assert "record" in sources
    assert set(sources) <= {"record", None}
    assert "CPU" in timed.device
    unknown = with_times(list(plan_space(space, gpu, 1.0)), settings, None, limit=0)
    assert {row.time for row in unknown.rows} == {None}
    assert unknown.reason


def test_no_record_is_no_error_unless_it_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert open_earlier(None) is None


def test_a_damaged_record_is_an_error_though_nobody_named_it(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "mlflow.db").write_bytes(bytes(9999))
    with pytest.raises(DamagedError, match="the database is damaged"):
        open_earlier(None)


def test_a_server_that_the_environment_names_and_that_is_gone_costs_no_forecast(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert open_earlier(None) is None
