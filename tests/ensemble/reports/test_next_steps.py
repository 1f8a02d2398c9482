"""Commands after a selection: each applies, and can be pasted into a shell."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.commands import parse
from tests.conftest import Exported, Finished
from tune_paddy.data.storage.storage import Storage
from tune_paddy.ensemble.ensemble import Ensemble
from tune_paddy.ensemble.reports import next_steps as module
from tune_paddy.ensemble.reports.next_steps import next_steps
from tune_paddy.ensemble.standing import Standing


def steps(finished: Finished, ensemble: Ensemble, runs: Path) -> dict[str, list[str]]:
    """Return the words of each command, as a shell reads them."""
    found = next_steps(
        finished.store, ensemble, ["first"], runs, lambda *words: shlex.join(["tune-paddy", *words])
    )
    return {name: shlex.split(line)[1:] for name, line in found.items()}


def current(exported: Exported) -> Ensemble:
    """Return the ensemble as the current one; other tests may have made another one current."""
    return replace(exported.ensemble, standing=Standing(current=True))


def test_the_report_the_record_and_the_export_come_next(finished: Finished, exported: Exported) -> None:
    """In this order; the images are of no competition, so there is nothing to submit."""
    found = steps(finished, current(exported), exported.ensemble.folder.parent)
    assert list(found) == ["Open it", "Browse", "Export"]
    assert found["Export"][:3] == ["export", "first", "first-model"]
    for words in found.values():
        assert parse(words)


def test_a_folder_of_searches_with_spaces_and_quotes_stays_one_word(
    finished: Finished, exported: Exported
) -> None:
    runs = Path("my 'night' runs")
    found = steps(finished, current(exported), runs)
    assert found["Open it"] == ["report", "first", "--runs", "my 'night' runs"]


def test_an_ensemble_that_is_not_current_is_named(finished: Finished, exported: Exported) -> None:
    """Without a name, commands use the current one."""
    other = replace(exported.ensemble, name="small", standing=Standing(current=False))
    found = steps(finished, other, finished.runs)
    assert [words[words.index("--ensemble") + 1] for words in (found["Open it"], found["Export"])] == [
        "small",
        "small",
    ]
    for words in found.values():
        assert parse(words)


def test_nothing_is_exported_without_weights_files(
    finished: Finished, exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "weights_bytes", lambda _folder: 0)
    assert "Export" not in steps(finished, current(exported), finished.runs)


def test_weights_in_a_storage_count_and_are_listed_once(
    finished: Finished, exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the recorded folder of a member is on another machine."""

    def stored(store: object, name: str) -> object:
        search = original(store, name)  # type: ignore[arg-type]
        settings = {**(module.SearchRecord.from_run(search).settings or {}), "storage": str(tmp_path)}
        return replace(search, tags={**search.tags, **module.SearchRecord.tags_of(settings=settings)})

    def noted(storage: Storage) -> object:
        listed.append(str(storage))
        return files(storage)

    original, files, listed = module.get_search, Storage.files, list[str]()
    monkeypatch.setattr(module, "get_search", stored)
    monkeypatch.setattr(module, "weights_bytes", lambda _folder: 0)
    monkeypatch.setattr(Storage, "files", noted)
    members = Storage.at(str(tmp_path)).folder("first", "members")
    assert "Export" not in steps(finished, current(exported), tmp_path / "elsewhere")
    for member in finished.members:
        members.write(f"{member.name}/weights.safetensors", b"w")
    listed.clear()
    assert "Export" in steps(finished, current(exported), tmp_path / "elsewhere")
    assert listed == [str(members)]


def test_only_a_competitions_submission_is_submitted(
    finished: Finished, exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_a_competition(store: object, name: str) -> object:
        search = original(store, name)  # type: ignore[arg-type]
        return replace(search, tags={**search.tags, **competition})

    original, competition = module.get_search, module.SearchRecord.tags_of(competition="rice")
    monkeypatch.setattr(module, "get_search", of_a_competition)
    assert steps(finished, current(exported), finished.runs)["Submit"][:2] == ["submit", "first"]
    pool = exported.ensemble.pool
    untested = replace(pool, test_ids=pool.test_ids[:0], test=pool.test[:, :0])
    assert "Submit" not in steps(finished, replace(exported.ensemble, pool=untested), finished.runs)
