"""The submit command: show a submission, ask for confirmation, send it, and record its score."""

import hashlib
import shlex
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tune_paddy.cli.app import RunsOption, UriOption, app, console, open_record
from tune_paddy.cli.completion import complete_search
from tune_paddy.cli.ensembles.option import EnsembleOption
from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.system.owned_folders import owned_folder

if TYPE_CHECKING:
    from tune_paddy.data.kaggle.client import KaggleClient
    from tune_paddy.data.kaggle.submit import Score, Sent
    from tune_paddy.tracking.runs import RecordedRun
    from tune_paddy.tracking.store import Store


_SHOWN_COLUMNS = 8
"""Number of columns of probabilities that are listed."""

_SHOWN_MEMBERS = 8
"""Number of views that are listed before the confirmation."""

_DIGITS = 12
"""Number of hex digits by which the default message tells files of one name apart."""


@dataclass(frozen=True)
class _Found:
    """A submission and its ensemble in the record.

    Attributes:
        path: Path of the CSV.
        store: The record, or None.
        ensemble: Run of the ensemble that wrote it; None: not in the record.
        named: Name by which the user asked for the ensemble; None: the current one, or a file.
        digest: SHA-256 of a file that the user named; empty: an ensemble was named.
    """

    path: Path
    store: "Store | None"
    ensemble: "RecordedRun | None"
    named: str | None = None
    digest: str = ""


