"""Compare replayed searches: seconds to the default's ensemble, scores at its seconds, correlations.

The target of a dataset is the mean test log loss of the default's ensembles after its trials. A method
reaches it where its mean curve over the orderings crosses it for good. The ratio divides its seconds by those
of the default: the mean of its searches, or less if its own curve crosses the target earlier. The 95 %
interval comes from a bootstrap of the orderings of both.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from methods import BASELINES, DEFAULT, LEVERS
from numpy.typing import NDArray
from portfolio import portfolio
from tables import Table

from tune_paddy.core.domains import Fixed, SubSpace

METHODS = {**BASELINES, **LEVERS}
RESAMPLES = 1000
NEAR = 0.01
"""Relative distance to the target at which a loss counts as near it."""


@dataclass(frozen=True)
class Curves:
    """What a method reached on a dataset: [orderings, points] each.

    Attributes:
        seconds: CPU seconds of each point, [points].
        loss: Test log loss of the ensemble; infinite before the first member.
        error: Test error.
        members: Members in the pool.
    """

    seconds: NDArray[np.float64]
    loss: NDArray[np.float64]
    error: NDArray[np.float64]
    members: NDArray[np.float64]


def path_of(store: Path, dataset: str, method: str) -> Path:
    """Return the file of a replayed method."""
    plain = "".join(letter if letter.isalnum() else "_" for letter in method)
    return store / "replayed" / dataset / f"{plain}.npz"


def read_curves(store: Path, dataset: str, method: str) -> Curves | None:
    """Return the curves of a method, or None."""
    path = path_of(store, dataset, method)
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as file:
        return Curves(file["seconds"], file["loss"], file["error"], file["members"])


def seconds_to(target: float, seconds: NDArray[np.float64], loss: NDArray[np.float64]) -> float:
    """Return when a curve falls to a target for the first time and stays there; infinite if it never does.

    Between two points the logarithm of the seconds is interpolated.

    >>> seconds_to(1.0, np.array([1.0, 2.0, 4.0]), np.array([2.0, 1.5, 0.5]))
    2.8284271247461903
    """
    above = np.flatnonzero(loss > target)
    if not len(above):
        return float(seconds[0])
    last = int(above[-1])
    if last == len(loss) - 1:
        return float("inf")
    if not np.isfinite(loss[last]):
        return float(seconds[last + 1])
    share = (loss[last] - target) / (loss[last] - loss[last + 1])
    return float(np.exp(np.log(seconds[last]) * (1 - share) + np.log(seconds[last + 1]) * share))


@dataclass(frozen=True)
class Ratio:
    """Seconds of a method over those of the default to the same loss, perhaps with a 95 % interval."""

    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        """Return the ratio and its interval."""
        span = "" if self.low is None or self.high is None else f" ({_shown(self.low)}–{_shown(self.high)})"
        return f"{_shown(self.value)}{span}"


def _shown(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "never"


def ratio_to_default(
    own: Curves, base: Curves, ends: NDArray[np.float64], spent: NDArray[np.float64], *, seed: int = 0
) -> Ratio:
    """Return the ratio of the seconds to the mean loss of the default's ends, with a bootstrap interval.

    Args:
        own: Curves of the method.
        base: Curves of the default.
        ends: Test log loss of the default's ensembles after its trials, [orderings].
        spent: CPU seconds of these searches, [orderings].
        seed: Seed of the bootstrap.
    """

    def ratio(rows: NDArray[np.int64], base_rows: NDArray[np.int64]) -> float:
        target = float(ends[base_rows].mean()) + 1e-12
        reached = seconds_to(target, own.seconds, own.loss[rows].mean(axis=0))
        earlier = seconds_to(target, base.seconds, base.loss[base_rows].mean(axis=0))
        return reached / min(earlier, float(spent[base_rows].mean()))

    return _with_interval(ratio, len(own.loss), len(base.loss), seed)


def _with_interval(
    ratio: Callable[[NDArray[np.int64], NDArray[np.int64]], float], n_own: int, n_base: int, seed: int
) -> Ratio:
    """Return a ratio of the rows of two methods, with a 95 % interval from a bootstrap of both."""
    rng = np.random.default_rng(seed)

    def drawn(number: int) -> NDArray[np.int64]:
        return rng.integers(number, size=number)

    every = ratio(np.arange(n_own), np.arange(n_base))
    resampled = [ratio(drawn(n_own), drawn(n_base)) for _ in range(RESAMPLES)]
    low, high = np.quantile(
        np.where(np.isnan(resampled), np.inf, resampled), [0.025, 0.975], method="nearest"
    )
    return Ratio(every, float(low), float(high))


def table_of(store: Path) -> Iterator[str]:
    """Yield the comparison: a row for each method, a column for each dataset, and the median."""
    datasets = sorted(path.name for path in (store / "replayed").iterdir())
    abouts, blind = (_ends(store, datasets, name) for name in ("default", "tpe"))
    yield "| dataset | trainings | trials | search | CPU s | test log loss | test error |"
    yield "|---" * 7 + "|"
    for search, ends in (("default", abouts), ("TPE, nothing first", blind)):
        for name, about in ends.items():
            yield (
                f"| {name} | {about['trainings']} | {about['trials']} | {search} | {about['seconds']:.0f} "
                f"| {np.mean(about['loss']):.3f} | {100 * np.mean(about['error']):.1f} % |"
            )
    yield from ratios(store, blind, "CPU seconds to the loss of TPE's trials, over theirs", _over_ends)
    yield from ratios(store, blind, f"CPU seconds to {100 * NEAR:g} % above that, likewise", _near_ends)
    yield from ratios(store, abouts, "CPU seconds to the default's loss, over its own", _ratio)
    # Where ensembles are as good as they get, further members move the loss by a percent both ways, and the
    # time at which it reaches the target for good says nothing.
    yield from ratios(store, abouts, f"CPU seconds to {100 * NEAR:g} % above that loss, likewise", _near)
    yield from final_scores(store, datasets, abouts)
    yield from automatic_choices(store, datasets)


def _ends(store: Path, datasets: Sequence[str], name: str) -> dict[str, dict[str, Any]]:
    """Return dataset → what searches of a number of trials took, and how good their ensembles are."""
    return {one: json.loads((store / "replayed" / one / f"{name}.json").read_text()) for one in datasets}


def ratios(
    store: Path,
    abouts: Mapping[str, Mapping[str, Any]],
    heading: str,
    ratio: Callable[[Curves, Curves, Mapping[str, Any]], Ratio],
) -> Iterator[str]:
    """Yield a table of seconds over those of the default: a row for each method that all datasets have."""
    yield f"\n| {heading} | {' | '.join(abouts)} | median |"
    yield "|---" * (len(abouts) + 2) + "|"
    for method in METHODS:
        found = []
        for name, about in abouts.items():
            own, base = read_curves(store, name, method), read_curves(store, name, DEFAULT)
            if own is not None and base is not None:
                found.append(ratio(own, base, about))
        if len(found) == len(abouts):
            median = float(np.median([one.value for one in found]))
            yield f"| {method} | {' | '.join(map(str, found))} | {_shown(median)} |"


def _ratio(own: Curves, base: Curves, about: Mapping[str, Any]) -> Ratio:
    return ratio_to_default(own, base, np.array(about["loss"]), np.array(about["spent"]))


def _near(own: Curves, base: Curves, about: Mapping[str, Any]) -> Ratio:
    """Return the ratio of the seconds until the mean curves are first within `NEAR` of the target."""
    target = (1 + NEAR) * float(np.mean(about["loss"]))
    return Ratio(first_below(target, own) / first_below(target, base))


def _over_ends(own: Curves, base: Curves, about: Mapping[str, Any]) -> Ratio:  # noqa: ARG001 one signature
    return ratio_to_ends(own, np.array(about["loss"]), np.array(about["spent"]))


def _near_ends(own: Curves, base: Curves, about: Mapping[str, Any]) -> Ratio:  # noqa: ARG001
    return ratio_to_ends(own, (1 + NEAR) * np.array(about["loss"]), np.array(about["spent"]))


def ratio_to_ends(
    own: Curves, ends: NDArray[np.float64], spent: NDArray[np.float64], *, seed: int = 0
) -> Ratio:
    """Return the seconds until the mean curve is first at a mean loss over mean seconds, with an interval.

    Args:
        own: Curves of the method.
        ends: Test log loss that ensembles of other searches end with, [orderings].
        spent: CPU seconds of these searches, [orderings].
        seed: Seed of the bootstrap of both.
    """

    def ratio(rows: NDArray[np.int64], base: NDArray[np.int64]) -> float:
        curves = replace(own, loss=own.loss[rows])
        return first_below(float(ends[base].mean()), curves) / float(spent[base].mean())

    return _with_interval(ratio, len(own.loss), len(ends), seed)


def first_below(target: float, curves: Curves) -> float:
    """Return the seconds at which the mean loss is first below a target; infinite if it never is."""
    loss = curves.loss.mean(axis=0)
    below = np.flatnonzero(loss <= target)
    if not len(below):
        return float("inf")
    place = int(below[0])
    return seconds_to(target, curves.seconds[: place + 1], loss[: place + 1])


def final_scores(
    store: Path, datasets: Sequence[str], abouts: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """Yield mean test log loss and error at the default's seconds."""
    yield f"\n| test log loss, error at the default's seconds | {' | '.join(datasets)} |"
    yield "|---" * (len(datasets) + 1) + "|"
    for method in METHODS:
        cells = []
        for name in datasets:
            curves = read_curves(store, name, method)
            if curves is None:
                break
            at = int(np.argmin(np.abs(curves.seconds - abouts[name]["seconds"])))
            loss, error = curves.loss[:, at].mean(), curves.error[:, at].mean()
            cells.append(f"{loss:.3f}, {100 * error:.1f} %")
        if len(cells) == len(datasets):
            yield f"| {method} | {' | '.join(cells)} |"


