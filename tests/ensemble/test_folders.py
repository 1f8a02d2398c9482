import json
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from tests.data.test_ensemble_file import SOUND
from tune_paddy.ensemble.folders import ENSEMBLES, ensembles_lock, new_folder, publish, published_name


def write(folder: Path, name: str, *figures: str) -> Path:
    """Write the files of an ensemble."""
    (folder / "figures").mkdir(parents=True)
    for file in (*(f"figures/{figure}.png" for figure in figures), "submission.csv", "report.html"):
        (folder / file).write_text(name)
    (folder / "ensemble.json").write_text(json.dumps({**SOUND, "name": name}))
    return folder


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_appears_complete_or_not_at_all(tmp_path: Path) -> None:
    """A failure leaves the earlier folder as it was."""
    target = tmp_path / "greedy"
    with new_folder(target) as folder:
        (folder / "a").write_text("1")
        assert not target.exists()
    with pytest.raises(OSError, match="no-such-folder"), new_folder(target) as folder:
        (folder / "no-such-folder" / "b").write_text("2")
    assert files(tmp_path) == {"greedy/a"}
    with new_folder(target) as folder:
        (folder / "b").write_text("2")
    assert files(tmp_path) == {"greedy/b"}


def test_remains_of_a_killed_process_are_removed_by_the_next(tmp_path: Path) -> None:
    remains = tmp_path / ENSEMBLES / ".unfinished-x1" / "new"
    remains.mkdir(parents=True)
    with ensembles_lock(tmp_path) as folder:
        assert [path.name for path in folder.iterdir()] == [".lock"]


def test_two_processes_do_not_write_at_once(tmp_path: Path) -> None:
    with ensembles_lock(tmp_path) as folder, pytest.raises(Timeout):
        FileLock(folder / ".lock", timeout=0).acquire()


def test_the_copies_are_those_of_one_ensemble(tmp_path: Path) -> None:
    """A figure that this ensemble lacks is removed; the search's own figures stay."""
    first = write(tmp_path / ENSEMBLES / "first", "first", "recall", "frontier")
    second = write(tmp_path / ENSEMBLES / "second", "second", "recall")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures/slices.png").write_text("search")
    assert published_name(tmp_path) is None
    publish(first, tmp_path)
    assert published_name(tmp_path) == "first"
    publish(second, tmp_path)
    assert published_name(tmp_path) == "second"
    copies = {name for name in files(tmp_path) if not name.startswith(ENSEMBLES)}
    assert copies == {
        "submission.csv", "report.html", "ensemble.json", "figures/recall.png", "figures/slices.png",
    }  # fmt: skip
    assert (tmp_path / "submission.csv").read_text() == "second"
    assert (tmp_path / "figures/slices.png").read_text() == "search"
