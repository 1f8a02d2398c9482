"""The search command: train, select, write the submission."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tune_paddy.cli.app import (
    DATA_HELP,
    RunsOption,
    StandInsOption,
    UriOption,
    WeightsDirOption,
    app,
    check_pretrained,
    console,
    make_store,
    open_dataset,
    open_record,
    print_dataset,
    read_options,
    typed_command,
    working,
)
from tune_paddy.cli.completion import complete_search, complete_space
from tune_paddy.cli.resume import find_earlier, offer, plan_again
from tune_paddy.cli.searching.preview import print_preview
from tune_paddy.cli.searching.training import check_selection, train_and_select
from tune_paddy.cli.select import (
    RayAddressOption,
    RefitOption,
    VerboseOption,
    check_refit,
    selection_options,
)
from tune_paddy.cli.settings_options import OptionSource, command_with, given, search_settings
from tune_paddy.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tune_paddy.core.timing.speed import TimedNetwork
    from tune_paddy.search.plan import SearchPlan
    from tune_paddy.search.preflight import ReadyPlan
    from tune_paddy.tracking.names import Naming
    from tune_paddy.tracking.store import Store


READING = OptionSource(read_options)
SETTINGS = OptionSource(search_settings, without=("select_share",))
SELECTION = OptionSource(selection_options, only=("metric", "method", "weights"), letters={"weights": "-w"})


@app.command(cls=command_with(READING, SETTINGS, SELECTION))
def search(
    context: typer.Context,
    data: Annotated[Path | None, typer.Argument(help=DATA_HELP)] = None,
    space: Annotated[
        str | None,
        typer.Option(
            "--space",
            "-s",
            help="Search space: a file or a shipped name; default: one is built for --minutes.",
            autocompletion=complete_space,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the search; default: that of the space and a number.")
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            help="Name of a search to resume; options that are not given keep their recorded values.",
            autocompletion=complete_search,
        ),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="With --resume: also retry failed members.")
    ] = False,
    hours: Annotated[
        float | None,
        typer.Option(help="The same as --minutes, in hours.", min=0, metavar="<hours>"),
    ] = None,
    refit: RefitOption = None,
    stand_ins: StandInsOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the first trials without starting them.")
    ] = False,
    timing: Annotated[
        float,
        typer.Option(
            help="With --dry-run: seconds to spend on timing steps; 0: no forecast of time.",
            min=0,
            metavar="<seconds>",
        ),
    ] = 30.0,
    verbose: VerboseOption = False,
    weights_dir: WeightsDirOption = None,
    ray_address: RayAddressOption = None,
    tracking_uri: UriOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Train the members of a search space, then select from them and write the submission.

    Options override the settings under `search:` in the space, which override the defaults shown here.
    Without a space, one is built from the images, this machine and --minutes; --dry-run shows it.

    Example: tune-paddy search paddy/ --minutes 480

    With a space: tune-paddy search paddy/ --space paddy_search --trials 40 --gpu 0.5

    After an interruption: tune-paddy search --resume paddy_search-1
    """
    started = time.monotonic()
    from tune_paddy.tracking.names import Naming

    check_refit(refit)
    naming = Naming(runs, name)
    now = given(context, SELECTION) | ({} if refit is None else {"refit": refit})
    check_selection(_follow_up(now))
    if resume is None and not dry_run and data is not None:
        resume = _earlier(tracking_uri, name)
    common: dict[str, Any] = {
        "overrides": _in_minutes(given(context, SETTINGS), hours),
        "reading": given(context, READING),
        "weights_dir": weights_dir,
        "ray_address": ray_address,
    }
    store = None
    if resume is not None:
        plan, store = plan_again(
            resume, tracking_uri=tracking_uri, data=data, space=space, retry_failed=retry_failed, **common
        )
    elif data is None or (space is None and "minutes" not in common["overrides"]):
        raise InputError(
            "give DATA and --minutes or --space to start a search, or --resume NAME to resume one"
        )
    else:
        timed = dry_run and timing > 0
        plan = make_plan(data, space, naming, stand_ins=stand_ins, timed=timed, started=started, **common)
        plan = taught(plan, tracking_uri)
    plan = replace(plan, follow_up=_follow_up(now, plan.follow_up), started=started)
    check_patterns(plan.follow_up["weights"] or (), plan)
    if dry_run:
        print_preview(plan, timing, tracking_uri, store)
        return
    _run(plan, store, naming, tracking_uri, verbose=verbose)


def _in_minutes(settings: dict[str, Any], hours: float | None) -> dict[str, Any]:
    """Return the typed settings with the time budget in minutes.

    Raises:
        InputError: It is given twice.
    """
    if hours is None:
        return settings
    if "minutes" in settings:
        raise InputError(
            f"--hours {hours:g}: --minutes {settings['minutes']:g} says the same; give one of them"
        )
    return {**settings, "minutes": 60 * hours}


def _run(
    plan: "SearchPlan", store: "Store | None", naming: "Naming", tracking_uri: str | None, *, verbose: bool
) -> None:
    """Train and select.

    Args:
        plan: Plan of the search.
        store: Record of the search that the plan resumes; None: a new search, whose record is opened here.
        naming: Name of a new search, or how to choose one.
        tracking_uri: Address of the record of a new search; None: the default.
        verbose: Whether to print how the ensemble was selected.
    """
    if store is None:
        check_pretrained(plan)
    with session_of(plan, store) as ready:
        if store is None:  # Ray's workers import torch meanwhile
            store, plan = record_of(plan, tracking_uri, naming)
        train_and_select(replace(ready, plan=plan), store, plan.follow_up, verbose=verbose)


