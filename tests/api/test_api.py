"""The Python API: the attributes of the package."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tune_paddy as tp
from tests.conftest import Finished, Retrained
from tune_paddy.core.metrics import log_loss
from tune_paddy.core.predictions import Pool


def test_importing_the_package_imports_nothing_else(tmp_path: Path) -> None:
    script = (
        "import sys; before = set(sys.modules); import tune_paddy\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names\n"
        "assert new == {'tune_paddy'}, new\n"
        "assert 'run_search' in dir(tune_paddy)\n"
        "from tune_paddy import greedy_select\n"
        "assert not {'torch', 'ray', 'mlflow', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)


@pytest.mark.parametrize("name", tp.__all__)
def test_every_public_name_exists_and_is_documented(name: str) -> None:
    assert getattr(tp, name).__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        tp.no_such_name  # noqa: B018 the access is the test


def test_a_search_runs_from_python_and_its_settings_can_be_overridden(
    small_digits: Path, finished: Finished, retrained: Retrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(retrained.folder)
    uri = finished.store.tracking_uri
    data = tp.Dataset.open(small_digits)
    result = retrained.result
    assert result.name == "mine-1"
    assert [(member.name.partition("-")[0], member.outcome) for member in result.members] == [
        ("0000", "finished")
    ]
    assert result.folder == Path("runs/mine-1")
    assert (result.folder / "split.json").is_file()
    with pytest.raises(tp.InputError, match="has a search 'mine-1'"):
        tp.run_search(data, "mine.yaml", name="mine-1", tracking_uri=uri, runs="elsewhere")
    with pytest.raises(tp.InputError, match=r"^trials: "):
        tp.run_search(data, "mine.yaml", tracking_uri=uri, trials=0)
    with pytest.raises(tp.InputError, match=r"^no_such_setting: "):
        tp.run_search(data, "mine.yaml", tracking_uri=uri, no_such_setting=1)


def test_a_pool_holds_the_members_that_finished(pool: Pool) -> None:
    assert len({view.member for view in pool.views}) == 3
    assert [refused.member for refused in pool.refused] == []


def test_an_unknown_search_is_refused(finished: Finished) -> None:
    with pytest.raises(tp.InputError, match=r"no search 'frist'.*did you mean 'first'"):
        tp.load_pool("frist", tracking_uri=finished.store.tracking_uri)


def test_an_ensemble_is_selected_and_assessed_without_being_written(pool: Pool) -> None:
    chosen = tp.select(pool, metric="error_rate", method="greedy")
    assert chosen.selection.metric == "error_rate"
    assert chosen.assessment is not None
    estimate = chosen.assessment.estimate
    assert estimate.low <= estimate.score <= estimate.high
    table = chosen.table()
    assert table["weight"].is_monotonic_decreasing
    assert table["weight"].sum() == pytest.approx(1)
    assert set(table["view"]) == {"plain", "tta"}


def test_ensemble_weights_by_hand_give_their_weighted_mean(pool: Pool) -> None:
    chosen = tp.select(pool, weights=["*resnet*=2"])
    predicted = chosen.predict()
    assert predicted.index.tolist() == pool.test_ids.tolist()
    assert predicted.columns.tolist() == list(pool.classes)
    weights = np.array([(1 + ("resnet" in view.arch)) * (view.kind == "tta") for view in pool.views])
    mean = np.tensordot(weights / weights.sum(), pool.test.astype(np.float64), 1)
    np.testing.assert_allclose(predicted.to_numpy(), mean, atol=1e-9)


def test_a_budget_of_one_member_selects_one(pool: Pool) -> None:
    table = tp.select(pool, method="greedy", max_members=1).table()
    assert len(set(table[table["weight"] > 0]["member"])) == 1
    with pytest.raises(tp.InputError, match=r"^metric 'accuracy'"):
        tp.select(pool, metric="accuracy")
    with pytest.raises(tp.InputError, match=r"^max_minutes 0: give a number above 0"):
        tp.select(pool, max_minutes=0)


def test_options_of_reading_belong_to_the_opening_of_a_dataset(finished: Finished) -> None:
    with pytest.raises(tp.InputError, match=r"^pixel_range: the dataset is open already") as refusal:
        tp.run_search(finished.plan.dataset, "digits_demo", stand_ins=True, pixel_range=(0, 4095))
    assert refusal.value.options == ("pixel_range",)


def test_greedy_select_works_on_bare_arrays(pool: Pool) -> None:
    selection = tp.greedy_select(pool.select, pool.labels)
    blended = selection.blend(pool.select)
    assert log_loss(blended, pool.labels) == pytest.approx(selection.score)
    best = min(log_loss(probs, pool.labels) for probs in pool.select)
    assert selection.score <= best + 1e-12, "except for rounding if it is the best one alone"


def test_memory_is_forecast_and_grows_with_the_batch() -> None:
    recipes = [{"arch": "test_vit", "size": 64, "batch_size": batch} for batch in (16, 256)]
    space = tp.SearchSpace.parse(json.dumps({"recipes": recipes}), name="two")
    small, large = tp.forecast(space, gpu_memory=16280, share=1, timing=0)
    assert small.plan.fits
    assert small.plan.budget_mib == 16280
    assert small.plan.forecast_mib < large.plan.forecast_mib


def test_a_forecast_leaves_out_what_the_licences_exclude(capsys: pytest.CaptureFixture[str]) -> None:
    archs = ["test_resnet", "convnextv2_atto.fcmae_ft_in1k"]
    space = tp.SearchSpace.parse(json.dumps({"recipes": [{"arch": archs, "size": 32}]}), name="mixed")
    (row,) = tp.forecast(space, gpu_memory=16280, share=1, timing=0, licences="commercial")
    assert row.config.arch == "test_resnet"
    assert "leaves out convnextv2_atto.fcmae_ft_in1k (cc-by-nc-4.0" in capsys.readouterr().out
    with pytest.raises(tp.InputError, match=r"^licences: free should be 'any' or 'commercial'") as refusal:
        tp.forecast(space, licences="free")
    assert refusal.value.options == ("licences",)
