"""The report of a search in the terminal: progress, running and failed members, leaderboard."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.metrics import metric_key, metric_label
from tune_paddy.core.teaching.words import teachers_in_words
from tune_paddy.data.ensemble_file import DescribedEnsemble
from tune_paddy.data.system.text import counted, four_digits, percent
from tune_paddy.ensemble.reports.member_rows import MemberRow, best_other_view, recorded_rows
from tune_paddy.ensemble.reports.tables import make_table
from tune_paddy.ensemble.reports.wording import NEW_IMAGES, OPTIMISTIC, duration, formatted, score, signed
from tune_paddy.tracking.lookup.ensembles import selected_at
from tune_paddy.tracking.runs import RecordedRun, parse_params
from tune_paddy.tracking.schema import MemberRecord, SearchRecord
from tune_paddy.tracking.ui.layout import CONTRIBUTION, WEIGHT

LIVE_LOSS = "live_log_loss"
"""Metric of a search: log loss of the greedy ensemble of the members finished so far."""
_NAMED = 3
"""Maximum number of members that a note names; it counts the rest."""
_STYLES = {"running": "cyan", "finished": "green", "failed": "red", "interrupted": "yellow"}


@dataclass(frozen=True)
class Overview:
    """State of a search in the record.

    Attributes:
        search: Run of the search.
        members: Runs of all members.
        ensembles: Runs of the ensembles selected from it, newest last.
        current: Run of the current ensemble, or None.
        shown: Run of the ensemble whose weights are shown: the current one, unless another was asked for.
        described: Content of that other ensemble; None: the record of the members has the weights.
        epochs: Name of a running member → number of epochs that it has trained.
        now: Current time, in seconds since 1970.
        outlook: What further time would bring it, one line each, see `outlook_lines`.
        command: Function that formats a command on this search's record from its words.
    """

    search: RecordedRun
    members: Sequence[RecordedRun]
    ensembles: Sequence[RecordedRun]
    epochs: Mapping[str, int]
    now: float
    outlook: Sequence[str] = ()
    current: RecordedRun | None = None
    shown: RecordedRun | None = None
    described: DescribedEnsemble | None = None
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
            _own_or_live(search, four_digits, "log_loss"),
            _own_or_live(search, percent, "error_rate"),
        )
    console.print(table, highlight=False)
    if any("log_loss" not in search.metrics and LIVE_LOSS in search.metrics for search in searches):
        console.print(Text(f"Scores are {NEW_IMAGES}; * {OPTIMISTIC}, of a search without an ensemble"))


def _blocks(overview: Overview) -> Iterator[Table | Text]:
    if overview.with_outcome("finished"):
        yield _leaderboard(overview)
        yield from _notes(overview)
    failures = [m for m in overview.members if m.outcome not in ("running", "finished")]
    if failures:
        yield _failures(failures)
    if overview.with_outcome("running"):
        yield _running(overview)
    if overview.ensembles:
        yield _ensembles(overview)
    yield _state(overview)


def _notes(overview: Overview) -> Iterator[Text]:
    """Return the notes of the finished members, each once with the members that it is about."""
    by_note: dict[str, list[str]] = {}
    for member in overview.with_outcome("finished"):
        by_note.setdefault(MemberRecord.from_run(member).notes, []).append(member.name)
    lines = [f"{_some(names)}: {note}" for note, names in by_note.items() if note]
    if lines:
        yield Text("\n".join(lines))


def _some(names: Sequence[str]) -> str:
    rest = [f"{len(names) - _NAMED} more"] if names[_NAMED:] else []
    return ", ".join([*names[:_NAMED], *rest])


def _leaderboard(overview: Overview) -> Table:
    """Return the finished members, best first, in the order of MLflow's view of members."""
    rows = _rows(overview)
    others = ["best other view"] if any(row.further for row in rows) else []
    scores = ("log loss", "with TTA", *others, "error", "weight", "without it")
    # Versions before this column did not record what proposed a member.
    proposals = ["from"] if any(row.proposed_by for row in rows) else []
    table = make_table("Leaderboard", "#", "member", *proposals, *scores, "cost")
    for place, row in enumerate(rows, start=1):
        table.add_row(
            str(place),
            row.name,
            *(row.proposed_by for _ in proposals),
            "" if row.log_loss is None else four_digits(row.log_loss),
            "" if row.tta_log_loss is None else four_digits(row.tta_log_loss),
            *(best_other_view(row) for _ in others),
            "" if row.error is None else percent(row.error),
            formatted(row.weight or None, ".3f"),
            signed(row.contribution),
            row.cost,
            style=None if row.weight or not overview.ensembles else "dim",
        )
    return table


