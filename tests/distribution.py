"""Which tests run in the same process, and what comes first: hooks of pytest that tests/conftest.py imports.

xdist's own groups (`--dist=loadgroup`) are not used: its version 3.8 writes them into names that pytest 9.2
no longer reads.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[1]

NEEDS_RAY = re.compile(r"\b(ray_running|finished|exported): |usefixtures\(\"(ray_running|finished|exported)")
"""Who asks for a fixture that stands on the one Ray of a test run; the modules that do stay together."""

LONGEST = ("tests/faults/", "tests/cli/test_demo", "tests/notebooks/", "tests/training/networks/test_model")
"""Modules that take tens of seconds each, and so had better not come last."""


@cache
def group(file: str) -> str:
    """Name of the group of a module: those of a group run in one process, one after another."""
    return "Ray" if NEEDS_RAY.search((ROOT / file).read_text(encoding="utf-8")) else file


def rank(item: pytest.Item) -> int:
    """Where a test's group is in the queue: the largest first, then those that take long."""
    file = item.nodeid.partition("::")[0]
    return 0 if group(file) == "Ray" else 1 if file.startswith(LONGEST) else 2


class InGroups(LoadScopeScheduling):
    """Gives each process a group after another, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid.partition("::")[0])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest groups first where several processes share the tests; all else stays shuffled.

    Raises:
        UsageError: A test would start a second Ray.
    """
    alone = [item.nodeid for item in items if "ray_running" in item.fixturenames and rank(item)]  # type: ignore[attr-defined]
    if alone:
        raise pytest.UsageError(f"{alone[0]} needs Ray, which `NEEDS_RAY` does not see")
    if hasattr(config, "workerinput"):
        items.sort(key=rank)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> InGroups:
    """Share the tests of a run by these groups."""
    return InGroups(config, log)
