"""Can four trials share one GPU without running out of memory, and does a trial recover that runs out?

    python benchmarks/gpu_sharing.py --out results

Two real searches on scikit-learn's digits. The first trains four networks at once, each on a quarter of the
GPU. The second trains one of them with accum fixed at 1 and a stated GPU memory so small that a quarter holds
accum 2 but not 1. Its allocator is capped there, so the trial has to run out of memory and resume.

Without a GPU the same searches run on the CPU with tiny networks, and Ray gets a fictitious GPU. That only
tests the command: nothing is measured or capped, and nothing can run out. With fewer than four CPUs, fewer
than four trials run at once.
"""

import argparse
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("PYTHONWARNINGS", "ignore::FutureWarning")  # for Ray's workers, too

import torch
from rich.console import Console

from tune_paddy.core.config import MemberConfig
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.samples import write_digits
from tune_paddy.search.plan import SearchPlan
from tune_paddy.search.preflight import ready_session
from tune_paddy.search.run import run_search
from tune_paddy.spaces.space import SearchSpace
from tune_paddy.tracking.runs import RecordedRun
from tune_paddy.tracking.schema import MemberRecord
from tune_paddy.tracking.store import Store, open_store
from tune_paddy.training.forecast.planning import find_gpu, member_footprint

N_CLASSES = 10
SHARE = 0.25
ON_GPU = ("resnet50", "convnext_tiny", "vit_small_patch16_224", "tf_efficientnetv2_s")
ON_CPU = ("test_resnet", "test_convnext", "test_vit", "test_efficientnet")
CPU_GPU_MIB = 16_000
"""Memory of the fictitious GPU, in MiB."""


@dataclass(frozen=True)
class Row:
    """One trial from the record; memory in MiB."""

    search: str
    member: str
    outcome: str
    failure: str
    accum: float
    ooms: float
    seconds: float
    forecast_mib: float | None
    measured_mib: float | None
    source: str
    started: float
    ended: float


def space_of(members: list[dict[str, object]], gpu_mib: float | None, cpus: int) -> SearchSpace:
    search = {"trials": len(members), "gpu": SHARE, "cpus": cpus, "retries": 0}
    search |= {} if gpu_mib is None else {"gpu_memory": gpu_mib}
    defaults = {"pretrained": False, "schedule": "one_cycle", "flip": "none", "tta": 1}
    return SearchSpace.parse(
        json.dumps({"search": search, "defaults": defaults, "recipes": members}), name="x"
    )


def run(
    name: str, space: SearchSpace, dataset: Dataset, store: Store, runs: Path, *, on_gpu: bool
) -> list[Row]:
    plan = SearchPlan(
        name=name,
        dataset=dataset,
        space=space,
        settings=space.settings,
        folder=runs / name,
        ray_gpus=None if on_gpu else 1,
    )
    with ready_session(plan) as ready:
        members = run_search(ready, store, console=Console())
    return [row_of(member) for member in members]


def row_of(member: RecordedRun) -> Row:
    metrics = member.metrics
    return Row(
        search=member.search,
        member=member.name,
        outcome=member.outcome,
        failure=member.failure,
        accum=metrics.get("accum", 0),
        ooms=metrics.get("ooms", 0),
        seconds=metrics.get("train_seconds_total", 0),
        forecast_mib=metrics.get("memory/forecast_mib"),
        measured_mib=metrics.get("memory/measured_mib"),
        source=MemberRecord.from_run(member).memory_source or "none",
        started=member.started,
        ended=member.ended or member.started,
    )


def most_at_once(rows: list[Row]) -> int:
    """Return the most trials that ran at the same time, by their times in the record."""
    return max(sum(other.started <= row.started < other.ended for other in rows) for row in rows)


def too_small_mib(member: dict[str, object], gpu_mib: float | None) -> float:
    """Return the memory of a GPU, in MiB, whose quarter holds a member with accum 2 but not with 1."""
    gpu = find_gpu(mib=gpu_mib)
    config = MemberConfig(**member)  # type: ignore[arg-type]
    footprint = member_footprint(config, gpu, n_classes=N_CLASSES)
    raw_mib = footprint.raw_mib(config.batch_size // 2, config.batch_size)
    return gpu.calibration.process_mib(raw_mib, with_margin=True) / SHARE


def shown(mib: float | None) -> str:
    return "-" if mib is None else f"{mib:,.0f}"


def table(rows: list[Row]) -> None:
    print(f"\n{'search':<7} {'member':<34} {'outcome':<10} {'accum':>5} {'OOMs':>4} {'s':>6} ", end="")
    print(f"{'forecast':>9} {'measured':>9}  source")
    for row in rows:
        print(
            f"{row.search:<7} {row.member:<34} {row.outcome:<10} {row.accum:5.0f} {row.ooms:4.0f} "
            f"{row.seconds:6.1f} {shown(row.forecast_mib):>9} {shown(row.measured_mib):>9}  {row.source}"
        )
        if row.failure:
            print(f"        {row.failure}")


def verdicts(four: list[Row], fifth: Row, *, on_gpu: bool) -> dict[str, object]:
    found: dict[str, object] = {
        "trials that ran at once": most_at_once(four),
        "finished without running out": sum(row.outcome == "finished" and row.ooms == 0 for row in four),
    }
    if not on_gpu:
        return {**found, "memory, caps and recovery": "not shown: this machine has no GPU"}
    recovered = fifth.outcome == "finished" and fifth.ooms > 0
    return {**found, "the fifth ran out of memory": fifth.ooms > 0, "and recovered": recovered}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder for the full results")
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    on_gpu = torch.cuda.is_available()
    size, batch_size = (128, 64) if on_gpu else (32, 16)
    common = {"size": size, "batch_size": batch_size, "epochs": options.epochs if on_gpu else 1}
    members = [{"arch": arch, **common} for arch in (ON_GPU if on_gpu else ON_CPU)]
    gpu_mib = None if on_gpu else CPU_GPU_MIB
    cpus = max(1, (os.cpu_count() or 1) // 4)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        dataset = Dataset.open(write_digits(root / "digits"))
        uri = f"sqlite:///{root}/mlflow.db"
        store = open_store(uri, experiment="digits", artifact_root=root / "artifacts", create=True)
        four = run("four", space_of(members, gpu_mib, cpus), dataset, store, root, on_gpu=on_gpu)
        tight = {**members[1], "accum": 1}
        small = space_of([tight], too_small_mib(members[1], gpu_mib), cpus)
        (fifth,) = run("fifth", small, dataset, store, root, on_gpu=on_gpu)
    found = verdicts(four, fifth, on_gpu=on_gpu)
    options.out.mkdir(parents=True, exist_ok=True)
    full = {"torch": torch.__version__, "rows": [asdict(row) for row in (*four, fifth)], "found": found}
    if on_gpu:
        full["gpu"] = torch.cuda.get_device_name()
    (options.out / "gpu_sharing.json").write_text(json.dumps(full, indent=1), "utf-8")
    print(
        f"\n{full.get('gpu', 'no GPU')}, torch {torch.__version__}, {time.monotonic() - started:.0f} s in all"
    )
    table([*four, fifth])
    for what, value in found.items():
        print(f"{what}: {value}")


if __name__ == "__main__":
    main()
