"""What a search learnt of its parameters: the objective against each of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from numpy.typing import NDArray

from tune_paddy.ensemble.reports.figures import BLUE, WIDTH, add_title, escaped
from tune_paddy.ensemble.reports.findings import UNLIKELY, short
from tune_paddy.tracking.runs import RecordedRun, parse_params

LEAST = 20
"""Minimum number of finished members with a parameter: fewer points show the sampler, not the parameter."""
MOST = 6
"""Maximum number of parameters."""
_COLUMNS = 3
_QUARTERS = 4
"""Number of groups that a number with more values is divided into."""
_DECADES = 10
"""Ratio of the largest to the smallest value above which an axis is logarithmic."""
_CHOICES = 6
"""Maximum number of choices in a panel; the most frequent are shown."""
_IGNORED = frozenset({"seed", "accum", "compile", "precision", "tta"})
"""Parameters that say how a member is computed, not how well it can do."""


@dataclass(frozen=True, eq=False)
class Effect:
    """A parameter and the objective of the members that have it.

    Attributes:
        name: Name of the parameter.
        values: Value of each member: float64 [members], or the text of a choice.
        losses: float64 [members], objective of each member.
        chance: Probability of such a dependence by chance, without correction for other parameters.
    """

    name: str
    values: NDArray[Any]
    losses: NDArray[np.float64]
    chance: float

    @property
    def numeric(self) -> bool:
        """Whether the parameter is a number."""
        return self.values.dtype.kind == "f"


def find_effects(members: Sequence[RecordedRun]) -> tuple[int, list[Effect]]:
    """Return the number of compared parameters, and those with the clearest effect on the objective first.

    The Kruskal-Wallis test compares the ranks of the losses between choices, or between quarters of the
    values of a number; so it finds a best value in the middle, too.

    Args:
        members: Members of any outcome; only finished ones count.
    """
    done = [m for m in members if m.outcome == "finished" and np.isfinite(_loss(m))]
    if len(done) < LEAST:
        return 0, []
    losses = np.array([_loss(member) for member in done])
    params = [_parameters(member.params) for member in done]
    names = sorted({name for own in params for name in own} - _IGNORED)
    effects = [effect for name in names if (effect := _effect(name, params, losses)) is not None]
    return len(effects), sorted(effects, key=lambda effect: (effect.chance, effect.name))[:MOST]


def _loss(member: RecordedRun) -> float:
    return member.metrics.get("objective", member.metrics.get("log_loss", np.nan))


def _parameters(params: Mapping[str, str]) -> dict[str, Any]:
    """Parse parameters; a square size becomes its side."""
    values = parse_params(params)
    return {
        name: value[0] if isinstance(value, list) and len(set(value)) == 1 else value
        for name, value in values.items()
    }


def _effect(name: str, params: Sequence[Mapping[str, Any]], losses: NDArray[np.float64]) -> Effect | None:
    """Return the effect of a parameter that enough members have and that varies."""
    has = np.array([own.get(name) is not None for own in params])
    values = [own[name] for own in params if own.get(name) is not None]
    if len(values) < LEAST or len(set(map(str, values))) == 1:
        return None
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    array = np.array(values, np.float64) if numeric else np.array(list(map(str, values)))
    return Effect(name, array, losses[has], _chance(array, losses[has]))


def _chance(values: NDArray[Any], losses: NDArray[np.float64]) -> float:
    """Return the p-value of the dependence of the losses on the values; 1 if it cannot be tested."""
    from scipy.stats import kruskal  # noqa: PLC0415 - half a second, for large searches only

    if np.ptp(losses) == 0:
        return 1.0
    if values.dtype.kind == "f" and len(np.unique(values)) > _QUARTERS:
        values = np.searchsorted(np.quantile(values, (0.25, 0.5, 0.75)), values)
    groups = [losses[values == value] for value in np.unique(values)]
    groups = [group for group in groups if len(group) > 1]
    return float(kruskal(*groups).pvalue) if len(groups) > 1 else 1.0


def draw_parameters(n_compared: int, effects: Sequence[Effect], objective: str) -> Figure:
    """Draw the objective against each parameter, the clearest effect first.

    Args:
        n_compared: Number of compared parameters, for Bonferroni's correction.
        effects: Effects to draw; at least one.
        objective: Display name of the objective.
    """
    rows = -(-len(effects) // _COLUMNS)
    figure = Figure(figsize=(WIDTH, 0.6 + 3 * rows), layout="constrained")
    panels = figure.subplots(rows, min(_COLUMNS, len(effects)), sharey=True, squeeze=False)
    for axes, effect in zip(panels.flat, effects, strict=False):
        (_draw_numbers if effect.numeric else _draw_choices)(axes, effect)
        axes.set_xlabel(effect.name)
        axes.grid(alpha=0.3)
    for axes in panels.flat[len(effects) :]:
        axes.remove()
    for axes in panels[:, 0]:
        axes.set_ylabel(objective)
    clear = [effect.name for effect in effects if effect.chance * n_compared < UNLIKELY]
    n = max(len(effect.losses) for effect in effects)
    dependence = f"the objective depends clearly on {', '.join(clear)}"
    title = dependence if clear else "no parameter has a clear effect on the objective"
    add_title(figure, f"Among {n} members, {title}")
    return figure


def _draw_numbers(axes: Axes, effect: Effect) -> None:
    axes.plot(effect.values, effect.losses, "o", color=BLUE, alpha=0.6, markersize=5)
    low, high = float(effect.values.min()), float(effect.values.max())
    if low > 0 and high > _DECADES * low:
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))


def _draw_choices(axes: Axes, effect: Effect) -> None:
    names, counts = np.unique(effect.values, return_counts=True)
    shown = names[np.argsort(-counts, kind="stable")][:_CHOICES].tolist()
    for row, name in enumerate(shown):
        losses = effect.losses[effect.values == name]
        axes.plot(np.full(len(losses), row), losses, "o", color=BLUE, alpha=0.6, markersize=5)
    labels = [escaped(short(name.partition(".")[0], 20)) for name in shown]
    axes.set_xticks(range(len(shown)), labels, rotation=20, ha="right", fontsize=9)
    axes.set_xlim(-0.5, len(shown) - 0.5)
