"""Ray's session on a cluster: the program travels to its machines, and they are asked what they have."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tune_paddy.core.config import SearchSettings
from tune_paddy.data.image_cache.cache import ImageSet
from tune_paddy.data.storage.images import image_sizes
from tune_paddy.data.system.progress.stages import SILENT, Progress
from tune_paddy.search.cluster.nodes import Node, ask_nodes, check_nodes, program_environment
from tune_paddy.search.ray.session import ray_session


@contextmanager
def cluster_session(
    address: str, images: ImageSet | None, *, progress: Progress = SILENT
) -> Iterator[tuple[Node, ...]]:
    """Connect to a cluster while the block runs.

    Args:
        address: Address of the cluster.
        images: Images that travel to its machines; None: none do.
        progress: Receiver of the stages.

    Yields:
        Its machines.

    Raises:
        InputError: No cluster answers, a machine cannot train the same members as the others, or an image
            cannot be read.
    """
    progress.stage("connecting to Ray")
    with ray_session(address, runtime_env=program_environment()):
        progress.stage("asking the machines what they have")
        nodes = ask_nodes(images)
        check_nodes(nodes, 0 if images is None else sum(image_sizes(images).values()))
        yield nodes


def smallest_gpu(settings: SearchSettings, nodes: Sequence[Node]) -> SearchSettings:
    """Return settings with the memory of the smallest GPU, which a trial may get; a given one stays."""
    memory = [mib for node in nodes for mib in node.gpu_mib]
    if settings.gpu_memory is not None or not memory:
        return settings
    return settings.model_copy(update={"gpu_memory": min(memory)})
