"""From images to a submission: the notebook's loop against `tune-paddy search` with the same six members.

    python benchmarks/notebook_vs_search.py [--seeds 5] [--labelled 160] [--tests 80] [--epochs 3]

The six members of "Road to the Top, Part 3" use a tiny model of each architecture with random initialization,
at the notebook's own sizes, on generated JPEGs of 480×640 px: scikit-learn's digits of four classes, tinted
by class, over its sample photographs. Both sides train on the same number of images (80 % of the labelled
ones), for the same epochs, with the same batches, each in its own process including imports. The notebook's
side is plain fastai, one member after another: `ImageDataLoaders` with its default workers, `Resize` and
`aug_transforms(size=…, min_scale=0.75)` as in the notebook, `vision_learner`, `fine_tune(epochs, 0.01)` with
`GradientAccumulation`, `learn.tta` on the test images, the mean with the vit members counted twice, the
argmax. It needs two changes to run: the features of swin models are permuted to the order that fastai's head
expects, and there is no `to_fp16` without a GPU.

Seconds are wall time. Errors are those of the submission on held-out labels. Both sides of a seed run one
after the other on the same machine: other load affects both, so compare the ratio.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pandas as pd
import yaml
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

HEIGHT, WIDTH, CLASSES = 640, 480, 4
TINTS = np.array([[220, 60, 60], [60, 190, 60], [70, 90, 230], [220, 190, 40]], np.float32)
BATCH_SIZE, ACCUM, LR = 16, 2, 0.01
MEMBERS = [  # arch, resize, resize_size, size: as in search_spaces/road_to_the_top.yaml
    ("test_convnext", "crop", (640, 480), (320, 224)),
    ("test_vit", "squish", (480, 480), (224, 224)),
    ("test_vit", "crop", (640, 480), (224, 224)),
    ("tiny_swinv2", "squish", (480, 480), (192, 192)),
    ("tiny_swinv2", "crop", (640, 480), (192, 192)),
    ("tiny_swin", "crop", (640, 480), (224, 224)),
]


def draw_images(folder: Path, labelled: int, tests: int, seed: int) -> pd.Series:
    """Write a dataset in Kaggle's layout; return the labels of its test images, by id."""
    digits, labels = load_digits(n_class=CLASSES, return_X_y=True)
    photos = [Image.fromarray(photo).resize((960, 1280)) for photo in load_sample_images().images]
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(labels))[: labelled + tests]
    names = [f"{number:06d}.jpg" for number in range(len(chosen))]
    for part in ("train_images", "test_images"):
        (folder / part).mkdir(parents=True)
    for position, (index, name) in enumerate(zip(chosen, names, strict=True)):
        home = folder / ("test_images" if position >= labelled else f"train_images/digit {labels[index]}")
        home.mkdir(exist_ok=True)
        picture = _draw(digits[index], TINTS[labels[index]], photos[rng.integers(2)], rng)
        picture.save(home / name, quality=90)
    table = pd.DataFrame({"image_id": names, "label": [f"digit {label}" for label in labels[chosen]]})
    table[:labelled].to_csv(folder / "train.csv", index=False)
    sample = table[labelled:].assign(label="")
    sample.to_csv(folder / "sample_submission.csv", index=False)
    return table[labelled:].set_index("image_id")["label"]


