"""Grouping of tests into processes, and their order: pytest hooks that tests/conftest.py imports.

xdist's own groups (`--dist=loadgroup`) do not work: version 3.8 writes them into names that pytest 9.2 no
longer reads.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tune_paddy.data.system.cpus import usable_cpus
from tune_paddy.data.system.memory import free_memory

ROOT = Path(__file__).parents[1]

NEEDS_RAY = re.compile(r"\b(ray_running|finished|exported|odd): |usefixtures\(\"(ray_running|finished)")
"""Use of a fixture that needs the only Ray of a test run; the modules that match form one group."""

LONGEST = ("tests/faults/", "tests/cli/test_demo", "tests/notebooks/", "tests/training/networks/test_model")
"""Modules that take tens of seconds each, which therefore start early."""

MOST_PROCESSES = 4
"""Largest number of test processes: the group of Ray takes about as long as a quarter of the tests."""

MEMORY_OF_PROCESS = 4 * 2**30
"""Memory that a test process may need, in bytes, with what it starts."""


def processes(cpus: int, free: int) -> int:
    """Return the number of test processes for a number of CPUs and of bytes of free memory."""
    return max(1, min(MOST_PROCESSES, cpus, free // MEMORY_OF_PROCESS))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:  # noqa: ARG001 pytest passes arguments by name
    """Choose the number of processes for this machine."""
    return processes(usable_cpus(), free_memory())


@cache
def group(file: str) -> str:
    """Return the group of a module; one process runs the modules of a group in turn."""
    return "Ray" if NEEDS_RAY.search((ROOT / file).read_text(encoding="utf-8")) else file


def rank(item: pytest.Item) -> int:
    """Return the position of a test's group in the queue: the Ray group first, then long modules."""
    file = item.nodeid.partition("::")[0]
    return 0 if group(file) == "Ray" else 1 if file.startswith(LONGEST) else 2


class InGroups(LoadScopeScheduling):
    """Scheduler that assigns whole groups to processes, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid.partition("::")[0])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the longest groups first if several processes share the tests; the rest stays shuffled.

    Raises:
        UsageError: A test would start a second Ray.
    """
    alone = [item.nodeid for item in items if "ray_running" in item.fixturenames and rank(item)]  # type: ignore[attr-defined]
    if alone:
        raise pytest.UsageError(f"{alone[0]} needs Ray, but `NEEDS_RAY` does not match its module")
    if hasattr(config, "workerinput"):
        items.sort(key=rank)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> InGroups:
    """Distribute the tests by these groups."""
    return InGroups(config, log)
