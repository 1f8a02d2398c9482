"""How accurate and how fast is the forecast of a training's GPU memory, and which accum does it choose?

    OMP_NUM_THREADS=1 python benchmarks/memory_forecast.py [--modules 98]

Three tables, none of which needs a GPU: the notebook's printed figures against their forecast, the resulting
accum of its four large members on Kaggle's GPU, and the CPU time per forecast of the smallest model of every
timm module. Seconds are this process's CPU time with one thread, without imports. Each model is forecast once
without a cache, then from the cache.
"""

import argparse
import json
import os
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")
warnings.filterwarnings("ignore", category=FutureWarning)

import timm  # noqa: E402 after OMP_NUM_THREADS is set

from tune_paddy.core.calibration import CalibrationPoint, fit_calibration  # noqa: E402
from tune_paddy.core.errors import TunePaddyError  # noqa: E402
from tune_paddy.core.memory import MemoryBudget, plan_accum  # noqa: E402
from tune_paddy.training.forecast import forward_pass  # noqa: E402, F401 keeps its imports out of the times
from tune_paddy.training.forecast.calibration_files import load_calibration  # noqa: E402
from tune_paddy.training.forecast.footprint import forecast  # noqa: E402

KAGGLE_MIB = 16280
BATCH_SIZE = 64
# arch, size, accum, MiB of the whole process as the notebook printed it on a 24 GiB card
PRINTED = [
    ("convnext_small", (128, 128), 1, 5173),
    ("convnext_small", (128, 128), 2, 4069),
    ("convnext_small", (128, 128), 4, 3513),
    ("convnext_large", (224, 224), 2, 12191),
    ("convnext_large", (320, 240), 2, 15561),
    ("vit_large_patch16_224", (224, 224), 2, 16251),
    ("swinv2_large_window12_192", (192, 192), 2, 14373),
    ("swin_large_patch4_window7_224", (224, 224), 2, 12773),
]
SMALLEST = Path(__file__).parents[1] / "tests" / "training" / "networks" / "smallest_models.json"


def printed_points(cache: Path) -> list[CalibrationPoint]:
    """Return the notebook's figures; its loader held one micro-batch, and its attention was not fused."""
    points = []
    for arch, size, accum, mib in PRINTED:
        footprint = forecast(arch, size, n_classes=1, unfused=True, cache=cache)
        raw_mib = footprint.raw_mib(BATCH_SIZE // accum)
        points.append(CalibrationPoint(raw_mib=raw_mib, process_mib=mib, label=f"{arch} {size} / {accum}"))
    return points


def table_of_printed_figures(cache: Path) -> None:
    points = printed_points(cache)
    by_size = sorted(points, key=lambda point: point.process_mib)
    fitted = [by_size[0], by_size[-1]]
    context_mib, slack = fit_calibration(fitted)
    print(f"\nfitted on the smallest and the largest row: C = {context_mib:.0f} MiB, k = {slack:.3f}")
    print(f"{'arch, size / accum':<48} {'raw':>7} {'printed':>8} {'forecast':>9} {'ratio':>7}")
    errors = []
    for point in points:
        forecast_mib = context_mib + slack * point.raw_mib
        ratio = forecast_mib / point.process_mib
        errors += [] if point in fitted else [abs(ratio - 1)]
        print(f"{point.label:<48} {point.raw_mib:7.0f} {point.process_mib:8.0f} ", end="")
        print(f"{forecast_mib:9.0f} {ratio:7.3f}")
    mean = sum(errors) / len(errors)
    print(f"error of the other rows: mean {mean:.1%}, at most {max(errors):.1%} (goals: 3 %, 5 %)")


def table_of_accum(cache: Path) -> None:
    print(f"\naccum at {KAGGLE_MIB:,} MiB, batch size {BATCH_SIZE}, fp16 (the notebook: 2 for each)")
    print(f"{'arch, size':<44} {'calibration':<14} {'attention':<9} {'accum 1':>8} {'accum':>6} {'MiB':>7}")
    for name in ("notebook-2022", "generic"):
        calibration = load_calibration(name)
        for arch, size, *_ in PRINTED[3:]:
            footprint = forecast(arch, size, unfused=calibration.unfused_attention, cache=cache)
            one = plan_accum(footprint, calibration, MemoryBudget(KAGGLE_MIB), BATCH_SIZE, max_accum=1)
            plan = plan_accum(footprint, calibration, MemoryBudget(KAGGLE_MIB), BATCH_SIZE)
            attention = "unfused" if calibration.unfused_attention else "fused"
            print(
                f"{f'{arch} {size}':<44} {name:<14} {attention:<9} {one.forecast_mib:8.0f} {plan.accum:6} "
                f"{plan.forecast_mib:7.0f}"
            )


def seconds_of(arch: str, cache: Path) -> tuple[float, float]:
    """Return the CPU time of a forecast at the model's own size, and of its repeat, in seconds."""
    known = timm.get_pretrained_cfg(arch)
    size = tuple(known.input_size[1:]) if known else (224, 224)
    times = []
    for _ in range(2):
        started = time.process_time()
        forecast(arch, size, cache=cache)
        times.append(time.process_time() - started)
    return times[0], times[1]


def table_of_seconds(cache: Path, n_modules: int) -> None:
    first, repeated, failed = {}, {}, {}
    for arch in list(json.loads(SMALLEST.read_text("utf-8")).values())[:n_modules]:
        try:
            first[arch], repeated[arch] = seconds_of(arch, cache)
        except TunePaddyError as error:
            failed[arch] = str(error)
    slowest = sorted(first, key=first.__getitem__)[-3:]
    print(f"\nthe smallest model of {len(first) + len(failed)} timm modules, {len(failed)} failed")
    for arch, reason in failed.items():
        print(f"  {arch}: {reason}")
    print(f"forecast: median {median(first.values()):.2f} s of CPU (goal: 1.5)")
    print("          slowest " + ", ".join(f"{arch} {first[arch]:.1f} s" for arch in reversed(slowest)))
    print(
        f"repeat from the cache: median {1000 * median(repeated.values()):.1f} ms, at most "
        f"{1000 * max(repeated.values()):.1f} ms (goal: 10)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--modules", type=int, default=98, help="number of timm modules to time")
    n_modules = parser.parse_args().modules
    with tempfile.TemporaryDirectory() as folder:
        table_of_seconds(Path(folder) / "modules", n_modules)
        table_of_printed_figures(Path(folder))
        table_of_accum(Path(folder))


if __name__ == "__main__":
    main()
