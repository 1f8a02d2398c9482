"""Memory of well-known GPUs, for planning on a machine without one, and shares of a GPU."""

import difflib
import re
from typing import Literal

from tune_paddy.core.errors import InputError

# Rounded down from the "total capacity" in torch's out-of-memory messages, which is what a process can
# use; nvidia-smi prints up to 2 % more, since newer drivers include their own reserve.
GPU_MIB = {
    "Tesla P100": 16280,  # Kaggle's, as its notebooks see it
    "Tesla T4": 14900,
    "Tesla V100 16GB": 16150,
    "Tesla V100 32GB": 32490,
    "Tesla K80": 11440,
    "GeForce GTX 1080 Ti": 11170,
    "GeForce RTX 2080 Ti": 11010,
    "GeForce RTX 3060": 12030,
    "GeForce RTX 3080": 10000,
    "GeForce RTX 3090": 24250,
    "GeForce RTX 4060 Ti 16GB": 15940,
    "GeForce RTX 4090": 24200,
    "GeForce RTX 5090": 32100,
    "RTX A6000": 48670,
    "A10": 22500,
    "A10G": 22500,
    "L4": 22480,
    "L40S": 45400,
    "A100 40GB": 40330,
    "A100 80GB": 81030,
    "H100 80GB": 80990,
    "H200": 143100,
}
"""GPU name → memory, in MiB."""

Share = float | Literal["auto"]
"""Share of a GPU of a trial, 0 to 1; auto: the smallest share of one GPU that its forecast allows."""

_NOISE = re.compile(r"nvidia|tesla|geforce|quadro|pcie|sxm\d?|hbm\d?e?|[^a-z0-9]")
_CAPACITY = re.compile(r"\b(\d+)\s*gi?b\b")
_TOLERANCE = 0.15
"""Largest relative difference between a GPU's memory and the capacity in its name."""


def gpu_mib(name: str) -> int:
    """Return the memory, in MiB, of the GPU called `name`; vendor words and spelling are ignored.

    Raises:
        InputError: No known GPU has that name, or several have; the message lists them.
    """
    wanted, capacity = _model(name), _capacity_mib(name)
    same = [known for known in GPU_MIB if _model(known) == wanted]
    named = same or [known for known in GPU_MIB if wanted and _model(known).endswith(wanted)]
    fitting = [known for known in named if capacity is None or _is_near(GPU_MIB[known], capacity)]
    if len(fitting) == 1:
        return GPU_MIB[fitting[0]]
    if fitting:
        raise InputError(f"GPU name {name!r} is ambiguous: use {' or '.join(fitting)}")
    close = difflib.get_close_matches(wanted, [_model(known) for known in GPU_MIB], n=1)
    near = [known for known in GPU_MIB if known in named or [_model(known)] == close]
    hint = f"; did you mean {' or '.join(near)}?" if near else "."
    raise InputError(
        f"unknown GPU {name!r}{hint} Known: {', '.join(GPU_MIB)}. Or give its memory as `gpu_memory`, in MiB",
        options=("gpu_memory",),
    )


def parse_share(text: str) -> Share:
    """Parse a share of a GPU: a number above 0 and up to 1, or `auto`.

    Raises:
        InputError: The text is neither.
    """
    if text == "auto":
        return "auto"
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise InputError(f"share {text!r}: write a number above 0 and up to 1, or auto", options=("share",))
    return share


def same_model(one: str, other: str) -> bool:
    """Return whether two names denote the same GPU model: `NVIDIA A100-SXM4-40GB` and `A100 40GB`."""
    sizes = {_capacity_mib(one), _capacity_mib(other)} - {None}
    return _model(one) == _model(other) and len(sizes) <= 1


def _model(name: str) -> str:
    """Strip vendor words, capacity and punctuation: `nvidia A100-SXM4-40GB` becomes `a100`."""
    return _NOISE.sub("", _CAPACITY.sub("", name.lower()))


def _capacity_mib(name: str) -> int | None:
    found = _CAPACITY.search(name.lower())
    return 1024 * int(found[1]) if found else None


def _is_near(mib: int, capacity_mib: int) -> bool:
    return abs(mib / capacity_mib - 1) < _TOLERANCE
