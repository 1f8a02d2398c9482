"""Gain of the ensemble over the best single member, per class, in images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.diagnostics import chance_of_at_most
from tune_paddy.core.estimate import cross_decide
from tune_paddy.core.predictions import Pool
from tune_paddy.core.scores.decided import decided
from tune_paddy.core.selection.plain import best_single
from tune_paddy.core.selection.result import Selection
from tune_paddy.core.tasks.arrays import Floats, Labels
from tune_paddy.ensemble.ensemble import Ensemble
from tune_paddy.ensemble.options import SelectionOptions
from tune_paddy.ensemble.reports.findings import UNLIKELY, short

_NAMED = 3
"""Maximum number of classes that the sentence names."""


@dataclass(frozen=True, eq=False)
class ClassGains:
    """Images that the ensemble and the best single member get right, both cross-fitted.

    Of several labels an image, each label is a decision of its own, and every image counts for it.

    Attributes:
        classes: Class names.
        images: int [classes], number of images, or of decisions.
        ensemble: int [classes], images that the ensemble gets right.
        single: int [classes], images that the best single member gets right.
        corrected: int [classes], images that only the ensemble gets right.
        broken: int [classes], images that only the best single member gets right.
        what: What is counted, for a person.
        alone: Whether every image is alone; mistakes of one group are alike, so that no test applies.
    """

    classes: tuple[str, ...]
    images: NDArray[np.intp]
    ensemble: NDArray[np.intp]
    single: NDArray[np.intp]
    corrected: NDArray[np.intp]
    broken: NDArray[np.intp]
    what: str = "images"
    alone: bool = True

    @property
    def finding(self) -> str:
        """Sentence about all images, and about the classes whose difference chance would rarely give."""
        corrected, broken = int(self.corrected.sum()), int(self.broken.sum())
        if not corrected + broken:
            return f"The ensemble and the best single member get the same {self.what} right"
        counts = f"the ensemble corrects {corrected} and breaks {broken} of {self.images.sum():,} {self.what}"
        clear = "" if not self.alone or differs(corrected, broken) else ": no clear difference"
        return f"Against the best single member, {counts}{clear}{self._of_classes()}"

    def _of_classes(self) -> str:
        """Return the classes with a clear difference, the largest first; differences of an image are none."""
        if not self.alone:
            return ""
        net = self.corrected - self.broken
        clear = [
            code
            for code in np.argsort(-np.abs(net), kind="stable").tolist()
            if differs(int(self.corrected[code]), int(self.broken[code]), tests=len(self.classes))
        ]
        if not clear:
            return ""
        named = [f"{short(self.classes[code])!r} ({net[code]:+d})" for code in clear[:_NAMED]]
        rest = len(clear) - len(named)
        return f"; clearest for {', '.join(named)}" + (f" and {rest} more" if rest else "")


def differs(corrected: int, broken: int, *, tests: int = 1) -> bool:
    """Whether chance would rarely give such a difference: McNemar's exact test.

    Source: McNemar, "Note on the sampling error of the difference between correlated proportions", 1947.

    Args:
        corrected: Number of images that only the first predictor gets right.
        broken: Number of images that only the second predictor gets right.
        tests: Number of comparisons, for Bonferroni's correction.
    """
    chance = 2 * chance_of_at_most(min(corrected, broken), corrected + broken, 0.5)
    return chance * tests < UNLIKELY


def find_gains(ensemble: Ensemble, options: SelectionOptions) -> ClassGains | None:
    """Return the gains of an ensemble; None without cross-fitted predictions or with a single view."""
    if ensemble.assessment is None or len(ensemble.pool.views) == 1:
        return None
    predictions = ensemble.assessment.decisions
    return class_gains(ensemble.pool, predictions, metric=ensemble.selection.metric, seed=options.seed)


def class_gains(
    pool: Pool, predictions: NDArray[np.float64], *, metric: str = "log_loss", seed: int = 0
) -> ClassGains:
    """Compare the ensemble with the best single member; both predict images that they were not chosen on.

    Args:
        pool: Pool that the ensemble was selected from, with at least 2 views.
        predictions: Cross-fitted predictions or decisions of the ensemble, float64 [images, classes].
        metric: Loss that the best single member is chosen by.
        seed: Seed of the folds, that of the ensemble's assessment.
    """

    def single_fit(probs: Floats, labels: Labels, *_: object) -> Selection:
        return best_single(probs, labels, metric=metric)

    others = cross_decide(
        pool.select,
        pool.labels,
        single_fit,
        metric=metric,
        task=pool.task,
        seed=seed,
        groups=pool.groups,
    )
    own, single = (decided(probs, pool.labels) == pool.labels for probs in (predictions, others))

    def counted(chosen: NDArray[np.bool_]) -> NDArray[np.intp]:
        if pool.task.independent:
            return np.asarray(chosen.sum(axis=0), np.intp)
        return pool.task.counts(pool.labels[chosen], len(pool.classes))

    return ClassGains(
        classes=pool.classes,
        images=counted(np.ones_like(own)),
        ensemble=counted(own),
        single=counted(single),
        corrected=counted(own & ~single),
        broken=counted(single & ~own),
        what="decisions on labels" if pool.task.independent else "images",
        alone=pool.groups is None,
    )


def changed_classes(gains: ClassGains, most: int) -> Sequence[int]:
    """Return the classes with any difference, the largest net gain first, at most `most`.

    Of more classes, those with the most differing images are returned.
    """
    moved = gains.corrected + gains.broken
    shown = [code for code in np.argsort(-moved, kind="stable").tolist() if moved[code]][:most]
    return sorted(shown, key=lambda code: (gains.broken[code] - gains.corrected[code], code))
