from pathlib import Path

import pytest

from tune_paddy.data.storage.storage import Storage
from tune_paddy.training.saved.shelf import Shelf


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("12345")


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """The members of the search `night` in a storage: one with two folds, one that has not ended."""
    folder = tmp_path / "storage" / "night" / "members"
    for fold in ("fold-0", "fold-1"):
        write(folder / "a" / fold, "weights.safetensors", "member.json", "fold.npz")
    write(
        folder / "b", "weights.safetensors", "ema.safetensors", "member.json", "checkpoint-00001.safetensors"
    )
    return folder


@pytest.fixture
def shelf(stored: Path, tmp_path: Path) -> Shelf:
    return Shelf.of(tmp_path / "runs" / "night", {"storage": str(stored.parents[1])})


def test_weights_count_wherever_they_are(shelf: Shelf, tmp_path: Path) -> None:
    write(tmp_path / "runs/night/members/c", "weights.safetensors")
    assert shelf.weights_bytes(["a", "b", "c", "d"]) == {"a": 10, "b": 10, "c": 5, "d": 0}


def test_weights_are_removed_wherever_they_are(shelf: Shelf, stored: Path, tmp_path: Path) -> None:
    write(tmp_path / "runs/night/members/a", "weights.safetensors")
    shelf.remove_weights("a")
    shelf.remove_checkpoints("b")
    assert shelf.weights_bytes(["a", "b"]) == {"a": 0, "b": 10}
    assert sorted(Storage.at(str(stored)).files()) == [
        "a/fold-0/fold.npz",
        "a/fold-1/fold.npz",
        "b/ema.safetensors",
        "b/member.json",
        "b/weights.safetensors",
    ]


def test_an_export_on_another_machine_fetches_the_weights_that_it_lacks(shelf: Shelf, tmp_path: Path) -> None:
    folders = [tmp_path / "here" / "a" / fold for fold in ("fold-0", "fold-1")]
    shelf.fetch_weights("a", folders, average=False)
    assert [sorted(path.name for path in folder.iterdir()) for folder in folders] == [
        ["member.json", "weights.safetensors"]
    ] * 2
    shelf.fetch_weights("b", [tmp_path / "here" / "b"], average=True)
    assert len(list((tmp_path / "here" / "b").iterdir())) == 3


def test_a_search_without_a_storage_has_the_files_of_its_folder(tmp_path: Path) -> None:
    shelf = Shelf.of(tmp_path / "night", {"storage": None})
    write(tmp_path / "night/members/a", "weights.safetensors")
    shelf.fetch_weights("b", [tmp_path / "night/members/b"], average=False)
    assert shelf.weights_bytes(["a", "b"]) == {"a": 5, "b": 0}


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that were listed, in order: each listing is a request for every thousand files."""
    files, listed = Storage.files, list[str]()
    monkeypatch.setattr(Storage, "files", lambda place: (listed.append(str(place)), files(place))[1])
    return listed


def test_one_listing_serves_all_members(shelf: Shelf, stored: Path, listed: list[str]) -> None:
    files = shelf.look()
    assert files.weights_bytes(["a", "b", "d"]) == {"a": 10, "b": 10, "d": 0}
    for member in ("a", "b"):
        files.remove_weights(member)
        files.remove_checkpoints(member)
    assert listed == [str(stored)]
    assert sorted(Storage.at(str(stored)).files()) == ["a/fold-0/fold.npz", "a/fold-1/fold.npz"]


def test_the_folds_of_a_member_are_fetched_by_one_listing(
    shelf: Shelf, stored: Path, tmp_path: Path, listed: list[str]
) -> None:
    folders = [tmp_path / "here" / "a" / fold for fold in ("fold-0", "fold-1")]
    for _ in range(2):
        shelf.fetch_weights("a", folders, average=False)
    assert listed == [str(stored / "a")]


def test_the_files_here_are_those_of_this_machine(shelf: Shelf, tmp_path: Path) -> None:
    write(tmp_path / "runs/night/members/a", "weights.safetensors")
    shelf.here.remove_weights("a")
    assert shelf.weights_bytes(["a"]) == {"a": 10}