def _draw(digit: np.ndarray, tint: np.ndarray, photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a digit in the tint of its class over a part of a photograph, [height, width, 3]."""
    left, top = rng.integers(0, photo.width - WIDTH), rng.integers(0, photo.height - HEIGHT)
    ground = np.asarray(photo.crop((left, top, left + WIDTH, top + HEIGHT)), np.float32)
    stroke = Image.fromarray((digit.reshape(8, 8) * 15).astype(np.uint8))
    ink = np.asarray(stroke.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.float32)[..., None] / 255
    return Image.fromarray((ground * (1 - 0.7 * ink) + 0.7 * ink * tint).astype(np.uint8))


def write_space(path: Path, epochs: int) -> None:
    """Write the six members as a search space."""
    recipes = [
        {"name": f"member-{n}", "arch": a, "resize": how, "resize_size": list(item), "size": list(size)}
        for n, (a, how, item, size) in enumerate(MEMBERS)
    ]
    defaults = {"pretrained": False, "schedule": "fine_tune", "epochs": epochs, "freeze_epochs": 1, "lr": LR}
    defaults |= {"batch_size": BATCH_SIZE, "min_scale": 0.75, "tta": 4, "subsample": 1.0}
    space = {"search": {"trials": len(MEMBERS)}, "defaults": defaults, "recipes": recipes}
    path.write_text(yaml.safe_dump(space), encoding="utf-8")


def notebook(data: Path, epochs: int, seed: int, out: Path) -> None:
    """Run the notebook's loop and write its submission."""
    from fastai.vision import all as fastai  # noqa: PLC0415 only this side's time includes the import
    from fastai.vision import learner as fastai_learner  # noqa: PLC0415

    import tune_paddy.training.networks.architectures  # noqa: F401, PLC0415 registers the tiny swins

    def forward(body: fastai_learner.TimmBody, images):
        features = body.model.forward_features(images) if body.needs_pool else body.model(images)
        last = getattr(body.model, "output_fmt", "NCHW") == "NHWC"
        return features.permute(0, 3, 1, 2) if last else features

    fastai_learner.TimmBody.forward = forward
    tests = pd.read_csv(data / "sample_submission.csv")["image_id"]
    predictions = []
    for arch, how, item, size in MEMBERS:
        square = item if item[0] != item[1] else item[0]
        loaders = fastai.ImageDataLoaders.from_folder(
            data / "train_images",
            valid_pct=0.2,
            seed=seed,
            item_tfms=fastai.Resize(square, method=how),
            batch_tfms=fastai.aug_transforms(size=size, min_scale=0.75),
            bs=BATCH_SIZE // ACCUM,
        )
        sized = {"img_size": size} if arch != "test_convnext" else {}
        learner = fastai.vision_learner(
            loaders,
            arch,
            pretrained=False,
            metrics=fastai.error_rate,
            cbs=fastai.GradientAccumulation(BATCH_SIZE),
            **sized,
        )
        with learner.no_bar(), learner.no_logging():
            learner.fine_tune(epochs, LR)
            shown = loaders.test_dl([data / "test_images" / name for name in tests])
            predictions.append(learner.tta(dl=shown)[0].numpy())
        print(arch, how, size, flush=True)
    vits = [probs for (arch, *_), probs in zip(MEMBERS, predictions, strict=True) if "vit" in arch]
    predicted = np.mean(predictions + vits, axis=0).argmax(axis=1)
    labels = [loaders.vocab[index] for index in predicted]
    pd.DataFrame({"image_id": tests, "label": labels}).to_csv(out, index=False)


def timed(command: list[str], folder: Path) -> float:
    """Run a command; return its wall time in seconds."""
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return time.perf_counter() - started


def compare(seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Run both sides on one dataset."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truth = draw_images(folder / "images", options.labelled, options.tests, seed)
        write_space(folder / "six.yaml", options.epochs)
        arguments = ["--notebook", str(folder / "images"), "--seeds", str(seed)]
        arguments += ["--epochs", str(options.epochs)]
        loop = timed([sys.executable, str(Path(__file__).absolute()), *arguments], folder)
        program = [sys.executable, "-c", "from tune_paddy.cli import program; program()"]
        search = ["search", "images", "--space", "six.yaml", "--name", "six", "--seed", str(seed)]
        ours = timed([*program, *search], folder)
        files = {"notebook": folder / "notebook.csv", "search": folder / "runs/six/submission.csv"}
        errors = {
            f"{side} error": float((pd.read_csv(path).set_index("image_id")["label"] != truth).mean())
            for side, path in files.items()
        }
    return {"notebook s": loop, "search s": ours, "ratio": loop / ours, **errors}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--labelled", type=int, default=160)
    parser.add_argument("--tests", type=int, default=80)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--notebook", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.notebook:
        notebook(options.notebook, options.epochs, options.seeds, Path("notebook.csv"))
        return
    rows = []
    for seed in range(options.seeds):
        rows.append(compare(seed, options))
        print(
            json.dumps({"seed": seed, **{key: round(value, 4) for key, value in rows[-1].items()}}),
            flush=True,
        )
    print("\n| | mean | spread (standard deviation) |\n|---|---|---|")
    for key in rows[0]:
        values = [row[key] for row in rows]
        print(f"| {key} | {mean(values):.3f} | {stdev(values) if len(values) > 1 else 0:.3f} |")


if __name__ == "__main__":
    main()
