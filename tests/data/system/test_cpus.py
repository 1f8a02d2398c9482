import os
from pathlib import Path

import pytest

from tune_paddy.data.system.cpus import usable_cpus

V2, V1 = "0::/kubepods/pod1\n", "4:cpu,cpuacct:/docker/1\n1:name=systemd:/\n"


def system(root: Path, membership: str, files: dict[str, str]) -> Path:
    """A folder that reports control groups as Linux does."""
    for name, text in {"proc/self/cgroup": membership, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture(autouse=True)
def _eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


@pytest.mark.parametrize(
    ("membership", "files", "cpus"),
    [
        ("", {}, 8),
        (V2, {"sys/fs/cgroup/cpu.max": "max 100000\n"}, 8),
        (V2, {"sys/fs/cgroup/cpu.max": "250000 100000\n"}, 3),
        (V2, {"sys/fs/cgroup/cpu.max": "10000 100000\n"}, 1),
        (V2, {"sys/fs/cgroup/cpu.max": "3200000 100000\n"}, 8),
        (V2, {"sys/fs/cgroup/kubepods/cpu.max": "200000 100000", "sys/fs/cgroup/cpu.max": "max 100000"}, 2),
        (V2, {"sys/fs/cgroup/cpu.max": "what?"}, 8),
        (V1, {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100"}, 8),
        (
            V1,
            {
                "sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us": "150000",
                "sys/fs/cgroup/cpu/docker/1/cpu.cfs_period_us": "100000",
            },
            2,
        ),
    ],
)
def test_the_quota_of_a_container_is_rounded_up(
    membership: str, files: dict[str, str], cpus: int, tmp_path: Path
) -> None:
    assert usable_cpus(system(tmp_path, membership, files)) == cpus


def test_cpus_outside_the_affinity_mask_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5})
    assert usable_cpus(tmp_path) == 1
