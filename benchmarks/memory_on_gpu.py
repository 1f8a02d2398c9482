"""How far is the forecast of a training's GPU memory from the measured memory?

    python benchmarks/memory_on_gpu.py --out results

Needs a GPU and nvidia-ml-py. Calibrates the GPU, then trains the notebook's members and the smallest models
of 20 timm modules, each in a fresh process, and prints the forecast and the measured memory of the whole
process. Writes the calibration, which can be shipped, and every reading to `--out`.
"""

import argparse
import json
import os
import warnings
from pathlib import Path
from statistics import median

os.environ.setdefault("PYTHONWARNINGS", "ignore::FutureWarning")  # for the fresh processes
warnings.filterwarnings("ignore", category=FutureWarning)

import timm  # noqa: E402 after the warnings filter is set

from tune_paddy.core.calibration import Calibration, CalibrationPoint  # noqa: E402
from tune_paddy.training.forecast.calibrate import Probe, Reading, calibrate_gpu, measure_afresh  # noqa: E402
from tune_paddy.training.forecast.calibration_files import save_calibration  # noqa: E402

NOTEBOOK = [
    Probe("convnext_small", (128, 128), 64),
    Probe("convnext_small", (128, 128), 32),
    Probe("convnext_small", (128, 128), 16),
    Probe("convnext_large", (224, 224), 32),
    Probe("convnext_large", (320, 240), 32),
    Probe("vit_large_patch16_224", (224, 224), 32),
    Probe("swinv2_large_window12_192", (192, 192), 32),
    Probe("swin_large_patch4_window7_224", (224, 224), 32),
]
SMALLEST = Path(__file__).parents[1] / "tests" / "training" / "networks" / "smallest_models.json"


def smallest_probes(n: int) -> list[Probe]:
    """Return probes of the smallest models of `n` modules, spread over the alphabet."""
    names = list(json.loads(SMALLEST.read_text("utf-8")).values())
    return [Probe(name, _own_size(name), 32) for name in names[:: max(1, len(names) // n)][:n]]


def _own_size(arch: str) -> tuple[int, int]:
    known = timm.get_pretrained_cfg(arch)
    return (known.input_size[1], known.input_size[2]) if known else (224, 224)


def read(probes: list[Probe]) -> list[CalibrationPoint]:
    points = []
    for probe in probes:
        reading: Reading | None = measure_afresh(probe)
        print(
            probe.label,
            "does not fit" if reading is None else f"{reading.point.process_mib:.0f} MiB",
            flush=True,
        )
        points += [] if reading is None else [reading.point]
    return points


def table(calibration: Calibration, points: list[CalibrationPoint]) -> list[float]:
    print(f"{'network':<58} {'forecast':>9} {'measured':>9} {'ratio':>7}")
    ratios = []
    for point in points:
        forecast_mib = calibration.process_mib(point.raw_mib)
        ratios.append(forecast_mib / point.process_mib)
        print(f"{point.label:<58} {forecast_mib:9.0f} {point.process_mib:9.0f} {ratios[-1]:7.3f}")
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder for the full results")
    parser.add_argument("--modules", type=int, default=20, help="number of timm modules to measure")
    options = parser.parse_args()
    calibration = calibrate_gpu("measured", report=print)
    points = read(NOTEBOOK + smallest_probes(options.modules))
    save_calibration(calibration, options.out)
    (options.out / "readings.json").write_text(
        json.dumps([point.model_dump() for point in points], indent=1), "utf-8"
    )
    print(f"\n{calibration.gpu}, {calibration.versions}")
    print(f"C = {calibration.context_mib:.0f} MiB, k = {calibration.slack:.3f}")
    errors = [abs(ratio - 1) for ratio in table(calibration, points)]
    print(f"error: median {median(errors):.1%}, at most {max(errors):.1%} (goals: 2 %, 5 %)")


if __name__ == "__main__":
    main()
