"""What a person sees of a search in the terminal: how far it is, what runs, what failed, who leads."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune_paddy.core.config import MemberConfig
from tune_paddy.ensemble.reports.tables import make_table
from tune_paddy.tracking.runs import DATASET, SECONDS, SETTINGS, SPACE_NAME, RecordedRun, parse_params
from tune_paddy.tracking.ui.layout import CONTRIBUTION, CPU_SECONDS, GPU_SECONDS, WEIGHT

_STYLES = {"running": "cyan", "finished": "green", "failed": "red", "interrupted": "yellow"}


@dataclass(frozen=True)
class Overview:
    """A search as its record tells of it.

    Attributes:
        search: Its run.
        members: All of them.
        ensembles: Selected from it, the newest last.
        epochs: Name of a member that runs → epochs that it has trained.
        now: Seconds since 1970.
    """

    search: RecordedRun
    members: Sequence[RecordedRun]
    ensembles: Sequence[RecordedRun]
    epochs: Mapping[str, int]
    now: float

    @property
    def unfinished(self) -> bool:
        """Whether it ended, or was ended, before it was done."""
        return self.search.outcome not in ("running", "finished")

    def with_outcome(self, *outcomes: str) -> list[RecordedRun]:
        """Members of which one of these things became."""
        return [member for member in self.members if member.outcome in outcomes]


def print_overview(console: Console, overview: Overview) -> None:
    """Print a search: leaderboard, failures, what runs now, how far it is, and what can be done next."""
    for block in _blocks(overview):
        console.print(block, highlight=False)
        console.print()
    for line in _next_steps(overview):
        console.print(Text(line), soft_wrap=True)


def print_searches(console: Console, searches: Sequence[RecordedRun], now: float) -> None:
    """Print all searches of a record, the newest last."""
    table = make_table("Searches", "search", "state", "space", "dataset", "started", "log loss", "error")
    for search in searches:
        table.add_row(
            search.name,
            Text(search.outcome, style=_STYLES.get(search.outcome, "")),
            Text(search.tags.get(SPACE_NAME, "")),
            Text(search.tags.get(DATASET, "")),
            f"{_duration(now - search.started)} ago",
            _number(search, ".4f", "log_loss", "live_log_loss"),
            _number(search, ".2%", "error_rate", "live_error_rate"),
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
    """Finished members, the best first, in the order of MLflow's view of them."""
    table = make_table(
        "Leaderboard", "#", "member", "log loss", "with TTA", "error", "weight", "without it", "cost"
    )
    finished = overview.with_outcome("finished")
    finished.sort(key=lambda member: member.metrics.get("plain/log_loss", float("inf")))
    for place, member in enumerate(finished, start=1):
        selected = member.metrics.get(WEIGHT, 0) > 0
        table.add_row(
            str(place),
            member.name,
            _number(member, ".4f", "plain/log_loss"),
            _number(member, ".4f", "tta/log_loss"),
            _number(member, ".2%", "plain/error_rate"),
            _number(member, ".3f", WEIGHT) if selected else "",
            _number(member, "+.4f", CONTRIBUTION) if selected else "",
            cost(member),
            style=None if selected or not overview.ensembles else "dim",
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
            _number(member, ".4f", "log_loss"),
            _number(member, ".2%", "error_rate"),
            _duration(overview.now - member.started),
        )
    return table


def _state(overview: Overview) -> Text:
    """The search in a line, and what is known of its ensemble in another."""
    search = overview.search
    counts = {outcome: len(overview.with_outcome(outcome)) for outcome in ("finished", "running")}
    others = len(overview.members) - sum(counts.values())
    parts = [f"{counts['finished']} members finished"]
    parts += [f"{counts['running']} running"] if counts["running"] else []
    parts += [f"{others} not"] if others else []
    limit = _trials(search)
    running = (search.ended or overview.now) - search.started
    # A search that has gone on was not running all the time since it began.
    spent = _duration(running if search.outcome == "running" else float(search.tags.get(SECONDS, running)))
    text = Text(f"Search {search.name} ", style="bold")
    text.append(search.outcome, style=_STYLES.get(search.outcome, ""))
    where = (
        f"space {search.tags.get('tune_paddy.space', '?')} on {search.tags.get('tune_paddy.dataset', '?')}"
    )
    text.append(
        f" after {spent}: {', '.join(parts)}{limit}\n{where}\n{_ensemble(overview)}", style="not bold"
    )
    return text


def _trials(search: RecordedRun) -> str:
    """How many members there shall be: what the last session was told, or the first."""
    settings = json.loads(search.tags.get(SETTINGS, "{}"))
    trials = settings.get("trials", search.params.get("trials"))
    return f" of at most {trials}" if trials else ""


def _ensemble(overview: Overview) -> str:
    search = overview.search
    if overview.ensembles and "log_loss" in search.metrics:
        loss, error = search.metrics["log_loss"], search.metrics.get("error_rate", float("nan"))
        return f"Ensemble: log loss {loss:.4f}, error {error:.2%} on new images"
    if "live_log_loss" in search.metrics:
        loss, error = search.metrics["live_log_loss"], search.metrics["live_error_rate"]
        return f"Ensemble so far: log loss {loss:.4f}, error {error:.2%} on what it was chosen on: optimistic"
    return "No ensemble yet."


def _next_steps(overview: Overview) -> Iterator[str]:
    name = overview.search.name
    if overview.unfinished:
        yield f"Resume it: tune-paddy search --resume {name}"
    if overview.with_outcome("finished") and not overview.ensembles:
        yield f"Select from what is there: tune-paddy select {name}"
    yield f"Browse it: tune-paddy ui {name}"


def cost(member: RecordedRun) -> str:
    """What a member cost: GPU-seconds, else CPU-seconds, for a person."""
    for name, unit in ((GPU_SECONDS, "GPU"), (CPU_SECONDS, "CPU")):
        if name in member.metrics:
            return f"{_duration(member.metrics[name])} {unit}"
    seconds = member.metrics.get("train_seconds_total")
    return "" if seconds is None else _duration(seconds)


def _total_epochs(search: RecordedRun, member: RecordedRun) -> int:
    try:
        epochs = MemberConfig(**parse_params(member.params)).total_epochs
    except ValueError:  # a record of another version
        return 0
    return epochs * max(1, int(search.params.get("folds", "0")))


def _duration(seconds: float) -> str:
    """Seconds for a person.

    >>> [_duration(seconds) for seconds in (7.4, 150, 9000, 200000)]
    ['7 s', '2.5 min', '2.5 h', '2.3 d']
    """
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _number(run: RecordedRun, form: str, *names: str) -> str:
    """The first of these metrics that a run has, or nothing."""
    value = next((run.metrics[name] for name in names if name in run.metrics), None)
    return "" if value is None else format(value, form)
