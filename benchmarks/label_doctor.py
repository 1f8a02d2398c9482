"""Wrong labels found: planted noise, and clean data that must stay without a finding.

    python benchmarks/label_doctor.py DATASET [DATASET ...] [--group COLUMN] [--seeds 5] [--share 0.05]

Each dataset is a folder as `Dataset.open` reads it. Images with an equal value of the column stay in one
fold. The members are heads of frozen members, out of fold: multinomial logistic regressions on the pooled
features of networks with ImageNet weights (`tf_efficientnet_lite0/1`, from a Hugging Face cache), here on
their first principal components and with one penalty a network, chosen under noise that is not judged. Noise
is planted into a share of the labels: `uniform`, any other class; `confusable`, the class that the members
mix it up with most. Several labels an image have a head each, so every fold needs images with and without
each label; their noise is `uniform`, a share of all decisions on labels, or `missing`, a share of the given
labels, which are removed. Precision is the share of planted images among as many of the most suspect ones: of
the pool; of the pool if every image is alone; of the member with the lowest log loss; of the member that is
best in hindsight; of cleanlab on the pool's mean if it is installed; and, as a ceiling, of a pool that was
trained on the clean labels. Means over the seeds, with a 95 % interval of the mean (t distribution).
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from scipy.stats import t as student
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from tune_paddy.core.doctor.noise import find_noise
from tune_paddy.core.doctor.suspects import diagnose
from tune_paddy.core.metrics import error_rate, log_loss
from tune_paddy.core.splits import group_folds
from tune_paddy.core.tasks.task import Task
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.images import load_rgb

try:
    from cleanlab import multilabel_classification
    from cleanlab.rank import get_label_quality_scores
except ImportError:  # it is no dependency
    get_label_quality_scores = None

NETWORKS = (("tf_efficientnet_lite0", 128), ("tf_efficientnet_lite1", 128), ("tf_efficientnet_lite0", 96))
STRENGTHS = (0.001, 0.003, 0.01, 0.03)
"""Candidates of the inverse penalty of a head."""
UNJUDGED = 99
"""Seed of the noise that the penalties are chosen under."""
_FOLDS, _BATCH, _COMPONENTS = 5, 16, 384

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Planted = Callable[[int], tuple[Ints, NDArray[np.intp]]]
"""Noise of a seed: labels, and the images whose label, or one of whose labels, is wrong."""


@dataclass(frozen=True)
class Images:
    """Labelled images.

    Attributes:
        vectors: Features of each network, float [images, components].
        strengths: Inverse penalty of each network's head.
        groups: int64 [images], equal values for images that stay in one fold.
    """

    vectors: list[Array]
    strengths: list[float]
    groups: Ints

    def members(self, labels: Ints, seed: int) -> NDArray[np.float32]:
        """Return out-of-fold probabilities of every member, [members, images, classes]."""
        strata = Task.of_labels(labels).strata(labels)
        columns = labels.shape[1] if labels.ndim > 1 else labels.max() + 1
        probs = np.empty((len(self.vectors), len(labels), columns), np.float32)
        for number, (own, strength) in enumerate(zip(self.vectors, self.strengths, strict=True)):
            folds = group_folds(strata, self.groups, k=_FOLDS, seed=seed + 100 * number)
            for fold in range(_FOLDS):
                train, held = folds != fold, folds == fold
                probs[number, held] = predicted(own[train], labels[train], strength, own[held])
        return probs


def predicted(values: Array, labels: Ints, strength: float, others: Array) -> Array:
    """Return a fitted head's probabilities of other images, [images, classes] or [images, labels]."""
    if labels.ndim > 1:
        parts = [predicted(values, column, strength, others)[:, 1] for column in labels.T]
        return np.stack(parts, axis=1)
    head = LogisticRegression(C=strength, max_iter=150, tol=1e-3).fit(values, labels)
    return np.asarray(head.predict_proba(others))


