"""Start and stop Ray quietly: no banner, no usage statistics, no copies of the working folder."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray

from tune_paddy.core.errors import InputError


@contextmanager
def ray_session(address: str | None, *, num_gpus: int | None = None) -> Iterator[Any]:
    """Connect to a cluster, or run Ray on this machine while the block runs.

    Where this process has Ray running already, that is used and left running.

    Args:
        address: Of a Ray cluster; None: this machine alone.
        num_gpus: GPUs of this machine; None: as many as Ray finds.

    Yields:
        The module `ray`.

    Raises:
        InputError: There is no cluster at the address.
    """
    if ray.is_initialized():
        yield ray
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own deprecations, at import and at start
        for name in ("ray", "ray.tune", "ray._private.worker"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        options: dict[str, Any] = {"address": address} if address else {"num_gpus": num_gpus}
        if not address:
            options |= {"include_dashboard": False, "num_cpus": os.cpu_count()}
        try:
            ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"Ray could not be reached at {address or 'this machine'}: {reason}") from error
        try:
            yield ray
        finally:
            ray.shutdown()
