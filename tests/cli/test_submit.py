"""The submit and fetch commands with a fake of Kaggle's client; nothing leaves this machine."""

import hashlib
import io
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.cli.conftest import Call
from tests.conftest import Finished
from tests.ensemble.conftest import recorded
from tune_paddy.cli import main
from tune_paddy.cli.submit import _Found, _message
from tune_paddy.ensemble.build import Ensemble, build_ensemble
from tune_paddy.ensemble.options import SelectionOptions
from tune_paddy.tracking.runs import get_search, list_ensembles
from tune_paddy.tracking.writing import set_tags


@dataclass
class Kaggle:
    """Fake client that keeps submissions, and scores them at the second request."""

    archive: bytes = b""
    sent: list[tuple[str, str, str]] = field(default_factory=list)
    content: str = ""
    asked: int = 0
    problem: str = ""
    killed: bool = False

    def competition_submit(self, file_name: str, message: str, competition: str, quiet: bool = False) -> Any:
        assert quiet
        self.sent.append((Path(file_name).name, message, competition))
        self.content = Path(file_name).read_text()
        if self.killed:
            raise KeyboardInterrupt
        return SimpleNamespace(message="Successfully submitted to Paddy Doctor", ref=4711)

    def competition_submissions(self, competition: str) -> list[Any]:
        assert competition == "some-contest"
        if not self.sent:
            return []
        self.asked += 1
        done = self.asked > 1
        status = ("ERROR" if self.problem else "COMPLETE") if done else "PENDING"
        facts = {"public_score": "0.98731" if done else "", "private_score": "", "total_bytes": 0}
        facts |= {"error_description": self.problem, "date": datetime(2026, 1, 2, 3, 4, 5), "ref": 4711}
        return [
            SimpleNamespace(status=SimpleNamespace(name=status), file_name=name, description=message, **facts)
            for name, message, _ in reversed(self.sent)
        ]

    def competition_download_files(
        self, competition: str, path: str | None = None, force: bool = False, quiet: bool = True
    ) -> None:
        assert quiet
        assert not force
        assert path is not None
        (Path(path) / f"{competition}.zip").write_bytes(self.archive)


@pytest.fixture
def kaggle(monkeypatch: pytest.MonkeyPatch) -> Kaggle:
    client = Kaggle()
    monkeypatch.setattr("tune_paddy.data.kaggle.client.find_client", lambda: client)
    return client


