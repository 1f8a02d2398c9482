"""The preview of a search: its members, their weights files and its time."""

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tune_paddy.cli.app import console, print_note, working
from tune_paddy.cli.failures import as_typed
from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.system.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from tune_paddy.core.config import MemberConfig
    from tune_paddy.core.memory import TrialMemory
    from tune_paddy.search.plan import Preview, SearchPlan
    from tune_paddy.search.timing.dry_run import SearchTime
    from tune_paddy.spaces.space import SearchSpace
    from tune_paddy.tracking.store import Store


def print_preview(
    plan: "SearchPlan", timing: float, tracking_uri: str | None, store: "Store | None" = None
) -> None:
    """Print the next members that a search would train, their weights and the time it would take.

    Args:
        plan: Plan of the search.
        timing: Time to spend on timing steps, in seconds; 0: the time is not forecast.
        tracking_uri: Address of the MLflow record; None: the default.
        store: Record of the search that the plan resumes; None: the search is new.

    Raises:
        InputError: The plan resumes a search that has another space, dataset or split.
    """
    from tune_paddy.search.gpu_shares import trial_planner
    from tune_paddy.search.plan import preview
    from tune_paddy.search.resuming.plan import look_back
    from tune_paddy.search.timing.dry_run import forecast_time

    if plan.timed:
        console.print(plan.space.text, soft_wrap=True)
    earlier = None if store is None else look_back(plan, store)
    if earlier is not None and not earlier.leaves_work(plan):
        console.print("No trial is left: the trials or the time of the search are used up", soft_wrap=True)
        return
    coming, settings = preview(plan, 10, earlier.trials if earlier else ()), plan.settings
    try:
        plan_memory = trial_planner(settings, len(plan.dataset.classes))
    except InputError as error:  # no GPU detected: print the rest without forecasts
        console.print(f"No forecasts (?): {as_typed(error)}", style="yellow", soft_wrap=True)
        plan_memory = None
    _print_members(plan, coming, plan_memory)
    _print_weights(plan.space)
    if timing and not plan.timed:  # the lines of a built space have its time
        _print_time(partial(forecast_time, plan, plan_memory, earlier=earlier, limit=timing))
    line = None if plan.resumed else _earlier_search(plan, tracking_uri)
    if line is not None:
        console.print(line, soft_wrap=True)


def _print_members(
    plan: "SearchPlan", coming: "Preview", plan_memory: "Callable[[MemberConfig], TrialMemory] | None"
) -> None:
    """Print the table of the next members; without `plan_memory`, no memory is forecast."""
    from rich.table import Table

    settings = plan.settings
    gpus = f"GPU share {settings.gpu}" if isinstance(settings.gpu, str) else counted(settings.gpu, "GPU")
    console.print(f"Each trial: {counted(settings.cpus, 'CPU')}, {gpus}. {_title(plan, coming)}:")
    table = Table("member", "from", "configuration", "GPU", "accum", "forecast, MiB")
    with working() as progress:
        progress.stage("forecasting memory", len(coming.proposals))
        for proposal in coming.proposals:
            config = proposal.config
            planned = None if plan_memory is None else plan_memory(config)
            shares = _unforecast(config, settings.gpu) if planned is None else _forecast(planned)
            table.add_row(proposal.member, proposal.origin, _parameters(config), *shares)
            progress.advance()
    console.print(table)


def _title(plan: "SearchPlan", coming: "Preview") -> str:
    """Say which of the members of a table run in any case, and which the search may replace."""
    which = f"The {'next' if plan.resumed else 'first'}"
    possible = len(coming.proposals) - coming.known
    if not (plan.shares_time and possible):
        return f"{which} {len(coming.proposals)}"
    examples = f"{counted(possible, 'example')}, since the ensemble decides which sub-space is next"
    return f"{which} {coming.known}, and {examples}" if coming.known else examples


def _earlier_search(plan: "SearchPlan", tracking_uri: str | None) -> str | None:
    """Return what an earlier search of the same images reached; None: the record has none."""
    from tune_paddy.search.plan import new_split
    from tune_paddy.search.timing.earlier_searches import earlier_search_line
    from tune_paddy.tracking.store import open_store

    with suppress(TunePaddyError):  # there may be no record yet
        store = open_store(tracking_uri, experiment=None, artifact_root=Path(), create=False)
        return earlier_search_line(store, plan, new_split(plan).fingerprint)
    return None


def _print_weights(space: "SearchSpace") -> None:
    """Print the licence and the pretraining data of all pretrained weights of a space."""
    from rich.table import Table

    from tune_paddy.search.licences import licence_note, random_features_note, weights_rows

    table = Table("pretrained weights", "licence", "pretraining data", "used by")
    for row in weights_rows(space):
        table.add_row(row.arch, row.licence, row.data, ", ".join(row.used_by))
    console.print(table)
    print_note(licence_note(space))
    print_note(random_features_note(space))


def _print_time(forecast: "Callable[..., SearchTime]") -> None:
    """Print how long the search takes on this machine, or why no forecast is possible."""
    try:
        with working() as progress:
            lines = forecast(progress=progress).lines()
    except TunePaddyError as error:
        console.print(as_typed(error), style="yellow", soft_wrap=True)
        return
    for line in lines:
        console.print(line, soft_wrap=True)


def _forecast(given: "TrialMemory") -> tuple[str, str, str]:
    """Format a trial's share of a GPU, its accum and its forecast in MiB."""
    return f"{given.gpu:g}", str(given.accum), f"{given.forecast_mib:,.0f}" if given.forecast_mib else ""


def _unforecast(config: "MemberConfig", gpu: float | str) -> tuple[str, str, str]:
    """Format the configured share and accum, with `?` for values that need a forecast."""
    share = "?" if gpu == "auto" else f"{gpu:g}"
    return share, "?" if config.accum == "auto" else str(config.accum), "?"


def _parameters(config: "MemberConfig") -> str:
    """Format a member's parameters that differ from their defaults, except those in its name."""
    chosen = config.model_dump(mode="json", exclude_defaults=True, exclude={"arch", "size"})
    return " ".join(f"{name}={f'{v:.3g}' if isinstance(v, float) else v}" for name, v in chosen.items())
