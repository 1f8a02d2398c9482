"""What a result shows of itself, its tables, figures and reports."""

import inspect
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import tune_paddy as tp
from tests.conftest import Finished, Retrained
from tune_paddy.core import predictions
from tune_paddy.core.metrics import log_loss
from tune_paddy.data.submission.files import read_submission
from tune_paddy.data.submission.form import Kind, SubmissionFormat

LINES = 10


@pytest.fixture(scope="module")
def chosen(pool: tp.Pool) -> tp.Chosen:
    return tp.select(pool, weights={"*": 1})


@pytest.fixture(scope="module")
def results(pool: tp.Pool, chosen: tp.Chosen, retrained: Retrained, small_digits: Path) -> dict[str, Any]:
    recipes = [{"arch": "test_vit", "size": 64}] * 9
    space = tp.SearchSpace.parse(json.dumps({"recipes": recipes}), name="nine")
    return {
        "pool": pool,
        "large": many(pool, 40),
        "view": pool.views[0],
        "chosen": chosen,
        "selection": tp.greedy_select(pool.select, pool.labels),
        "assessment": chosen.assessment,
        "result": retrained.result,
        "failed": replace(retrained.result, members=(replace(retrained.member, outcome="failed"),) * 40),
        "space": space,
        "forecast": tp.forecast(space, gpu_memory=16280, share=1, timing=0),
        "dataset": tp.Dataset.open(small_digits),
    }


def many(pool: tp.Pool, members: int) -> tp.Pool:
    """A pool of many members with the predictions of the first view, and names of HTML."""
    views = tuple(replace(pool.views[0], member=f"{n:04d}-<b>", run_id=str(n)) for n in range(members))
    return replace(pool, views=views, select=np.repeat(pool.select[:1], members, 0))


@pytest.mark.parametrize(
    "name",
    [
        "pool",
        "large",
        "view",
        "chosen",
        "selection",
        "assessment",
        "result",
        "failed",
        "space",
        "forecast",
        "dataset",
    ],
)
def test_a_result_shows_itself_in_at_most_ten_lines(results: dict[str, Any], name: str) -> None:
    lines = repr(results[name]).splitlines()
    assert len(lines) <= LINES
    assert "array(" not in repr(results[name])


@pytest.mark.parametrize("name", ["pool", "large", "chosen", "result", "failed", "forecast"])
def test_a_notebook_shows_a_table_of_escaped_names(results: dict[str, Any], name: str) -> None:
    shown = results[name]._repr_html_()
    assert name == "failed" or "<table" in shown
    assert "<b>" not in shown.replace("<p><b>", "")
    assert "NaN" not in shown


def test_a_leaderboard_has_a_row_per_member_and_the_documented_columns(pool: tp.Pool) -> None:
    board = pool.leaderboard()
    documented = str(tp.Pool.leaderboard.__doc__)
    assert all(f"`{column}`" in documented for column in board.columns)
    assert board["member"].tolist() == list(dict.fromkeys(board["member"]))
    assert set(board["member"]) == {view.member for view in pool.views}
    assert board["log_loss"].is_monotonic_increasing
    rows = {view.name: row for row, view in enumerate(pool.views)}
    for row in board.itertuples():
        assert row.log_loss == log_loss(pool.select[rows[f"{row.member}/plain"]], pool.labels)
        assert row.tta_log_loss == log_loss(pool.select[rows[f"{row.member}/tta"]], pool.labels)
    assert set(board["search"]) == {"first"}


def test_a_search_has_the_leaderboard_of_its_finished_members(retrained: Retrained) -> None:
    assert retrained.result.leaderboard()["member"].tolist() == [m.name for m in retrained.result.members]


def test_figures_are_matplotlibs_and_draw_themselves_in_a_notebook(
    pool: tp.Pool, chosen: tp.Chosen, small_digits: Path
) -> None:
    for figure in (pool.plot(metric="error_rate"), chosen.plot(), tp.plot_images(small_digits, classes=3)):
        assert isinstance(figure, Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]  # `Figure` has none
    assert len(figure.axes) == 2 * 3
    with pytest.raises(tp.InputError, match="did you mean 'error_rate'"):
        pool.plot(metric="error_rat")
    with pytest.raises(tp.InputError, match=r"^per_class 0: "):
        tp.plot_images(small_digits, per_class=0)