@pytest.fixture(scope="module")
def ensemble(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Ensemble:
    """An ensemble by a metric that no other test uses, so that no other test changes its tags."""
    folder = tmp_path_factory.mktemp("ensemble")
    options = SelectionOptions(metric="balanced_error", method="uniform")
    return build_ensemble(finished.store, ["first"], folder=folder, options=options)


@pytest.fixture
def tags(finished: Finished, ensemble: Ensemble) -> Iterator[dict[str, str]]:
    """Kaggle tags of the ensemble's run, read at each access and removed after the test."""

    class Tags(dict[str, str]):
        def __missing__(self, name: str) -> str:
            (run,) = (r for r in list_ensembles(finished.store, "first") if r.run_id == ensemble.run_id)
            return run.tags.get(f"tune_paddy.kaggle.{name}", "")

    yield Tags()
    client = finished.store.client
    for name in client.get_run(ensemble.run_id).data.tags:
        if "tune_paddy.kaggle." in name:
            client.delete_tag(ensemble.run_id, name)


def arguments(finished: Finished, what: Path | str, *more: str) -> list[str]:
    return [
        "submit",
        str(what),
        "--competition",
        "some-contest",
        "--tracking-uri",
        finished.store.tracking_uri,
        *more,
    ]


@pytest.mark.documents("submit SEARCH")
@pytest.mark.documents("submit SEARCH --score")
def test_a_search_is_submitted_by_name_and_its_score_recorded_with_the_ensemble(
    finished: Finished, ensemble: Ensemble, kaggle: Kaggle, tags: dict[str, str], call: Call
) -> None:
    named = ["--ensemble", ensemble.name]
    text = call(*arguments(finished, "first", "--yes", "-m", "my words", "--wait", "0", *named))
    assert ensemble.submission is not None
    assert kaggle.sent == [("submission.csv", "my words", "some-contest")]
    assert kaggle.content == ensemble.submission.read_text()
    assert "submission.csv, 20 rows: image_id, label" in text
    assert "method uniform" in text
    assert "0000-resnet" in text or "test_resnet" in text
    assert "balanced error 0." in text
    assert f"tune-paddy submit first --score --ensemble {ensemble.name}" in text
    assert (tags["ref"], tags["competition"], tags["message"]) == ("4711", "some-contest", "my words")
    assert (tags["status"], tags["public"]) == ("pending", "")
    assert "Score: public 0.98731" in call(*arguments(finished, "first", "--score", *named))
    assert (tags["status"], tags["public"]) == ("complete", "0.98731")
    assert len(kaggle.sent) == 1
    again = call(*arguments(finished, "first", "--yes", *named))
    assert "sent before" in again
    assert "public score 0.98731" in again


def test_a_submission_whose_process_was_killed_after_sending_is_not_sent_twice(
    finished: Finished, ensemble: Ensemble, kaggle: Kaggle, tags: dict[str, str], call: Call
) -> None:
    command = arguments(finished, "first", "--yes", "-m", "once", "--ensemble", ensemble.name)
    kaggle.killed = True
    call(*command, status=130)
    assert (tags["sending"], tags["sent_at"]) == ("once", "")
    kaggle.killed = False
    text = call(*command)
    assert "Kaggle has it, submission 4711 of 2026-01-02T03:04:05" in text
    assert "Score: public 0.98731" in text
    assert len(kaggle.sent) == 1
    assert (tags["sending"], tags["ref"], tags["message"]) == ("", "4711", "once")


def test_a_submission_that_did_not_reach_kaggle_is_sent_again(
    finished: Finished, ensemble: Ensemble, kaggle: Kaggle, tags: dict[str, str], call: Call
) -> None:
    command = arguments(finished, "first", "--yes", "-m", "once", "--ensemble", ensemble.name)
    kaggle.killed = True
    call(*command, status=130)
    kaggle.killed, kaggle.sent = False, []
    assert "Kaggle does not list it, so it is not sent yet" in call(*command, "--wait", "0")
    assert len(kaggle.sent) == 1
    assert tags["sending"] == ""


def test_a_file_that_kaggle_has_is_sent_again_only_under_another_message(
    finished: Finished, kaggle: Kaggle, call: Call
) -> None:
    Path("mine.csv").write_text("image_id,label\na.jpg,blast\n")
    command = arguments(finished, "mine.csv", "--yes", "--wait", "0")
    call(*command)
    text = call(*command, status=2)
    assert "submission 4711 of 2026-01-02T03:04:05: give another --message to send the file again" in text
    assert len(kaggle.sent) == 1
    call(*command, "-m", "again")
    assert len(kaggle.sent) == 2


def test_a_copied_file_is_identified_by_its_content(
    finished: Finished, ensemble: Ensemble, kaggle: Kaggle, tags: dict[str, str], call: Call
) -> None:
    assert ensemble.submission is not None
    copy = shutil.copy(ensemble.submission, "renamed.csv")
    text = call(*arguments(finished, copy, "--yes", "--wait", "0"))
    assert ensemble.run_id in text
    assert kaggle.sent[0][1].startswith("tune-paddy first, balanced error 0.")
    assert tags["file_name"] == "renamed.csv"


def test_the_message_names_a_loss_not_a_score() -> None:
    name = "ensemble_one_minus_macro_f1"
    scores = {name: 0.007, f"{name}_low": 0.001, f"{name}_high": 0.02}
    ensemble = recorded("ensemble", "ensemble", params={"metric": "macro_f1"}, metrics=scores)
    message = _message(_Found(Path("submission.csv"), None, ensemble))
    assert message == "tune-paddy night, 1 − macro F1 0.0070 (0.0010 to 0.0200)"


def test_a_file_that_is_not_in_the_record_is_sent_with_a_notice(
    finished: Finished, kaggle: Kaggle, call: Call, tmp_path: Path
) -> None:
    (tmp_path / "other.csv").write_text("image_id,label\na.jpg,blast\nb.jpg,tungro\nc.jpg,blast\n")
    text = call(*arguments(finished, "other.csv", "--yes", "--wait", "0"))
    assert "blast: 2 (67%), tungro: 1 (33%)" in text
    assert "not in the record" in text
    digest = hashlib.sha256((tmp_path / "other.csv").read_bytes()).hexdigest()
    assert kaggle.sent == [("other.csv", f"tune-paddy, SHA-256 {digest[:12]}", "some-contest")]
    text = call("submit", "other.csv", "--score", status=2)
    assert "the record has no submission of other.csv" in text


def test_the_default_competition_is_that_of_the_images_or_of_an_earlier_submission(
    finished: Finished, ensemble: Ensemble, kaggle: Kaggle, tags: dict[str, str], call: Call
) -> None:
    """If both are unknown, the command asks for the competition and sends nothing."""
    assert ensemble.submission is not None
    here = ["submit", str(ensemble.submission), "--tracking-uri", finished.store.tracking_uri]
    assert "add --competition NAME" in call(*here, "--yes", status=2)
    assert kaggle.sent == []
    search = get_search(finished.store, "first").run_id
    set_tags(finished.store.client, search, {"tune_paddy.competition": "some-contest"})
    try:
        assert "competitions/some-contest" in call(*here, "--yes", "--wait", "0")
    finally:
        set_tags(finished.store.client, search, {"tune_paddy.competition": ""})
    assert tags["competition"] == "some-contest"
    again = [*here, "--yes", "--wait", "0", "--message", "again"]
    assert "competitions/some-contest" in call(*again)


class Terminal(io.StringIO):
    """Standard input of a terminal, with typed text."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("answer", ["y\n", "n\n", "\n"])
def test_submit_asks_for_confirmation(
    finished: Finished, kaggle: Kaggle, call: Call, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    Path("mine.csv").write_text("image_id,label\na.jpg,blast\n")
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    text = call(*arguments(finished, "mine.csv", "--wait", "0"))
    assert "Send it?" in text
    assert len(kaggle.sent) == (answer == "y\n")
    assert ("Not sent." in text) == (answer != "y\n")


def test_without_a_terminal_nothing_is_sent_unless_confirmed(
    finished: Finished, kaggle: Kaggle, call: Call
) -> None:
    Path("mine.csv").write_text("image_id,label\na.jpg,blast\n")
    assert "add --yes" in call(*arguments(finished, "mine.csv"), status=2)
    assert kaggle.sent == []


@pytest.mark.usefixtures("tags")
def test_a_submission_that_kaggle_cannot_score_is_a_failure(
    finished: Finished, ensemble: Ensemble, kaggle: Kaggle, call: Call
) -> None:
    kaggle.asked, kaggle.problem = 1, "Evaluation Exception: wrong ids"
    assert ensemble.submission is not None
    text = call(*arguments(finished, ensemble.submission, "--yes"), status=1)
    assert "wrong ids" in text


def test_an_unknown_search_is_refused(finished: Finished, call: Call) -> None:
    assert get_search(finished.store, "first")
    assert "no search 'frist'" in call(*arguments(finished, "frist", "--yes"), status=2)


@pytest.mark.documents("data fetch paddy-disease-classification")
def test_a_fetched_competition_passes_the_check(
    small_digits: Path, kaggle: Kaggle, call: Call, tmp_path: Path
) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(small_digits.rglob("*.*")):
            archive.write(path, path.relative_to(small_digits).as_posix())
    kaggle.archive = file.getvalue()
    text = call("data", "fetch", "some-contest", "--to", "here")
    assert "150 labelled images of 10 classes, 20 to predict; next: tune-paddy data check here" in text
    assert "150 labelled images of 10 classes" in call("data", "check", "here")
    assert "is complete" in call("data", "fetch", "some-contest", "--to", "here")
    assert (
        sorted(path.name for path in tmp_path.iterdir()) == ["cache", "here"] or (tmp_path / "here").is_dir()
    )


@pytest.mark.usefixtures("as_before")
def test_a_refusal_shows_no_secret_even_in_a_traceback(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **_options: object) -> None:
        raise ConnectionError("for url: https://storage.example/x.zip?Signature=s3cret")

    monkeypatch.setattr(kaggle, "competition_download_files", refuse)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["tune-paddy", "--debug", "data", "fetch", "some-contest"])
    with pytest.raises(SystemExit, match="1"):
        main()
    printed = capsys.readouterr()
    assert "Traceback" in printed.err
    assert "s3cret" not in printed.out + printed.err