def _rows(overview: Overview) -> list[MemberRow]:
    """Return the finished members with their weights in the shown ensemble, best first."""
    members, described = overview.with_outcome("finished"), overview.described
    if described is not None:
        weights, gains = described.member_weights, described.member_contributions
        members = [
            replace(
                member,
                metrics={
                    **member.metrics,
                    WEIGHT: weights.get(member.run_id, 0.0),
                    CONTRIBUTION: gains.get(member.run_id, 0.0),
                },
            )
            for member in members
        ]
    return recorded_rows(members)


def _ensembles(overview: Overview) -> Table:
    """Return the ensembles of a search, the newest first; an arrow marks the current one."""
    table = make_table("Ensembles", "", "name", "selected by", NEW_IMAGES, "95 % interval", "selected")
    for run in reversed(overview.ensembles):
        metric = run.params.get("metric", "")
        key = metric_key(metric)
        value, *interval = (run.metrics.get(f"ensemble_{key}{end}") for end in ("", "_low", "_high"))
        low, high = interval
        table.add_row(
            "→" if run is overview.current else "",
            Text(run.name, style="bold" if run is overview.shown else ""),
            Text(f"{run.params.get('method', '?')}, {metric_label(metric)}"),
            "" if value is None else score(metric, value),
            "" if low is None or high is None else f"{score(metric, low)} to {score(metric, high)}",
            f"{duration(overview.now - selected_at(run))} ago",
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
            _own_or_live(member, four_digits, "log_loss"),
            _own_or_live(member, percent, "error_rate"),
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
    taught = "".join(f"\n{words}" for words in teachers_in_words(record.settings or {}))
    where = f"space {record.space or '?'} on {record.dataset or '?'}{taught}"
    text.append(
        f" after {spent}: {', '.join(parts)}{limit}\n{where}\n{_ensemble(overview)}", style="not bold"
    )
    text.append("".join(f"\n{line}" for line in overview.outlook), style="not bold")
    return text


def _trials(search: RecordedRun) -> str:
    """Return the maximum number of members, from the settings of the last session or else the first."""
    settings = SearchRecord.from_run(search).settings or {}
    trials = settings.get("trials", search.params.get("trials"))
    return f" of at most {trials}" if trials else ""


def _ensemble(overview: Overview) -> str:
    search, shown = overview.search, overview.shown
    if shown is not None and "log_loss" in shown.metrics:
        kind = "Current ensemble" if shown is overview.current else "Ensemble"
        return f"{kind} {shown.name}: {_scores(shown.metrics, 'log_loss', 'error_rate')} {NEW_IMAGES}"
    if shown is not None:
        return f"Ensemble {shown.name}: no score {NEW_IMAGES}"
    if LIVE_LOSS in search.metrics:
        scores = _scores(search.metrics, LIVE_LOSS, "live_error_rate")
        return f"Greedy ensemble so far: {scores} {OPTIMISTIC}"
    return "No ensemble yet."


def _scores(metrics: Mapping[str, float], loss: str, error: str) -> str:
    """Return a loss and an error rate in words; one that is unknown is not named."""
    texts = {
        "log loss": four_digits(metrics[loss]) if loss in metrics else "",
        "error": percent(metrics[error]) if error in metrics else "",
    }
    return ", ".join(f"{name} {text}" for name, text in texts.items() if text)


def _next_steps(overview: Overview) -> Iterator[str]:
    name = overview.search.name
    if overview.unfinished:
        yield f"Resume it: {overview.command('search', '--resume', name)}"
    if overview.with_outcome("finished") and not overview.ensembles:
        yield f"Select from the finished members: {overview.command('select', name)}"
    if len(overview.ensembles) > 1:
        shown = overview.shown
        other = "ENSEMBLE" if shown is None or shown is overview.current else shown.name
        yield f"Make another ensemble current: {overview.command('use', name, other)}"
    yield f"Browse it: {overview.command('ui', name)}"


def _total_epochs(search: RecordedRun, member: RecordedRun) -> int:
    try:
        epochs = MemberConfig(**parse_params(member.params)).total_epochs
    except ValueError:  # a record of another version
        return 0
    return epochs * max(1, int(search.params.get("folds", "0")))


def _own_or_live(search: RecordedRun, form: Callable[[float], str], name: str) -> str:
    """Format the score of a search's ensemble, or with an asterisk that of its live ensemble, if any."""
    for metric, mark in ((name, ""), (f"live_{name}", " *")):
        if metric in search.metrics:
            return form(search.metrics[metric]) + mark
    return ""