def test_a_report_is_written_and_nothing_is_recorded(
    chosen: tp.Chosen, finished: Finished, tmp_path: Path
) -> None:
    before = len(finished.store.client.search_runs([finished.store.experiment_id]))
    page = chosen.report(tmp_path / "mine")
    assert page == tmp_path / "mine" / "report.html"
    assert chosen.pool.views[0].member in page.read_text("utf-8")
    assert len(finished.store.client.search_runs([finished.store.experiment_id])) == before
    bare = predictions.Pool(**{one.name: getattr(chosen.pool, one.name) for one in fields(predictions.Pool)})
    with pytest.raises(tp.InputError, match="a pool from `load_pool`"):
        replace(chosen, pool=bare).report(tmp_path)


def test_predictions_have_the_names_of_the_recorded_columns(pool: tp.Pool) -> None:
    named = replace(pool, form=SubmissionFormat("photo", "disease"))
    chosen = tp.select(named, weights=["*=1"])
    assert chosen.predict().index.name == "photo"
    labels = chosen.labels()
    assert (labels.index.name, labels.name) == ("photo", "disease")
    assert labels.tolist() == [pool.classes[column] for column in chosen.predict().to_numpy().argmax(1)]


def test_a_submission_is_written_in_the_recorded_form(pool: tp.Pool, tmp_path: Path) -> None:
    chosen = tp.select(pool, weights=["*=1"])
    labels = read_submission(chosen.write_submission(tmp_path / "labels.csv"))
    assert labels.labels == tuple(chosen.labels())
    form = SubmissionFormat("photo", "", Kind.PROBABILITIES, pool.classes[::-1], pool.classes[::-1])
    columns = tp.select(replace(pool, form=form), weights=["*=1"])
    read = read_submission(columns.write_submission(tmp_path / "probabilities.csv"))
    assert read.columns == ("photo", *pool.classes[::-1])
    np.testing.assert_array_equal(
        np.array(read.values, np.float32), chosen.predict().to_numpy().astype(np.float32)[:, ::-1]
    )


def test_the_columns_of_a_submission_come_from_the_record(pool: tp.Pool, small_digits: Path) -> None:
    header = (small_digits / "sample_submission.csv").read_text("utf-8").splitlines()[0]
    assert f"{pool.form.id_column},{pool.form.label_column}" == header


def test_searches_may_come_as_a_list_and_as_a_dict_of_weights(pool: tp.Pool, finished: Finished) -> None:
    uri = finished.store.tracking_uri
    # Both are read now: selections of other tests have changed the members' weights since the fixture was.
    assert tp.load_pool(["first"], tracking_uri=uri).views == tp.load_pool("first", tracking_uri=uri).views
    one, other = tp.select(pool, weights={"*resnet*": 2}), tp.select(pool, weights="*resnet*=2")
    np.testing.assert_array_equal(one.selection.weights, other.selection.weights)


def test_completion_offers_the_public_names_alone() -> None:
    assert dir(tp) == sorted(tp.__all__)
    assert all(inspect.getdoc(getattr(tp, name)) for name in tp.__all__)


def test_mistyped_names_of_metrics_and_methods_are_suggested(pool: tp.Pool) -> None:
    with pytest.raises(tp.InputError, match="did you mean 'error_rate'"):
        tp.select(pool, metric="eror_rate")
    with pytest.raises(tp.InputError, match="did you mean 'greedy'"):
        tp.select(pool, method="gredy")
    with pytest.raises(tp.InputError, match="did you mean 'error_rate'"):
        tp.greedy_select(pool.select, pool.labels, metric="eror_rate")
    with pytest.raises(AttributeError, match="did you mean 'select'"):
        tp.selct  # noqa: B018 the access is the test
