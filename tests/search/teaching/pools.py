"""A small dataset and the opinions of a teacher's members, made of random numbers."""

import numpy as np

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
    """Return members of increasing quality, each with its own predictions for the model of each fold."""
    rng = np.random.default_rng(1)
    truth = np.eye(CLASSES)[parts.select.labels]

    def probs(*shape: int) -> np.ndarray:
        return rng.dirichlet(np.ones(CLASSES), shape).astype(np.float32)

    models = max(1, parts.n_folds)
    shares = np.linspace(0.1, 0.7, n)
    return [
        Opinion(((1 - share) * probs(N) + share * truth).astype(np.float32), probs(models, TEST))
        for share in shares
    ]
