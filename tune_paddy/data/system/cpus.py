"""How many CPUs this process may use: fewer than the machine has, in a container or under `taskset`."""

import math
import os
from contextlib import suppress
from pathlib import Path

ROOT = Path("/")
"""Of the files that Linux tells quotas in."""


def usable_cpus(root: Path = ROOT) -> int:
    """CPUs that this process may run on, no more than its container's quota is worth; at least 1.

    Args:
        root: Holds `proc` and `sys`.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [_quota_v2(group) for group in _groups(root, "")]
    quotas += [_quota_v1(group) for group in _groups(root, "cpu")]
    return max(1, math.ceil(min([allowed, *(quota for quota in quotas if quota is not None)])))


def _groups(root: Path, controller: str) -> list[Path]:
    """Folders of this process's control group and all above it: the tightest quota of them holds.

    Args:
        root: Holds `proc` and `sys`.
        controller: `cpu` of version 1; empty: the one hierarchy of version 2.
    """
    mount = root / "sys/fs/cgroup" / controller
    path = ""
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, where = line.split(":", 2)
            if controller in controllers.split(","):
                path = where.strip("/")
    # A container may be told of the path outside it, and see its own group at the mount.
    inside = mount / path
    return [inside, *(parent for parent in inside.parents if parent.is_relative_to(mount))]


def _quota_v2(group: Path) -> float | None:
    """CPUs by `cpu.max`, such as "150000 100000"; None: no limit, or none that is told."""
    with suppress(OSError, ValueError):
        quota, period = (group / "cpu.max").read_text(encoding="utf-8").split()
        return int(quota) / int(period)
    return None


def _quota_v1(group: Path) -> float | None:
    """CPUs by `cpu.cfs_quota_us`, which is -1 without a limit; None: the same, or none that is told."""
    with suppress(OSError, ValueError):
        quota = int((group / "cpu.cfs_quota_us").read_text(encoding="utf-8"))
        return quota / int((group / "cpu.cfs_period_us").read_text(encoding="utf-8")) if quota > 0 else None
    return None
