"""What a measurement of memory holds for: the GPU, its driver and the software on top."""

from importlib.metadata import version

import torch

from tune_paddy.training.devices import Device
from tune_paddy.training.gpu_memory import driver_version


def software_versions() -> dict[str, str]:
    """Versions that decide how much memory the same training takes; without a driver, no `driver`."""
    driver = driver_version()
    return {
        "torch": torch.__version__,
        "timm": version("timm"),
        **({"cuda": str(torch.version.cuda)} if torch.version.cuda else {}),
        **({"driver": driver} if driver else {}),
    }


def describe_stack(device: Device) -> dict[str, str]:
    """Where a member trained: `device`, `gpu` (its name, on CUDA alone) and the versions."""
    gpu = {"gpu": torch.cuda.get_device_name()} if device.type == "cuda" else {}
    return {"device": device.type, **gpu, **software_versions()}
