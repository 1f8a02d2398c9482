"""Number of CPUs that this process may use; containers and `taskset` limit it."""

import math
import os
from contextlib import suppress
from pathlib import Path

ROOT = Path("/")
"""Root of the file system in which Linux reports quotas."""


def usable_cpus(root: Path = ROOT) -> int:
    """Return the number of CPUs of this process within its container's quota, at least 1.

    Args:
        root: Folder that holds `proc` and `sys`.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [_quota_v2(group) for group in control_groups(root, "")]
    quotas += [_quota_v1(group) for group in control_groups(root, "cpu")]
    return max(1, math.ceil(min([allowed, *(quota for quota in quotas if quota is not None)])))


def control_groups(root: Path, controller: str) -> list[Path]:
    """Return the folders of this process's control group and its ancestors; the lowest quota applies.

    Args:
        root: Folder that holds `proc` and `sys`.
        controller: Name such as `cpu` for version 1; empty for the single hierarchy of version 2.
    """
    mount = root / "sys/fs/cgroup" / controller
    path = ""
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, where = line.split(":", 2)
            if controller in controllers.split(","):
                path = where.strip("/")
    # A container may report the path outside it, and have its own group at the mount.
    inside = mount / path
    return [inside, *(parent for parent in inside.parents if parent.is_relative_to(mount))]


def _quota_v2(group: Path) -> float | None:
    """Return the CPUs in `cpu.max`, such as "150000 100000"; None: no limit, or unknown."""
    with suppress(OSError, ValueError):
        quota, period = (group / "cpu.max").read_text(encoding="utf-8").split()
        return int(quota) / int(period)
    return None


def _quota_v1(group: Path) -> float | None:
    """Return the CPUs in `cpu.cfs_quota_us`, which is -1 without a limit; None: no limit, or unknown."""
    with suppress(OSError, ValueError):
        quota = int((group / "cpu.cfs_quota_us").read_text(encoding="utf-8"))
        return quota / int((group / "cpu.cfs_period_us").read_text(encoding="utf-8")) if quota > 0 else None
    return None
