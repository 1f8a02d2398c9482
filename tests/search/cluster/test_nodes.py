import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tune_paddy.core.config import SearchSettings
from tune_paddy.core.errors import InputError
from tune_paddy.search.cluster.nodes import (
    COMPARED,
    Node,
    check_nodes,
    clock_note,
    program_environment,
)
from tune_paddy.search.cluster.probe import probe
from tune_paddy.search.cluster.session import smallest_gpu

GB = 10**9


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    """What this machine answers."""
    answer = probe([*COMPARED, "no-such-package"], image=__file__, images="a-dataset")
    return {**answer, "versions": {name: answer["versions"][name] for name in COMPARED}}


def node(facts: dict[str, Any], name: str = "lab-2 (10.0.0.2)", **changes: Any) -> Node:
    return Node(name, {"CPU": 2.0}, {**facts, **changes}, 0.0)


def test_a_machine_answers_in_plain_json_what_it_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUNE_PADDY_CACHE", str(tmp_path))
    (tmp_path / "datasets/a-dataset/ab").mkdir(parents=True)
    (tmp_path / "datasets/a-dataset/ab/image.png").write_bytes(b"12345")
    answer = probe(["torch", "no-such-package"], image=None, images="a-dataset")
    assert json.loads(json.dumps(answer)) == answer
    assert answer["versions"] == {"torch": version("torch"), "no-such-package": None}
    assert (answer["cached"], answer["has_image"], answer["cache"]) == (5, False, str(tmp_path))
    assert answer["free"] > 0


def test_a_cluster_of_equal_machines_is_accepted(facts: dict[str, Any]) -> None:
    nodes = [node(facts), node(facts, "lab-3")]
    check_nodes(nodes, 10 * GB)  # they have the images
    assert clock_note(nodes) is None


def test_the_build_of_a_package_may_differ(facts: dict[str, Any]) -> None:
    public = facts["versions"]["torch"].partition("+")[0]
    check_nodes([node(facts, versions={**facts["versions"], "torch": f"{public}+cu999"})], 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"versions": {"timm": "0.9.1"}},
            r"has timm 0\.9\.1, and this machine 1\.\S+: install the same version on all machines",
        ),
        ({"versions": {"fastai": None}}, r"lacks fastai: install what tune-paddy needs there"),
        (
            {"has_image": False, "free": 3 * GB, "cached": GB},
            r"has room for 3\.0 GB, and the images take",
        ),
    ],
)
def test_a_machine_that_differs_is_named_in_one_line(
    facts: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    merged = {
        name: {**facts[name], **value} if isinstance(value, dict) else value
        for name, value in changes.items()
    }
    nodes = [node(facts, "lab-1"), node(facts, **merged), node(facts, "lab-3", **merged)]
    with pytest.raises(InputError, match=rf"^machine lab-2 \(10\.0\.0\.2\): .*{message}") as error:
        check_nodes(nodes, 5 * GB)
    assert "(1 further machine has a problem, too)" in str(error.value)
    assert "\n" not in str(error.value)


def test_the_program_that_travels_is_this_package() -> None:
    (folder,) = program_environment()["py_modules"]
    assert (Path(folder) / "search" / "cluster" / "nodes.py").is_file()


def test_a_clock_that_differs_is_noted(facts: dict[str, Any]) -> None:
    nodes = [node(facts), replace(node(facts, "lab-3"), late=-3600.0)]
    assert clock_note(nodes) == (
        "The clock of machine lab-3 is 3,600 s behind this machine's: the record's times of its members are "
        "off by that"
    )


def test_the_smallest_gpu_limits_the_memory_of_trials(facts: dict[str, Any]) -> None:
    def with_gpus(*mib: float) -> Node:
        return Node("lab", {"GPU": float(len(mib))}, {**facts, "gpus": [["T4", one] for one in mib]}, 0.0)

    nodes = [node(facts, gpus=[["unused", 100.0]]), with_gpus(40960.0), with_gpus(16384.0, 24576.0)]
    assert smallest_gpu(SearchSettings(), nodes).gpu_memory == 16384.0
    assert smallest_gpu(SearchSettings(gpu_memory=8000), nodes).gpu_memory == 8000
    assert smallest_gpu(SearchSettings(), nodes[:1]).gpu_memory is None