@app.command()
def submit(
    what: Annotated[
        str,
        typer.Argument(
            help="Name of a search, for its current ensemble; or path of a submission.",
            autocompletion=complete_search,
        ),
    ],
    ensemble: EnsembleOption = None,
    message: Annotated[
        str | None, typer.Option("--message", "-m", help="Description of the submission on Kaggle.")
    ] = None,
    competition: Annotated[
        str | None,
        typer.Option(help="Kaggle's name of the competition; default: that of the search's images."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Send without confirmation.")] = False,
    score: Annotated[
        bool, typer.Option("--score", help="Only fetch the score of an earlier submission.")
    ] = False,
    wait: Annotated[float, typer.Option("--wait", help="Minutes to wait for the score.")] = 2.0,
    tracking_uri: UriOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Send a submission to Kaggle with Kaggle's official client, and record it and its score.

    Example: tune-paddy submit my-search -m "first ensemble"
    """
    with ExitStack() as stack:
        scratch = stack.enter_context(owned_folder())
        found = _find(what, ensemble, tracking_uri, runs, scratch)
        if score:
            _fetch_score(found, what, wait)
        else:
            words, to = message or _message(found), competition or _competition(found, what)
            _show(found, words, to)
            _send(found, what, words, to, yes=yes, wait=wait)


def _find(what: str, named: str | None, tracking_uri: str | None, runs: Path, scratch: Path) -> _Found:
    from tune_paddy.data.system.files import read_file, similar_files
    from tune_paddy.data.tables.csv_table import MAX_MIB
    from tune_paddy.tracking.files import SUBMISSION_FILE
    from tune_paddy.tracking.submissions import download_file, find_ensemble, submittable_ensemble

    is_file = Path(what).is_file()
    if not is_file and (Path(what).suffix == ".csv" or Path(what).parent != Path()):
        similar = similar_files(Path(what))
        raise InputError(f"there is no file {what}{similar or '; `tune-paddy select SEARCH` writes one'}")
    if is_file and named is not None:
        raise InputError("`ensemble` names an ensemble of a search, not of a file", options=("ensemble",))
    content = read_file(Path(what), most=MAX_MIB, what="a submission") if is_file else b""
    digest = hashlib.sha256(content).hexdigest() if is_file else ""
    try:
        store = open_record(tracking_uri, runs, *([] if is_file else [what]), ensemble=named)
    except InputError:
        if not is_file:
            raise
        return _Found(Path(what), None, None, digest=digest)
    if is_file:
        return _Found(Path(what), store, find_ensemble(store, digest), digest=digest)
    ensemble = submittable_ensemble(store, what, named)
    return _Found(download_file(store, ensemble, SUBMISSION_FILE, scratch), store, ensemble, named)


def _competition(found: _Found, what: str) -> str:
    """Return the default competition: that of an earlier submission, or that of the search's images.

    Raises:
        InputError: The record knows neither.
    """
    from tune_paddy.tracking.runs import get_search
    from tune_paddy.tracking.schema import SearchRecord, SubmissionRecord

    if found.store is not None and found.ensemble is not None:
        search = get_search(found.store, found.ensemble.search)
        known = SubmissionRecord.from_run(found.ensemble).competition
        known = known or SearchRecord.from_run(search).competition
        if known:
            return known
    raise InputError(
        f"the competition of {what} is unknown: add --competition NAME, as in the address "
        "https://www.kaggle.com/competitions/NAME"
    )


def _message(found: _Found) -> str:
    """Return the default description of a submission: its search and its estimated score."""
    if found.ensemble is None:
        return f"tune-paddy, SHA-256 {found.digest[:_DIGITS]}"
    estimate = _estimate(found.ensemble)
    return f"tune-paddy {found.ensemble.search}" + (f", {estimate}" if estimate else "")


def _show(found: _Found, message: str, competition: str) -> None:
    from rich.table import Table
    from rich.text import Text

    from tune_paddy.data.kaggle.submit import label_counts, mean_probabilities, read_to_send
    from tune_paddy.data.system.text import printable

    submission = read_to_send(found.path)
    n_rows = len(submission.ids)
    counts, means = label_counts(submission), mean_probabilities(submission)
    labels = ", ".join(f"{label}: {n:,} ({n / n_rows:.0%})" for label, n in counts)
    more = ", …" if len(means) > _SHOWN_COLUMNS else ""
    mean = ", ".join(f"{column} {value:.3f}" for column, value in means[:_SHOWN_COLUMNS]) + more
    columns = ", ".join(submission.columns[:_SHOWN_COLUMNS]) + more
    rows = {
        "file": f"{found.path.name}, {n_rows:,} rows: {columns}",
        "to": f"https://www.kaggle.com/competitions/{competition}",
        "message": message,
        **({"labels": labels} if counts else {"mean": mean}),
        **_record_rows(found),
    }
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, Text(printable(value)))
    console.print(table, markup=False)


def _record_rows(found: _Found) -> dict[str, str]:
    """Describe a submission's ensemble from the record: label → text."""
    from tune_paddy.tracking.schema import SubmissionRecord

    ensemble = found.ensemble
    if ensemble is None or found.store is None:
        return {"ensemble": "not in the record, so its score will not be recorded"}
    before = SubmissionRecord.from_run(ensemble)
    rows = {
        "ensemble": f"{ensemble.name} of {ensemble.search}, method {ensemble.params.get('method', '?')}, "
        f"run {ensemble.run_id}",
        "members": _members(found.store, ensemble),
        "estimate": _estimate(ensemble) or "none: see the ensemble's description in MLflow",
    }
    if before.competition:
        rows["sent before"] = f"{before.sent_at or '?'}, public score {before.public or 'unknown'}"
    return rows


def _members(store: "Store", ensemble: "RecordedRun") -> str:
    from tune_paddy.tracking.ensembles import read_recorded_ensemble

    heaviest = sorted(read_recorded_ensemble(store, ensemble).weights, key=lambda pair: -pair[1])
    shown = [f"{view.name} {weight:.3f}" for view, weight in heaviest[:_SHOWN_MEMBERS]]
    return ", ".join(shown) + (f" and {len(heaviest) - len(shown)} more" if heaviest[len(shown) :] else "")


def _estimate(ensemble: "RecordedRun") -> str:
    from tune_paddy.core.metrics import metric_key, metric_label

    metric = ensemble.params.get("metric", "")
    values = [ensemble.metrics.get(f"ensemble_{metric_key(metric)}{end}") for end in ("", "_low", "_high")]
    if None in values:
        return ""
    estimate, low, high = values
    return f"{metric_label(metric)} {estimate:.4f} ({low:.4f} to {high:.4f})"


def _send(found: _Found, what: str, message: str, competition: str, *, yes: bool, wait: float) -> None:
    from tune_paddy.data.kaggle.client import find_client
    from tune_paddy.data.kaggle.submit import send, wait_for_score

    if not yes and not sys.stdin.isatty():
        raise InputError("no terminal for a confirmation: add --yes to send it without one")
    client = find_client()
    sent = _already_sent(client, found, message, competition)
    if sent is None:
        if not yes and not typer.confirm("Send it?"):
            console.print("Not sent.")
            return
        _mark(found, message)
        sent = send(client, found.path, message, competition)
        console.print(f"Kaggle: {sent.answer}", markup=False, soft_wrap=True)
    _record(found, vars(sent))
    try:
        score = wait_for_score(client, sent, minutes=wait)
    except TunePaddyError as error:  # the submission itself was sent
        console.print(f"No score yet: {error}", style="yellow", markup=False, soft_wrap=True)
        return
    _print_score(found, what, score)


def _already_sent(client: "KaggleClient", found: _Found, message: str, competition: str) -> "Sent | None":
    """Return the submission that an earlier command sent without recording it; None: there is none.

    Raises:
        InputError: Kaggle has the submission, and no earlier command stopped in between.
        TunePaddyError: Kaggle did not list the submissions.
    """
    from tune_paddy.data.kaggle.submit import sent_before
    from tune_paddy.tracking.schema import SubmissionRecord

    began = "" if found.ensemble is None else SubmissionRecord.from_run(found.ensemble).sending
    sent = sent_before(client, found.path, began or message, competition)
    which = "" if sent is None else f"submission {sent.ref} of {sent.sent_at or 'an unknown time'}"
    if sent is not None and not began:
        raise InputError(
            f"Kaggle has this file name, size and message already, {which}: give another `message` to send "
            "the file again",
            options=("message",),
        )
    if began:
        outcome = "does not list it, so it is not sent yet" if sent is None else f"has it, {which}"
        line = f"An earlier command stopped while it sent this submission. Kaggle {outcome}."
        console.print(line, style="yellow", markup=False, soft_wrap=True)
    return sent


def _mark(found: _Found, message: str) -> None:
    """Record that a submission is about to be sent: this process may end before it records the answer."""
    from tune_paddy.tracking.submissions import mark_sending

    if found.store is not None and found.ensemble is not None:
        mark_sending(found.store, found.ensemble.run_id, message)


def _fetch_score(found: _Found, what: str, wait: float) -> None:
    from tune_paddy.data.kaggle.client import find_client
    from tune_paddy.data.kaggle.submit import wait_for_score

    sent = _sent(found, what)  # checks the record before the client, which may be missing
    _print_score(found, what, wait_for_score(find_client(), sent, minutes=wait))


def _sent(found: _Found, what: str) -> "Sent":
    """Read an earlier submission from the record.

    Raises:
        InputError: The record has none.
    """
    from tune_paddy.data.kaggle.submit import Sent
    from tune_paddy.tracking.schema import SubmissionRecord

    record = SubmissionRecord() if found.ensemble is None else SubmissionRecord.from_run(found.ensemble)
    if not record.competition:
        raise InputError(f"the record has no submission of {what}; `{_command(found, what)}` sends it")
    return Sent(
        competition=record.competition,
        ref=record.ref or 0,
        file_name=record.file_name or found.path.name,
        message=record.message,
        sent_at=record.sent_at,
    )


def _print_score(found: _Found, what: str, score: "Score") -> None:
    """Print a score, and record it.

    Raises:
        TunePaddyError: Kaggle could not score the submission.
    """
    _record(found, vars(score))
    if score.pending:
        line = f"Kaggle is still scoring it; to see the score later: {_command(found, what, '--score')}"
        console.print(line, soft_wrap=True)
    elif score.problem:
        raise TunePaddyError(f"Kaggle could not score it: {score.problem}")
    else:
        private = f", private {score.private}" if score.private else ""
        console.print(f"Score: public {score.public or 'unknown'}{private}", markup=False)


def _command(found: _Found, what: str, *options: str) -> str:
    """Return the command that submits the same file or ensemble, with further options."""
    named = [] if found.named is None else ["--ensemble", found.named]
    return shlex.join(["tune-paddy", "submit", what, *options, *named])


def _record(found: _Found, facts: dict[str, Any]) -> None:
    from tune_paddy.tracking.schema import SubmissionRecord
    from tune_paddy.tracking.submissions import log_submission

    if found.store is not None and found.ensemble is not None:
        log_submission(found.store, found.ensemble.run_id, SubmissionRecord(**facts))
