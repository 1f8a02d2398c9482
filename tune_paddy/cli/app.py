"""Parts that all commands share: the app, its consoles, common options, opening of data and spaces."""

import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from tune_paddy.cli.help.panels import OrderedGroup
from tune_paddy.data.system.progress.lines import Silence
from tune_paddy.data.system.text import as_started, redact

if TYPE_CHECKING:
    from tune_paddy.data.dataset import Dataset
    from tune_paddy.data.system.progress.stages import Progress
    from tune_paddy.search.plan import SearchPlan
    from tune_paddy.spaces.space import SearchSpace
    from tune_paddy.tracking.store import Store

app = typer.Typer(
    name="tune-paddy",
    cls=OrderedGroup,
    help="Search for the best averaged ensemble of image classifiers that your GPUs and hours can buy.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PIPED_WIDTH = 160  # columns of output to a file or a pipe
silence = Silence()


class _ProgramConsole(Console):
    """Console that writes commands as the user started the program, to copy them."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print objects; see `as_started` for texts."""
        super().print(*map(_as_started, objects), **options)
        silence.end()


def _as_started(printed: Any) -> Any:
    """Return a text, styled or not, with its commands as started; other objects as they are."""
    if isinstance(printed, str):
        return as_started(printed)
    if isinstance(printed, Text) and as_started(printed.plain) != printed.plain:
        return Text(as_started(printed.plain), style=printed.style)
    return printed


# No markup: rich would take square brackets in names of files and members for tags.
console = _ProgramConsole(highlight=False, markup=False)
if not console.is_terminal:
    console = _ProgramConsole(highlight=False, markup=False, width=PIPED_WIDTH)
errors = _ProgramConsole(stderr=True, highlight=False, markup=False)

DATA_HELP = "Folder of labelled images, or their table as CSV or JSON."
DataArgument = Annotated[Path, typer.Argument(help=DATA_HELP)]
UriOption = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri", envvar="MLFLOW_TRACKING_URI", help="Address of MLflow; default: ./mlflow.db."
    ),
]
RunsOption = Annotated[
    Path, typer.Option("--runs", help="Folder of searches and their files.", file_okay=False)
]
WeightsDirOption = Annotated[
    Path | None, typer.Option("--weights-dir", help="Folder of pretrained weights, from `weights fetch`.")
]
StandInsOption = Annotated[
    bool, typer.Option("--stand-ins", help="Rehearse with a tiny relative of each architecture.")
]


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        console.print(f"tune-paddy {version('tune-paddy')}")
        raise typer.Exit


