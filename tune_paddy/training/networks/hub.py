"""The hub that timm downloads pretrained weights from: reachability, cache, and failing without retries."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import timm
from huggingface_hub import constants, try_to_load_from_cache

from tune_paddy.training.networks.architectures import resolve_arch

SECONDS = 10.0
"""Timeout of a request to the hub, in seconds."""

_FILES = ("model.safetensors", "pytorch_model.bin")


@contextmanager
def failing_fast() -> Iterator[None]:
    """Make the hub's client fail at once within the block if the hub is unreachable.

    By default it requests each file five times, over half a minute each. Cached files still load.
    """
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not is_reachable()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def is_reachable() -> bool:
    """Return whether the hub responds, through the proxy if one is configured; False in offline mode."""
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        request = urllib.request.Request(constants.ENDPOINT, method="HEAD")  # noqa: S310 the hub's own address
        urllib.request.urlopen(request, timeout=SECONDS).close()  # noqa: S310
    except urllib.error.HTTPError:
        return True  # an error status is a response
    except (OSError, ValueError):
        return False
    return True


def is_cached(arch: str) -> bool:
    """Return whether an architecture's pretrained weights are in the hub's cache, or not from the hub."""
    config = timm.get_pretrained_cfg(resolve_arch(arch))
    if config is None or not config.hf_hub_id:
        return True
    names = (config.hf_hub_filename, *_FILES)
    return any(isinstance(try_to_load_from_cache(config.hf_hub_id, name), str) for name in names if name)
