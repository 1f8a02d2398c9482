"""The hub that timm downloads weights from: whether it answers, what is cached, and no minutes of retries."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import timm
from huggingface_hub import constants, try_to_load_from_cache

from tune_paddy.training.networks.architectures import current_name

SECONDS = 10.0
"""How long the hub may take to answer."""

_FILES = ("model.safetensors", "pytorch_model.bin")


@contextmanager
def failing_fast() -> Iterator[None]:
    """Let the hub's client fail at once while the block runs, where the hub cannot be reached.

    By itself it asks for each file five times, over half a minute each. What is cached still loads.
    """
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not is_reachable()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def is_reachable() -> bool:
    """Whether the hub answers at all, through a proxy where one is set; False where it must not be asked."""
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        request = urllib.request.Request(constants.ENDPOINT, method="HEAD")  # noqa: S310 the hub's own address
        urllib.request.urlopen(request, timeout=SECONDS).close()  # noqa: S310
    except urllib.error.HTTPError:
        return True  # an answer
    except (OSError, ValueError):
        return False
    return True


def is_cached(arch: str) -> bool:
    """Whether an architecture's weights are in the hub's cache, or come from elsewhere than the hub."""
    config = timm.get_pretrained_cfg(current_name(arch))
    if config is None or not config.hf_hub_id:
        return True
    names = (config.hf_hub_filename, *_FILES)
    return any(isinstance(try_to_load_from_cache(config.hf_hub_id, name), str) for name in names if name)
