"""A small dataset and the opinions of a teacher's members, made of random numbers."""

import numpy as np

from tune_paddy.core.predictions import FoldPredictions
from tune_paddy.data.member_data import Part, Parts
from tune_paddy.search.teaching.opinions import Opinion

N, TEST, CLASSES, FOLDS = 30, 8, 3, 3


def make_parts(*, folds: bool = True, seed: int = 0) -> Parts:
    """Return 30 labelled images in three folds or one select split, and eight to predict."""
    rng = np.random.default_rng(seed)

    def part(name: str, n: int, *, labelled: bool = True) -> Part:
        ids = np.array([f"{name}{i}" for i in range(n)])
        return Part(ids, tuple(ids.tolist()), rng.integers(CLASSES, size=n if labelled else 0))

    dealt = np.arange(N) % FOLDS if folds else np.empty(0, np.int64)
    return Parts(
        classes=("a", "b", "c"),
        split="split",
        train=part("train", 0 if folds else 10),
        select=part("select", N),
        test=part("test", TEST, labelled=False),
        folds=dealt,
    )


def make_opinions(parts: Parts, n: int = 4) -> list[Opinion]:
    """Return members of increasing quality, each with its own predictions for the model of each fold.

    A model of a fold did not train on the images of the fold, and on some of the others.
    """
    rng = np.random.default_rng(1)
    truth = np.eye(CLASSES)[parts.select.labels]

    def probs(*shape: int) -> np.ndarray:
        return rng.dirichlet(np.ones(CLASSES), shape).astype(np.float32)

    opinions = []
    for share in np.linspace(0.1, 0.7, n):
        select, test, by_fold = ((1 - share) * probs(N) + share * truth).astype(np.float32), probs(TEST), None
        if parts.n_folds:
            trained = (rng.random((FOLDS, N)) < 0.8) & (parts.folds != np.arange(FOLDS)[:, None])
            known, own = probs(FOLDS, N).astype(np.float16), probs(FOLDS, TEST).astype(np.float16)
            by_fold = FoldPredictions(known, trained, own)
        opinions.append(Opinion(select, test, by_fold))
    return opinions
