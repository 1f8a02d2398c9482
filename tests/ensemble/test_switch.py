"""Which ensemble of a search is current, and what follows it; members are made with numpy."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ensemble.conftest import predictions_of, record_members
from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.ensemble import build
from tune_paddy.ensemble.build import build_ensemble
from tune_paddy.ensemble.ensemble import Ensemble
from tune_paddy.ensemble.folders import ENSEMBLES, published_name
from tune_paddy.ensemble.options import SelectionOptions
from tune_paddy.ensemble.recorded import load_recorded
from tune_paddy.ensemble.switch import use_ensemble
from tune_paddy.tracking.lookup.ensembles import current_ensemble, get_ensemble
from tune_paddy.tracking.runs import get_search, list_ensembles, list_members
from tune_paddy.tracking.store import Store
from tune_paddy.tracking.ui.tags import stored_name

pytestmark = pytest.mark.usefixtures("finished")  # whose record the store copies

MEAN = SelectionOptions(weights=("*/plain=1",))
"""The mean of all members, which is better than one of them."""
ONE = SelectionOptions(weights=("*=0", "0000-net=1"))

Build = Callable[..., Ensemble]


@pytest.fixture
def search(store: Store, request: pytest.FixtureRequest) -> str:
    """A search with three members of equal quality."""
    name = request.node.name[:60].partition("[")[0]
    record_members(store, name, [predictions_of(seed) for seed in range(3)])
    return name


@pytest.fixture
def made(store: Store, search: str, tmp_path: Path) -> Build:
    def built(options: SelectionOptions, name: str | None = None, folder: Path = tmp_path) -> Ensemble:
        return build_ensemble(store, [search], folder=folder, options=options, name=name)

    return built


def current(store: Store, search: str) -> str:
    found = current_ensemble(store, search)
    assert found
    return found.name


def test_a_worse_ensemble_is_kept_beside_the_better_one(
    store: Store, search: str, made: Build, tmp_path: Path
) -> None:
    """Files, record and the members' weights stay those of the better one."""
    best, worse = made(MEAN, "best"), made(ONE, "worse")
    assert (best.standing.current, best.standing.sentence) == (True, "")
    assert not worse.standing.current
    assert worse.standing.sentence.startswith("previous log loss 0.")
    assert worse.standing.sentence.endswith("best stays the current ensemble; kept as worse")
    assert current(store, search) == published_name(tmp_path) == "best"
    assert best.submission
    assert worse.submission
    assert worse.submission == tmp_path / ENSEMBLES / "worse" / "submission.csv"
    assert (tmp_path / "submission.csv").read_bytes() == best.submission.read_bytes()
    weights = [member.metrics["ensemble_weight"] for member in list_members(store, search)]
    assert weights == pytest.approx([1 / 3] * 3, abs=1e-5)


def test_a_better_ensemble_becomes_current_and_the_worse_one_is_kept(
    store: Store, search: str, made: Build, tmp_path: Path
) -> None:
    worse, best = made(ONE, "worse"), made(MEAN, "best")
    assert best.standing.sentence.startswith("best is now the current ensemble: previous log loss 0.")
    assert "(worse) → now 0." in best.standing.sentence
    assert current(store, search) == published_name(tmp_path) == "best"
    assert worse.submission
    assert worse.submission.is_file()
    score = get_ensemble(store, search, "best").metrics["log_loss"]
    assert get_search(store, search).metrics["log_loss"] == score


def test_ensembles_of_two_metrics_are_not_compared(store: Store, search: str, made: Build) -> None:
    made(MEAN, "best")
    other = made(SelectionOptions(metric="error_rate", weights=("*/plain=1",)), "errors")
    reason = "since it was selected by log loss, not by error rate"
    assert other.standing.sentence == f"best stays the current ensemble, {reason}; kept as errors"
    assert current(store, search) == "best"


def test_the_same_selection_is_one_ensemble(store: Store, search: str, made: Build) -> None:
    first, again = made(MEAN), made(MEAN)
    assert first.name == again.name == "by-hand"
    assert first.run_id == again.run_id
    assert again.standing.sentence == "by-hand was selected before, and stays the current ensemble"
    assert len(list_ensembles(store, search)) == 1
    with pytest.raises(InputError, match="another ensemble 'by-hand'"):
        made(ONE, "by-hand")


