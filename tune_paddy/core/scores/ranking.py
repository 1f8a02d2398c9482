"""Metrics of the order of probabilities: area under the ROC curve, and average precision of the first few."""

import numpy as np

from tune_paddy.core.scores.decided import hits_of
from tune_paddy.core.tasks.arrays import Floats, Labels


def roc_auc_loss(probs: Floats, labels: Labels) -> float:
    """Return 1 − the mean over the classes or labels of the area under the ROC curve, one against the rest.

    The area is the Mann-Whitney statistic: the chance that an image of the class gets a higher
    probability of it than an image of another class, ties counted half. A class that all or no images have
    has no curve. If none has one the loss is that of chance, 0.5.
    """
    from scipy.stats import rankdata  # noqa: PLC0415 - half a second, for this metric only

    members = hits_of(labels, probs.shape[1])
    n_positive = members.sum(axis=0)
    known = np.flatnonzero((n_positive > 0) & (n_positive < len(labels)))
    if not len(known):
        return 0.5
    ranks = rankdata(probs[:, known].astype(np.float64), axis=0)  # scipy 1.18 ranks in the input's type
    n_positive = n_positive[known]
    wins = (ranks * members[:, known]).sum(axis=0) - n_positive * (n_positive + 1) / 2
    return float(1 - (wins / (n_positive * (len(labels) - n_positive))).mean())


def map_loss(probs: Floats, labels: Labels, first: int) -> float:
    """Return 1 − the mean average precision of the `first` most probable classes, MAP@k of competitions.

    Of an image with one class it is 1 / rank of the class, or 0 beyond the first k. Of several labels it is
    the mean over min(k, labels) of the precision at each hit; images without labels do not count. The class
    with the lower index comes first among equals.
    """
    members = hits_of(labels, probs.shape[1])
    members, probs = members[members.any(axis=1)], probs[members.any(axis=1)]
    if not len(members):
        return 1.0
    first = min(first, probs.shape[1])
    order = np.argsort(-probs, axis=1, kind="stable")[:, :first]
    hits = np.take_along_axis(members, order, axis=1)
    precision = hits.cumsum(axis=1) / np.arange(1, first + 1)
    return float(1 - ((precision * hits).sum(axis=1) / np.minimum(members.sum(axis=1), first)).mean())