def features(dataset: Dataset, network: str, side: int) -> Array:
    """Return mean and maximum of the last feature map of each labelled image, [images, features]."""
    model = timm.create_model(network, pretrained=True).eval()
    paths = dataset.labelled["path"].tolist()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(paths), _BATCH):
            images = [load_rgb(path).resize((side, side)) for path in paths[start : start + _BATCH]]
            pixels = np.stack([np.asarray(image, np.float32) / 127.5 - 1 for image in images])
            maps = model.forward_features(torch.from_numpy(pixels).permute(0, 3, 1, 2))
            parts.append(torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1).numpy())
    return np.concatenate(parts).astype(np.float64)


def cached(dataset: Dataset, folder: Path, network: str, side: int) -> Array:
    """Return features from a file, which is written at the first call."""
    path = folder / f"{dataset.fingerprint}-{network}-{side}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        np.save(path, features(dataset, network, side))
    values: Array = np.load(path, allow_pickle=False)
    return values


def reduced(values: Array) -> Array:
    """Return the first principal components of standardised features, of unit variance in the mean."""
    standard = (values - values.mean(axis=0)) / (values.std(axis=0) + 1e-6)
    found: Array = PCA(_COMPONENTS, random_state=0).fit_transform(standard)
    return np.asarray(found / np.sqrt(np.square(found).sum(axis=1).mean() / _COMPONENTS))


def chosen(values: Array, labels: Ints, groups: Ints) -> float:
    """Return the inverse penalty with the lowest log loss on one fold."""
    folds = group_folds(Task.of_labels(labels).strata(labels), groups, k=_FOLDS, seed=UNJUDGED)
    train, held = folds != 0, folds == 0
    losses = {
        one: log_loss(predicted(values[train], labels[train], one, values[held]), labels[held])
        for one in STRENGTHS
    }
    return min(losses, key=losses.__getitem__)


def confusable(probs: Array, labels: Ints) -> NDArray[np.intp]:
    """Return for each class the other one with the most probability on its images, [classes]."""
    mixed = np.stack([probs[labels == label].mean(axis=0) for label in range(probs.shape[1])])
    np.fill_diagonal(mixed, -1)
    return mixed.argmax(axis=1)


def planted(
    labels: Ints, near: NDArray[np.intp] | None, share: float, seed: int
) -> tuple[Ints, NDArray[np.intp]]:
    """Return labels with noise, and the images that have it; without `near` any class is as likely."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(labels), round(share * len(labels)), replace=False)
    n_classes, noisy = labels.max() + 1, labels.copy()
    shifts = rng.integers(1, n_classes, len(rows))
    noisy[rows] = (labels[rows] + shifts) % n_classes if near is None else near[labels[rows]]
    return noisy, rows


def planted_pairs(labels: Ints, share: float, seed: int, *, only: bool) -> tuple[Ints, NDArray[np.intp]]:
    """Return several labels an image with noise, and the images that have it.

    Args:
        labels: int [images, labels], 0 and 1.
        share: Share of the decisions that are wrong.
        seed: Seed of the choice.
        only: Whether given labels are removed and nothing else; `share` is of these.
    """
    wrong = np.random.default_rng(seed).random(labels.shape) < share
    wrong &= (labels == 1) | (not only)
    return np.where(wrong, 1 - labels, labels), np.flatnonzero(wrong.any(axis=1))


def uniform(labels: Ints, share: float, seed: int) -> tuple[Ints, NDArray[np.intp]]:
    """Return labels with noise that is the same for all classes or labels, and the images that have it."""
    if labels.ndim > 1:
        return planted_pairs(labels, share, seed, only=False)
    return planted(labels, None, share, seed)


def noises(mean: Array, labels: Ints, share: float) -> dict[str, Planted]:
    """Return the kinds of noise by name; `mean` holds the predictions of the mean of the members."""
    alike = partial(uniform, labels, share)
    if labels.ndim > 1:
        return {
            "uniform": alike,
            "missing": lambda seed: planted_pairs(labels, share, seed, only=True),
        }
    near = confusable(mean, labels)
    return {"uniform": alike, "confusable": lambda seed: planted(labels, near, share, seed)}


def precision(doubt: Array, rows: NDArray[np.intp]) -> float:
    """Return the share of planted images among as many of the most doubtful ones."""
    return float(np.isin(np.argsort(-doubt, kind="stable")[: len(rows)], rows).mean())


def by_cleanlab(probs: NDArray[np.float32], labels: Ints) -> Array | None:
    """Return cleanlab's doubt on the mean of the members, [images]; None if it is not installed."""
    if get_label_quality_scores is None:
        return None
    mean = probs.mean(axis=0, dtype=np.float64)
    if labels.ndim > 1:
        given = [np.flatnonzero(row).tolist() for row in labels]
        return np.asarray(1 - multilabel_classification.get_label_quality_scores(given, mean))
    quality = get_label_quality_scores(
        labels, mean / mean.sum(axis=1, keepdims=True), method="self_confidence"
    )
    return np.asarray(1 - quality)


