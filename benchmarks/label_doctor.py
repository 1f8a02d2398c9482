"""Wrong labels found: planted noise, and clean data that must stay without a finding.

    python benchmarks/label_doctor.py DATASET [DATASET ...] [--seeds 5] [--share 0.05] [--features FOLDER]

Each dataset is a folder as `Dataset.open` reads it. The members are cheap: frozen features of networks with
ImageNet weights (`tf_efficientnet_lite0/1/2`, from a Hugging Face cache), and on each a logistic head and two
kernel heads (ridge regression on exponentials of cosines, then a softmax), out of fold. Noise is planted into
a share of the labels: `uniform`, any other class; `confusable`, the class that the members mix it up with
most. Precision is the share of planted labels among as many of the most suspect images: of the pool, of the
member with the lowest log loss, of the member that is best in hindsight, and of cleanlab on the pool's mean
if it is installed. Means over the seeds, with a 95 % interval of the mean (t distribution).
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from scipy.stats import t as student
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from tune_paddy.core.doctor.noise import find_noise
from tune_paddy.core.doctor.suspects import diagnose
from tune_paddy.core.metrics import log_loss
from tune_paddy.core.pooling import softmax
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.images import load_rgb

try:
    from cleanlab.rank import get_label_quality_scores
except ImportError:  # it is no dependency
    get_label_quality_scores = None

NETWORKS = (("tf_efficientnet_lite0", 128), ("tf_efficientnet_lite1", 160), ("tf_efficientnet_lite2", 128))
KERNELS = ((2.0, 0.1), (1.0, 0.03))
"""Width and ridge penalty of each kernel head."""
_SCALE = 8.0
"""Factor of a kernel head's scores before the softmax."""
_FOLDS, _BATCH = 5, 32

Array = NDArray[np.float64]


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


def unit(values: Array) -> Array:
    """Return standardised roots of features, as unit vectors."""
    roots = np.sqrt(np.maximum(values, 0))
    scaled = (roots - roots.mean(axis=0)) / (roots.std(axis=0) + 1e-9)
    return np.asarray(scaled / np.linalg.norm(scaled, axis=1, keepdims=True))


def members(vectors: list[Array], labels: NDArray[np.int64], seed: int) -> NDArray[np.float32]:
    """Return out-of-fold probabilities of every member, [members, images, classes]."""
    targets = np.eye(labels.max() + 1)[labels]
    found = []
    for number, own in enumerate(vectors):
        reduced = PCA(256, random_state=0).fit_transform(own)
        reduced /= np.sqrt((reduced**2).sum(axis=1).mean() / 256)
        cosines = own @ own.T
        probs = np.empty((1 + len(KERNELS), *targets.shape))
        folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed + 100 * number)
        for train, held in folds.split(own, labels):
            head = LogisticRegression(C=0.03, max_iter=200).fit(reduced[train], labels[train])
            probs[0, held] = head.predict_proba(reduced[held])
            for row, (width, penalty) in enumerate(KERNELS, 1):
                kernel = np.exp(width * (cosines - 1))
                inner = kernel[np.ix_(train, train)] + penalty * np.eye(len(train))
                weights = np.linalg.solve(inner, targets[train] - 1 / len(targets[0]))
                probs[row, held] = softmax(_SCALE * kernel[np.ix_(held, train)] @ weights)
        found.extend(probs)
    return np.stack(found).astype(np.float32)


def confusable(probs: Array, labels: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return for each class the other one with the most probability on its images, [classes]."""
    mixed = np.stack([probs[labels == label].mean(axis=0) for label in range(probs.shape[1])])
    np.fill_diagonal(mixed, -1)
    return mixed.argmax(axis=1)


def planted(
    labels: NDArray[np.int64], near: NDArray[np.intp] | None, share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Return labels with noise, and the images that have it; without `near` any class is as likely."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(labels), round(share * len(labels)), replace=False)
    n_classes, noisy = labels.max() + 1, labels.copy()
    shifts = rng.integers(1, n_classes, len(rows))
    noisy[rows] = (labels[rows] + shifts) % n_classes if near is None else near[labels[rows]]
    return noisy, rows


def precision(doubt: Array, rows: NDArray[np.intp]) -> float:
    """Return the share of planted images among as many of the most doubtful ones."""
    return float(np.isin(np.argsort(-doubt, kind="stable")[: len(rows)], rows).mean())


def by_cleanlab(probs: NDArray[np.float32], labels: NDArray[np.int64]) -> Array | None:
    """Return cleanlab's doubt on the mean of the members, [images]; None if it is not installed."""
    if get_label_quality_scores is None:
        return None
    mean = probs.mean(axis=0, dtype=np.float64)
    quality = get_label_quality_scores(
        labels, mean / mean.sum(axis=1, keepdims=True), method="self_confidence"
    )
    return np.asarray(1 - quality)


def judged(
    probs: NDArray[np.float32], labels: NDArray[np.int64], rows: NDArray[np.intp], seed: int
) -> dict[str, float]:
    """Return the precisions and the estimated noise of one set of labels."""
    found = diagnose(probs, labels, seed=seed)
    alone = [precision(find_noise(view.astype(np.float64), labels).wrong, rows) for view in probs]
    best = int(np.argmin([log_loss(view, labels) for view in probs]))
    figures = {
        "pool": precision(found.noise.wrong, rows),
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


def interval(values: list[float]) -> str:
    """Return mean ± half the width of its 95 % interval."""
    half = student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.3f} ± {half:.3f}"


def rows_of(path: Path, args: argparse.Namespace) -> Iterator[str]:
    """Yield the lines of the table of a dataset."""
    dataset = Dataset.open(path, copies="off")
    labels = np.unique(dataset.labelled["label"], return_inverse=True)[1].astype(np.int64)
    vectors = [unit(cached(dataset, args.features, *network)) for network in NETWORKS]
    clean = members(vectors, labels, 0)
    mean = clean.mean(axis=0, dtype=np.float64)
    errors = [f"{100 * (view.argmax(axis=1) != labels).mean():.1f}" for view in (*clean, mean)]
    yield f"{path.name}: {len(labels)} images; errors of the members and their mean in %: {' '.join(errors)}"
    noise = [diagnose(members(vectors, labels, seed), labels, seed=seed).noise for seed in range(args.seeds)]
    evidence, found = max(one.evidence for one in noise), sum(one.conspicuous for one in noise)
    yield f"clean: evidence {evidence:.1f} at most, {found} of {args.seeds} conspicuous"
    for kind, near in (("uniform", None), ("confusable", confusable(mean, labels))):
        runs = []
        for seed in range(args.seeds):
            noisy, rows = planted(labels, near, args.share, seed)
            runs.append(judged(members(vectors, noisy, seed), noisy, rows, seed))
        yield f"{kind}: " + ", ".join(f"{name} {interval([run[name] for run in runs])}" for name in runs[0])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("datasets", nargs="+", type=Path)
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