@app.callback()
def common(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    _debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options of every command."""


@contextmanager
def working(what: str = "") -> "Iterator[Progress]":
    """Show the stages of a block's work: on the last line of a terminal, else as lines of standard error.

    Args:
        what: Name of the first stage; empty: the block names it.

    Yields:
        The argument `progress` of library functions.
    """
    from tune_paddy.data.system.progress.shown import shown_progress

    with shown_progress(console, errors, log=errors, silence=silence) as progress:
        if what:
            progress.stage(what)
        yield progress


def read_options() -> type[Any]:
    """Return the options of reading a dataset, which commands have as options."""
    from tune_paddy.data.options import ReadOptions

    return ReadOptions


def open_dataset(data: Path, reading: Mapping[str, Any] | None = None) -> "Dataset":
    """Open a dataset.

    Args:
        data: Folder or table of labels.
        reading: Typed options of `ReadOptions`: name → value.
    """
    with working("reading images and labels"):
        from tune_paddy.data.dataset import Dataset

        return Dataset.open(data, **(reading or {}))


def print_note(note: str | None) -> None:
    """Print a hint on one line, if there is one."""
    if note is not None:
        console.print(note, style="yellow", soft_wrap=True)


def load_space(space: str) -> "SearchSpace":
    """Load a search space by path or name, and check its architectures with timm."""
    from tune_paddy.spaces.space import SearchSpace, find_space

    loaded = SearchSpace.load(find_space(space))  # first: torch takes seconds to import
    with working("importing torch and timm"):
        from tune_paddy.training.networks.plan import check_arch, check_layers

        loaded.check_archs(check_arch, check_layers)
        return loaded


def check_pretrained(plan: "SearchPlan") -> None:
    """Refuse a plan whose pretrained weights are missing; on a cluster, skip the check: its nodes differ."""
    if plan.ray_address is not None:
        return
    with working("looking for the pretrained weights"):
        from tune_paddy.training.networks.pretrained import check_weights

        check_weights(plan.space.weights(), plan.weights_dir)


def make_store(tracking_uri: str | None, dataset: "Dataset", runs: Path) -> "Store":
    """Open the record for new runs on a dataset; create it if it is missing."""
    from tune_paddy.tracking.store import open_store

    return open_store(
        tracking_uri, experiment=dataset.root.name, artifact_root=runs.absolute() / "artifacts", create=True
    )


def open_record(tracking_uri: str | None, runs: Path, *searches: str, ensemble: str | None = None) -> "Store":
    """Open the existing record, after a quick check of names for typing errors.

    Args:
        tracking_uri: Address of the record; None: the default.
        runs: Folder of searches.
        *searches: Names of searches that must exist.
        ensemble: Name of an ensemble of the first search that must exist, or None.

    Raises:
        InputError: There is no record, or it lacks a name.
    """
    from tune_paddy.tracking.lookup.quick import check_names

    check_names(tracking_uri, searches, ensemble)
    with working("opening the record"):
        from tune_paddy.tracking.store import open_store

        return open_store(tracking_uri, experiment=None, artifact_root=runs / "artifacts", create=False)


def print_dataset(dataset: "Dataset") -> None:
    """Print what was detected in a dataset, and the findings from opening it."""
    for line in dataset.description.lines():
        console.print(line, soft_wrap=True)
    reading = tuple(dataset.options.names())
    for line in dataset.report.lines():
        console.print(options_as_typed(line, reading), style="yellow", soft_wrap=True)


def flag(name: str) -> str:
    """Return the command-line option of a parameter.

    >>> flag("max_size")
    '--max-size'
    """
    return f"--{name.replace('_', '-')}"


def options_as_typed(text: str, names: Iterable[str], spellings: Mapping[str, str] | None = None) -> str:
    """Return a text with the parameters in backticks, alone or with a value, spelt as for the shell.

    Args:
        text: Message or note.
        names: Names of parameters.
        spellings: Parameter → its spelling, if it is not the option of the same name.

    >>> options_as_typed("`task=classes` or `task`", ["task"])
    '--task classes or --task'
    >>> options_as_typed("`group=plant no`", ["group"])
    "--group 'plant no'"
    >>> options_as_typed("`gpu='Tesla P100'`", ["gpu"])
    "--gpu 'Tesla P100'"
    """
    for name in names:
        typed, known = (spellings or {}).get(name, flag(name)), re.escape(name)
        text = _spelt(text.replace(f"`{name}`", typed), rf"`{known}=([^`]*)`", typed)
    return text


def _spelt(text: str, pattern: str, typed: str) -> str:
    def quoted(found: re.Match[str]) -> str:
        value = found[1]
        is_quoted = len(value) > 1 and value[0] == value[-1] in "'\""  # as Python writes a text
        return f"{typed} {value if is_quoted else shlex.quote(value)}"

    return re.sub(pattern, quoted, text)


def typed_command() -> str:
    """Return the command line as typed, with credentials redacted, for the record."""
    return shlex.join(["tune-paddy", *map(redact, sys.argv[1:])])


def record_command(store: "Store", *words: str) -> str:
    """Return a command line that reads a record: with its address, unless it is the default one."""
    from tune_paddy.tracking.store import URI_VARIABLE, resolve_uri

    is_default = store.tracking_uri == resolve_uri(os.environ.get(URI_VARIABLE) or None)
    return shlex.join(["tune-paddy", *words, *([] if is_default else ["--tracking-uri", store.address])])
