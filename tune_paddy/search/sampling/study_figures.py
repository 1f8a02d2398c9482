"""Optuna's figures of a search: importance of parameters, and the objective over each of them."""

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import optuna
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, NullFormatter
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState
from optuna.visualization import matplotlib as plots
from PIL import Image

from tune_paddy.core.domains import Choice, SubSpace
from tune_paddy.data.system.files import write_atomically
from tune_paddy.search.sampling.sampler import SPACE, parameter_names

IMPORTANCES, SLICES = "importances", "slices"
LEAST = 20
"""Minimum number of finished trials for a figure: fewer show the sampler, not a dependence."""
_FEWEST = 2
"""Minimum number of parameters to compare."""
_WIDTH, _DPI = 10.0, 100
"""Width in inches and dots per inch: 1,000 pixels."""
_COLUMNS, _MOST = 3, 12
"""Maximum number of parameters in a row, and in total."""


def write_study_figures(
    trials: Sequence[FrozenTrial], spaces: Sequence[SubSpace], folder: Path
) -> list[Path]:
    """Write `importances.png` and `slices.png` of a study, where Optuna can draw them.

    Args:
        trials: Trials of the study; unfinished ones are ignored.
        spaces: Sub-spaces that the trials were sampled from.
        folder: Folder for the figures, created if missing.

    Returns:
        The written files; none if there are too few trials or no parameter varies.
    """
    done = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    study = _readable(done, spaces)
    varied = _varied(study.trials)
    if len(done) < LEAST or not varied:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with warnings.catch_warnings(), _bitmaps(), plt.style.context("default"):
        warnings.simplefilter("ignore")  # Optuna calls its own plots experimental
        for name, draw in ((IMPORTANCES, _importances), (SLICES, _slices)):
            # A degenerate study, such as one of equal losses, must not end a search.
            with suppress(ValueError, RuntimeError, ZeroDivisionError):
                write_atomically(folder / f"{name}.png", _png(draw(study, varied)))
                written.append(folder / f"{name}.png")
            plt.close("all")
    return written


@contextmanager
def _bitmaps() -> Iterator[None]:
    """Let Optuna draw bitmaps: the user's environment may name a backend without them, or a display's."""
    own = plt.get_backend()
    plt.switch_backend("agg")
    try:
        yield
    finally:
        with suppress(ImportError):  # it could not be used before, either
            plt.switch_backend(own)


def _readable(trials: Sequence[FrozenTrial], spaces: Sequence[SubSpace]) -> optuna.Study:
    """Return a copy of the study with the values of choices in place of their indices."""
    names = parameter_names(spaces)
    choices = {
        names[index, name]: [str(value) for value in domain.values]
        for index, space in enumerate(spaces)
        for name, domain in space.domains.items()
        if isinstance(domain, Choice)
    }
    study = optuna.create_study(direction="minimize")
    for trial in trials:
        values, distributions = _decoded(trial, choices)
        study.add_trial(optuna.create_trial(params=values, distributions=distributions, value=trial.value))
    return study


def _decoded(
    trial: FrozenTrial, choices: Mapping[str, list[str]]
) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    values, distributions = dict(trial.params), dict(trial.distributions)
    for name in values.keys() & choices.keys():
        values[name] = choices[name][values[name]]
        distributions[name] = CategoricalDistribution(choices[name])
    return values, distributions


def _varied(trials: Sequence[FrozenTrial]) -> list[str]:
    """Return the parameters with more than one value, sorted by decreasing number of trials."""
    seen: dict[str, list[Any]] = {}
    for trial in trials:
        for name, value in trial.params.items():
            seen.setdefault(name, []).append(value)
    varied = [name for name, values in seen.items() if len(set(values)) > 1]
    return sorted(varied, key=lambda name: (-len(seen[name]), name))