def automatic_choices(store: Path, datasets: Sequence[str]) -> Iterator[str]:
    """Yield how the ensembles of the automatic choice compare with the log-linear ones."""
    found = []
    for name in datasets:
        for method in METHODS:
            path = path_of(store, name, method)
            if path.exists():
                with np.load(path, allow_pickle=False) as file:
                    found += json.loads(str(file["automatic"]))
    if found:
        names = [one[0] for one in found]
        counts = ", ".join(f"{name} {names.count(name)}" for name in dict.fromkeys(names))
        ratio = float(np.exp(np.mean([np.log(one[1] / one[3]) for one in found])))
        yield f"\nautomatic choice in {len(found)} pools: {counts}; test log loss / log-linear: {ratio:.3f}"


def correlations(tables: Mapping[str, Table]) -> Iterator[str]:
    """Yield the rank correlation of the loss at a quarter and half of the epochs, and of short schedules."""
    from scipy.stats import spearmanr  # noqa: PLC0415

    yield "\n| rank correlation with the last loss | sub-space | n | 1/4 | 1/2 | short schedule |"
    yield "|---|---|---|---|---|---|"
    for dataset, table in tables.items():
        for origin in ("tuned", "scratch"):
            ones = [one for one in table.full if one.origin == origin]
            if len(ones) < 3:
                continue
            last = [one.loss for one in ones]
            early = [
                spearmanr([one.curve[one.kept[stage] - 1] for one in ones], last).statistic
                for stage in (0, 1)
            ]
            pairs = [(short.loss, one.loss) for one in ones if (short := table.other(one, "short"))]
            short = spearmanr(*zip(*pairs, strict=True)).statistic if len(pairs) > 2 else float("nan")
            yield (
                f"| {dataset} | {origin} | {len(ones)} | {early[0]:.2f} | {early[1]:.2f} "
                f"| {short:.2f} (n = {len(pairs)}) |"
            )


def portfolio_of(tables: Mapping[str, Table], spaces: Sequence[SubSpace]) -> Iterator[str]:
    """Yield the portfolios that all tables together give, of any members and of each sub-space that trains.

    A member a line, as `first` of a sub-space has it.
    """
    every = list(tables.values())
    trained = [space.name for space in spaces if space.domains.get("schedule") != Fixed("frozen")]
    varied = {name for space in spaces for name, it in space.domains.items() if not isinstance(it, Fixed)}
    for origin in ("", *trained):
        yield f"\nportfolio of all tables{origin and f', {origin}'}:"
        for name in portfolio(every, origin=origin):
            values = {key: value for key, value in every[0].trainings[name].values.items() if key in varied}
            yield f"- {{{', '.join(f'{key}: {value}' for key, value in values.items())}}} # {name}"
