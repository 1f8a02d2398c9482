"""The GPU, driver and software versions for which a memory measurement is valid."""

from importlib.metadata import version

import torch

from tune_paddy.training.devices import Device, pick_device
from tune_paddy.training.gpu_memory import driver_version


def software_versions() -> dict[str, str]:
    """Return the versions that affect a training's memory; `cuda` and `driver` only if present."""
    driver = driver_version()
    return {
        "torch": torch.__version__,
        "timm": version("timm"),
        **({"cuda": str(torch.version.cuda)} if torch.version.cuda else {}),
        **({"driver": driver} if driver else {}),
    }


def gpu_here() -> str | None:
    """Return the name of the GPU that this process would train on; None: there is none."""
    kind = pick_device("auto").type
    if kind == "cpu":
        return None
    return torch.cuda.get_device_name() if kind == "cuda" else "Apple GPU"


def describe_stack(device: Device) -> dict[str, str]:
    """Return the `device`, the name of the `gpu` (on CUDA only) and the software versions."""
    gpu = {"gpu": torch.cuda.get_device_name()} if device.type == "cuda" else {}
    return {"device": device.type, **gpu, **software_versions()}
