"""How far is the forecast time of a member from the time of its training?

Each member's steps are timed, then the same member is trained in the same process on real pictures, so that
both figures come from the same state of the machine. A second forecast leaves the member's own timing out and
scales that of the member closest in operations, as a dry run does when its time limit is reached.

    python benchmarks/time_forecast.py IMAGES [--clock wall]
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.timing.cost import StepCost, Workload, member_seconds
from tune_paddy.data.layouts.detect import list_dataset
from tune_paddy.data.member_data import Part, Parts
from tune_paddy.training.member import train_member
from tune_paddy.training.runtime import Runtime
from tune_paddy.training.timing.operations import forward_operations
from tune_paddy.training.timing.steps import time_member

MEMBERS = (
    ("test_resnet", 64, 32),
    ("test_vit", 64, 32),
    ("test_convnext", 64, 32),
    ("test_efficientnet", 64, 32),
    ("test_byobnet", 96, 32),
    ("test_mambaout", 64, 16),
    ("test_vit", 96, 64),
    ("test_resnet", 96, 64),
    ("resnet18", 64, 32),
    ("mobilenetv3_small_100", 64, 32),
    ("tf_efficientnet_lite0", 64, 32),
    ("vit_tiny_patch16_224", 64, 32),
    ("resnet10t", 64, 32),
    ("resnet34d", 64, 32),
    ("regnetx_002", 64, 32),
    ("regnety_002", 96, 16),
    ("mobilenetv3_small_050", 96, 32),
    ("mobilenetv3_large_100", 64, 32),
    ("mobilenetv4_conv_small", 64, 32),
    ("lcnet_050", 96, 64),
    ("tinynet_e", 64, 16),
    ("ghostnet_050", 64, 32),
    ("semnasnet_075", 64, 32),
    ("tf_efficientnet_lite1", 96, 16),
    ("efficientnet_b0", 64, 32),
    ("convnext_atto", 64, 32),
    ("convnextv2_femto", 64, 32),
    ("edgenext_xx_small", 64, 32),
    ("mobilevit_xxs", 64, 32),
    ("fastvit_t8", 64, 32),
    ("repvit_m1_1", 64, 32),
    ("mobileone_s0", 64, 32),
    ("efficientvit_b0", 64, 32),
    ("tiny_vit_5m_224", 64, 32),
    ("deit_tiny_patch16_224", 96, 16),
    ("vit_small_patch16_224", 64, 32),
    ("levit_128s", 224, 16),
    ("dla46_c", 64, 32),
    ("hrnet_w18_small", 64, 16),
    ("densenet121", 64, 16),
)
"""Architecture, side in px and batch size: convolutions of all kinds, transformers, and mixtures of both."""

TRAIN, SELECT, TEST, SAMPLE = 256, 96, 96, 64


@dataclass(frozen=True)
class Measured:
    """One member: its timed steps and its training."""

    config: MemberConfig
    cost: StepCost
    operations: int
    trained: float


def parts_of(folder: Path) -> Parts:
    """Draw small parts from a folder of labelled pictures."""
    table = list_dataset(folder).labelled.sample(TRAIN + SELECT + TEST, random_state=0)
    classes = sorted(table["label"].unique())
    codes = {name: code for code, name in enumerate(classes)}
    whole = Part(
        np.array(table["id"].tolist(), dtype=np.str_),
        tuple(map(str, table["path"])),
        np.array([codes[label] for label in table["label"]], dtype=np.int64),
    )
    rows = np.arange(len(whole))
    train, select, test = (rows < TRAIN, (rows >= TRAIN) & (rows < TRAIN + SELECT), rows >= TRAIN + SELECT)
    return Parts(tuple(classes), "benchmark", whole.take(train), whole.take(select), whole.take(test))


def measure(config: MemberConfig, parts: Parts, clock: str) -> tuple[Measured, float]:
    """Time a member's steps, then train it; return both and the time to read one image, in s."""
    now = time.process_time if clock == "cpu" else time.perf_counter
    n_classes = len(parts.classes)
    cost, decode = time_member(
        config, parts.train.paths[:SAMPLE], n_classes=n_classes, allow_gpu=False, clock=now
    )
    with tempfile.TemporaryDirectory() as folder:
        runtime = Runtime(Path(folder), allow_gpu=False, keep_weights=False, clock=now)
        started = now()
        train_member(config, parts, runtime)
        trained = now() - started
    operations = forward_operations(config.arch, config.size, n_classes)
    return Measured(config, cost, operations, trained), decode


def scaled_cost(member: Measured, others: list[Measured]) -> StepCost:
    """Return the cost of the closest other member, scaled by operations."""
    near = min(others, key=lambda other: abs(np.log(other.operations / member.operations)))
    return near.cost.scaled(member.operations / near.operations)


def main() -> None:
    """Print one row per member, then the median and 90th percentile of the relative errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("--clock", choices=("cpu", "wall"), default="cpu")
    arguments = parser.parse_args()
    parts, members, decodes = parts_of(arguments.images), [], []
    for arch, side, batch in MEMBERS:
        config = MemberConfig(arch=arch, size=side, batch_size=batch, pretrained=False, epochs=2)
        member, decode = measure(config, parts, arguments.clock)
        members.append(member)
        decodes.append(decode)
        print(f"{arch} {side}: trained in {member.trained:.1f} s", flush=True)
    load = Workload(TRAIN, SELECT, TEST, decode=float(np.mean(decodes)))
    head = ("member", "px", "batch", "trained, s", "timed", "error", "by operations", "error")
    print(f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    errors = []
    for member in members:
        config, others = (
            member.config,
            [other for other in members if other.config.arch != member.config.arch],
        )
        forecasts = [
            member_seconds(config, cost, load) for cost in (member.cost, scaled_cost(member, others))
        ]
        errors.append([forecast / member.trained - 1 for forecast in forecasts])
        cells = " | ".join(f"{f:.1f} | {e:+.0%}" for f, e in zip(forecasts, errors[-1], strict=True))
        print(f"| {config.arch} | {config.size[0]} | {config.batch_size} | {member.trained:.1f} | {cells} |")
    for name, values in zip(("timed", "by operations"), np.abs(errors).T, strict=True):
        print(f"{name}: median {np.median(values):.0%}, p90 {np.quantile(values, 0.9):.0%}")
    logs = np.log([1 + error for error, _ in errors])
    print(f"mean log ratio {logs.mean():+.3f}, standard deviation {logs.std():.3f}")


if __name__ == "__main__":
    main()