def _importances(study: optuna.Study, varied: Sequence[str]) -> Image.Image:
    """Draw importances of the parameters that all trials share, or all trials of the largest sub-space.

    Optuna can compare no other parameters.
    """
    whose, compared = f"all {len(study.trials)} members", study
    shared = _shared(compared, varied)
    if len(shared) < _FEWEST:
        space, compared = _largest_space(study)
        whose, shared = f"the {len(compared.trials)} members from {space}", _shared(compared, varied)
    if len(shared) < _FEWEST or len(compared.trials) < LEAST:
        raise ValueError("the members share no two parameters")
    axes = plots.plot_param_importances(compared, params=shared)
    figure = _figure_of(axes)
    figure.set_size_inches(_WIDTH, 1.5 + 0.4 * max(len(shared), 4))
    axes.set_title("", loc="left")
    axes.set_ylabel("")
    if (legend := axes.get_legend()) is not None:
        legend.remove()
    widths = [float(bar.get_width()) for bar in axes.patches if isinstance(bar, Rectangle)]
    first = axes.get_yticklabels()[widths.index(max(widths))].get_text()
    figure.suptitle(f"Among {whose}, {first} mattered most", fontweight="bold")
    return _rendered(figure)


def _shared(study: optuna.Study, names: Sequence[str]) -> list[str]:
    """Return the names of parameters that all trials have and that take more than one value."""
    values = {name: [trial.params.get(name) for trial in study.trials] for name in names}
    return [name for name, given in values.items() if None not in given and len(set(given)) > 1]


def _largest_space(study: optuna.Study) -> tuple[str, optuna.Study]:
    """Return the name of the sub-space with the most trials, and a study of these trials."""
    spaces = [trial.params.get(SPACE, "") for trial in study.trials]
    largest = max(spaces, key=spaces.count, default="")
    part = optuna.create_study(direction="minimize")
    part.add_trials([t for t, space in zip(study.trials, spaces, strict=True) if space == largest])
    return largest, part


def _slices(study: optuna.Study, varied: Sequence[str]) -> Image.Image:
    """Draw the objective over each parameter, a few parameters per row; Optuna would draw a single row."""
    rows: list[Image.Image] = []
    for shown in _in_rows(varied[:_MOST]):
        drawn = np.atleast_1d(np.asarray(plots.plot_slice(study, params=shown)))
        figure = _figure_of(drawn.flat[0])
        figure.set_size_inches(_WIDTH, 3.6)
        title = "" if rows else "Objective over each parameter: lower is better"
        figure.suptitle(title, fontweight="bold")
        for axes in drawn.flat:
            _tidy(axes)
        figure.axes[-1].yaxis.set_major_locator(MaxNLocator(integer=True))  # the colour bar of trial numbers
        rows.append(_rendered(figure))
    page = Image.new("RGB", (rows[0].width, sum(row.height for row in rows)), "white")
    for number, row in enumerate(rows):
        page.paste(row, (0, sum(above.height for above in rows[:number])))
    return page


def _in_rows(names: Sequence[str]) -> list[list[str]]:
    """Split names evenly into rows.

    >>> _in_rows(["a", "b", "c", "d"])
    [['a', 'b'], ['c', 'd']]
    """
    rows = -(-len(names) // _COLUMNS)
    return [row.tolist() for row in np.array_split(np.array(names), rows)]


def _tidy(axes: Axes) -> None:
    """Shorten and rotate the labels of choices: no quotes, no pretrained tags."""
    axes.set_title("")
    axes.xaxis.set_minor_formatter(NullFormatter())
    if axes.get_xscale() == "log":
        low, high = axes.get_xlim()  # in a narrow range the labels of matplotlib's own ticks overlap
        ticks = np.geomspace(low * (high / low) ** 0.1, high / (high / low) ** 0.1, 3)
        axes.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
    labels = [label.get_text() for label in axes.get_xticklabels()]
    if any(label.startswith("'") for label in labels):
        short = [label.strip("'") for label in labels]
        short = [name if _is_number(name) else name.partition(".")[0] for name in short]
        axes.set_xticks(axes.get_xticks(), short, rotation=20, ha="right", fontsize=9)


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()


def _figure_of(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    if figure is None:
        raise ValueError("the plot has no figure")
    return figure


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def _rendered(figure: Figure) -> Image.Image:
    # matplotlib 3.11 cannot lay out a single plot with its colour bar otherwise.
    figure.set_layout_engine("tight" if len(figure.axes) <= 2 else "constrained")  # noqa: PLR2004
    file = io.BytesIO()
    figure.savefig(file, dpi=_DPI)
    return Image.open(file).convert("RGB")