def test_any_ensemble_can_be_made_current_also_where_its_files_are_not(
    store: Store, search: str, made: Build, tmp_path: Path
) -> None:
    """Another machine restores them from the record."""
    made(MEAN, "best")
    worse = made(ONE, "worse")
    elsewhere = tmp_path / "elsewhere"
    assert use_ensemble(store, search, worse.run_id[:8], elsewhere).name == "worse"
    assert current(store, search) == published_name(elsewhere) == "worse"
    for name in ("submission.csv", "ensemble.json", "report.html"):
        assert (elsewhere / name).read_bytes() == (worse.folder / name).read_bytes()
    weights = [member.metrics["ensemble_weight"] for member in list_members(store, search)]
    assert weights == pytest.approx([1, 0, 0])
    with pytest.raises(InputError, match="has no ensemble 'wors': did you mean 'worse'"):
        use_ensemble(store, search, "wors", elsewhere)


def test_a_name_in_the_record_cannot_lead_out_of_the_folder(
    store: Store, search: str, made: Build, tmp_path: Path
) -> None:
    ensemble = made(MEAN, "best")
    store.client.set_tag(ensemble.run_id, "tune_paddy.ensemble", "../../out")
    with pytest.raises(InputError, match=r"ensemble '\.\./\.\./out': use up to 200 letters"):
        use_ensemble(store, search, ensemble.run_id, tmp_path / "runs" / "elsewhere")
    assert not (tmp_path / "out").exists()


def test_an_ensemble_of_an_older_version_gets_a_folder_before_its_files_are_replaced(
    store: Store, search: str, made: Build, tmp_path: Path
) -> None:
    """That version had no names, and wrote into the folder of the search."""
    old = made(ONE, "old")
    content = json.loads((tmp_path / "ensemble.json").read_text())
    del content["name"], content["contributions"]
    (tmp_path / "ensemble.json").write_text(json.dumps(content))
    shutil.rmtree(tmp_path / ENSEMBLES)
    store.client.delete_tag(old.run_id, "tune_paddy.ensemble")
    store.client.update_run(old.run_id, name="ensemble fixed log_loss 12ab")
    store.client.delete_tag(get_search(store, search).run_id, stored_name("tune_paddy.current_ensemble"))
    submission = (tmp_path / "submission.csv").read_bytes()
    assert made(MEAN, "new").standing.current
    kept = tmp_path / ENSEMBLES / "fixed-log_loss-12ab"
    assert (kept / "submission.csv").read_bytes() == submission
    use_ensemble(store, search, kept.name, tmp_path)
    assert (tmp_path / "submission.csv").read_bytes() == submission


def test_after_a_failure_the_same_selection_is_completed(
    store: Store, search: str, made: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of an ensemble that was not recorded is its own when it is selected again."""
    made(MEAN, "best")
    before = (tmp_path / "submission.csv").read_bytes()

    def fail(*_: object, **__: object) -> str:
        raise TunePaddyError("MLflow: no space")

    with monkeypatch.context() as patch:
        patch.setattr(build, "log_ensemble", fail)
        with pytest.raises(TunePaddyError, match="no space"):
            made(ONE)
    assert current(store, search) == "best"
    assert (tmp_path / "submission.csv").read_bytes() == before
    assert made(ONE).name == "by-hand"
    assert sorted(path.name for path in (tmp_path / ENSEMBLES).iterdir()) == [".lock", "best", "by-hand"]


def test_a_recorded_ensemble_is_read_back_with_its_weights_and_predictions(
    store: Store, search: str, made: Build
) -> None:
    best, worse = made(MEAN, "best"), made(ONE, "worse")
    for ensemble in (best, worse):
        read = load_recorded(store, get_ensemble(store, search, ensemble.name))
        views = [(view.name, view.run_id) for view in ensemble.pool.views]
        assert [(view.name, view.run_id) for view in read.pool.views] == views
        assert read.selection.weights.tolist() == ensemble.selection.weights.tolist()
        assert read.standing.current == (ensemble is best)
    assert load_recorded(store, get_ensemble(store, search)).name == "best"
