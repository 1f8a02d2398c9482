"""`ray start` that gives a node ten minutes to start: Ray gives it 30 s, which no variable changes."""

import time
from typing import Any

from ray._private import services
from ray.scripts.scripts import main

SECONDS = 600
look = services.get_node


def wait(*arguments: Any) -> Any:
    """Return what Ray knows of a node as soon as it knows it."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return look(*arguments)
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


if __name__ == "__main__":
    services.get_node = wait
    main()
