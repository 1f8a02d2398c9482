"""The models of GPU in a cluster, and which of them each trial gets."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import InputError
from tune_paddy.core.gpus import gpu_mib
from tune_paddy.core.memory import TrialMemory
from tune_paddy.search.cluster.nodes import Node

LABEL = "accelerator_type:"
"""Beginning of the name of Ray's resource that a machine has for its model of GPU."""

TOKEN = 0.001
"""Amount of that resource by which a trial asks for the model: a machine has one of it."""


@dataclass(frozen=True)
class GpuModel:
    """A model of GPU in a cluster.

    Attributes:
        label: Ray's name of it, such as `T4`.
        name: Name that its driver reports, or the label.
        mib: Memory of the smallest one, in MiB.
        count: Number of such GPUs in the cluster.
    """

    label: str
    name: str
    mib: float
    count: float


def gpu_models(nodes: Sequence[Node]) -> tuple[GpuModel, ...]:
    """Return the models of GPU of a cluster; () if there are fewer than two that can be told apart.

    Args:
        nodes: All machines.
    """
    with_gpus = [node for node in nodes if node.resources.get("GPU")]
    labels = [_labels(node) for node in with_gpus]
    if any(len(found) != 1 for found in labels):
        return ()
    by_label: dict[str, list[Node]] = {}
    for node, (label,) in zip(with_gpus, labels, strict=True):
        by_label.setdefault(label, []).append(node)
    models = [_model(label, members) for label, members in sorted(by_label.items())]  # Ray has no order
    known = [model for model in models if model is not None]
    return tuple(known) if len(models) == len(known) > 1 else ()


def models_note(models: Sequence[GpuModel]) -> str | None:
    """Return a note on the models of GPU that trials are planned for; None: they are not told apart."""
    if not models:
        return None
    words = (f"{model.count:g} {model.label} of {model.mib:,.0f} MiB" for model in models)
    return f"Each trial is planned for the model of GPU that it gets: {', '.join(words)}"


def _labels(node: Node) -> list[str]:
    return [name.removeprefix(LABEL) for name in node.resources if name.startswith(LABEL)]


def _model(label: str, nodes: Sequence[Node]) -> GpuModel | None:
    """Return the model of some machines; None: its memory is not known."""
    memory = [mib for node in nodes for mib in node.gpu_mib]
    with suppress(InputError):
        memory = memory or [float(gpu_mib(label))]  # Ray may count GPUs whose driver answers nothing
    if not memory:
        return None
    names = [name for node in nodes for name, _ in node.facts["gpus"]]
    count = sum(node.resources["GPU"] for node in nodes)
    return GpuModel(label, str(names[0]) if names else label, min(memory), count)


@dataclass(frozen=True)
class ModelPlanner:
    """Plans a trial for the model of GPU on which it fits, and of which the largest part is free.

    A trial keeps its model: Ray places it on no other. On a smaller GPU it may need a larger share or accum.

    Attributes:
        models: Models of GPU.
        plan: Function that plans a member for a model.
    """

    models: Sequence[GpuModel]
    plan: Callable[[MemberConfig, GpuModel], TrialMemory]

    def __call__(self, config: MemberConfig, running: Sequence[TrialMemory] = ()) -> TrialMemory:
        """Return the plan of a trial.

        Args:
            config: Configuration of the member.
            running: Plans of the trials that have not ended.
        """
        used = dict.fromkeys((model.label for model in self.models), 0.0)
        for other in running:
            used[other.accelerator] = used.get(other.accelerator, 0.0) + other.gpu
        plans = [(model, self.plan(config, model)) for model in self.models]
        fitting = [(model, plan) for model, plan in plans if plan.forecast_mib <= plan.budget_mib]
        if not fitting:  # the largest GPU is the likeliest to train it after all
            return max(plans, key=lambda one: one[0].mib)[1]
        return min(fitting, key=lambda one: (used[one[0].label] + one[1].gpu) / one[0].count)[1]


def wanted_resources(memory: TrialMemory) -> dict[str, float]:
    """Return what a trial asks Ray for, beside its CPUs."""
    model = {LABEL + memory.accelerator: TOKEN} if memory.accelerator else {}
    return {"GPU": memory.gpu, **model}


def absent_models(wanted: Sequence[TrialMemory], machines: Sequence[Mapping[str, float]]) -> list[str]:
    """Return the models of GPU that trials wait for and no connected machine has.

    Args:
        wanted: Plans of the trials that wait.
        machines: Ray's resources of each connected machine.
    """
    there = {name.removeprefix(LABEL) for machine in machines for name in machine if name.startswith(LABEL)}
    return sorted({memory.accelerator for memory in wanted if memory.accelerator} - there)