def judged(
    probs: NDArray[np.float32], labels: Ints, rows: NDArray[np.intp], groups: Ints, seed: int
) -> dict[str, float]:
    """Return the precisions and the estimated noise of one set of labels."""
    found = diagnose(probs, labels, groups=groups, seed=seed)
    alone = [precision(find_noise(view.astype(np.float64), labels, groups).wrong, rows) for view in probs]
    best = int(np.argmin([log_loss(view, labels) for view in probs]))
    figures = {
        "pool": precision(found.noise.wrong, rows),
        "every image alone": precision(find_noise(found.predictions, labels).wrong, rows),
        "best member": alone[best],
        "in hindsight": max(alone),
    }
    doubt = by_cleanlab(probs, labels)
    if doubt is not None:
        figures["cleanlab"] = precision(doubt, rows)
    return figures | {
        "gain": figures["pool"] - figures["best member"],
        "estimated share": found.noise.share,
        "found": float(found.noise.conspicuous),
    }


def trained_clean(
    clean: NDArray[np.float32], truth: Ints, labels: Ints, rows: NDArray[np.intp], groups: Ints
) -> float:
    """Return the precision of a pool that was trained and weighted on the clean labels."""
    predictions = diagnose(clean, truth, groups=groups).predictions
    return precision(find_noise(predictions, labels, groups).wrong, rows)


def interval(values: list[float]) -> str:
    """Return mean ± half the width of its 95 % interval."""
    half = student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.3f} ± {half:.3f}"


def rows_of(path: Path, args: argparse.Namespace) -> Iterator[str]:
    """Yield the lines of the table of a dataset."""
    dataset = Dataset.open(path, group=args.group)
    labels = dataset.task.encode(dataset.labelled["label"].tolist(), dataset.classes)
    groups = dataset.groups[: len(labels)]
    vectors = [reduced(cached(dataset, args.features, *network)) for network in NETWORKS]
    unjudged, _ = uniform(labels, args.share, UNJUDGED)
    images = Images(vectors, [chosen(own, unjudged, groups) for own in vectors], groups)
    clean = images.members(labels, 0)
    mean = clean.mean(axis=0, dtype=np.float64)
    errors = [f"{100 * error_rate(view, labels):.1f}" for view in (*clean, mean)]
    yield f"{path.name}: {len(labels)} images; errors of the members and their mean in %: {' '.join(errors)}"
    noise = [
        diagnose(images.members(labels, seed), labels, groups=groups, seed=seed).noise
        for seed in range(args.seeds)
    ]
    evidence, found = max(one.evidence for one in noise), sum(one.conspicuous for one in noise)
    yield f"clean: evidence {evidence:.1f} at most, {found} of {args.seeds} conspicuous"
    for kind, plant in noises(mean, labels, args.share).items():
        runs = []
        for seed in range(args.seeds):
            noisy, rows = plant(seed)
            figures = judged(images.members(noisy, seed), noisy, rows, groups, seed)
            runs.append(figures | {"trained clean": trained_clean(clean, labels, noisy, rows, groups)})
        yield f"{kind}: " + ", ".join(f"{name} {interval([run[name] for run in runs])}" for name in runs[0])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("datasets", nargs="+", type=Path)
    parser.add_argument("--group")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--features", type=Path, default=Path("label_doctor_features"))
    args = parser.parse_args()
    with threadpool_limits(1):
        for path in args.datasets:
            for line in rows_of(path, args):
                print(line, flush=True)


if __name__ == "__main__":
    main()
