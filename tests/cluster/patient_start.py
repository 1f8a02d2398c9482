"""`ray start` that waits for a node while its raylet runs: Ray gives it 30 s, which no variable changes.

The program's own `patient_start` is not imported: a machine may have another version of the program.
"""

import time
from contextlib import suppress
from typing import Any

import psutil
from ray._private import services
from ray.scripts.scripts import main

look = services.get_node


def wait(*arguments: Any) -> Any:
    """Return what Ray knows of a node as soon as it knows it."""
    while True:
        try:
            return look(*arguments)
        except RuntimeError:
            if not any(is_raylet(child) for child in psutil.Process().children(recursive=True)):
                raise
        time.sleep(0.2)


def is_raylet(process: psutil.Process) -> bool:
    """Return whether a process is a raylet that runs."""
    with suppress(psutil.NoSuchProcess):
        return process.name() == "raylet" and process.status() != psutil.STATUS_ZOMBIE
    return False


if __name__ == "__main__":
    services.get_node = wait
    main()
