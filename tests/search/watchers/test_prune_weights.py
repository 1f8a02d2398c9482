"""Weights files on disk while a search runs: those that an ensemble may need stay, the others go."""

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Finished
from tune_paddy.core.predictions import Pool, Predictions
from tune_paddy.core.selection.plain import best_single, fixed_select
from tune_paddy.core.selection.result import Selection
from tune_paddy.data.ensemble_file import ensemble_content
from tune_paddy.data.storage.storage import Storage
from tune_paddy.search.watchers import prune_weights
from tune_paddy.search.watchers.prune_weights import TOP, WeightsKeeper, weights_line
from tune_paddy.tracking.ensembles import log_ensemble, make_current
from tune_paddy.tracking.members import log_member, start_member
from tune_paddy.tracking.pool import load_pool
from tune_paddy.tracking.runs import list_members, recorded
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.store import Store
from tune_paddy.training.saved.shelf import Shelf

MEMBERS = 6


@pytest.fixture(scope="module")
def store(finished: Finished) -> Store:
    """The record, with a search of six members, each a little worse than the previous one."""
    store = finished.store
    parent = start_search(store, name="many")
    for number in range(MEMBERS):
        run_id = start_member(
            store, search="many", member=f"m{number}", parent_run_id=parent, params={"arch": "net"}
        )
        log_member(store, run_id, predictions(number), {"objective": 0.1 + number})
    return store


def predictions(number: int) -> Predictions:
    """Return correct predictions of 40 images of two classes, less certain for higher numbers."""
    labels = np.arange(40) % 2
    right = np.float32(0.95 - 0.1 * number)
    probs = np.where(labels[:, None] == [0, 1], right, 1 - right).astype(np.float32)
    ids = np.array([f"{image:02d}" for image in range(40)])
    return Predictions(("a", "b"), "split", ids, labels, ids[:0], {"plain": probs}, {"plain": probs[:0]})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for each member; the first member has two folds."""
    for number in range(MEMBERS):
        parts = ["fold-0", "fold-1"] if number == 0 else [""]
        for part in parts:
            (tmp_path / f"m{number}" / part).mkdir(parents=True)
            (tmp_path / f"m{number}" / part / "weights.safetensors").write_bytes(b"w" * 2**19)
            (tmp_path / f"m{number}" / part / "member.json").write_text("{}")
    return tmp_path


def kept(folder: Path) -> list[str]:
    return sorted({path.relative_to(folder).parts[0] for path in folder.rglob("weights.safetensors")})


def look(store: Store, folder: Path) -> tuple[Pool, Selection]:
    """Call the keeper as a search does after a member has finished."""
    pool = load_pool(store, ["many"])
    selection = best_single(pool.select, pool.labels)
    WeightsKeeper(store, Shelf(folder))(pool, selection)
    return pool, selection


def test_few_members_keep_all_weights_files(store: Store, folder: Path) -> None:
    look(store, folder)
    assert len(kept(folder)) == MEMBERS <= TOP


def test_the_best_members_and_those_of_a_good_ensemble_keep_their_weights_files(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune_weights, "TOP", 3)
    monkeypatch.setattr(prune_weights, "_log_linear", lambda pool, names: {"m4"} & names)
    look(store, folder)
    assert kept(folder) == ["m0", "m1", "m2", "m4"]
    assert not list((folder / "m5").iterdir())
    line = weights_line(list_members(store, "many"), Shelf(folder))
    assert line == "weights files of 4 members kept, 2.5 MiB; 2 pruned"


def test_one_listing_of_the_storage_serves_a_selection(
    store: Store, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, listed = Storage.files, list[str]()
    monkeypatch.setattr(prune_weights, "TOP", 1)
    monkeypatch.setattr(Storage, "files", lambda place: (listed.append(str(place)), files(place))[1])
    pool = load_pool(store, ["many"])
    storage = Storage.at(str(folder))
    WeightsKeeper(store, Shelf(tmp_path / "none", storage))(pool, best_single(pool.select, pool.labels))
    assert listed == [str(storage)]
    assert "m0" in kept(folder)
    assert "m5" not in kept(folder)


def test_a_log_linear_ensemble_of_members_with_weights_files_is_kept_too(store: Store, folder: Path) -> None:
    pool = load_pool(store, ["many"])
    assert prune_weights._log_linear(pool, {"m2", "m5"}) <= {"m2", "m5"}
    assert prune_weights._log_linear(pool, {"m2", "m5"})
    assert folder.is_dir()


def test_an_unfinished_member_keeps_its_weights_file(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune_weights, "TOP", 1)
    (folder / "m9").mkdir()
    (folder / "m9" / "weights.safetensors").write_bytes(b"on its way")
    look(store, folder)
    assert "m9" in kept(folder)
    assert "m5" not in kept(folder)


def test_a_member_that_a_recorded_ensemble_has_used_keeps_its_weights_file(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune_weights, "TOP", 1)
    """Also if the ensemble is no longer the current one, or never was."""
    runs = {member.name: member.run_id for member in list_members(store, "many")}
    for name, weights in (("one", {"m4": 1.0, "m5": 0.0}), ("two", {"m4": 0.0, "m5": 0.0})):
        run_id = log_ensemble(
            store, search="many", name=name, selection_dict={"kind": name}, files=[], metrics={}, params={}
        )
        of_runs = {runs[member]: weight for member, weight in weights.items()}
        ensemble = recorded(store.client.get_run(run_id))
        make_current(store, ensemble, weights=of_runs, contributions={})
    pool = load_pool(store, ["many"])
    alone = fixed_select(pool.select, pool.labels, [view.member == "m2" for view in pool.views])
    content = ensemble_content(pool, alone, ["many"], None)
    log_ensemble(store, search="many", name="three", selection_dict=content, files=[], metrics={}, params={})
    look(store, folder)
    assert {"m2", "m4"} <= set(kept(folder))
    assert "m5" not in kept(folder)
