"""Ask every machine of a cluster what it has, and refuse differences that matter before anything trains."""

import importlib.metadata
import importlib.util
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from packaging.requirements import Requirement
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tune_paddy.core.errors import InputError
from tune_paddy.data.image_cache.cache import SPARE, ImageSet
from tune_paddy.data.system.text import counted
from tune_paddy.search.cluster import probe as probe_module
from tune_paddy.search.cluster.probe import probe

COMPARED = ("ray", "torch", "torchvision", "timm", "fastai")
"""Distributions whose versions must be the same on all machines: members would differ, or fail to load."""

ANSWER_SECONDS = 120.0
"""Longest wait for a machine's answer, in seconds: it may have to start a process."""

_SKEW = 60.0
"""Difference of clocks that is reported, in seconds."""

_PROGRAM = "tune_paddy"
_GB = 10**9


@dataclass(frozen=True)
class Node:
    """A machine of a cluster.

    Attributes:
        name: Its host name and address.
        resources: Ray's resources: `CPU`, `GPU`.
        facts: Its answer, see `probe`.
        late: How much its clock is ahead of this machine's, in seconds; negative: behind.
    """

    name: str
    resources: Mapping[str, float]
    facts: Mapping[str, Any]
    late: float

    @property
    def gpu_mib(self) -> tuple[float, ...]:
        """Memory of each of its GPUs that Ray uses, in MiB."""
        return tuple(memory for _, memory in self.facts["gpus"]) if self.resources.get("GPU") else ()


def ask_nodes(images: ImageSet | None) -> tuple[Node, ...]:
    """Ask all machines of the connected cluster at once.

    Args:
        images: Images that travel to the machines; None: none do.

    Raises:
        InputError: A machine does not answer.
    """
    alive = [node for node in ray.nodes() if node["Alive"]]
    question = {
        "packages": _packages(),
        "image": None if images is None else images.paths[0],
        "images": "" if images is None else images.fingerprint,
    }
    began = time.time()
    ray.cloudpickle.register_pickle_by_value(probe_module)
    try:
        answers = [_asked(node, question) for node in alive]
    finally:
        ray.cloudpickle.unregister_pickle_by_value(probe_module)
    return tuple(
        _node(node, _answer(node, answer), began) for node, answer in zip(alive, answers, strict=True)
    )


def _asked(node: Mapping[str, Any], question: Mapping[str, Any]) -> Any:
    """Start the task on a machine that answers; return Ray's reference to the answer."""
    there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    remote: Any = ray.remote  # its types know no affinity
    return remote(num_cpus=0, max_retries=0, scheduling_strategy=there)(probe).remote(**question)


def check_nodes(nodes: Sequence[Node], image_bytes: int) -> None:
    """Refuse a cluster with a machine that cannot train, or that would train other members.

    Args:
        nodes: All machines.
        image_bytes: Size of the images that travel, in bytes; 0: none do.

    Raises:
        InputError: A machine differs; the message names the first one, and counts the others.
    """
    problems = {node.name: problem for node in nodes for problem in _problems(node, image_bytes)}
    if problems:
        name, problem = next(iter(problems.items()))
        others = counted(len(problems) - 1, "further machine has a problem", "further machines have problems")
        more = f" ({others}, too)" if len(problems) > 1 else ""
        raise InputError(f"machine {name}: {problem}{more}")


def program_environment() -> dict[str, Any]:
    """Return Ray's runtime environment that takes this program to the machines of a cluster.

    They use it whatever they have installed, also those that join later.
    """
    spec = importlib.util.find_spec(_PROGRAM)
    return {"py_modules": list(spec.submodule_search_locations or ()) if spec is not None else []}


def clock_note(nodes: Sequence[Node]) -> str | None:
    """Return a note on the clock that differs most from this machine's; None: none differs much."""
    worst = max(nodes, key=lambda node: abs(node.late))
    if abs(worst.late) <= _SKEW:
        return None
    ahead = "ahead of" if worst.late > 0 else "behind"
    return (
        f"The clock of machine {worst.name} is {abs(worst.late):,.0f} s {ahead} this machine's: the record's "
        "times of its members are off by that"
    )


def _problems(node: Node, image_bytes: int) -> Iterator[str]:
    versions, here = node.facts["versions"], dict.fromkeys(COMPARED, "")
    here.update((name, importlib.metadata.version(name)) for name in COMPARED)
    missing = [name for name, found in versions.items() if found is None]
    if missing:
        yield f"lacks {', '.join(missing)}: install what tune-paddy needs there, in these versions"
    for name, ours in here.items():
        found = versions[name]
        if found is not None and _public(found) != _public(ours):
            yield f"has {name} {found}, and this machine {ours}: install the same version on all machines"
    room = node.facts["free"] + node.facts["cached"] - SPARE
    if image_bytes and not node.facts["has_image"] and image_bytes > room:
        yield (
            f"{node.facts['cache']} has room for {max(room, 0) / _GB:.1f} GB, and the images take "
            f"{image_bytes / _GB:.1f} GB: free some, or set TUNE_PADDY_CACHE there to a larger disk's folder"
        )


def _public(found: str) -> str:
    """Return a version without its build, such as `+cu128`."""
    return found.partition("+")[0]


def _packages() -> list[str]:
    """Return the distributions that this program needs."""
    needed = map(Requirement, importlib.metadata.requires("tune-paddy") or ())
    names = [one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    return sorted({*names, *COMPARED})


def _answer(node: Mapping[str, Any], answer: Any) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = ray.get(answer, timeout=ANSWER_SECONDS)
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"machine {_name(node)} does not answer: {reason}; restart Ray there") from error
    return facts


def _node(node: Mapping[str, Any], facts: dict[str, Any], began: float) -> Node:
    """Return a machine; its clock is compared with the interval in which it answered."""
    now, clock = time.time(), facts["clock"]
    late = clock - now if clock > now else min(clock - began, 0.0)
    return Node(_name(node), node["Resources"], facts, late)


def _name(node: Mapping[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
