"""The report of a search in the terminal: progress, running and failed members, leaderboard."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune_paddy.core.config import MemberConfig
from tune_paddy.data.system.text import counted
from tune_paddy.ensemble.reports.member_rows import recorded_rows
from tune_paddy.ensemble.reports.tables import make_table
from tune_paddy.ensemble.reports.wording import duration, formatted, signed
from tune_paddy.tracking.runs import RecordedRun, parse_params
from tune_paddy.tracking.schema import SearchRecord

_STYLES = {"running": "cyan", "finished": "green", "failed": "red", "interrupted": "yellow"}


@dataclass(frozen=True)
class Overview:
    """State of a search in the record.

    Attributes:
        search: Run of the search.
        members: Runs of all members.
        ensembles: Runs of the ensembles selected from it, newest last.
        epochs: Name of a running member → number of epochs that it has trained.
        now: Current time, in seconds since 1970.
        command: Function that formats a command on this search's record from its words.
    """

    search: RecordedRun
    members: Sequence[RecordedRun]
    ensembles: Sequence[RecordedRun]
    epochs: Mapping[str, int]
    now: float
    command: Callable[..., str] = lambda *words: shlex.join(["tune-paddy", *words])

    @property
    def unfinished(self) -> bool:
        """Whether the search ended before it was finished."""
        return self.search.outcome not in ("running", "finished")

    def with_outcome(self, *outcomes: str) -> list[RecordedRun]:
        """Return the members with one of these outcomes."""
        return [member for member in self.members if member.outcome in outcomes]


def print_overview(console: Console, overview: Overview) -> None:
    """Print a search: leaderboard, failures, running members, progress, and next commands."""
    for block in _blocks(overview):
        console.print(block, highlight=False)
        console.print()
    for line in _next_steps(overview):
        console.print(Text(line), soft_wrap=True)


def print_searches(console: Console, searches: Sequence[RecordedRun], now: float) -> None:
    """Print the searches in the given order."""
    table = make_table("Searches", "search", "state", "space", "dataset", "started", "log loss", "error")
    for search in searches:
        record = SearchRecord.from_run(search)
        table.add_row(
            search.name,
            Text(search.outcome, style=_STYLES.get(search.outcome, "")),
            Text(record.space),
            Text(str(record.dataset or "")),
            f"{duration(now - search.started)} ago",
            _metric(search, ".4f", "log_loss", "live_log_loss"),
            _metric(search, ".2%", "error_rate", "live_error_rate"),
        )
    console.print(table, highlight=False)


def _blocks(overview: Overview) -> Iterator[Table | Text]:
    if overview.with_outcome("finished"):
        yield _leaderboard(overview)
    failures = [m for m in overview.members if m.outcome not in ("running", "finished")]
    if failures:
        yield _failures(failures)
    if overview.with_outcome("running"):
        yield _running(overview)
    yield _state(overview)


def _leaderboard(overview: Overview) -> Table:
    """Return the finished members, best first, in the order of MLflow's view of members."""
    table = make_table(
        "Leaderboard", "#", "member", "log loss", "with TTA", "error", "weight", "without it", "cost"
    )
    for place, row in enumerate(recorded_rows(overview.with_outcome("finished")), start=1):
        table.add_row(
            str(place),
            row.name,
            formatted(row.log_loss, ".4f"),
            formatted(row.tta_log_loss, ".4f"),
            formatted(row.error, ".2%"),
            formatted(row.weight or None, ".3f"),
            signed(row.contribution),
            row.cost,
            style=None if row.weight or not overview.ensembles else "dim",
        )
    return table


def _failures(members: Sequence[RecordedRun]) -> Table:
    table = make_table("Not finished", "member", "what", "why")
    for member in members:
        style = _STYLES.get(member.outcome, "yellow")
        table.add_row(member.name, Text(member.outcome, style=style), Text(member.failure))
    return table


def _running(overview: Overview) -> Table:
    table = make_table("Running now", "member", "epoch", "log loss", "error", "for")
    for member in overview.with_outcome("running"):
        table.add_row(
            member.name,
            f"{overview.epochs.get(member.name, 0)}/{_total_epochs(overview.search, member)}",
            _metric(member, ".4f", "log_loss"),
            _metric(member, ".2%", "error_rate"),
            duration(overview.now - member.started),
        )
    return table


def _state(overview: Overview) -> Text:
    """Return the progress of the search in one line, its inputs and its ensemble in two others."""
    search = overview.search
    counts = {outcome: len(overview.with_outcome(outcome)) for outcome in ("finished", "running")}
    others = len(overview.members) - sum(counts.values())
    parts = [f"{counted(counts['finished'], 'member')} finished"]
    parts += [f"{counts['running']} running"] if counts["running"] else []
    parts += [f"{others} not"] if others else []
    limit = _trials(search)
    record = SearchRecord.from_run(search)
    running = (search.ended or overview.now) - search.started
    # A resumed search was not running all the time since its first start.
    known = None if search.outcome == "running" else record.seconds
    spent = duration(running if known is None else known)
    text = Text(f"Search {search.name} ", style="bold")
    text.append(search.outcome, style=_STYLES.get(search.outcome, ""))
    where = f"space {record.space or '?'} on {record.dataset or '?'}"
    text.append(
        f" after {spent}: {', '.join(parts)}{limit}\n{where}\n{_ensemble(overview)}", style="not bold"
    )
    return text


def _trials(search: RecordedRun) -> str:
    """Return the maximum number of members, from the settings of the last session or else the first."""
    settings = SearchRecord.from_run(search).settings or {}
    trials = settings.get("trials", search.params.get("trials"))
    return f" of at most {trials}" if trials else ""


def _ensemble(overview: Overview) -> str:
    search = overview.search
    if overview.ensembles and "log_loss" in search.metrics:
        return f"Ensemble: {_scores(search, 'log_loss', 'error_rate')} on new images"
    if "live_log_loss" in search.metrics:
        scores = _scores(search, "live_log_loss", "live_error_rate")
        return f"Ensemble so far: {scores} on the select split: optimistic"
    return "No ensemble yet."


def _scores(search: RecordedRun, loss: str, error: str) -> str:
    """Return a recorded loss and error; one that is unknown is not named."""
    texts = {"log loss": _metric(search, ".4f", loss), "error": _metric(search, ".2%", error)}
    return ", ".join(f"{name} {text}" for name, text in texts.items() if text)


def _next_steps(overview: Overview) -> Iterator[str]:
    name = overview.search.name
    if overview.unfinished:
        yield f"Resume it: {overview.command('search', '--resume', name)}"
    if overview.with_outcome("finished") and not overview.ensembles:
        yield f"Select from the finished members: {overview.command('select', name)}"
    yield f"Browse it: {overview.command('ui', name)}"


def _total_epochs(search: RecordedRun, member: RecordedRun) -> int:
    try:
        epochs = MemberConfig(**parse_params(member.params)).total_epochs
    except ValueError:  # a record of another version
        return 0
    return epochs * max(1, int(search.params.get("folds", "0")))


def _metric(run: RecordedRun, form: str, *names: str) -> str:
    """Format the first of these metrics that a run has; empty if it has none."""
    return formatted(next((run.metrics[name] for name in names if name in run.metrics), None), form)