def taught(plan: "SearchPlan", tracking_uri: str | None) -> "SearchPlan":
    """Return a plan with the targets that earlier searches give its members, if its settings name any.

    Raises:
        InputError: There is no record, or a search in it cannot teach this one.
    """
    teachers = [name for name in (plan.settings.soften, plan.settings.pseudo) if name is not None]
    if not teachers:
        return plan
    store = open_record(tracking_uri, plan.folder.parent, *teachers)
    with working("reading what the teacher predicts"):
        from tune_paddy.search.teaching.teacher import with_teachers

        return with_teachers(plan, store)


@contextmanager
def session_of(plan: "SearchPlan", recorded_in: "Store | None" = None) -> "Iterator[ReadyPlan]":
    """Check a plan and run Ray while the block runs, as `ready_session`; show the stages of the start."""
    with working("importing Ray") as progress:
        from tune_paddy.search.preflight import ready_session

        with ready_session(plan, recorded_in, progress=progress) as ready:
            yield ready


def record_of(plan: "SearchPlan", tracking_uri: str | None, naming: "Naming") -> "tuple[Store, SearchPlan]":
    """Open the record for a new search, and return it with the plan under a free name.

    Args:
        plan: Plan of a new search.
        tracking_uri: Address of the record; None: the default.
        naming: Name that the user gave, or how to choose one.

    Raises:
        InputError: The given name is taken.
    """
    with working("opening the record"):
        from tune_paddy.search.new_search import with_free_name

        store = make_store(tracking_uri, plan.dataset, naming.runs)
        return store, with_free_name(plan, naming, store)


def _follow_up(now: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the options of the selection and refit that follow the training, for the record.

    Args:
        now: Typed options: name → value.
        before: Options of the previous session; None: this is the first session.
    """
    defaults = {facts.name: facts.default or None for facts in SELECTION.facts()} | {"refit": None}
    before = before or {}
    return {name: now.get(name, before.get(name, default)) for name, default in defaults.items()}


def check_patterns(weights: "Sequence[str]", plan: "SearchPlan") -> None:
    """Refuse ensemble weights for members that a plan cannot have, before the training starts.

    Raises:
        InputError: A pattern can match no member.
    """
    from tune_paddy.ensemble.fixed_weights import parse_weights, require_possible

    require_possible(parse_weights(weights), plan.space.architectures(), plan.total)


def _earlier(tracking_uri: str | None, name: str | None) -> str | None:
    """Return the name of an earlier search if the user wants to resume it instead of starting a new one."""
    found = find_earlier(tracking_uri, name)
    if found is None or not offer(found, named=name is not None, tracking_uri=tracking_uri):
        return None
    return found.name


def make_plan(
    data: Path,
    space: str | None,
    naming: "Naming",
    *,
    overrides: dict[str, Any],
    reading: Mapping[str, Any] | None = None,
    stand_ins: bool = False,
    weights_dir: Path | None = None,
    ray_address: str | None = None,
    timed: bool = False,
    started: float | None = None,
) -> "SearchPlan":
    """Make a plan from command-line arguments: validate space, dataset and settings, and choose a name.

    Args:
        data: Folder of labelled images, or their table as CSV or JSON.
        space: Name or path of the search space; None: one is built.
        naming: Choice of the name.
        overrides: Typed settings; `minutes` is among them if a space is to be built.
        reading: Typed options of reading the dataset.
        stand_ins: Whether to rehearse with tiny relatives of the architectures.
        weights_dir: Folder of pretrained weights, or None.
        ray_address: Address of a Ray cluster; None: this machine.
        timed: Whether a forecast of time follows.
        started: Start of the command by the monotonic clock, in s; None: now.

    Raises:
        InputError: An argument, the space or the dataset is invalid, or no space can be built.
    """
    from tune_paddy.core.config import SearchSettings
    from tune_paddy.spaces.building.build import NAME, require_buildable
    from tune_paddy.spaces.space import SearchSpace, find_space

    # Cheap checks first: torch, timm and Ray take many seconds to import.
    loaded = None if space is None else SearchSpace.load(find_space(space))
    settings = (SearchSettings() if loaded is None else loaded.settings).override(overrides)
    if loaded is None:
        require_buildable(overrides, ray_address)
    naming.choose(NAME if loaded is None else loaded.name)
    dataset = open_dataset(data, reading)
    print_dataset(dataset)
    importing = time.monotonic()
    with working("importing torch and timm") as progress:
        if timed:
            from tune_paddy.search.timing.dry_run import import_seconds

            import_seconds()  # for the forecast; below, torch is imported whole or in part
        from tune_paddy.search.building.plan import plan_space_here
        from tune_paddy.search.licences import with_licences
        from tune_paddy.search.new_search import plan_new_search
        from tune_paddy.training.networks.architectures import stand_in
        from tune_paddy.training.networks.plan import check_arch, check_layers

        known: tuple[TimedNetwork, ...] = ()
        decode = 0.0
        if loaded is None:
            now = time.monotonic()
            built = plan_space_here(
                dataset,
                overrides,
                started=importing if started is None else started,
                imports=now - importing,
                weights_dir=weights_dir,
                progress=progress,
            )
            loaded, known, decode = built.space, built.timed, built.decode
        loaded.check_archs(check_arch, check_layers)
        allowed = with_licences(loaded, settings.licences)
    for line in () if space is not None else built.lines:
        console.print(line, soft_wrap=True)
    return plan_new_search(
        dataset,
        allowed.with_stand_ins(stand_in) if stand_ins else allowed,
        naming,
        settings=overrides,
        data=data,
        weights_dir=weights_dir,
        ray_address=ray_address,
        command=typed_command(),
        started=started,
        timed=known,
        decode=decode,
    )
