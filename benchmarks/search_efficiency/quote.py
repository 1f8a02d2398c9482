"""Measure what a search's expected loss is worth, on the replayed searches of `replay.py`.

    python benchmarks/search_efficiency/quote.py STORE [--methods NAME ...] [--set NAME=VALUE ...]

Each replayed search is cut at each of its points. `tune_paddy.core.timing.gains` then expects the loss at
1.5, 2 and 4 times the seconds seen, and the rest of the curve tells. The rate of a curve of which nothing is
known is the median of the other data sets. `--set` tries other constants of `GainModel`.

The live curve of a search has the loss on the images that the ensemble is chosen on, which hardly rises; the
replayed one has the test loss, so the lowest loss up to each point is taken. Columns: how often the 80 %
interval has the loss; the median of its relative error; its mean, positive where less was reached than
expected; how often a doubling of the seconds was not expected to pay, and how often it then did not.
"""

import argparse
import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import numpy as np  # noqa: E402 after the paths of this folder's modules
from comparison import METHODS, read_curves  # noqa: E402

from tune_paddy.core.timing.gains import (  # noqa: E402
    FLAT,
    LEAST_POINTS,
    MODEL,
    Expected,
    GainModel,
    Point,
    expect,
)

FACTORS = (1.5, 2.0, 4.0)
"""Seconds of the expectation over those seen."""
LEAST_LOSS = 1e-9
"""Loss that stands for smaller ones, whose logarithm has no meaning."""
DOUBLING = 2.0
"""Factor for which a curve is called flat or not."""


@dataclass(frozen=True)
class Case:
    """An expectation and what came.

    Attributes:
        factor: Its seconds over those seen.
        expected: The expectation.
        loss: Loss of the curve at its seconds.
    """

    factor: float
    expected: Expected
    loss: float

    @property
    def is_covered(self) -> bool:
        """Whether the interval has the loss; rounding aside."""
        return self.expected.low * (1 - 1e-9) <= self.loss <= self.expected.high * (1 + 1e-9)

    @property
    def error(self) -> float:
        """Relative error of the expectation; positive: less was reached."""
        return self.loss / self.expected.loss - 1

    @property
    def paid(self) -> bool:
        """Whether the loss fell by the share from which further time pays."""
        return self.loss < (1 - FLAT) * self.expected.now


def loss_at(curve: Sequence[Point], seconds: float) -> float:
    """Return the loss of a curve at a time; the logarithms of both are interpolated."""
    times, losses = np.array(curve).T
    return float(np.exp(np.interp(np.log(seconds), np.log(times), np.log(np.maximum(losses, LEAST_LOSS)))))


def parts_of(curve: Sequence[Point]) -> Iterator[Sequence[Point]]:
    """Yield the beginnings of a curve that are long enough for an expectation."""
    for end in range(LEAST_POINTS, len(curve)):
        yield curve[:end]


def cases(curves: Sequence[Sequence[Point]], model: GainModel) -> list[Case]:
    """Return the expectations from all beginnings of curves that go on long enough to tell."""
    found = []
    for curve in curves:
        for seen in parts_of(curve):
            for factor in FACTORS:
                seconds = factor * seen[-1][0]
                expected = expect(seen, seconds, model) if seconds <= curve[-1][0] else None
                if expected is not None:
                    found.append(Case(factor, expected, loss_at(curve, seconds)))
    return found


def rates(curves: Sequence[Sequence[Point]]) -> list[float]:
    """Return by how much the loss's logarithm falls in the doubling after each beginning of curves."""
    return [
        float(np.log(seen[-1][1] / loss_at(curve, DOUBLING * seen[-1][0])))
        for curve in curves
        for seen in parts_of(curve)
        if DOUBLING * seen[-1][0] <= curve[-1][0]
    ]


def left_out(
    curves: Mapping[str, Sequence[Sequence[Point]]], model: GainModel
) -> Iterator[tuple[str, GainModel, list[Case]]]:
    """Yield data set, model whose prior rate comes from the other sets, and cases of the set."""
    for dataset, own in curves.items():
        others = [rate for name, every in curves.items() if name != dataset for rate in rates(every)]
        prior = float(np.median(others)) if others else model.prior_rate
        fitted = dataclasses.replace(model, prior_rate=max(prior, 0.0))
        yield dataset, fitted, cases(own, fitted)


def row(name: str, factor: float, prior: str, found: Sequence[Case]) -> str:
    """Return a row of the table."""
    errors = np.array([case.error for case in found])
    covered = np.mean([case.is_covered for case in found])
    flat = [case for case in found if case.expected.is_flat]
    right = f"{np.mean([not case.paid for case in flat]):.0%}" if flat else "none"
    return (
        f"| {name} | {prior} | {factor:g} | {len(found)} | {covered:.0%} | {np.median(np.abs(errors)):.2%} "
        f"| {errors.mean():+.2%} | {len(flat) / len(found):.0%} | {right} |"
    )


def table(curves: Mapping[str, Sequence[Sequence[Point]]], model: GainModel) -> Iterator[str]:
    """Yield a row for each data set and factor, then for all data sets."""
    yield (
        "| data set | prior rate | times seen | cases | in 80 % interval | median error | mean error "
        "| called flat | right |"
    )
    yield "|---" * 9 + "|"
    every: list[Case] = []
    for dataset, fitted, found in left_out(curves, model):
        every += found
        yield from _rows(dataset, f"{fitted.prior_rate:.3f}", found)
    yield from _rows("all", "", every)


def _rows(name: str, prior: str, found: Sequence[Case]) -> Iterator[str]:
    for factor in FACTORS:
        own = [case for case in found if case.factor == factor]
        if own:
            yield row(name, factor, prior, own)


def read_searches(store: Path, methods: Sequence[str]) -> dict[str, list[list[Point]]]:
    """Return data set → curves of all replayed searches, from their fourth member on."""
    found: dict[str, list[list[Point]]] = {}
    for folder in sorted((store / "replayed").iterdir()):
        for method in methods:
            curves = read_curves(store, folder.name, method)
            if curves is None:
                continue
            for losses, members in zip(curves.loss, curves.members, strict=True):
                best = np.minimum.accumulate(losses)
                known = (members >= LEAST_POINTS) & np.isfinite(best)
                points = zip(curves.seconds[known].tolist(), best[known].tolist(), strict=True)
                found.setdefault(folder.name, []).append(list(points))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", type=Path)
    parser.add_argument("--methods", nargs="*", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="constants of GainModel")
    asked = parser.parse_args()
    changes = {name: float(value) for name, _, value in (text.partition("=") for text in asked.set)}
    print(*table(read_searches(asked.store, asked.methods), dataclasses.replace(MODEL, **changes)), sep="\n")


if __name__ == "__main__":
    main()
