"""Does the demo's ensemble beat its best member significantly on every CPU?

Runs `tune-paddy demo` for several seeds and sets of CPU kernels, each in its own process and folder, and
prints one row per run: the cross-fitted log loss of the ensemble and of the best single member, their paired
difference with its 95 % interval, that difference in standard errors, the accuracy on held-out test labels,
and the seconds. The kernels stand for other machines: torch's own (ATEN_CPU_CAPABILITY) and the corresponding
ones of oneDNN, MKL and OpenBLAS.

    uv run python benchmarks/demo_seeds.py --seeds 10 --kernels native avx2 default
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tune_paddy.data.samples import TEST_LABELS, score_submission

KERNELS: dict[str, dict[str, str]] = {
    "native": {},
    "avx512": {"ATEN_CPU_CAPABILITY": "avx512"},
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
    },
    "default": {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "OPENBLAS_CORETYPE": "Nehalem",
    },
}
"""Name of a set of kernels → environment variables that select it."""

PROGRAM = [sys.executable, "-c", "from tune_paddy.cli import program; program()"]
INTERVAL = 2 * 1.959964  # width of a 95 % interval, in standard errors
COLUMNS = ("kernels", "seed", "ensemble", "best single", "difference (95 %)", "in s.e.", "accuracy", "s")


@dataclass(frozen=True)
class Outcome:
    """Result of one demo; losses in nats."""

    ensemble: float
    single: float
    difference: float
    low: float
    high: float
    accuracy: float
    seconds: float

    @property
    def beaten(self) -> bool:
        """Whether the ensemble is better over the whole interval."""
        return self.high < 0


def main() -> None:
    """Run the demos and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument(
        "--kernels", nargs="+", choices=sorted(KERNELS), default=["native", "avx2", "default"]
    )
    arguments = parser.parse_args()
    console = Console(width=110)
    table = Table(*COLUMNS)
    for kernels in arguments.kernels:
        outcomes = []
        for seed in range(arguments.seeds):
            outcomes.append(run_demo(seed, KERNELS[kernels]))
            row = cells(outcomes[-1])
            table.add_row(kernels, str(seed), *row)
            console.print(kernels, seed, *row)  # progress: all runs take half an hour
        beaten = sum(outcome.beaten for outcome in outcomes)
        console.print(f"{kernels}: the ensemble beats the best member in {beaten} of {len(outcomes)} demos")
    console.print(table)


def run_demo(seed: int, environment: dict[str, str]) -> Outcome:
    """Run one demo in a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        folder, started = Path(name), time.monotonic()
        subprocess.run(
            [*PROGRAM, "demo", "--seed", str(seed)],
            cwd=folder,
            env={**os.environ, **environment, "TUNE_PADDY_CACHE": str(folder / "cache")},
            check=True,
            capture_output=True,
        )
        seconds = time.monotonic() - started
        told = json.loads((folder / "runs/demo-1/ensemble.json").read_text(encoding="utf-8"))["assessment"]
        single = next(rival for rival in told["comparisons"] if rival["rival"] == "best_single")
        labels = folder / "data/noisy-digits" / TEST_LABELS
        return Outcome(
            ensemble=told["estimate"]["score"],
            single=single["rival_score"],
            difference=single["difference"],
            low=single["low"],
            high=single["high"],
            accuracy=score_submission(folder / "runs/demo-1/submission.csv", labels),
            seconds=seconds,
        )


def cells(outcome: Outcome) -> tuple[str, ...]:
    """Return a demo's cells of the table, from the third column on."""
    errors = outcome.difference / ((outcome.high - outcome.low) / INTERVAL)
    return (
        f"{outcome.ensemble:.4f}",
        f"{outcome.single:.4f}",
        f"{outcome.difference:+.4f} ({outcome.low:+.4f} to {outcome.high:+.4f})",
        f"{errors:.1f}",
        f"{outcome.accuracy:.1%}",
        f"{outcome.seconds:.0f}",
    )


if __name__ == "__main__":
    main()
